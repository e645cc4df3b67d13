"""One row for each strategy, at its own best rate: what the answer, the strategies table and the terminal show."""

from dataclasses import replace
from typing import NamedTuple

from pacesetter import optimizers, schedules, words
from pacesetter.errors import InputError
from pacesetter.records import Answer, Finding, LaneRecord, Level, Outcome, StudyRecord
from pacesetter.report import _best, _means

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

    `rank` is 1 for the lowest validation loss, None where no rate was trained in full and learned. `seeds` counts the
    finished lanes that the means are of. `steps_to_target` is None when no seed reached it, and `reached` says how many
    did. `runs` is its whole cost in full trainings; `lanes` and `left` count all its lanes and those that have not
    ended.
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
    lanes: int
    left: int

    @property
    def label(self) -> str:
        """The optimizer, and the schedule when there is one."""
        return words.label(self.optimizer, self.schedule)

    @property
    def nothing(self) -> str:
        """What is said in place of the loss at the best rate where there is none."""
        if not self.left:
            return "no rate learned" if self.answer.best_tried is None else "not trained in full"
        return "not trained yet" if self.left == self.lanes else "no answer yet"


def strategies(study: StudyRecord) -> list[Strategy]:
    """Every answered strategy, the lowest validation loss first, those without one last."""
    lanes = study.strategies()
    return [
        _strategy(study, answer, lanes.get((answer.optimizer, answer.schedule), []), place)
        for place, answer in enumerate(_best.ranked(study), start=1)
    ]


def _strategy(study: StudyRecord, answer: Answer, group: list[LaneRecord], place: int) -> Strategy:
    best = _best.compared([r for r in group if r.lane.total_steps == study.total_steps], answer)
    to_target = _means.finite(value(record, "convergence") for record in best)
    return Strategy(
        rank=None if answer.valid_loss is None else place,
        kind=kind(answer.optimizer, answer.schedule),
        optimizer=answer.optimizer,
        schedule=answer.schedule,
        answer=answer,
        seeds=len(best),
        valid_loss=answer.valid_loss,
        spread=_means.deviation(record.curve.final_valid_loss for record in best),
        metrics={name: over_seeds(best, name) for name in study.metrics},
        steps_to_target=_means.mean(to_target),
        reached=len(to_target),
        runs=sum(record.curve.steps for record in group) / max(study.total_steps, 1),
        lanes=len(group),
        left=sum(not record.outcome.ended for record in group),
    )


def kind(optimizer: str, schedule: str) -> str:
    """Which family of strategies this is, in words; adaptive if the rule adapts each weight's rate by itself.

    A dash for a text that this version cannot read, such as a rule of somebody else's.
    """
    try:
        if optimizers.parse(optimizer).adaptive:
            name = schedules.parse(schedule).kind
            return "adaptive" if name == "constant" else f"adaptive, {KINDS.get(name, name)}"
        name = schedules.parse(schedule).kind
    except InputError:
        return words.DASH
    return KINDS.get(name, name)


def ending(outcome: Outcome) -> str:
    """How a lane ended, in a word or two; whether somebody still trains it cannot be known."""
    return str(outcome) if outcome.ended else "not finished"


def steps(row: Strategy) -> str:
    """Steps to the target, with how many seeds reached it when not all did."""
    if row.rank is None:
        return words.DASH
    if row.steps_to_target is None:
        return "not reached"
    some = f" ({row.reached} of {row.seeds})" if row.reached < row.seeds else ""
    return f"{words.count(row.steps_to_target)}{some}"


def edge(row: Strategy) -> str:
    """What is said in place of the rate that breaks where there is none."""
    return words.DASH if row.left == row.lanes else "not seen"


def value(record: LaneRecord, name: str) -> float | None:
    """The number of a lane's finding, None where it has no such finding or no number."""
    return next((finding.value for finding in record.findings if finding.name == name), None)


class Told(NamedTuple):
    """Findings about the comparison, about the best strategy, and about the others (which name theirs); worst first."""

    whole: list[Finding]
    best: list[Finding]
    others: list[Finding]


def told(study: StudyRecord) -> Told:
    """All there is to tell, in the order in which it matters."""
    best, others = [], []
    for index, row in enumerate(rows := strategies(study)):
        if index == 0 and (row.rank is not None or len(rows) == 1):
            best = sorted(row.answer.findings, key=_badness)
            continue
        name = words.strategy(row.optimizer, row.schedule)
        others += [replace(finding, text=f"{name}: {finding.text}") for finding in row.answer.findings]
    return Told(sorted(study.findings, key=_badness), best, sorted(others, key=_badness))


def _badness(finding: Finding) -> int:
    return _WORST_FIRST.get(finding.level, 2)


def over_seeds(records: list[LaneRecord], name: str) -> tuple[float | None, float | None]:
    """Mean and deviation of a metric's last value."""
    values = [record.curve.final_metrics.get(name) for record in records]
    return _means.mean(values), _means.deviation(values)
