"""The frozen facts that all layers share: lanes, curves, outcomes, findings, answers, studies. numpy only.

A record says what was asked or what happened; it never computes, trains or draws.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Answer",
    "Cost",
    "Curve",
    "Finding",
    "Lane",
    "LaneRecord",
    "Level",
    "Outcome",
    "Problem",
    "StudyRecord",
    "Trial",
    "is_worse",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Outcome(StrEnum):
    """How a lane ended; `sentence` explains it to a person."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"
    DIVERGED = "diverged"
    FAILED = "failed"

    @property
    def sentence(self) -> str:
        """One sentence in plain words."""
        return {
            Outcome.RUNNING: "It has not reached its last step yet.",
            Outcome.FINISHED: "It was trained to its last step.",
            Outcome.STOPPED: "It was stopped before its last step, because others were better.",
            Outcome.DIVERGED: "It diverged: its numbers were no longer finite, or it ended worse than untrained.",
            Outcome.FAILED: "It could not be trained: the model's own code raised an error.",
        }[self]

    @property
    def ended(self) -> bool:
        """Whether nothing more is to be done for the lane."""
        return self is not Outcome.RUNNING


class Level(StrEnum):
    """How much a finding should worry its reader."""

    INFO = "info"
    GOOD = "good"
    WARNING = "warning"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement on curves, with its evidence and a sentence in plain words.

    `name` is short and fixed (`"overfitting"`), `value` the number it rests on (None where there is none),
    `text` one or two sentences that carry the number too.
    """

    name: str
    level: Level
    text: str
    value: float | None = None


@dataclass(frozen=True, slots=True, order=True)
class Lane:
    """What is trained: a recipe in its text forms, a seed and a length. Equal lanes train alike; this is their key.

    `optimizer` and `schedule` are canonical text (`str()` of the parsed rule or schedule), `lr` the peak rate.
    """

    optimizer: str
    schedule: str
    lr: float
    seed: int
    total_steps: int

    @property
    def strategy(self) -> tuple[str, str]:
        """(optimizer, schedule): what is compared at its own best rate."""
        return (self.optimizer, self.schedule)

    @property
    def recipe(self) -> str:
        """The recipe's text form, which `Recipe.parse` reads."""
        return f"{self.optimizer} lr={self.lr!r} {self.schedule}"


def _no_floats() -> Floats:
    return np.empty(0, dtype=np.float64)


def _no_ints() -> Ints:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """What a lane recorded. Step arrays have one entry per update made; evaluation arrays one per evaluation.

    lr, train_loss, grad_norm: [steps]; entry k belongs to update k (from 0). The loss and gradient are those of the
    batch *before* the update, and `lr` is the rate applied by it.
    eval_steps: [evaluations], updates made before each evaluation; the first is 0, the untrained model.
    valid_loss and each of `metrics`: [evaluations], on the whole validation set, in eval mode.
    valid_spread: standard deviation over validation batches of the untrained model's loss.
    path: [steps + 1, parameters], the weights before each update and after the last; only for models of one or two
    parameters, else None.
    effective_lr: [steps], the rate that the optimizer made of `lr` where it works out one of its own; empty elsewhere.
    """

    lr: Floats = field(default_factory=_no_floats)
    train_loss: Floats = field(default_factory=_no_floats)
    grad_norm: Floats = field(default_factory=_no_floats)
    eval_steps: Ints = field(default_factory=_no_ints)
    valid_loss: Floats = field(default_factory=_no_floats)
    metrics: Mapping[str, Floats] = field(default_factory=dict)
    valid_spread: float = 0.0
    path: Floats | None = None
    effective_lr: Floats = field(default_factory=_no_floats)

    @property
    def steps(self) -> int:
        """Updates made."""
        return len(self.lr)

    @property
    def final_train_loss(self) -> float:
        """Mean batch loss over the updates between the last two evaluations; NaN when no update was made."""
        if not self.steps:
            return float("nan")
        before = self.eval_steps[self.eval_steps < self.steps]
        return float(np.mean(self.train_loss[int(before[-1]) if len(before) else 0 :]))

    @property
    def untrained_loss(self) -> float:
        """Validation loss before the first update; NaN when it was not measured."""
        return float(self.valid_loss[0]) if len(self.valid_loss) and self.eval_steps[0] == 0 else float("nan")

    @property
    def final_valid_loss(self) -> float:
        """The last validation loss; NaN when nothing was evaluated after the first update."""
        return float(self.valid_loss[-1]) if len(self.valid_loss) and self.eval_steps[-1] > 0 else float("nan")

    @property
    def final_metrics(self) -> dict[str, float | None]:
        """Each metric at the last evaluation; None where it is not finite or nothing was evaluated after an update."""
        evaluated = len(self.eval_steps) > 0 and self.eval_steps[-1] > 0
        last = {name: float(values[-1]) if evaluated else float("nan") for name, values in self.metrics.items()}
        return {name: value if np.isfinite(value) else None for name, value in last.items()}


@dataclass(frozen=True, slots=True, eq=False)
class LaneRecord:
    """A lane, its outcome and its curve. `message` explains a failure or divergence (with its step)."""

    lane: Lane
    outcome: Outcome
    curve: Curve
    message: str = ""
    findings: tuple[Finding, ...] = ()

    def with_findings(self, findings: tuple[Finding, ...]) -> "LaneRecord":
        """The same lane, judged."""
        return replace(self, findings=findings)


