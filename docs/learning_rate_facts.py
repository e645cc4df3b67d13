"""Tables and verdicts of `the-learning-rate.md`, computed from studies: what is written beside a figure follows it."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import pacesetter as ps
from pacesetter import findings
from pacesetter.records import LaneRecord, Outcome

DASH = "–"


def number(value: float | None, digits: int = 3) -> str:
    """Three significant digits, without padding; a dash for what does not exist."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value:.{digits}g}".replace("e-0", "e-").replace("e+0", "e+")


def spread(values: Iterable[float]) -> str:
    """Mean ± sample standard deviation over seeds."""
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 2:
        return number(known[0]) if known else DASH
    mean, deviation = statistics.fmean(known), statistics.stdev(known)
    decimals = max(0, 2 - math.floor(math.log10(abs(mean)))) if mean else 3
    if round(deviation, decimals) == 0:
        return f"{mean:.{decimals}f} ± {number(deviation, 1)}"
    return f"{mean:.{decimals}f} ± {deviation:.{decimals}f}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first are aligned to the right."""
    lines = [heads, ["---", *("---:" for _ in heads[1:])], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def listing(texts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`; `none` of nothing."""
    return ", ".join(texts[:-1]) + " and " + texts[-1] if len(texts) > 1 else texts[0] if texts else "none"


def part(study: ps.Study, keep: Callable[[LaneRecord], bool]) -> ps.Study:
    """The study of some of the lanes, judged anew."""
    kept = tuple(record.with_findings(()) for record in study.lanes if keep(record))
    return ps.Study(findings.judge(replace(study.record, lanes=kept, answers=(), findings=())))


def by_rate(records: Iterable[LaneRecord]) -> dict[float, list[LaneRecord]]:
    """Lanes by rate, ascending."""
    groups: dict[float, list[LaneRecord]] = {}
    for record in sorted(records, key=lambda r: (r.lane.lr, r.lane.seed)):
        groups.setdefault(record.lane.lr, []).append(record)
    return groups


def value(record: LaneRecord, name: str) -> float | None:
    """The number of one of a lane's findings."""
    return next((finding.value for finding in record.findings if finding.name == name), None)


def verdict(records: Sequence[LaneRecord]) -> str:
    """What most seeds of a rate say of it: the words before the colon."""
    words = [f.text.partition(":")[0] for record in records for f in record.findings if f.name == "verdict"]
    return statistics.mode(words) if words else DASH


def finals(records: Iterable[LaneRecord]) -> list[float]:
    """Last validation losses."""
    return [record.curve.final_valid_loss for record in records]


def accuracies(records: Iterable[LaneRecord]) -> list[float]:
    """Last accuracies."""
    return [float(record.curve.metrics["accuracy"][-1]) for record in records]


def diverged(records: Iterable[LaneRecord]) -> int:
    """How many diverged."""
    return sum(record.outcome is Outcome.DIVERGED for record in records)


def to_target(records: Sequence[LaneRecord]) -> str:
    """Mean steps until the target loss, and of how many seeds, when not all reached it."""
    known = [steps for record in records if (steps := value(record, "convergence")) is not None]
    if not known:
        return "not reached"
    some = f" ({len(known)} of {len(records)})" if len(known) < len(records) else ""
    return f"{statistics.fmean(known):.0f}{some}"


@dataclass(frozen=True)
class Strategy:
    """One strategy of a study at the best rate tried: its name, its lanes there, and its answer."""

    name: str
    answer: ps.Answer
    lanes: tuple[LaneRecord, ...]

    @property
    def loss(self) -> float:
        """Mean validation loss at the best rate."""
        return math.nan if self.answer.valid_loss is None else self.answer.valid_loss


def strategies(study: ps.Study) -> dict[str, Strategy]:
    """Each strategy by its name: the schedule where several are compared, else the optimizer."""
    several = len({answer.schedule for answer in study.answers}) > 1
    found = {}
    for answer in study.answers:
        name = answer.schedule if several else answer.optimizer
        lanes = study.record.strategies()[answer.optimizer, answer.schedule]
        best = tuple(record for record in lanes if record.lane.lr == answer.best_tried)
        found[name] = Strategy(name, answer, best)
    return found


@dataclass(frozen=True)
class Duel:
    """Two strategies, each at its own best rate. `told` is whether five seeds can tell them apart."""

    base: Strategy
    other: Strategy
    told: bool

    @property
    def won(self) -> bool:
        """Whether the other one is better beyond chance."""
        return self.told and self.other.loss < self.base.loss

    @property
    def lost(self) -> bool:
        """Whether it is worse beyond chance."""
        return self.told and not self.won

    @property
    def word(self) -> str:
        """For a table."""
        return "better" if self.won else "worse" if self.lost else "cannot be told apart"

    @property
    def sentence(self) -> str:
        """For the text."""
        against = f"{number(self.other.loss)} against {number(self.base.loss)}"
        other, base = f"`{self.other.name}`", f"`{self.base.name}`"
        if self.won:
            return f"{other} beat {base} ({against})."
        if self.lost:
            return f"{other} did not beat {base}: it ended worse ({against}), and by more than chance explains."
        if self.other.loss == self.base.loss:
            return f"{other} did not beat {base}: it ended at the very same loss, {number(self.base.loss)}."
        side = "lower" if self.other.loss < self.base.loss else "higher"
        return f"{other} did not beat {base}: it ended {side} ({against}), but the seeds cannot tell the two apart."


def duel(study: ps.Study, base: str, other: str) -> Duel:
    """Judge two strategies of a study alone: paired by seed, at a level of 95 %."""
    both = strategies(study)
    keys = {(both[name].answer.optimizer, both[name].answer.schedule) for name in (base, other)}
    pair = part(study, lambda record: record.lane.strategy in keys)
    # The finding's number counts the strategies that are as good as the best, itself among them.
    alike = next(finding.value for finding in pair.findings if finding.name == "best-strategy")
    return Duel(both[base], both[other], told=alike == 1)
