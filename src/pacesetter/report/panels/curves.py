"""Loss and metrics over the steps, a line for every run, coloured by its learning rate."""

import re
from typing import Any, NamedTuple

import altair as alt
import numpy as np

from pacesetter import words
from pacesetter.records import LaneRecord, StudyRecord
from pacesetter.report import _means, _summary
from pacesetter.report._charts import Axis, cut, loss_axis, rate_colour, shown
from pacesetter.report._picture import Cell, Picture, Value, template
from pacesetter.report._theme import Theme
from pacesetter.report._thin import shorten, thin

TITLE = "How training went at each rate"
ORDER = 40
TAIL = 12  # last points of a lost run that only rise, drawn one by one
LOOKS: dict[str, dict[str, Any]] = {
    "line": {"strokeWidth": 1.4},
    "open": {"strokeWidth": 1.4, "strokeDash": [1, 4]},
    "best": {"strokeWidth": 2.6},
}  # of lines, by what they are of: any run, one that is not finished, one at the best rate
EDGE = 0.03  # of the height: a cross at the top lies inside by this, whole


class Measure(NamedTuple):
    """One thing that was measured over the steps: its rows by strategy, and its axis."""

    name: str
    label: str
    axis: Axis
    rows: dict[str, list[dict[str, Value]]]
    caption: str


class Curves(NamedTuple):
    """Every measure, the rates tried, and what is said over each strategy's cell."""

    measures: list[Measure]
    rates: list[float]
    notes: dict[str, str]
    total_steps: int


def data(study: StudyRecord) -> Curves | None:
    """A row for every point drawn, by strategy, for the training loss, the validation loss and each metric."""
    if not study.lanes:
        return None
    groups = _ordered(study)
    untrained = _means.mean(record.curve.untrained_loss for record in study.lanes)
    best = {words.label(a.optimizer, a.schedule): a.best_tried for a in study.answers}
    unfinished = "" if study.finished else " Dotted: runs that are not finished."
    train = {
        label: [thin(r.curve.train_loss, tail=TAIL * (r.outcome in _summary.LOST)) for r in group]
        for label, group in groups.items()
    }
    axis = loss_axis([float(v) for pairs in train.values() for _, values in pairs for v in values], untrained)
    measures = [
        Measure(
            "training-loss",
            "Training loss",
            axis,
            {label: _rows(groups[label], train[label], axis, best.get(label)) for label in groups},
            "A line for every run, up to where it died; bold: the best rate. The line is the mean over each fortieth "
            f"of the run; batches that spike are drawn as they are. A red cross marks a run that diverged.{unfinished}",
        )
    ]
    valid = {label: [_evaluated(r, r.curve.valid_loss) for r in group] for label, group in groups.items()}
    axis = loss_axis([float(v) for pairs in valid.values() for _, values in pairs for v in values], untrained)
    measures.append(
        Measure(
            "validation-loss",
            "Validation loss",
            axis,
            {label: _rows(groups[label], valid[label], axis, best.get(label)) for label in groups},
            "Measured on the whole validation set at each evaluation; bold: the best rate. A red cross marks a run "
            f"that diverged, at the step where it did.{unfinished}",
        )
    )
    for name in study.metrics:
        pairs = {label: [_evaluated(r, r.curve.metrics.get(name)) for r in group] for label, group in groups.items()}
        values = [float(v) for of_label in pairs.values() for _, these in of_label for v in these]
        if values:
            axis = Axis("linear", (min(values), max(values) if max(values) > min(values) else min(values) + 1.0))
            rows = {label: _rows(groups[label], pairs[label], axis, best.get(label), crosses=False) for label in groups}
            caption = (
                f"{name.capitalize()} on the whole validation set at each evaluation; bold: the best rate.{unfinished}"
            )
            slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
            measures.append(Measure(slug or "metric", name.capitalize(), axis, rows, caption))
    notes = {row.label: _note(row) for row in _summary.strategies(study)}
    return Curves(measures, sorted({record.lane.lr for record in study.lanes}), notes, study.total_steps)


def draw(data: Curves, theme: Theme) -> tuple[Picture, ...]:
    """A picture for each measure, with a cell for each strategy."""
    return tuple(_picture(measure, data, theme) for measure in data.measures)


def _ordered(study: StudyRecord) -> dict[str, list[LaneRecord]]:
    """Lanes by strategy label, the best strategy first, unanswered ones last."""
    groups = {words.label(*key): records for key, records in study.strategies().items()}
    first = [row.label for row in _summary.strategies(study) if row.label in groups]
    return {label: groups[label] for label in dict.fromkeys([*first, *groups])}


def _evaluated(record: LaneRecord, values: Any) -> tuple[Any, Any]:
    """Steps and values of the evaluations that gave a finite value."""
    if values is None or not len(values):
        return np.empty(0), np.empty(0)
    kept = np.isfinite(values)
    return record.curve.eval_steps[kept].astype(float), values[kept]


