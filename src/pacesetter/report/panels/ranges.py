"""One line per strategy on one axis of learning rates: where it works, where its best rate is, and where it breaks."""

from typing import Any, NamedTuple

import altair as alt

from pacesetter import words
from pacesetter.records import StudyRecord
from pacesetter.report import _summary
from pacesetter.report._charts import rate_axis, rate_colour
from pacesetter.report._picture import Cell, Picture, Value, template
from pacesetter.report._theme import Theme

TITLE = "Which rates work"
ORDER = 20
ROOMY = 520  # pixels: on a narrower page a strategy's name needs the whole line, and its loss is left to the table
ROW = 48  # pixels for a strategy: its name, and its bar below


class Ranges(NamedTuple):
    """A row for every bar, dot and cross; strategies from best to worst, and the rates tried."""

    rows: list[dict[str, Value]]
    labels: list[str]
    rates: list[float]


def data(study: StudyRecord) -> Ranges | None:
    """What each answer says about rates."""
    rates = sorted({record.lane.lr for record in study.lanes})
    summary = _summary.strategies(study)
    if len(rates) < 2 or not summary:
        return None
    rows: list[dict[str, Value]] = []
    for row in summary:
        answer = row.answer
        ended = [r.lane for r in study.lanes if r.outcome.ended]
        own = sorted({lane.lr for lane in ended if lane.strategy == (row.optimizer, row.schedule)})
        loss = words.spread(row.valid_loss, row.spread) if row.rank else row.nothing
        rows.append({"label": row.label, "part": "name", "lr": rates[0], "text": row.label, "loss": loss})
        spans = {"tried": (own[0], own[-1]) if own else None, "safe": answer.safe_range, "interval": answer.interval}
        rows += [{"label": row.label, "part": p, "lr": s[0], "lr2": s[1]} for p, s in spans.items() if s]
        if answer.best_tried is not None:
            rows.append({"label": row.label, "part": "best", "lr": answer.best_tried})
        if answer.stability_edge is not None:
            rows.append({"label": row.label, "part": "edge", "lr": answer.stability_edge[1]})
    return Ranges(rows, [row.label for row in summary], rates)


def draw(data: Ranges, theme: Theme) -> tuple[Picture, ...]:
    """One picture."""
    x = rate_axis(data.rates)
    y = alt.Y("label:N", sort=data.labels, axis=None, scale=alt.Scale(paddingInner=0, paddingOuter=0))
    base = alt.Chart(alt.NamedData("rows"))
    tooltip = [alt.Tooltip("label:N", title="strategy"), alt.Tooltip("lr:Q", title="learning rate", format=".3~g")]
    spans = [
        *tooltip[:1],
        alt.Tooltip("lr:Q", title="from", format=".3~g"),
        alt.Tooltip("lr2:Q", title="to", format=".3~g"),
    ]
    low = 9  # pixels below the middle of the row: the bar's place under the name

    def part(name: str) -> alt.Chart:
        return base.transform_filter(f"datum.part == '{name}'")

    def bar(name: str, width: int, colour: str, opacity: float) -> Any:
        mark = part(name).mark_rule(strokeWidth=width, color=colour, opacity=opacity, yOffset=low, strokeCap="round")
        return mark.encode(x=x, x2="lr2:Q", y=y, tooltip=spans)

    best = part("best").mark_circle(size=150, yOffset=low, stroke=theme.ground, strokeWidth=2, opacity=1)
    edge = part("edge").mark_point(
        shape="cross", angle=45, size=80, filled=True, color=theme.bad, strokeWidth=0, opacity=1, yOffset=low
    )
    text = part("name").encode(y=y)
    name = text.mark_text(align="left", dy=-12, fontSize=12, fontWeight=600, color=theme.ink, limit={"expr": "width"})
    room = {"expr": f"width < {ROOMY} ? 0 : 1"}
    loss = text.mark_text(align="right", dy=-12, fontSize=12, color=theme.muted, opacity=room)
    chart = alt.layer(
        bar("tried", 1, theme.muted, 0.45),
        bar("safe", 13, theme.band, 0.28),
        bar("interval", 5, theme.band, 0.95),
        edge.encode(x=x, y=y, tooltip=[tooltip[0], alt.Tooltip("lr:Q", title="diverges at", format=".3~g")]),
        best.encode(x=x, y=y, color=rate_colour(data.rates, theme), tooltip=tooltip),
        name.encode(x=alt.value(0), text="text:N"),
        loss.encode(x=alt.value({"expr": "width"}), text="loss:N"),
    ).properties(height=ROW * len(data.labels))
    caption = (
        "Best strategy on top; on the right, the validation loss at its best rate. Dot: the best rate tried. Narrow "
        "bar: the interval that holds the best rate. Broad bar: rates that lose little. Cross: the first that diverges."
    )
    described = f"Safe and best learning rates of {len(data.labels)} strategies."
    cell = Cell("", "", data.rows)
    chart_ = template(chart, theme)
    return (Picture("ranges", TITLE, caption, described, chart_, [cell], columns=1, cell_width=760, narrowest=0),)
