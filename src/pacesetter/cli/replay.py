"""`pacesetter replay`: search strategies on sweeps that were recorded before."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pacesetter.cli.exits import NO_ANSWER
from pacesetter.cli.options import json_option
from pacesetter.cli.output import Output
from pacesetter.words import count, number, plural

if TYPE_CHECKING:
    from rich.table import Table

    from pacesetter.api.replay import Replay

__all__ = ["replay"]

# Characters of a strategy's text that stand in one line; a longer one is folded.
WIDEST = 26


@click.command(short_help="Score search strategies on recorded sweeps.")
@click.argument("data")
@click.option(
    "--strategy",
    "strategies",
    metavar="SEARCH",
    multiple=True,
    help="pace, grid, random, halving, optuna:tpe ...; one or more.  [default: grid]",
)
@click.option("--budget", metavar="RUNS", help="The most that a sweep may cost, in full trainings.")
@click.option("--quick", is_flag=True, help="A first look: short runs alone, nothing is verified.")
@json_option
def replay(
    data: str, strategies: tuple[str, ...], budget: str | None, quick: bool, json_target: str | None
) -> int | None:
    """Run search strategies on sweeps that were recorded before, and score what they suggest. Nothing is trained.

    DATA is a CSV file (.gz too) with the columns sweep,lr,seed,step,value: what a run of so many updates ended with.
    Lower is better, and empty or NaN has diverged; rows of step 0 have the untrained value. Regret is the share of the
    achievable improvement that the suggested rate gives up, by the mean over all seeds at the greatest length.

    \b
    Examples:
      pacesetter replay sweeps.csv --strategy grid --strategy "random(trials=4)"
      pacesetter replay sweeps.csv.gz --strategy optuna:tpe --budget 8 --json -

    Exit codes: 0 answered, 2 bad input, 3 no strategy had a rate for any sweep, 130 interrupted.
    """
    output = Output(json_target)
    with output.guarded():
        from pacesetter.api.replay import claimed_interval
        from pacesetter.api.replay import replay as run

        found = run(data, strategies or "grid", budget=budget, quick=quick, interval=claimed_interval)
    output.write(found.to_json())
    output.console.print(_table(found))
    for line in _notes(found):
        output.console.print(line, markup=False, soft_wrap=True)
    if not found.answered:
        click.echo("no answer: no strategy had a rate to suggest for any sweep", err=True)
        return NO_ANSWER
    return None


def _table(found: "Replay") -> "Table":
    """One row for each strategy; the difference in the value where no regret is known."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    longest = max(len(score.strategy) for score in found.scores)
    table.add_column("strategy", overflow="fold", min_width=min(longest, WIDEST))
    known = all(score.regret is not None for score in found.scores)
    gaps = any(score.unanswered for score in found.scores)
    headings = ("regret %" if known else "lost", "median", "worst", "runs", "held %", "decades")
    for heading in (*headings, "no rate") if gaps else headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for score in found.scores:
        lost, unit = (score.regret, 100) if known and score.regret is not None else (score.difference, 1)
        cells = [number(unit * value) for value in (lost.mean, lost.median, lost.worst)]
        cells += [number(score.runs), number(None if score.coverage is None else 100 * score.coverage)]
        cells += [number(score.width), *([count(score.unanswered)] if gaps else [])]
        table.add_row(escape(score.strategy), *cells)
    return table


def _notes(found: "Replay") -> Iterator[str]:
    """What the table is about, and what its columns leave open."""
    yield f"{plural(found.sweeps, 'sweep')} of {found.data}"
    if found.skipped:
        yield f"{plural(found.skipped, 'sweep')} left out: every full run of them diverged"
    if any(score.regret is None for score in found.scores):
        yield "lost is in units of the value: a share needs the untrained value, as rows of step 0"
    yield f"held: share of intervals (decades wide, in the median) with the best rate, of {found.claims} sweeps"
