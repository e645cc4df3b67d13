"""The answer in a sentence, with its figures and findings: what the page and the terminal open with."""

from typing import NamedTuple

from pacesetter.records import StudyRecord
from pacesetter.report import _summary, _words


class Headline(NamedTuple):
    """What the page opens with. `claimed` is false where the best tried rate is not claimed to be the best."""

    task: str
    study: str
    sentence: str
    support: str
    facts: list[tuple[str, str, str]]
    findings: _summary.Told
    best: str
    claimed: bool


def headline(study: StudyRecord) -> Headline:
    """The headline, the facts under it and the findings."""
    rows = [row for row in _summary.strategies(study) if row.rank is not None]
    claimed = bool(rows) and rows[0].answer.lr is not None
    name = _words.sentence(rows[0].optimizer, rows[0].schedule) if rows else ""
    sentence, support = _sentences(study, rows, claimed)
    return Headline(study.task, study.name, sentence, support, _facts(rows), _summary.told(study), name, claimed)


def _sentences(study: StudyRecord, rows: list[_summary.Strategy], claimed: bool) -> tuple[str, str]:
    lanes = len(study.lanes)
    runs = f"{lanes:,} run{'s' if lanes != 1 else ''} of {study.total_steps:,} steps"
    if not study.answers:
        return "Not judged yet", f"{runs} are recorded."
    if not rows:
        return "No learning rate learned", f"None of {runs} ended better than the untrained model."
    best = rows[0]
    name = _words.sentence(best.optimizer, best.schedule)
    rate = _words.rate(best.answer.best_tried)
    over = f" over {best.seeds} seeds" if best.seeds > 1 else ""
    among = f", the lowest of {len(rows)} strategies" if len(rows) > 1 else ""
    support = f"It ended at a validation loss of {_words.spread(best.valid_loss, best.spread)}{over}{among} ({runs})."
    alike = next((f.value for f in study.findings if f.name == "best-strategy" and f.value), 1.0)
    if len(rows) > 1 and alike > 1:
        others = "1 other strategy is" if alike == 2 else f"{alike - 1:.0f} other strategies are"
        support += f" {others} as good, as far as {best.seeds} seeds can tell."
    if claimed:
        return f"Use {name} at a learning rate of {rate}", support
    return f"Lowest so far: {name} at a learning rate of {rate}", support


def _facts(rows: list[_summary.Strategy]) -> list[tuple[str, str, str]]:
    """Name, value and remark of each figure under the headline."""
    if not rows:
        return []
    best, answer = rows[0], rows[0].answer
    level = f"{answer.confidence:.0%}"
    interval = _words.span(answer.interval)
    facts = [
        ("Learning rate", _words.rate(answer.best_tried), "best of the rates tried"),
        ("Best rate lies in", interval, f"with {level} confidence" if answer.interval else "cannot be said"),
        ("Safe to use", _words.span(answer.safe_range), "little is lost there"),
    ]
    if answer.stability_edge is not None:
        good = f"still fine at {_words.rate(answer.stability_edge[0])}"
        facts.append(("Breaks at", _words.rate(answer.stability_edge[1]), good))
    else:
        facts.append(("Breaks at", _words.DASH, "no rate tried diverged"))
    facts.append(("Validation loss", _words.number(best.valid_loss), _over(best.spread, best.seeds)))
    facts += [
        (name.capitalize(), _words.number(centre), _over(apart, best.seeds))
        for name, (centre, apart) in best.metrics.items()
        if centre is not None
    ]
    return facts


def _over(spread: float | None, seeds: int) -> str:
    return "one seed" if spread is None else f"± {_words.number(spread, 2)} over {seeds} seeds"