DIVERGED_ABOVE = 0.1
"""A lane that ends further above the untrained loss than this share of max(|it|, its spread over batches) diverged."""


def is_worse(final: float, untrained: float, spread: float) -> bool:
    """Whether a loss lies clearly above the untrained model's; never where that (NaN) was not measured."""
    return final > untrained + DIVERGED_ABOVE * max(abs(untrained), spread)


@dataclass(frozen=True, slots=True)
class Trial:
    """What one lane says of its rate: how it ended after `steps` updates, a whole run of that length.

    value: what the problem wants small, where the rate stays high the mean over the last tenth of the run, as it jumps
    about there; infinite where the lane diverged, by its end or by that mean.
    untrained: the same before training, NaN where it was not measured.
    unrest: how far it jumped about between evaluations in the second half of the run, beside what steady rising or
    falling explains: one standard deviation; NaN where that half has fewer than three.
    on_the_way: (updates, value) of the evaluations before the end that gave a number.
    """

    lr: float
    seed: int
    steps: int
    value: float
    untrained: float
    unrest: float = float("nan")
    on_the_way: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Problem:
    """What a search is to find: the best rate of one optimizer and schedule, and what counts as best.

    low, high: where to look first; a search may look a little beyond. rates: the only ones that can be tried, ascending
    (those of a recording, or of a list that was given); empty for any.
    total_steps: the length that the rate is for. lengths: the only ones that can be trained, ascending; empty for any.
    seed: the first seed. seeds: how many there are at most; None for any number.
    metric: what is judged at the end of a run, None for the validation loss; `maximize` says that more of it is better.
    budget: the most that may be spent, in full trainings; None leaves it to the strategy.
    quick: a first look: short runs alone, nothing is verified.
    """

    optimizer: str
    schedule: str
    low: float
    high: float
    total_steps: int
    seed: int = 0
    seeds: int | None = None
    rates: tuple[float, ...] = ()
    lengths: tuple[int, ...] = ()
    metric: str | None = None
    maximize: bool = False
    budget: float | None = None
    quick: bool = False

    def within(self, budget: float) -> "Problem":
        """The same with another budget."""
        return replace(self, budget=budget)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Problem":
        """The problem that `to_json` gave, also after JSON made lists of its tuples."""
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a study or answer cost. `runs` = lane_steps / total_steps: the price in full trainings."""

    lane_steps: int
    runs: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one strategy (optimizer and schedule). `None` is "cannot be said"; a finding says why.

    best_tried: the rate with the lowest mean validation loss over seeds; None when no rate learned.
    lr: the claim; None when it cannot be made (optimum on the edge of the range, nothing learned).
    interval: holds the best rate at level `confidence`; None with too few seeds or without a claim.
    equivalent: tried rates that cannot be told apart from the best, ascending.
    safe_range: the tried rates around the best that lose less than a stated share of the achievable improvement.
    stability_edge: (largest rate known not to diverge, smallest known to); None when none diverged.
    valid_loss: mean over seeds of the last validation loss at `best_tried`.
    """

    optimizer: str
    schedule: str
    best_tried: float | None
    lr: float | None
    interval: tuple[float, float] | None
    equivalent: tuple[float, ...]
    safe_range: tuple[float, float] | None
    stability_edge: tuple[float, float] | None
    valid_loss: float | None
    confidence: float
    findings: tuple[Finding, ...]
    recipe: str | None


@dataclass(frozen=True, slots=True, eq=False)
class StudyRecord:
    """Everything that is known about one question, as it lies in the store.

    `metrics` maps each metric's name to "min" or "max" (which way is better). `plan` and `provenance` are plain
    JSON values: how lanes are run, and the versions, data hash, device and command they were run with.
    `seconds` is the wall time spent training so far. `surface` is the loss of a model of one or two parameters on a
    grid: {"x": [nx], "y": [ny] or null, "loss": [nx] or [ny][nx]}. `answers` (one per strategy) and `findings` (about
    the whole comparison) are derived from the lanes by `findings.judge`, and empty before that.
    """

    name: str
    task: str
    total_steps: int
    lanes: tuple[LaneRecord, ...]
    metrics: Mapping[str, str] = field(default_factory=dict)
    plan: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)
    created: str = ""
    seconds: float = 0.0
    surface: Mapping[str, Any] | None = None
    answers: tuple[Answer, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def cost(self) -> Cost:
        """Counted from the lanes' own curves."""
        lane_steps = sum(record.curve.steps for record in self.lanes)
        return Cost(lane_steps, lane_steps / max(self.total_steps, 1), self.seconds)

    @property
    def problem(self) -> Problem | None:
        """What a search was to find; None for a comparison."""
        kept = self.provenance.get("problem")
        return None if kept is None else Problem.from_json(kept)

    @property
    def finished(self) -> bool:
        """Whether every lane has ended."""
        return all(record.outcome.ended for record in self.lanes)

    def strategies(self) -> dict[tuple[str, str], list[LaneRecord]]:
        """Lanes by (optimizer, schedule), in the order they were asked for; within one, by rate and seed."""
        groups: dict[tuple[str, str], list[LaneRecord]] = {}
        for record in self.lanes:
            groups.setdefault(record.lane.strategy, []).append(record)
        return {key: sorted(group, key=lambda r: (r.lane.lr, r.lane.seed)) for key, group in groups.items()}
