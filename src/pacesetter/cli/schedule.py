"""`pacesetter schedule`: schedules drawn, compared and written before anything is trained."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pacesetter.cli.options import WHOLE, json_option
from pacesetter.cli.output import Output
from pacesetter.errors import InputError
from pacesetter.words import number

if TYPE_CHECKING:
    from rich.console import Console

    from pacesetter.api.preview import Preview

__all__ = ["schedule"]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
LABELS = 10
"""Characters of the labels at the left of the drawing."""
WIDEST, HEIGHT = 90, 14
MOST_MARKS = 12


@click.command(short_help="Draw schedules, and compare them with other libraries'.")
@click.argument("texts", metavar="SCHEDULE...", nargs=-1)
@click.option("--steps", type=WHOLE, metavar="N", default=1000, show_default=True, help="Length of the run in updates.")
@click.option("--lr", metavar="RATE", default="1", show_default=True, help="The peak: factors are multiplied by it.")
@click.option(
    "--from",
    "others",
    metavar="LIBRARY:NAME(...)",
    multiple=True,
    help="Another library's schedule, drawn beside: torch, transformers, optax or keras.",
)
@click.option("--metrics", metavar="FILE", help="CSV with the columns step,metric: what a controller will be told.")
@click.option("--out", metavar="DIR", help="Write schedule.png, .svg, .html and .csv there.")
@json_option
def schedule(
    texts: tuple[str, ...],
    steps: int,
    lr: str,
    others: tuple[str, ...],
    metrics: str | None,
    out: str | None,
    json_target: str | None,
) -> None:
    """Draw schedules over a run, and print the rates at the steps where something happens. Nothing is trained.

    The last step is the first after the run: its rate is held from there on.

    \b
    Examples:
      pacesetter schedule "warmup(0.05) >> cosine" one_cycle --steps 1000
      pacesetter schedule one_cycle --from "torch:OneCycleLR(max_lr=1,total_steps=100)" --steps 100
      pacesetter schedule "warmup(0.05) >> wsd" --lr 3e-3 --steps 20000 --out pictures

    Exit codes: 0 drawn, 2 bad input.
    """
    output = Output(json_target)
    with output.guarded():
        from pacesetter.api.preview import preview, read_metrics
        from pacesetter.files import check_folder

        try:
            rate = float(lr)
        except ValueError:
            raise InputError(f"`lr` must be a number, got lr={lr!r}") from None
        if out is not None:
            check_folder(out, "out")
        told = read_metrics(metrics) if metrics else ()
        found = preview(texts, steps, lr=rate, others=others, metrics=told)
        written = found.write(out) if out is not None else []
    output.write(found.to_json())
    _draw(found, output.console)
    for path in written:
        output.console.print(f"written: {Path(path)}", markup=False, soft_wrap=True)


def _draw(found: "Preview", console: "Console") -> None:
    width = max(20, min(console.width, WIDEST) - LABELS - 1)
    if len(found.curves) > 1:
        for letter, curve in zip(LETTERS, found.curves, strict=False):
            console.print(f"{letter}  {curve.name}", markup=False, soft_wrap=True)
    else:
        console.print(found.curves[0].name, markup=False, soft_wrap=True)
    for row, line in enumerate(found.sketch(width, HEIGHT, plain=not _has(console, "⠿"))):
        label = {0: number(found.highest), HEIGHT - 1: "0"}.get(row, "")
        console.print(f"{label:>{LABELS}} {line}".rstrip(), markup=False, no_wrap=True)
    end = str(found.total_steps)
    console.print(f"{'':{LABELS}} 0{end:>{width - 1}}", markup=False, no_wrap=True)
    console.print(_marks(found))
    for line in found.differences():
        console.print(line, markup=False, soft_wrap=True)


def _marks(found: "Preview") -> object:
    """The rates at the marked steps, or at some of them where there are many."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("step", justify="right", no_wrap=True)
    several = len(found.curves) > 1
    for letter, _ in zip(LETTERS, found.curves, strict=False):
        table.add_column(letter if several else "rate", justify="right", no_wrap=True)
    cycling = [curve for curve in found.curves if curve.momentum is not None]
    for curve in cycling:
        letter = f" of {LETTERS[found.curves.index(curve)]}" if several else ""
        table.add_column(f"momentum{letter}", justify="right", no_wrap=True)
    for place in found.marks(MOST_MARKS):
        cells = [number(float(curve.rates[place])) for curve in found.curves[: len(LETTERS)]]
        cells += [number(float(curve.momentum[place])) for curve in cycling if curve.momentum is not None]
        table.add_row(str(int(found.steps[place])), *cells)
    return table


def _has(console: "Console", character: str) -> bool:
    """Whether the terminal's encoding has the character."""
    try:
        character.encode(console.encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
