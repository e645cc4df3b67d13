"""The path of the weights on the loss surface, for models of one or two parameters: too low, right, too high."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import altair as alt
import numpy as np

from pacesetter import words
from pacesetter.findings.verdict import Verdict, verdict_of
from pacesetter.records import LaneRecord, Outcome, StudyRecord
from pacesetter.report import _summary
from pacesetter.report._contours import contour
from pacesetter.report._picture import Cell, Picture, Value, template
from pacesetter.report._theme import Theme
from pacesetter.report._thin import shorten

TITLE = "The path of the weights"
ORDER = 50
LEVELS = 14  # contour lines: enough to see a valley's shape, few enough to see a path on it
MOST_STRATEGIES = 4  # drawn; three pictures each fill a page
MOST_POINTS = 400  # of a path
BEST = "the best rate"
Row = dict[str, Value]


class Paths(NamedTuple):
    """`surface`: contour lines (two parameters) or the loss curve (one). `cells`: title, remark and path."""

    dimensions: int
    surface: list[Row]
    cells: list[tuple[str, str, list[Row]]]
    x: tuple[float, float]
    y: tuple[float, float]


def data(study: StudyRecord) -> Paths | None:
    """Three runs of each strategy on the surface; None for models of more parameters."""
    if study.surface is None or not any(record.curve.path is not None for record in study.lanes):
        return None
    x = np.asarray(study.surface["x"], dtype=float)
    loss = np.asarray(study.surface["loss"], dtype=float)
    flat = study.surface.get("y") is None
    surface, limits = _curve(x, loss) if flat else _contours(x, np.asarray(study.surface["y"], dtype=float), loss)
    cells = []
    for row in _summary.strategies(study)[:MOST_STRATEGIES]:
        for record, said in _three(study.strategies().get((row.optimizer, row.schedule), []), row.answer.best_tried):
            note = f"{said}: {_ended(record)}" if said != BEST else said
            cells.append(
                (f"{row.label}, rate {words.rate(record.lane.lr)}", note, _path(record, x, study.surface, loss))
            )
    return Paths(1 if flat else 2, surface, cells, (float(x[0]), float(x[-1])), limits) if cells else None


def draw(data: Paths, theme: Theme) -> tuple[Picture, ...]:
    """One picture, a cell for each run."""
    x = alt.X("x:Q", title="weight" if data.dimensions == 1 else "weight 1", scale=_scale(data.x), axis=_plain())
    y = alt.Y("y:Q", title="loss" if data.dimensions == 1 else "weight 2", scale=_scale(data.y), axis=_plain())
    ground = alt.Chart(alt.NamedData("surface")).mark_line(clip=True, strokeWidth=1, color=theme.muted)
    if data.dimensions == 1:
        ground = ground.mark_line(clip=True, strokeWidth=1.6, color=theme.muted, opacity=0.7)
    shade = alt.Opacity("height:Q", legend=None, scale=alt.Scale(domain=[0, 1], range=[0.75, 0.2]))
    if data.dimensions == 2:
        ground = ground.encode(opacity=shade)
    path = alt.Chart(alt.NamedData("rows"))
    weights = [alt.Tooltip(name, format=".4~g") for name in ("x:Q", "y:Q")]
    tooltip = [alt.Tooltip("step:Q", title="step"), *weights]
    ends = path.transform_filter("datum.end != ''")
    kinds = ["start", "end", "died"]
    shape_scale = alt.Scale(domain=kinds, range=["square", "circle", "cross"])
    colour_scale = alt.Scale(domain=kinds, range=[theme.muted, theme.band, theme.bad])
    shapes = alt.Shape("end:N", legend=None, scale=shape_scale)
    colours = alt.Color("end:N", legend=None, scale=colour_scale)
    chart = alt.layer(
        ground.encode(x=x, y=y, detail="line:N", order="point:Q"),
        path.mark_line(clip=True, strokeWidth=1.6, color=theme.band, opacity=0.85).encode(x=x, y=y, order="step:Q"),
        path.mark_circle(clip=True, size=14, color=theme.band, opacity=0.8).encode(x=x, y=y, tooltip=tooltip),
        ends.mark_point(clip=True, size=110, filled=True, opacity=1, stroke=theme.ground, strokeWidth=1.5)
        .encode(x=x, y=y, shape=shapes, color=colours, tooltip=tooltip),
    ).properties(height=250)  # fmt: skip
    lines = "Lines of equal loss, the boldest lowest." if data.dimensions == 2 else "The grey curve is the loss."
    caption = f"{lines} Square: where training starts. Dots: the weights after each update. Circle: where it ends."
    described = f"The path of the weights on the loss surface for {len(data.cells)} runs."
    cells = [Cell(title, note, rows) for title, note, rows in data.cells]
    shared = {"surface": data.surface}
    return (Picture("paths", TITLE, caption, described, template(chart, theme), cells, shared),)


def _three(records: list[LaneRecord], best: float | None) -> list[tuple[LaneRecord, str]]:
    """The lowest rate, the best and the one that breaks first (or else the highest), of the first seed."""
    seed = min((record.lane.seed for record in records), default=0)
    known = [record for record in records if record.lane.seed == seed and record.curve.path is not None]
    if not known:
        return []
    right = next((record for record in known if record.lane.lr == best), None)
    # The very lowest rate does not move at all: take the highest that is too low, or else the middle of those below.
    lower = [record for record in known if best is not None and record.lane.lr < best]
    higher = [record for record in known if best is None or record.lane.lr > best]
    slow = [record for record in lower if verdict_of(record) is Verdict.TOO_LOW]
    broken = [record for record in higher if record.outcome in _summary.LOST]
    chosen = []
    if lower:
        chosen.append(((slow or lower[len(lower) // 2 :])[-1 if slow else 0], "a lower rate"))
    if right:
        chosen.append((right, BEST))
    if higher:
        chosen.append((broken[0] if broken else higher[-1], "a higher rate"))
    return chosen


def _ended(record: LaneRecord) -> str:
    verdict = verdict_of(record)
    unjudged = record.outcome is Outcome.DIVERGED or verdict is Verdict.NONE
    return str(record.outcome if unjudged else verdict)


def _path(record: LaneRecord, x: Any, surface: Mapping[str, Any], loss: Any) -> list[Row]:
    """The weights before each update and after the last; the loss at a single weight is read off the surface.

    A path that leaves the surface for good ends there: its later swings would only cover it with lines.
    """
    flat = surface.get("y") is None
    path = np.asarray(record.curve.path, dtype=float)
    path = path.reshape(len(path), -1)
    path = path[np.isfinite(path).all(axis=1)]
    inside = (path[:, 0] >= x[0]) & (path[:, 0] <= x[-1])
    if not flat:
        inside &= (path[:, 1] >= min(surface["y"])) & (path[:, 1] <= max(surface["y"]))
    path = path[: int(np.flatnonzero(inside)[-1]) + 2] if inside.any() else path[:2]
    kept = np.unique(np.linspace(0, len(path) - 1, min(MOST_POINTS, len(path))).round().astype(int))
    last = "died" if record.outcome in _summary.LOST else "end"
    rows: list[Row] = []
    for step in kept:
        across = float(path[step, 0])
        up = float(np.interp(across, x, loss)) if flat else float(path[step, 1])
        end = "start" if step == 0 else last if step == len(path) - 1 else ""
        rows.append({"step": int(step), "x": shorten(across), "y": shorten(up), "end": end})
    return rows


def _curve(x: Any, loss: Any) -> tuple[list[Row], tuple[float, float]]:
    rows: list[Row] = [
        {"line": 0, "point": k, "x": shorten(float(a)), "y": shorten(float(b))}
        for k, (a, b) in enumerate(zip(x, loss, strict=True))
        if math.isfinite(b)
    ]
    known = loss[np.isfinite(loss)]
    room = 0.06 * float(np.ptp(known) or 1.0)
    return rows, (float(known.min()) - room, float(known.max()) + room)


def _contours(x: Any, y: Any, loss: Any) -> tuple[list[Row], tuple[float, float]]:
    """Contour lines, closer together near the minimum: levels are even in the square root of the height above it."""
    known = loss[np.isfinite(loss)]
    low, high = float(known.min()), float(known.max())
    rows: list[Row] = []
    line = 0
    for k in range(LEVELS):
        share = (k + 0.5) / LEVELS
        for points in contour(x, y, loss, low + (high - low) * share**2):
            rows += [
                {"line": line, "point": p, "x": shorten(a), "y": shorten(b), "height": round(share, 3)}
                for p, (a, b) in enumerate(points)
            ]
            line += 1
    return rows, (float(y[0]), float(y[-1]))


def _scale(domain: tuple[float, float]) -> alt.Scale:
    return alt.Scale(domain=list(domain), nice=False, zero=False)


def _plain() -> alt.Axis:
    return alt.Axis(tickCount=5, grid=False)
