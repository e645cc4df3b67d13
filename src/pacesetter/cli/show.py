"""`pacesetter show`: what is known about a study, or about one lane of it."""

import click

from pacesetter.cli.options import WHOLE, json_option, store_option
from pacesetter.cli.output import Output, load_study
from pacesetter.errors import InputError

__all__ = ["show"]


@click.command(short_help="Show a study, or one lane of it and its script.")
@click.argument("study", required=False)
@click.option("--lanes", "list_lanes", is_flag=True, help="List the lanes with their numbers.")
@click.option("--lane", type=WHOLE, metavar="N", help="One lane's curve and findings; lanes count from 0.")
@click.option("--script", is_flag=True, help="With --lane: print a plain PyTorch script that trains this lane.")
@store_option
@json_option
def show(
    study: str | None, list_lanes: bool, lane: int | None, script: bool, store: str, json_target: str | None
) -> None:
    """Show a study from the store (the newest, when none is named), also while another process trains it.

    With --lane, --json has that lane's entry of the study's document alone.

    \b
    Examples:
      pacesetter show digits-mlp-1
      pacesetter show digits-mlp-1 --lanes
      pacesetter show digits-mlp-1 --lane 4
      pacesetter show digits-mlp-1 --lane 4 --json -
      pacesetter show digits-mlp-1 --lane 4 --script > lane4.py
    """
    if script and lane is None:
        raise InputError("`script` must come with a lane, got script and no lane: add --lane N")
    if list_lanes and lane is not None:
        raise InputError(f"`lane` must come without lanes, got lane={lane} and lanes: leave one of both out")
    output = Output(json_target)
    found = load_study(study, store)
    document = found.to_json(lane)
    output.write(document)
    if lane is not None and script:
        click.echo(found.script(lane), err=output.for_programs, nl=False)
        return
    if output.for_programs:
        return
    if lane is None and not list_lanes:
        output.console.print(found)
        return
    from pacesetter.cli import lanes

    output.console.print(lanes.table(found.record) if lane is None else lanes.one(found.record, lane))
