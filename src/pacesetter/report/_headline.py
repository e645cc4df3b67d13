"""The answer in a sentence, with its figures and findings: what the page and the terminal open with."""

from typing import NamedTuple

from pacesetter import words
from pacesetter.records import Answer, StudyRecord
from pacesetter.report import _best, _summary


class Headline(NamedTuple):
    """What the page opens with.

    `claimed` is true where it recommends the best strategy at its best rate, `searched` where the study is a search for
    one rate and no comparison.
    """

    task: str
    study: str
    sentence: str
    support: str
    facts: list[tuple[str, str, str]]
    findings: _summary.Told
    best: str
    claimed: bool
    searched: bool


def headline(study: StudyRecord) -> Headline:
    """The headline, the facts under it and the findings."""
    if study.problem is not None and study.answers:
        return _of_search(study, study.answers[0])
    rows = [row for row in _summary.strategies(study) if row.rank is not None]
    claimed = _best.recommended(study) is not None
    name = words.strategy(rows[0].optimizer, rows[0].schedule) if rows else ""
    sentence, support = _sentences(study, rows, claimed)
    told = _summary.Told(*([f for f in part if f.text != support] for part in _summary.told(study)))
    return Headline(study.task, study.name, sentence, support, _facts(rows), told, name, claimed, searched=False)


def _of_search(study: StudyRecord, answer: Answer) -> Headline:
    """What a search opens with: the rate, and what it was trained for."""
    name = words.strategy(answer.optimizer, answer.schedule)
    told = _summary.told(study)
    lengths = sorted({record.lane.total_steps for record in study.lanes})
    cost = study.cost
    runs = f"{words.plural(len(study.lanes), 'run')} of {words.listing([str(length) for length in lengths])} steps"
    support = f"{runs}: the price of {words.number(cost.runs, 2)} full trainings, in {words.duration(cost.seconds)}."
    claimed = answer.lr is not None and study.finished
    if answer.best_tried is None:
        why = next((finding.text for finding in answer.findings), "")
        return Headline(study.task, study.name, "No learning rate to give", why, [], told, name, False, searched=True)
    rate = words.rate(answer.best_tried)
    sentence = f"Use {name} at a learning rate of {rate}" if claimed else f"Best so far: {name} at a rate of {rate}"
    facts = _of_rate(answer, "expected to be best", f"by the model, at {answer.confidence:.0%}")
    if answer.valid_loss is not None:
        facts.append(("Validation loss", words.number(answer.valid_loss), f"after {study.total_steps} steps"))
    return Headline(study.task, study.name, sentence, support, facts, told, name, claimed, searched=True)


def _sentences(study: StudyRecord, rows: list[_summary.Strategy], claimed: bool) -> tuple[str, str]:
    if not study.answers:
        return "Not judged yet", f"Recorded: {_asked(study)}."
    if not rows and not study.finished:
        return f"No answer yet: {_so_far(study)}", f"Asked for: {_asked(study)}."
    if not rows:
        return "No learning rate learned", _why(study)
    best = rows[0]
    name = words.strategy(best.optimizer, best.schedule)
    rate = words.rate(best.answer.best_tried)
    over = f" over {best.seeds} seeds" if best.seeds > 1 else "" if study.finished else " with one seed"
    among = ", the lowest of all" if len(rows) > 1 else ""
    ended = f"It ended at a validation loss of {words.spread(best.valid_loss, best.spread)}{over}{among}"
    support = f"{ended} ({_asked(study)})." if study.finished else f"{ended}. Asked for: {_asked(study)}."
    alike = next((f.value for f in study.findings if f.name == "best-strategy" and f.value), 1.0)
    if len(rows) > 1 and alike > 1:
        others = "1 other strategy is" if alike == 2 else f"{alike - 1:.0f} other strategies are"
        support += f" {others} as good, as far as {best.seeds} seeds can tell."
    if claimed:
        return f"Use {name} at a learning rate of {rate}", support
    if not study.finished:
        return f"So far, with {_so_far(study)}: {name} at a learning rate of {rate}", support
    return f"Not recommended yet, but the lowest of what was tried: {name} at a learning rate of {rate}", support


def _so_far(study: StudyRecord) -> str:
    """How much of an unfinished study is there."""
    ended = sum(record.outcome.ended for record in study.lanes)
    return f"{ended:,} of {words.plural(len(study.lanes), 'lane')} trained"


def _asked(study: StudyRecord) -> str:
    """What was trained, as it was asked for: a run for every strategy, learning rate and seed."""
    strategies = len(study.strategies())
    rates, seeds = ({getattr(record.lane, name) for record in study.lanes} for name in ("lr", "seed"))
    steps = f"{words.plural(study.total_steps, 'step')} each"
    if not study.lanes or strategies * len(rates) * len(seeds) != len(study.lanes):
        return f"{words.plural(len(study.lanes), 'run')}, {steps}"
    grid = [f"{len(rates)} learning rate{'s' if len(rates) != 1 else ''}", words.plural(len(seeds), "seed")]
    if strategies > 1:
        grid.insert(0, f"{strategies} strategies")
    return f"{' × '.join(grid)}, {steps}"


def _why(study: StudyRecord) -> str:
    """Why nothing learned, in the finding's own words; of several strategies, the first one's."""
    named = [(answer, f.text) for answer in study.answers for f in answer.findings if f.name == "nothing-learned"]
    if not named:
        return f"No rate ended better than the untrained model under every seed ({_asked(study)})."
    answer, text = named[0]
    return text if len(study.answers) == 1 else f"{words.strategy(answer.optimizer, answer.schedule)}: {text}"


def _facts(rows: list[_summary.Strategy]) -> list[tuple[str, str, str]]:
    """Name, value and remark of each figure under the headline."""
    if not rows:
        return []
    best, answer = rows[0], rows[0].answer
    facts = _of_rate(answer, "best of the rates tried", f"with {answer.confidence:.0%} confidence")
    facts.append(("Validation loss", words.number(best.valid_loss), _over(best.spread, best.seeds)))
    facts += [
        (name.capitalize(), words.number(centre), _over(apart, best.seeds))
        for name, (centre, apart) in best.metrics.items()
        if centre is not None
    ]
    return facts


def _of_rate(answer: Answer, why: str, sure: str) -> list[tuple[str, str, str]]:
    """The rate, where the best one lies, what is safe and what breaks."""
    breaks = ("Breaks at", words.DASH, "no rate tried diverged")
    if answer.stability_edge is not None:
        good, bad = answer.stability_edge
        breaks = ("Breaks at", words.rate(bad), f"not yet at {words.rate(good)}")
    return [
        ("Learning rate", words.rate(answer.best_tried), why),
        ("Best rate lies in", words.span(answer.interval), sure if answer.interval else "cannot be said"),
        ("Safe to use", words.span(answer.safe_range), "little is lost there"),
        breaks,
    ]


def _over(spread: float | None, seeds: int) -> str:
    return "one seed" if spread is None else f"± {words.number(spread, 2)} over {seeds} seeds"
