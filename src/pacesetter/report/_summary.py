"""One row for each strategy, at its own best rate: what the answer, the strategies table and the terminal show."""

from dataclasses import replace
from typing import NamedTuple

from pacesetter.errors import InputError
from pacesetter.records import Answer, Finding, LaneRecord, Level, Outcome, StudyRecord
from pacesetter.report import _words

LOST = (Outcome.DIVERGED, Outcome.FAILED)
KINDS = {
    "constant": "grid of constant rates",
    "decay": "decay",
    "plateau": "reduce on plateau",
    "cyclical": "cyclical",
}
_WORST_FIRST = {Level.BAD: 0, Level.WARNING: 1}  # what is good to know keeps the order in which it was found


class Strategy(NamedTuple):
    """A strategy at its best tried rate. Means and spreads are over the seeds of that rate; None is "not known".

    `rank` is 1 for the lowest validation loss, None where no rate learned. `steps_to_target` is None when no seed
    reached it, and `reached` says how many did. `runs` is what the whole strategy cost, in full trainings.
    """

    rank: int | None
    kind: str
    optimizer: str
    schedule: str
    answer: Answer
    seeds: int
    valid_loss: float | None
    spread: float | None
    metrics: dict[str, tuple[float | None, float | None]]
    steps_to_target: float | None
    reached: int
    runs: float

    @property
    def label(self) -> str:
        """The optimizer, and the schedule when there is one."""
        return _words.strategy(self.optimizer, self.schedule)


def strategies(study: StudyRecord) -> list[Strategy]:
    """Every answered strategy, the lowest validation loss first, those without one last."""
    lanes = study.strategies()
    known = [answer for answer in study.answers if answer.valid_loss is not None]
    known.sort(key=lambda answer: answer.valid_loss or 0.0)
    unknown = [answer for answer in study.answers if answer.valid_loss is None]
    rows = []
    for place, answer in enumerate([*known, *unknown]):
        group = lanes.get((answer.optimizer, answer.schedule), [])
        rows.append(_strategy(study, answer, group, place + 1 if place < len(known) else None))
    return rows


def _strategy(study: StudyRecord, answer: Answer, group: list[LaneRecord], rank: int | None) -> Strategy:
    best = [record for record in group if record.lane.lr == answer.best_tried]
    to_target = _words.finite(value(record, "convergence") for record in best)
    return Strategy(
        rank=rank,
        kind=kind(answer.optimizer, answer.schedule),
        optimizer=answer.optimizer,
        schedule=answer.schedule,
        answer=answer,
        seeds=len(best),
        valid_loss=answer.valid_loss,
        spread=_words.deviation(record.curve.final_valid_loss for record in best),
        metrics={name: _metric(best, name) for name in study.metrics},
        steps_to_target=_words.mean(to_target),
        reached=len(to_target),
        runs=sum(record.curve.steps for record in group) / max(study.total_steps, 1),
    )


def kind(optimizer: str, schedule: str) -> str:
    """Which family of strategies this is, in words; adaptive if the rule adapts each weight's rate by itself.

    A dash for a text that this version cannot read, such as a rule of somebody else's.
    """
    # Imported here: the rules bring torch, and only this question needs them.
    from pacesetter import optimizers, schedules

    try:
        if optimizers.parse(optimizer).adaptive:
            name = schedules.parse(schedule).kind
            return "adaptive" if name == "constant" else f"adaptive, {KINDS.get(name, name)}"
        name = schedules.parse(schedule).kind
    except InputError:
        return _words.DASH
    return KINDS.get(name, name)


def steps(row: Strategy) -> str:
    """Steps to the target, with how many seeds reached it when not all did."""
    if row.rank is None:
        return _words.DASH
    if row.steps_to_target is None:
        return "not reached"
    some = f" ({row.reached} of {row.seeds})" if row.reached < row.seeds else ""
    return f"{_words.count(row.steps_to_target)}{some}"


def value(record: LaneRecord, name: str) -> float | None:
    """The number of a lane's finding, None where it has no such finding or no number."""
    return next((finding.value for finding in record.findings if finding.name == name), None)


def metric(record: LaneRecord, name: str) -> float | None:
    """The last value of one metric of a lane that was evaluated after its first update."""
    values = record.curve.metrics.get(name)
    if values is None or not len(values) or record.curve.eval_steps[-1] == 0:
        return None
    return float(values[-1])


class Told(NamedTuple):
    """Findings about the comparison, about the best strategy, and about the others (which name theirs); worst first."""

    whole: list[Finding]
    best: list[Finding]
    others: list[Finding]


def told(study: StudyRecord) -> Told:
    """All there is to tell, in the order in which it matters."""
    best, others = [], []
    for index, row in enumerate(strategies(study)):
        if index == 0:
            best = sorted(row.answer.findings, key=_badness)
            continue
        name = _words.sentence(row.optimizer, row.schedule)
        others += [replace(finding, text=f"{name}: {finding.text}") for finding in row.answer.findings]
    return Told(sorted(study.findings, key=_badness), best, sorted(others, key=_badness))


def _badness(finding: Finding) -> int:
    return _WORST_FIRST.get(finding.level, 2)


def _metric(records: list[LaneRecord], name: str) -> tuple[float | None, float | None]:
    values = [metric(record, name) for record in records]
    return _words.mean(values), _words.deviation(values)
