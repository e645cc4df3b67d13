"""The impact table: what each rate did to convergence, stability, accuracy and generalization."""

from collections import Counter
from typing import NamedTuple

from markupsafe import Markup

from pacesetter import words
from pacesetter.findings.verdict import reason_of, verdict_of
from pacesetter.records import LaneRecord, Level, Outcome, StudyRecord
from pacesetter.report import _html, _means, _summary
from pacesetter.report._theme import Theme

TITLE = "What each rate does"
ORDER = 70
_LOUD = ("overfitting",)  # findings that no column of the table shows, and that change what to do


class Rate(NamedTuple):
    """One rate of one strategy, over those of its seeds that ended.

    `verdict` is what most seeds say; `said` are sentences on the rest.
    """

    lr: float
    verdict: str
    level: Level
    seeds: int
    lost: int
    valid_loss: float | None
    spread: float | None
    metrics: list[tuple[float | None, float | None]]
    steps_to_target: float | None
    stability: str
    gap: float | None
    said: list[str]


class Impact(NamedTuple):
    """Rates by strategy, the best strategy first."""

    strategies: list[tuple[str, str, float | None, list[Rate]]]
    metrics: list[str]
    rates: tuple[float, float]


def data(study: StudyRecord) -> Impact | None:
    """Every rate of every strategy; nothing of a search, whose lengths differ and whose few full runs are no grid."""
    groups = study.strategies()
    if not groups or study.problem is not None:
        return None
    best = {(row.optimizer, row.schedule): row.answer.best_tried for row in _summary.strategies(study)}
    strategies = []
    for key in dict.fromkeys([*best, *groups]):
        by_rate: dict[float, list[LaneRecord]] = {}
        for record in groups.get(key, []):
            by_rate.setdefault(record.lane.lr, []).append(record)
        rates = [_rate(lr, records, list(study.metrics)) for lr, records in by_rate.items()]
        strategies.append((*key, best.get(key), rates))
    every = [record.lane.lr for record in study.lanes]
    return Impact(strategies, list(study.metrics), (min(every), max(every)))


def draw(data: Impact, theme: Theme) -> Markup:
    """A table for each strategy; the first is open, the others fold out."""
    heads = ["Rate", "Verdict", "Validation loss", *(name.capitalize() for name in data.metrics)]
    heads += ["Steps to target", "Stability", "Gap"]
    numeric = frozenset({*range(2, len(heads) - 2), len(heads) - 1})
    parts = []
    for index, (optimizer, schedule, best, rates) in enumerate(data.strategies):
        rows = [_cells(rate, data) for rate in rates]
        remarks = [" ".join(rate.said) for rate in rates]
        marked = next((k for k, rate in enumerate(rates) if rate.lr == best), None)
        body = _html.table(_html.Table(heads, rows, numeric, remarks), marked, "cards impact")
        lost = sum(rate.lost > 0 for rate in rates)
        tried = sum(rate.seeds > 0 for rate in rates)
        note = words.plural(tried, "rate") + " tried" + (f", {lost} diverged" if lost else "")
        if tried < len(rates):
            note = f"{note}, {len(rates) - tried} not finished" if tried else "not trained yet"
        shell = "<details class='fold'{}><summary>{} <small>{}</small></summary>{}</details>"
        opened = Markup(" open") if index == 0 else ""
        parts.append(Markup(shell).format(opened, _html.strategy(optimizer, schedule), note, body))
    note = Markup(
        "<p class='caption'>Means over the seeds of a rate. <b>Stability</b>: spikes of the training loss in a run, or "
        "the step at which the first seed was lost. <b>Gap</b>: validation loss minus training loss at the end; the "
        "larger, the worse the model generalizes.</p>"
    )
    return note + _html.join(parts)


def _rate(lr: float, lanes: list[LaneRecord], metrics: list[str]) -> Rate:
    records = [record for record in lanes if record.outcome.ended]
    kept = [record for record in records if record.outcome not in _summary.LOST]
    verdict, level = _verdict(records)
    finals = [record.curve.final_valid_loss for record in kept]
    return Rate(
        lr=lr,
        verdict=verdict,
        level=level,
        seeds=len(records),
        lost=len(records) - len(kept),
        valid_loss=_means.mean(finals),
        spread=_means.deviation(finals),
        metrics=[_summary.over_seeds(kept, name) for name in metrics],
        steps_to_target=_means.mean(_summary.value(record, "convergence") for record in kept),
        stability=_stability(records),
        gap=_means.mean(_gap(record) for record in kept),
        said=_said(records),
    )


def _verdict(records: list[LaneRecord]) -> tuple[str, Level]:
    """What most seeds say, the first among equals; how the first of them ended where nothing is judged."""
    levels = {verdict_of(record): f.level for record in records for f in record.findings if f.name == "verdict"}
    if not levels:
        return _summary.ending(records[0].outcome if records else Outcome.RUNNING), Level.INFO
    most = Counter(verdict for record in records if (verdict := verdict_of(record)) in levels).most_common(1)[0][0]
    return str(most), levels[most]


def _stability(records: list[LaneRecord]) -> str:
    """When the first seed was lost, else the mean number of spikes of the training loss."""
    lost = [record for record in records if record.outcome in _summary.LOST]
    died = [record.curve.steps for record in lost if record.curve.steps < record.lane.total_steps]
    if lost:
        return f"lost at step {min(died):,}" if died else "lost at its end"
    spikes = _means.mean(_summary.value(record, "stability") for record in records)
    if spikes is None:
        return words.DASH
    return "steady" if not spikes else "1 spike" if spikes == 1 else f"{spikes:.2g} spikes a run"


def _gap(record: LaneRecord) -> float | None:
    known = _summary.value(record, "generalization")
    return record.curve.final_valid_loss - record.curve.final_train_loss if known is None else known


def _said(records: list[LaneRecord]) -> list[str]:
    """Why the verdict, and what else warns, in the words of the first seed that it is about; none twice."""
    if not records:
        return []
    lost = [record for record in records if record.outcome in _summary.LOST]
    first = (lost or records)[0]
    said = [reason] if (reason := reason_of(first)) else []
    if lost:
        return said or [first.message or first.outcome.sentence]
    loud = (f.text for f in first.findings if f.name in _LOUD and f.level in (Level.WARNING, Level.BAD))
    return list(dict.fromkeys([*said, *loud]))


def _cells(rate: Rate, data: Impact) -> list[str | Markup]:
    lost = f" ({rate.lost} of {rate.seeds} seeds)" if 0 < rate.lost < rate.seeds else ""
    reached = "not reached" if rate.lost < rate.seeds else words.DASH  # lost and untrained seeds aim at nothing
    return [
        _html.rate(rate.lr, *data.rates),
        _html.badge(rate.level, rate.verdict) + lost,
        words.spread(rate.valid_loss, rate.spread),
        *(words.spread(*pair) for pair in rate.metrics),
        reached if rate.steps_to_target is None else words.count(rate.steps_to_target),
        rate.stability,
        words.number(rate.gap, 2),
    ]
