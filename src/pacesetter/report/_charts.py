"""What several charts share: the axis of a loss, and the axis and the colour of a learning rate."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import altair as alt
import numpy as np

from pacesetter.records import LaneRecord, Outcome
from pacesetter.report import _summary
from pacesetter.report._theme import Theme, ticks, widened

# Rates are labelled as they are typed on the command line: 0.001, 1e-5.
LABEL = "datum.value >= 0.001 && datum.value < 10000 ? format(datum.value, '~r') : format(datum.value, '.0e')"
ROOM = 1.3  # drawn above the untrained loss, as a factor on a log axis: a run that rises is seen to rise
DEEPEST = 1e-12  # of the untrained loss; a log axis shows no loss lower than this


class Axis(NamedTuple):
    """The axis of a measured value."""

    kind: Literal["log", "linear"]
    domain: tuple[float, float]

    def inside(self, share: float) -> float:
        """The value that lies `share` of the axis' length below its top."""
        low, high = self.domain
        return high * (low / high) ** share if self.kind == "log" else high - share * (high - low)

    def title(self, label: str) -> str:
        """The axis title, which says when the axis is logarithmic."""
        return f"{label.lower()} (log scale)" if self.kind == "log" else label.lower()

    def scale(self) -> alt.Scale:
        """The Vega-Lite scale."""
        if self.kind == "log":
            return alt.Scale(type="log", domain=list(self.domain), nice=False)
        return alt.Scale(type="linear", domain=list(self.domain), nice=False, zero=False)

    def axis(self) -> alt.Axis:
        """The Vega-Lite axis: few ticks; on a log axis over several decades, only the decades are labelled."""
        if self.kind == "linear":
            return alt.Axis(tickCount=5)
        low, high = self.domain
        values = ticks(low, high, 6)
        return alt.Axis(values=values, labelExpr=LABEL) if len(values) > 1 else alt.Axis(tickCount=5)


def cut(axis: Axis, steps: Sequence[float], values: Sequence[float]) -> list[tuple[float, float | None]]:
    """The line through (steps, values) as far as it lies on `axis`; where it leaves the axis, a point without a value.

    A renderer could clip it too, but takes most of a picture's time for that: a mask for every line.
    """
    to_place = (lambda value: math.log(max(value, DEEPEST * axis.domain[0]))) if axis.kind == "log" else float
    to_value = math.exp if axis.kind == "log" else float
    low, high = map(to_place, axis.domain)
    places = [to_place(value) for value in values]
    if len(places) == 1:
        return [(steps[0], values[0])] if low <= places[0] <= high else []
    points: list[tuple[float, float | None]] = []
    for (x, next_x), (y, next_y) in zip(pairwise(steps), pairwise(places), strict=True):
        rise = next_y - y
        if not rise and not low <= y <= high:
            continue
        first, last = sorted(((low - y) / rise, (high - y) / rise)) if rise else (0.0, 1.0)
        first, last = max(first, 0.0), min(last, 1.0)
        if first > last:
            continue
        start, end = ((x + share * (next_x - x), to_value(y + share * rise)) for share in (first, last))
        if points and first > 0:
            points.append((start[0], None))
        if not points or first > 0:
            points.append(start)
        points.append(end)
    return points


def loss_axis(values: Sequence[float], untrained: float | None) -> Axis:
    """The axis for losses: logarithmic when all are positive, from the lowest to a little above the untrained loss.

    What rises further is clipped: a diverging run would squeeze every other one into the bottom of the chart. Nothing
    is clipped at the bottom, where the best runs are.
    """
    known = np.array([value for value in values if math.isfinite(value)], dtype=float)
    if not len(known):
        return Axis("linear", (0.0, 1.0))
    top = untrained if untrained is not None else float(np.median(known))
    if known.min() < 0 or top <= 0:
        low, high = float(known.min()), max(top, float(np.quantile(known, 0.9)))
        room = 0.08 * ((high - low) or 1.0)
        return Axis("linear", (low - room, high + room))
    positive = known[known > 0]
    low = float(np.min(positive)) if len(positive) else top / 10
    low = max(min(low, top / 2), top * DEEPEST)
    return Axis("log", (low / 1.15, top * ROOM * (top / low) ** 0.03))


def rate_axis(rates: Sequence[float]) -> alt.X:
    """The horizontal axis for learning rates."""
    low, high = widened(rates)
    axis = alt.Axis(values=ticks(low, high, 8), labelExpr=LABEL, grid=True)
    scale = alt.Scale(type="log", domain=[low, high], nice=False)
    return alt.X("lr:Q", title="learning rate (log scale)", scale=scale, axis=axis)


def rate_colour(rates: Sequence[float], theme: Theme) -> alt.Color:
    """Colour by learning rate, even in its logarithm. The page has its own legend; a PNG brings one."""
    low, high = min(rates), max(rates)
    if low == high:
        low, high = low / 2, high * 2
    ramp = theme.ramp()
    scale = alt.Scale(type="log", domain=[float(v) for v in np.geomspace(low, high, len(ramp))], range=ramp)
    legend: Any = None
    if theme.picture:
        legend = alt.Legend(
            title="learning rate",
            orient="top",
            direction="horizontal",
            gradientLength=320,
            gradientThickness=10,
            values=ticks(low, high, 7),
            labelExpr=LABEL,
            titleAnchor="start",
        )
    return alt.Color("lr:Q", scale=scale, legend=legend)


def shown(record: LaneRecord) -> str:
    """How a lane ended, in the few words a tooltip has room for."""
    if record.outcome in (Outcome.DIVERGED, Outcome.FAILED):
        return f"{record.outcome} after {record.curve.steps:,} steps"
    if not record.outcome.ended:
        return f"{_summary.ending(record.outcome)}, {record.curve.steps:,} of {record.lane.total_steps:,} steps"
    return f"{record.outcome}, {record.curve.steps:,} steps"
