"""`pacesetter report`: the page and the pictures of a study."""

import click

from pacesetter.api import defaults
from pacesetter.cli.options import store_option
from pacesetter.cli.output import load_study, note
from pacesetter.files import check_folder

__all__ = ["report"]


@click.command(short_help="Write the page and pictures of a study.")
@click.argument("study", required=False)
@click.option("--out", metavar="DIR", help=f"Where to.  [default: {defaults.OUT}/ and the study's name]")
@store_option
def report(study: str | None, out: str | None, store: str) -> None:
    """Write report.html (one file, opens without a network) and pictures of a study, the newest when none is named.

    \b
    Examples:
      pacesetter report digits-mlp-1
      pacesetter report digits-mlp-1 --out results
    """
    from pacesetter.api.output import own_folder, write_report

    found = load_study(study, store)
    folder = check_folder(out or own_folder(found.name), "out")
    note(f"writing the report of {found.name} ...")
    for path in write_report(found.record, folder):
        click.echo(f"written: {path}")
