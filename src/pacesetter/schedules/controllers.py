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

__all__ = ["plateau"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class plateau(Controller):
    """Multiplied by `factor` whenever the metric has not improved for more than `patience` evaluations.

    span: in steps or as a share of the run, or None for the rest; after it metrics change nothing more.
    factor: in [0, 1); what is left of the rate at each reduction.
    patience: evaluations without improvement that are borne; the next one reduces. Counts calls of `update`.
    threshold: least improvement that counts, at least 0; a share of the best value so far, or absolute.
    threshold_mode: "rel" or "abs".
    mode: "min" when lower is better (a loss), "max" when higher is (an accuracy).
    cooldown: evaluations after a reduction in which nothing is counted.
    min_factor: the floor, in [0, 1].

    A metric that is not finite counts as no improvement. The state is {"factor", "best", "waited", "cooling"}.
    Agrees with torch's ReduceLROnPlateau(eps=0) on the same metrics, apart from its patience, which is 10 by default.

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
        for name in ("patience", "cooldown"):
            value = getattr(self, name)
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < 0:
                raise InputError(f"`{name}` must be a whole number of evaluations from 0, got {name}={value!r}")
            object.__setattr__(self, name, operator.index(value))
        for name, words in (("mode", ("min", "max")), ("threshold_mode", ("rel", "abs"))):
            if getattr(self, name) not in words:
                raise InputError(f"`{name}` must be {' or '.join(words)}, got {name}={getattr(self, name)!r}")

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

    def _improves(self, metric: float, best: float | None) -> bool:
        if not math.isfinite(metric):
            return False
        if best is None:
            return True
        # For "rel" the margin is a share of the best value itself, with its sign, as torch has it.
        margin = self.threshold * best if self.threshold_mode == "rel" else self.threshold
        return metric < best - margin if self.mode == "min" else metric > best + margin
