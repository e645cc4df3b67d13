"""Ramps: up (warm-up, and the LR range test by a constant ratio), straight down (linear decay), and down at the end."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

from pacesetter.errors import InputError
from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece, checked_ends, progress
from pacesetter.schedules._ramps import DOWN, Down, down
from pacesetter.schedules._spans import Span

__all__ = ["cooldown", "linear", "sweep", "warmup"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class linear(Piece):
    """A straight line from the peak to `final`: `factor = 1 + (final - 1) * u`, u = k/n.

    span: n, in steps or as a share of the run, or None for the rest.
    final: end value in [0, 1]; 0 by default, the decay to zero that most large language models end with.
    ends: "after" reaches `final` at the first step after the span (u = k/n), "last" at its last step (u = k/(n-1)).

    Agrees with torch's LinearLR(start_factor=1, end_factor=final, total_iters=n).

    Use it as the first choice where the length of the run is known. A run that is cut off early has not had its decay.

    As text: `linear`, `warmup(0.05) >> linear(final=0.1)`.

    Source: Defazio, Cutkosky, Mehta and Mishchenko, "When, Why and How Much? Adaptive Learning Rate Scheduling by
    Refinement", 2023.

    >>> linear(final=0.5)(50, 100)
    0.75
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    final: float = 0.0
    ends: Literal["after", "last"] = "after"

    def _validate(self) -> None:
        self._keep("final", 0, 1, "a share of the peak")
        checked_ends(self.ends)

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        u = progress(k, n, self.ends, xp)
        # Written as a mean of both ends, it meets each of them exactly.
        return (1.0 - u) + self.final * u


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class sweep(Piece):
    """Up by the same ratio at every step, to the peak at the last: `factor = low ** (1 - u)`, u = k/(n-1).

    span: n, in steps or as a share of the run, or None for the rest.
    low: where it begins, in [1e-30, 1], as a share of the peak; six decades by default, which hold every rate that is
        too low and every one that is too high for most models.

    This is the LR range test, which shows what each rate does to the loss within one short run. To train with, take
    `warmup`.

    Use it to look at rates, not to train with one: the loss falls where rates work, and climbs where they break.

    As text: `sweep(low=0.001)`, `constant(0.1, value=0.001) >> sweep(low=0.001)`.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017 (there a straight line).

    >>> [sweep(low=0.01)(step, 3) for step in range(3)]
    [0.01, 0.1, 1.0]
    """

    KIND: ClassVar[Kind] = "constant"
    span: Span = None
    low: float = 1e-6

    def _validate(self) -> None:
        self._keep("low", 1e-30, 1, "a share of the peak")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return xp.power(self.low, 1.0 - progress(k, n, "last", xp))


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class warmup(Piece):
    """Up to the peak, and there it stays: by default a straight line, `factor = (k + 1) / W`.

    span: W, in steps or as a share of the run; it must be given. A few percent of the run is usual.
    shape: "linear", "cosine" (slow at both ends: half a cosine wave), "sqrt" (slow at first: `1 - sqrt(1 - u)`, a
        cooldown of that shape backwards), or "exponential" (the same ratio at every step; it needs a `start` above 0).
    start: the factor at u = 0, in [0, 1]: `factor = start + (1 - start) * u` for "linear".
    counts: how far the way up is at step k, the question that libraries answer in four ways:
        "within": u = (k + 1) / W, the default: the first update already moves, and the last of the W has the full rate.
        "from_zero": u = k / W: the first update has the rate `start`; the full rate comes at step W, after the span. So
            have transformers, optax, Keras, and torch's LinearLR (with start=1/3).
        "between": u = (k + 1) / (W + 1): neither 0 nor the full rate is within the span.
        "to_last": u = k / (W - 1): the first update has the rate `start`, the last of the W the full rate.

    Use it in front of any other schedule where the first updates are the dangerous ones: Adam and its kin,
    transformers, large batches, high peaks. It costs a few percent of the run, and may allow a peak several times as
    high.

    As text: `warmup(0.05)`, `warmup(0.05) >> cosine`.

    Source: Goyal et al., "Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour", 2017.

    >>> [warmup(4)(step, 100) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    >>> [warmup(4, counts="from_zero")(step, 100) for step in range(5)]
    [0.0, 0.25, 0.5, 0.75, 1.0]
    """

    KIND: ClassVar[Kind] = "constant"
    span: int | float = field()
    shape: Literal["linear", "cosine", "sqrt", "exponential"] = "linear"
    start: float = 0.0
    counts: Literal["within", "from_zero", "between", "to_last"] = "within"

    def _validate(self) -> None:
        if self.span is None:
            raise InputError("`span` must be given to `warmup`, got span=None: write warmup(0.05), say")
        self._keep("start", 0, 1, "a share of the peak")
        for name, words in (
            ("shape", ("linear", "cosine", "sqrt", "exponential")),
            ("counts", ("within", "from_zero", "between", "to_last")),
        ):
            if getattr(self, name) not in words:
                listed = f"{', '.join(words[:-1])} or {words[-1]}"
                raise InputError(f"`{name}` must be {listed}, got {name}={getattr(self, name)!r}")
        if self.shape == "exponential" and self.start == 0:
            raise InputError("`start` must be above 0 for a way up by equal ratios, got start=0.0: try start=0.01")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        u = xp.clip(self._progress(k, n), 0.0, 1.0)
        if self.shape == "exponential":
            return xp.power(self.start, 1.0 - u)
        # The way down of the same shape, walked backwards.
        height = u if self.shape == "linear" else down(1.0 - u, self.shape, 0.0, xp)
        return height + self.start * (1.0 - height)

    def _progress(self, k: Any, n: int) -> Any:
        if self.counts == "within":
            return (k + 1) / max(n, 1)
        if self.counts == "between":
            # At the span's end the full rate is there, as in every convention.
            return (k + 1) / (n + 1)
        if n == 0:
            return k * 0.0 + 1.0
        return k / (n if self.counts == "from_zero" else max(n - 1, 1))


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class cooldown(Piece):
    """From wherever the schedule before it ended down to a share of that: the last stretch of a training.

    span: n, in steps or as a share of the run, or None for the rest; a fifth of the run is usual.
    shape: "linear", "cosine", "sqrt" for `1 - sqrt(u)`, or "square" for `1 - u**2`; u = k/n.
    final: what is left at the end, in [0, 1], as a share of the factor where it began.

    In a chain it goes on from the factor that was reached, whatever that is: `inverse_sqrt >> cooldown(0.1)` has no
    jump, and neither has `plateau >> cooldown(0.2)`. By itself it begins at the peak.

    Use it at the end of what has no decay of its own. The state from before it serves runs of several lengths: from the
    same state, cool down now or go on.

    As text: `cooldown`, `inverse_sqrt >> cooldown(0.2)`.

    Source: Zhai et al., "Scaling Vision Transformers", 2022; Hägele et al., "Scaling Laws and Compute-Optimal Training
    Beyond Fixed Training Durations", 2024 (shapes compared).

    >>> from pacesetter.schedules import constant
    >>> tail = constant(0.5, value=0.8) >> cooldown(final=0.5)
    >>> [round(tail(k, 100), 12) for k in (49, 75, 100)]
    [0.8, 0.6, 0.4]
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    shape: Down = "linear"
    final: float = 0.0

    def _validate(self) -> None:
        if self.shape not in DOWN:
            raise InputError(f"`shape` must be {', '.join(DOWN[:-1])} or {DOWN[-1]}, got shape={self.shape!r}")
        self._keep("final", 0, 1, "a share of where it begins")

    @property
    def _goes_on(self) -> bool:
        return True

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return down(progress(k, n, "after", xp), self.shape, self.final, xp)
