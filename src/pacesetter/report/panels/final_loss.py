"""Final validation loss against learning rate, with seeds, equivalence set, interval and stability edge."""

import math
from typing import Any, NamedTuple

import altair as alt

from pacesetter import words
from pacesetter.records import Answer, LaneRecord, StudyRecord
from pacesetter.report import _means, _summary
from pacesetter.report._charts import Axis, loss_axis, rate_axis, rate_colour, shown
from pacesetter.report._picture import Cell, Picture, Value, template
from pacesetter.report._theme import Theme, widened

TITLE = "Final loss against learning rate"
ORDER = 30
EDGE = 0.03  # of the height: a cross at the top lies inside by this, whole
Row = dict[str, Value]


class FinalLoss(NamedTuple):
    """Rows by strategy; each row's `part` says what it draws. `untrained` is the loss before the first update.

    `shorter` says that there are runs of other lengths, of which only those that diverged are shown.
    """

    rows: dict[str, list[Row]]
    notes: dict[str, str]
    rates: list[float]
    axis: Axis
    untrained: float | None
    shorter: bool = False


def data(study: StudyRecord) -> FinalLoss | None:
    """One row for every seed, mean, diverged run, interval and edge."""
    lanes = study.strategies()
    if len({record.lane.lr for record in study.lanes}) < 2 or not any(r.outcome.ended for r in study.lanes):
        return None
    untrained = _means.mean(record.curve.untrained_loss for record in study.lanes)
    # What a short run ends with is no loss of a full one; a first look has none longer than its longest.
    longest = max(record.lane.total_steps for record in study.lanes)
    shorter = any(record.lane.total_steps < longest for record in study.lanes)
    finals = [r.curve.final_valid_loss for r in study.lanes if _final(r, longest)]
    rows, notes = {}, {}
    for row in _summary.strategies(study):
        group = lanes.get((row.optimizer, row.schedule), [])
        if group:
            rows[row.label] = _rows(group, row.answer, longest)
            notes[row.label] = _note(row.answer) if row.rank else row.nothing
    rates = sorted({record.lane.lr for record in study.lanes})
    return FinalLoss(rows, notes, rates, loss_axis(finals, untrained), untrained, shorter) if rows else None


def draw(data: FinalLoss, theme: Theme) -> tuple[Picture, ...]:
    """One picture, a cell for each strategy."""
    cells = [
        Cell(label, data.notes[label], rows, marked=index == 0 and len(data.rows) > 1)
        for index, (label, rows) in enumerate(data.rows.items())
    ]
    caption = (
        "Each dot is one run that was trained to its end, the line is the mean over seeds. Ringed: the rates that "
        "cannot be told apart from the best. Blue band: the interval that holds the best rate. Red: from the first "
        "rate that diverges; each cross is a run that did. Dotted: the untrained model."
    )
    if data.shorter:
        caption += " Runs of several lengths: only the longest are shown, and what diverged."
    described = f"Final validation loss against learning rate for {len(cells)} strategies."
    chart = template(_chart(data, theme), theme)
    return (Picture("final-loss", TITLE, caption, described, chart, cells, {"untrained": [{"at": data.untrained}]}),)


def _rows(records: list[LaneRecord], answer: Answer, longest: int) -> list[Row]:
    rows: list[Row] = []
    if answer.interval is not None:
        rows.append({"part": "interval", "lr": answer.interval[0], "lr2": answer.interval[1]})
    if answer.stability_edge is not None:
        rows.append({"part": "edge", "lr": math.sqrt(math.prod(answer.stability_edge))})
    for lr in sorted({record.lane.lr for record in records}):
        ended = [record for record in records if record.lane.lr == lr and record.outcome.ended]
        here = [r for r in ended if r.lane.total_steps == longest or r.outcome in _summary.LOST]
        kept = [record for record in here if _final(record, longest)]
        centre = _means.mean(record.curve.final_valid_loss for record in kept)
        if centre is not None and len(kept) == len(here):
            rows.append({"part": "mean", "lr": lr, "value": centre})
            if lr in answer.equivalent or lr == answer.best_tried:
                rows.append({"part": "equivalent", "lr": lr, "value": centre, "best": int(lr == answer.best_tried)})
        for record in here:
            final = record.curve.final_valid_loss
            row: Row = {"lr": lr, "seed": record.lane.seed, "ended": shown(record)}
            row["value"] = float(f"{final:.6g}") if math.isfinite(final) else None
            row["part"] = "cross" if record.outcome in _summary.LOST else "seed"
            if row["part"] == "cross" or row["value"] is not None:
                rows.append(row)
    return rows


