"""`pacesetter export`: a study as a table for other programs."""

import click

from pacesetter.cli.options import store_option
from pacesetter.cli.output import load_study

__all__ = ["export"]


@click.command(short_help="Write a study as CSV, Parquet or JSON.")
@click.argument("study")
@click.argument("file")
@store_option
def export(study: str, file: str, store: str) -> None:
    """Write a study's lanes to FILE: .csv and .parquet have one row per lane, .json is the document of compare.

    \b
    Examples:
      pacesetter export digits-mlp-1 lanes.csv
      pacesetter export digits-mlp-1 lanes.parquet
    """
    click.echo(f"written: {load_study(study, store).export(file)}")
