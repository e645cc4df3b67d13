"""`pacesetter studies`: what lies in the store."""

import click

from pacesetter.cli.options import json_option, store_option
from pacesetter.cli.output import Output, no_studies, nothing_here
from pacesetter.words import duration

__all__ = ["studies"]


@click.command(short_help="List the studies in the store.")
@store_option
@json_option
def studies(store: str, json_target: str | None) -> None:
    """List the studies in the store, oldest first, also while they run.

    \b
    Examples:
      pacesetter studies
      pacesetter studies --store sqlite:///team.db --json -
    """
    from rich.table import Table

    from pacesetter.api.study import Study, summaries_to_json

    output = Output(json_target)
    summaries = [] if nothing_here(store) else Study.summaries(store)
    output.write(summaries_to_json(summaries))
    if output.for_programs:
        return
    if not summaries:
        output.console.print(no_studies(store), markup=False, soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("study", "task", "created"):
        table.add_column(heading, overflow="fold")
    for heading in ("lanes", "steps", "time"):
        table.add_column(heading, justify="right", no_wrap=True)
    for summary in summaries:
        lanes = f"{summary.ended}/{summary.lanes}" if summary.ended < summary.lanes else str(summary.lanes)
        created = summary.created.replace("T", " ")[:16]
        row = (summary.name, summary.task, created, lanes, str(summary.total_steps), duration(summary.seconds))
        table.add_row(*(_plain(cell) for cell in row))
    output.console.print(table)


def _plain(text: str) -> str:
    """The text as it is: brackets in a name are no markup."""
    from rich.markup import escape

    return escape(text)