def _final(record: LaneRecord, longest: int) -> bool:
    """Whether the lane's last loss is that of a trained model, of the longest runs that there are."""
    return record.lane.total_steps == longest and record.outcome.ended and record.outcome not in _summary.LOST


def _note(answer: Answer) -> str:
    said = f"best at {words.rate(answer.best_tried)}"
    if answer.stability_edge is not None:
        said += f", breaks at {words.rate(answer.stability_edge[1])}"
    return said


def _chart(data: FinalLoss, theme: Theme) -> Any:
    (low, top), highest = data.axis.domain, data.axis.inside(EDGE)
    x = rate_axis(data.rates)
    y = alt.Y("at:Q", title=data.axis.title("Final validation loss"), scale=data.axis.scale(), axis=data.axis.axis())
    tooltip = [
        alt.Tooltip("lr:Q", title="learning rate", format=".3~g"),
        alt.Tooltip("value:Q", title="validation loss", format=".4~g"),
        alt.Tooltip("seed:Q", title="seed"),
        alt.Tooltip("ended:N", title="how it ended"),
    ]
    lit = alt.when("picked === 0 || abs(log(datum.lr / picked)) < 1e-6")
    edge = f"isValid(datum.value) ? min(max(datum.value, {low!r}), {highest!r}) : {highest!r}"
    base = alt.Chart(alt.NamedData("rows")).transform_calculate(at=edge)

    def part(name: str) -> alt.Chart:
        return base.transform_filter(f"datum.part == '{name}'")

    whole = widened(data.rates)
    layers: list[alt.Chart] = [
        part("edge").transform_calculate(end=repr(whole[1])).mark_rect(color=theme.bad, opacity=0.08, clip=True)
        .encode(x=x, x2="end:Q"),
        part("interval").mark_rect(color=theme.band, opacity=0.16).encode(x=x, x2="lr2:Q"),
        part("edge").mark_rule(color=theme.bad, strokeDash=[5, 4], strokeWidth=1.3).encode(x=x),
    ]  # fmt: skip
    if data.untrained is not None and low < data.untrained < top:
        layers.append(
            alt.Chart(alt.NamedData("untrained"))
            .mark_rule(color=theme.muted, strokeDash=[1, 4], strokeCap="round", strokeWidth=1.5)
            .encode(y=alt.Y("at:Q"))
        )
    seeds = {"lit": alt.value(0.95), "dim": alt.value(0.1)}
    layers += [
        part("mean").mark_line(color=theme.ink, strokeWidth=1.4, opacity=0.55).encode(x=x, y=y),
        part("equivalent")
        .mark_point(filled=False, size=190, color=theme.ink)
        .encode(x=x, y=y, strokeWidth=alt.when("datum.best == 1").then(alt.value(2.4)).otherwise(alt.value(1.1))),
        part("seed")
        .mark_circle(size=34)
        .encode(
            x=x,
            y=y,
            color=rate_colour(data.rates, theme),
            opacity=lit.then(seeds["lit"]).otherwise(seeds["dim"]),
            tooltip=tooltip,
        ),
        part("cross")
        .mark_point(shape="cross", angle=45, size=60, filled=True, color=theme.bad, strokeWidth=0)
        .encode(x=x, y=y, fillOpacity=lit.then(alt.value(0.75)).otherwise(alt.value(0.1)), tooltip=tooltip),
    ]
    return alt.layer(*layers).add_params(alt.param(name="picked", value=0)).properties(height=220)
