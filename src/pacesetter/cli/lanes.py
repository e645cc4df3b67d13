"""Lanes on a terminal: all of a study in a table, or one with its curve and findings."""

import math

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table

from pacesetter.records import Curve, LaneRecord, Outcome, StudyRecord

__all__ = ["one", "table"]

# Eight heights of a block character: a curve in one line.
_BARS = "▁▂▃▄▅▆▇█"


def table(study: StudyRecord) -> RenderableType:
    """One row per lane, with the number that `--lane` takes."""
    rows = Table(box=None, pad_edge=False)
    for heading in ("lane", "lr", "seed", "steps", "valid loss"):
        rows.add_column(heading, justify="right", no_wrap=True)
    rows.add_column("outcome", no_wrap=True)
    rows.add_column("optimizer and schedule", overflow="fold")
    for number, record in enumerate(study.lanes):
        lane, curve = record.lane, record.curve
        rows.add_row(
            str(number),
            f"{lane.lr:g}",
            str(lane.seed),
            str(curve.steps),
            _number(curve.final_valid_loss),
            _ending(record.outcome),
            escape(f"{lane.optimizer} {lane.schedule}"),
        )
    return rows


def one(study: StudyRecord, number: int) -> RenderableType:
    """A lane's recipe, outcome, curve at its evaluations, and findings."""
    record = study.lanes[number]
    lane, curve = record.lane, record.curve
    first, last = _number(curve.untrained_loss), _number(curve.final_valid_loss)
    when = "at the end" if record.outcome.ended else "so far"
    head = (
        f"lane {number} of study {study.name}: {lane.recipe}, seed {lane.seed}",
        f"{_ending(record.outcome)}: {record.message or record.outcome.sentence}",
        f"{curve.steps} of {lane.total_steps} steps; lr applied {_rates(curve)}",
        f"validation loss {first} untrained, {last} {when}  {_line(curve)}",
    )
    parts: list[RenderableType] = [escape(line) for line in head]
    if len(curve.eval_steps):
        parts += ["", _evaluations(record)]
    if record.findings:
        parts += ["", *(escape(f"{finding.name} ({finding.level}): {finding.text}") for finding in record.findings)]
    return Group(*parts)


def _evaluations(record: LaneRecord) -> Table:
    """One row per evaluation, with the mean training loss since the last."""
    curve = record.curve
    rows = Table(box=None, pad_edge=False)
    for heading in ("after step", "lr", "train loss", "valid loss", *curve.metrics):
        rows.add_column(escape(heading), justify="right", no_wrap=True)
    before = 0
    for index, step in enumerate(curve.eval_steps.tolist()):
        since = curve.train_loss[before:step]
        rows.add_row(
            str(step),
            _number(float(curve.lr[step - 1])) if 0 < step <= curve.steps else "",
            _number(float(np.mean(since))) if len(since) else "",
            _number(float(curve.valid_loss[index])),
            *(_number(float(values[index])) for values in curve.metrics.values()),
        )
        before = step
    return rows


def _rates(curve: Curve) -> str:
    if not curve.steps:
        return "none yet"
    first, last, peak = float(curve.lr[0]), float(curve.lr[-1]), float(curve.lr.max())
    if first == last == peak:
        return f"{first:g} throughout"
    top = f", at most {peak:.4g}" if peak > max(first, last) else ""
    return f"from {first:.4g} to {last:.4g}{top}"


def _line(curve: Curve) -> str:
    """The validation losses as blocks, on a log scale when all are above 0; empty when there are fewer than two."""
    losses = curve.valid_loss[np.isfinite(curve.valid_loss)]
    if len(losses) < 2:
        return ""
    heights = np.log(losses) if losses.min() > 0 else losses
    low, high = float(heights.min()), float(heights.max())
    span = high - low or 1.0
    return "".join(_BARS[round((float(h) - low) / span * (len(_BARS) - 1))] for h in heights)


def _ending(outcome: Outcome) -> str:
    """How a lane ended; whether a process still trains it cannot be known."""
    return str(outcome) if outcome.ended else "not finished"


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "-"
