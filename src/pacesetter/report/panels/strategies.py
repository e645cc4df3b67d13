"""The strategies table: every strategy at its own best rate, from best to worst."""

from typing import NamedTuple

from markupsafe import Markup

from pacesetter import words
from pacesetter.records import StudyRecord
from pacesetter.report import _html, _summary
from pacesetter.report._theme import Theme

TITLE = "Strategies, each at its own best rate"
ORDER = 60


class Strategies(NamedTuple):
    """A row for each strategy; the metrics' names, the rates' ends (for colour), and whether all is trained."""

    rows: list[_summary.Strategy]
    metrics: list[str]
    rates: tuple[float, float]
    finished: bool


def data(study: StudyRecord) -> Strategies | None:
    """The rows, best first."""
    rows = _summary.strategies(study)
    rates = [record.lane.lr for record in study.lanes]
    return Strategies(rows, list(study.metrics), (min(rates), max(rates)), study.finished) if rows and rates else None


def draw(data: Strategies, theme: Theme) -> Markup:
    """The table."""
    heads = ["Strategy", "Kind", "Best rate", "Validation loss", *(name.capitalize() for name in data.metrics)]
    heads += ["Steps to target", "Breaks at", "Cost"]
    rows = []
    for row in data.rows:
        edge = row.answer.stability_edge
        rows.append(
            [
                _html.strategy(row.optimizer, row.schedule),
                row.kind,
                _html.rate(row.answer.best_tried, *data.rates),
                words.spread(row.valid_loss, row.spread) if row.rank else row.nothing,
                *(words.spread(*row.metrics.get(name, (None, None))) for name in data.metrics),
                _summary.steps(row),
                _html.rate(edge[1], *data.rates) if edge else _summary.edge(row),
                f"{words.number(row.runs)} runs",
            ]
        )
    note = Markup(
        "<p class='caption'>{}Mean ± spread over seeds. <b>Steps to target</b>: updates until the loss was nearly as "
        "low as that of the best run of all. <b>Cost</b>: in full trainings, all rates and seeds together.</p>"
    ).format("" if data.finished else "So far, of the lanes that are trained. ")
    return note + _html.table(
        _html.Table(heads, rows, frozenset({*range(3, len(heads) - 2), len(heads) - 1})), marked=0, name="cards"
    )