def _rows(
    records: list[LaneRecord],
    pairs: list[tuple[Any, Any]],
    axis: Axis,
    best: float | None,
    crosses: bool = True,
) -> list[dict[str, Value]]:
    """Rows of one strategy, those of a lane together.

    `line` is a point of a lane's line (`best` at the best rate, `open` where the lane is not finished), `cross` where
    it died, and `name` the end of one line of the best rate.
    """
    rows: list[dict[str, Value]] = []
    named = False
    for lane, (record, (steps, values)) in enumerate(zip(records, pairs, strict=True)):
        same: dict[str, Value] = {"lane": lane, "lr": record.lane.lr, "seed": record.lane.seed}
        same["ended"] = shown(record)
        part = "open" if not record.outcome.ended else "best" if record.lane.lr == best else "line"
        rows += [
            {**same, "part": part, "step": shorten(step), "value": None if value is None else shorten(value)}
            for step, value in cut(axis, steps.tolist(), values.tolist())
        ]
        if part == "best" and not named and rows and rows[-1]["part"] == part and rows[-1]["value"]:
            named = True
            rows.append({**rows[-1], "part": "name", "text": words.rate(record.lane.lr)})
        if crosses and record.outcome in _summary.LOST:
            # A dead run's cross is where its last finite value was; drawing moves it to the top edge if that is higher.
            last = shorten(float(values[-1])) if len(values) else None
            rows.append({**same, "part": "cross", "step": record.curve.steps, "value": last})
    return rows


def _picture(measure: Measure, data: Curves, theme: Theme) -> Picture:
    top = measure.axis.inside(EDGE)
    x = alt.X("step:Q", title="step (weight updates)", scale=alt.Scale(domain=[0, data.total_steps], nice=False))
    y = alt.Y("value:Q", title=measure.axis.title(measure.label), scale=measure.axis.scale(), axis=measure.axis.axis())
    tooltip = [
        alt.Tooltip("lr:Q", title="learning rate", format=".3~g"),
        alt.Tooltip("seed:Q", title="seed"),
        alt.Tooltip("ended:N", title="how it ended"),
    ]
    lit = alt.when("picked === 0 || abs(log(datum.lr / picked)) < 1e-6")
    base = alt.Chart(alt.NamedData("rows"))
    lines = [_lines(base, part, look).encode(
            x=x, y=y, detail="lane:N", color=rate_colour(data.rates, theme), tooltip=tooltip,
            strokeOpacity=lit.then(alt.value(0.95 if part == "best" else 0.75)).otherwise(alt.value(0.07)),
        ) for part, look in LOOKS.items()]  # fmt: skip
    crosses = (
        base.transform_filter("datum.part == 'cross'")
        .transform_calculate(at=f"isValid(datum.value) && datum.value < {top!r} ? datum.value : {top!r}")
        .mark_point(
            shape="cross", angle=45, size=46, filled=True, color=theme.bad, stroke=theme.ground, strokeWidth=0.8
        )
        .encode(
            x="step:Q",
            y=alt.Y("at:Q"),
            fillOpacity=lit.then(alt.value(0.85)).otherwise(alt.value(0.08)),
            tooltip=tooltip,
        )
    )
    name = base.transform_filter("datum.part == 'name'").encode(
        x="step:Q", y="value:Q", text="text:N", opacity=lit.then(alt.value(1)).otherwise(alt.value(0.1))
    )
    place: dict[str, Any] = {"align": "right", "dy": -9, "fontSize": 12, "fontWeight": 700}
    halo = name.mark_text(**place, stroke=theme.ground, strokeWidth=4, strokeJoin="round", color=theme.ground)
    chart = (
        alt.layer(*lines, crosses, halo, name.mark_text(**place, color=theme.ink))
        .add_params(alt.param(name="picked", value=0))
        .properties(height=210)
    )
    cells = [
        Cell(label, data.notes.get(label, ""), rows, marked=index == 0 and len(measure.rows) > 1)
        for index, (label, rows) in enumerate(measure.rows.items())
    ]
    low, high = data.rates[0], data.rates[-1]
    main = measure.name in ("training-loss", "validation-loss")
    described = f"{measure.label} against step for {len(cells)} strategies, rates {words.span((low, high))}."
    return Picture(
        f"curves-{measure.name}", measure.label, measure.caption, described, template(chart, theme), cells, main=main
    )


def _lines(base: alt.Chart, part: str, look: dict[str, Any]) -> Any:
    return base.transform_filter(f"datum.part == '{part}'").mark_line(strokeJoin="round", strokeCap="round", **look)


def _note(row: _summary.Strategy) -> str:
    return row.nothing if row.rank is None else f"best at {words.rate(row.answer.best_tried)}"
