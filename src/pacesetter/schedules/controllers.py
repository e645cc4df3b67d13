"""Schedules that react to a metric."""

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Literal, final

from pacesetter.errors import InputError
from pacesetter.schedules._base import Kind, State
from pacesetter.schedules._pieces import Controller
from pacesetter.schedules._spans import Span

__all__ = ["greedy", "plateau"]


class _Comparing(Controller):
    """A controller that compares each metric with the best so far."""

    __slots__ = ()
    threshold: float
    threshold_mode: Literal["rel", "abs"]
    mode: Literal["min", "max"]

    def _keep_counts(self, names: str, least: int = 0) -> None:
        """Checks the named arguments (space-separated) as numbers of evaluations, and makes them plain."""
        for name in names.split():
            value = getattr(self, name)
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < least:
                raise InputError(f"`{name}` must be a whole number of evaluations from {least}, got {name}={value!r}")
            object.__setattr__(self, name, operator.index(value))

    def _check_comparison(self) -> None:
        for name, words in (("mode", ("min", "max")), ("threshold_mode", ("rel", "abs"))):
            if getattr(self, name) not in words:
                raise InputError(f"`{name}` must be {' or '.join(words)}, got {name}={getattr(self, name)!r}")

    def _improves(self, metric: float, best: float | None) -> bool:
        if not math.isfinite(metric):
            return False
        if best is None:
            return True
        # For "rel" the margin is a share of the best value itself, with its sign, as torch has it.
        margin = self.threshold * best if self.threshold_mode == "rel" else self.threshold
        return metric < best - margin if self.mode == "min" else metric > best + margin


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class plateau(_Comparing):
    """Multiplied by `factor` whenever the metric has not improved for more than `patience` evaluations.

    span: in steps or as a share of the run, or None for the rest; after it metrics change nothing more.
    factor: in [0, 1); what is left of the rate at each reduction.
    patience: evaluations without improvement that are borne; the next one reduces. Counts calls of `update`.
    threshold: least improvement that counts, at least 0; a share of the best value so far, or absolute.
    threshold_mode: "rel" or "abs".
    mode: "min" when lower is better (a loss), "max" when higher is (an accuracy).
    cooldown: evaluations after a reduction in which nothing is counted.
    min_factor: the floor, in [0, 1].

    An infinite metric counts as no improvement. The state is {"factor", "best", "waited", "cooling"}.
    Agrees with torch's ReduceLROnPlateau(eps=0) on the same metrics, apart from its patience, which is 10 by default.

    Use it where the length is not known and a validation loss is measured often. Noise looks like progress or hides it:
    runs of several seeds may reduce at different steps.

    As text: `plateau`, `warmup(0.05) >> cosine * plateau`.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016 (a tenth whenever the error stops falling,
    there by hand).

    >>> schedule = plateau(factor=0.5, patience=0)
    >>> state = schedule.update(schedule.init(), 1.0, step=10, total_steps=100)
    >>> state = schedule.update(state, 1.0, step=20, total_steps=100)
    >>> schedule.factor(state, 20, 100)
    0.5
    """

    KIND: ClassVar[Kind] = "plateau"
    span: Span = None
    # `factor` is the method that every schedule has, so the argument of that name is kept as `ratio`.
    ratio: float = field(default=0.1, metadata={"argument": "factor"})
    patience: int = 5
    threshold: float = 1e-4
    threshold_mode: Literal["rel", "abs"] = "rel"
    mode: Literal["min", "max"] = "min"
    cooldown: int = 0
    min_factor: float = 0.0

    def __init__(
        self,
        span: Span = None,
        factor: float = 0.1,
        patience: int = 5,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        mode: Literal["min", "max"] = "min",
        cooldown: int = 0,
        min_factor: float = 0.0,
    ) -> None:
        given = (span, factor, patience, threshold, threshold_mode, mode, cooldown, min_factor)
        for entry, value in zip(fields(self), given, strict=True):
            object.__setattr__(self, entry.name, value)
        self.__post_init__()

    def _validate(self) -> None:
        self._keep("ratio", 0, 1, "what is left of the rate", called="factor")
        if self.ratio == 1:
            raise InputError("`factor` must be below 1, got factor=1.0: a plateau with 1 would never reduce")
        self._keep("threshold", 0, math.inf, "the least improvement that counts")
        self._keep("min_factor", 0, 1, "a share of the peak")
        self._keep_counts("patience cooldown")
        self._check_comparison()

    def init(self) -> State:
        """Full rate, no metric seen."""
        return {"factor": 1.0, "best": None, "waited": 0, "cooling": 0}

    def _level(self, state: Mapping[str, Any]) -> float:
        return float(state["factor"])

    def _observe(self, state: State, metric: float, k: float, n: int) -> State:
        factor, best, waited, cooling = state["factor"], state["best"], state["waited"], state["cooling"]
        if self.span is not None and k >= n:
            return dict(state)
        if self._improves(metric, best):
            best, waited = metric, 0
        else:
            waited += 1
        if cooling > 0:
            cooling, waited = cooling - 1, 0
        if waited > self.patience:
            factor, cooling, waited = max(factor * self.ratio, self.min_factor), self.cooldown, 0
        return {"factor": factor, "best": best, "waited": waited, "cooling": cooling}


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class greedy(_Comparing):
    """Up while the metric improves, down while it does not: divided or multiplied by `factor`, between two bounds.

    span: in steps or as a share of the run, or None for the rest; after it metrics change nothing more.
    factor: in (0, 1); the rate is divided by it after more than `patience` improvements in a row, and multiplied by it
        after more than `patience` evaluations in a row without one.
    patience: evaluations in a row that change nothing yet. Counts calls of `update`.
    start: the factor before the first metric, in (0, 1]; a tenth by default, so that there is room above it.
    min_factor: the floor, in [0, 1]. The ceiling is 1: the peak is the highest rate that may ever be used.
    threshold: least improvement that counts, at least 0; absolute, or a share of the best value so far.
    threshold_mode: "abs" or "rel".
    mode: "min" when lower is better (a loss), "max" when higher is (an accuracy).
    cooldown, warmup: evaluations after a reduction, and after a rise, in which nothing is counted.
    window: the metric is compared as the mean of its last values; 1 takes it as it is.
    restart: after so many reductions at the floor without a rise between them it starts anew.

    An infinite metric counts as no improvement. The state has all that it knows: "factor", "best", "good", "bad",
    "cooling", "warming", "floored" and "recent".

    Agrees with transformers' GreedyLR(eps=0), where the optimizer's rate is `start` of the peak, max_lr the peak and
    min_lr `min_factor` of it.

    Use it where the length is not known and the rate may have been chosen too low. It trusts each evaluation, so noisy
    ones need `window` or `patience`.

    As text: `greedy(factor=0.7, patience=2)`, `greedy(0.8, factor=0.7, patience=2) >> cooldown`.

    Source: Subramanian et al., "GreedyLR: A Novel Adaptive Learning Rate Scheduler", arXiv:2512.14527, 2025.

    >>> schedule = greedy(factor=0.5, patience=0)
    >>> state = schedule.update(schedule.init(), 1.0, step=10, total_steps=100)
    >>> schedule.factor(state, 10, 100)
    0.2
    """

    KIND: ClassVar[Kind] = "plateau"
    span: Span = None
    # `factor` is the method that every schedule has, so the argument of that name is kept as `ratio`.
    ratio: float = field(default=0.95, metadata={"argument": "factor"})
    patience: int = 10
    start: float = 0.1
    min_factor: float = 0.001
    threshold: float = 1e-6
    threshold_mode: Literal["rel", "abs"] = "abs"
    mode: Literal["min", "max"] = "min"
    cooldown: int = 0
    warmup: int = 0
    window: int = 1
    restart: int = 500

    def __init__(
        self,
        span: Span = None,
        factor: float = 0.95,
        patience: int = 10,
        start: float = 0.1,
        min_factor: float = 0.001,
        threshold: float = 1e-6,
        threshold_mode: Literal["rel", "abs"] = "abs",
        mode: Literal["min", "max"] = "min",
        cooldown: int = 0,
        warmup: int = 0,
        window: int = 1,
        restart: int = 500,
    ) -> None:
        given = (
            span, factor, patience, start, min_factor, threshold, threshold_mode, mode, cooldown, warmup, window,
            restart,
        )  # fmt: skip
        for entry, value in zip(fields(self), given, strict=True):
            object.__setattr__(self, entry.name, value)
        self.__post_init__()

    def _validate(self) -> None:
        self._keep("ratio", 0, 1, "what the rate is multiplied or divided by", called="factor")
        if self.ratio in (0, 1):
            raise InputError(f"`factor` must be above 0 and below 1, got factor={self.ratio!r}")
        self._keep("start", 0, 1, "a share of the peak")
        self._keep("min_factor", 0, 1, "a share of the peak")
        if not self.min_factor <= self.start or self.start == 0:
            got = f"got start={self.start!r} and min_factor={self.min_factor!r}"
            raise InputError(f"`start` must be above 0 and not below `min_factor`, {got}")
        self._keep("threshold", 0, math.inf, "the least improvement that counts")
        self._keep_counts("patience cooldown warmup")
        self._keep_counts("window restart", least=1)
        self._check_comparison()

    def init(self) -> State:
        """The starting rate, no metric seen."""
        return {
            "factor": self.start, "best": None, "good": 0, "bad": 0,
            "cooling": 0, "warming": 0, "floored": 0, "recent": [],
        }  # fmt: skip

    def _level(self, state: Mapping[str, Any]) -> float:
        return float(state["factor"])

    def _observe(self, state: State, metric: float, k: float, n: int) -> State:
        new = dict(state)
        if self.span is not None and k >= n:
            return new
        # Plain data has no infinity.
        new["recent"] = [*state["recent"], metric if math.isfinite(metric) else None][-self.window :]
        metric = math.inf if None in new["recent"] else math.fsum(new["recent"]) / len(new["recent"])
        for wait in ("cooling", "warming"):
            if new[wait] > 0:
                return new | {wait: new[wait] - 1, "good": 0, "bad": 0}
        if self._improves(metric, new["best"]):
            new |= {"best": metric, "good": new["good"] + 1, "bad": 0}
        else:
            new |= {"good": 0, "bad": new["bad"] + 1}
        if new["good"] > self.patience:
            raised = min(new["factor"] / self.ratio, 1.0)
            return new | {"factor": raised, "warming": self.warmup, "good": 0, "floored": 0}
        if new["bad"] > self.patience:
            reduced = max(new["factor"] * self.ratio, self.min_factor)
            floored = new["floored"] + (reduced == self.min_factor)
            if floored >= self.restart:
                return self.init() | {"cooling": self.cooldown}
            return new | {"factor": reduced, "cooling": self.cooldown, "bad": 0, "floored": floored}
        return new
