"""Whole trainings in a few phases: up, flat and down."""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from pacesetter.errors import InputError
from pacesetter.schedules._arrays import FLOATS, Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece, checked_ends
from pacesetter.schedules._ramps import DOWN, Down, down
from pacesetter.schedules._spans import Span, checked_span, steps_of

__all__ = ["one_cycle", "wsd"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class one_cycle(Piece):
    """Up to the peak and down to almost nothing, once; with `momentum`, the momentum goes down and up meanwhile.

    span: n, in steps or as a share of the run, or None for the rest.
    rise: where the peak lies, in steps (from 1) or as a share of the span in (0, 1), which is not rounded to a step.
    start: first factor, in [0, 1]; a 25th of the peak by default.
    final: end value, in [0, 1]; by default a ten-thousandth of `start`.
    shape: "cosine" or "linear" between these.
    phases: 2, or 3 with a way down to `start` that mirrors the way up, and then one to `final`. For 3 `rise` is below a
        half.
    momentum: None, or [low, high]: high at the start, low at the peak of the rate, high again at the end. 0.85 to 0.95
        are usual. The connectors set it as the optimizer's momentum, or as Adam's beta1.
    ends: "after" has the peak at step rise * n and the end at n; "last" has them at rise * n - 1 and n - 1, as torch
        has.

    Agrees with torch's OneCycleLR as `one_cycle(ends="last")`, with `momentum=[0.85, 0.95]` also in its momentum, and
    with optax's cosine_onecycle_schedule.

    Use it for short trainings at high peaks, of convolutional networks with SGD above all, and where one name should
    hold the warm-up, the decay and the momentum. The length must be known.

    As text: `one_cycle`, `one_cycle(0.9, final=0.01) >> cooldown`.

    Source: Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates",
    2018.

    >>> cycle = one_cycle(rise=0.25, start=0.1, final=0, momentum=[0.85, 0.95])
    >>> [round(cycle(k, 100), 12) for k in (0, 25, 100)], cycle.momentum_at(25, 100)
    ([0.1, 1.0, 0.0], 0.85)
    """

    KIND: ClassVar[Kind] = "cyclical"
    span: Span = None
    rise: int | float = 0.3
    start: float = 0.04
    final: float = 4e-6
    shape: Literal["cosine", "linear"] = "cosine"
    phases: Literal[2, 3] = 2
    momentum: tuple[float, float] | None = None
    ends: Literal["after", "last"] = "after"

    def _validate(self) -> None:
        object.__setattr__(self, "rise", checked_span("rise", self.rise))
        most = 1.0 if self.phases == 2 else 0.5
        if isinstance(self.rise, float) and self.rise >= most:
            got = f"got rise={self.rise:g} with phases={self.phases}"
            raise InputError(f"`rise` must be below {most:g} of the span to leave something for the way down, {got}")
        self._keep("start", 0, 1, "a share of the peak")
        self._keep("final", 0, 1, "a share of the peak")
        if self.shape not in ("cosine", "linear"):
            raise InputError(f"`shape` must be cosine or linear, got shape={self.shape!r}")
        if self.phases not in (2, 3):
            raise InputError(f"`phases` must be 2 or 3, got phases={self.phases!r}")
        if self.momentum is not None:
            object.__setattr__(self, "momentum", _checked_momentum(self.momentum))
        checked_ends(self.ends)

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return self._path(k, n, xp, (self.start, 1.0, self.start, self.final))

    def _momentum(self, k: Any, n: int, xp: Namespace) -> Any:
        if self.momentum is None:
            return None
        low, high = self.momentum
        return self._path(xp.clip(k, 0, n), n, xp, (high, low, high, high))

    def _path(self, k: Any, n: int, xp: Namespace, values: tuple[float, float, float, float]) -> Any:
        """From value to value at the bounds of the phases; with two phases the third value is left out."""
        late = 0 if self.ends == "after" else 1
        peak = (self.rise if isinstance(self.rise, int) else self.rise * n) - late
        if self.phases == 2:
            bounds: tuple[float, ...] = (0.0, peak, n - late)
            values = (values[0], values[1], values[3], values[3])
        else:
            bounds = (0.0, peak, 2 * peak, n - late)
        last = len(bounds) - 2
        if xp is FLOATS:
            # A training asks at every update, and only one of the phases can answer.
            return self._between(k, bounds, values, bisect_left(bounds, k, 1, last + 1) - 1, xp)
        path = self._between(k, bounds, values, last, xp)
        for place in reversed(range(last)):
            path = xp.where(k <= bounds[place + 1], self._between(k, bounds, values, place, xp), path)
        return path

    def _between(self, k: Any, bounds: Sequence[float], values: Sequence[float], place: int, xp: Namespace) -> Any:
        """From one value to the next, between two bounds; the values themselves on this side and beyond."""
        begin, end = bounds[place], bounds[place + 1]
        u = xp.clip((k - begin) / max(end - begin, 1e-9), 0.0, 1.0)
        height = 0.5 + 0.5 * xp.cos(math.pi * u) if self.shape == "cosine" else 1.0 - u
        return values[place] * height + values[place + 1] * (1.0 - height)


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class wsd(Piece):
    """Warm-up, stable, decay: a short way up, the peak for most of the run, a cooldown at its end.

    span: in steps or as a share of the run, or None for the rest.
    warmup: length W of the way up, in steps (from 1) or as a share of the span; step k has (k + 1) / W.
    decay: length of the cooldown, in steps (from 1) or as a share of the span; a fifth by default.
    shape: of the cooldown: "linear", "cosine", "square" for `1 - u**2`, or "sqrt" for `1 - sqrt(u)`, the default, which
        was best in a comparison (Hägele et al.).
    final: end value in [0, 1], reached at the first step after the span.

    The same as `warmup(W) >> constant >> cooldown(decay, shape=shape)`. A run that is to go on needs only the state
    from before its cooldown: a longer one is the same up to there.

    Use it for long trainings, pre-training above all, that may go on or be wanted at several lengths. Where the length
    is known, a decay over the whole run is at least as good in theory; how long the cooldown should be differs from
    task to task.

    As text: `wsd`, `wsd(0.5) >> wsd`.

    Source: Hu et al., "MiniCPM: Unveiling the Potential of Small Language Models with Scalable Training Strategies",
    2024; Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training Durations", 2024.

    >>> [round(wsd(warmup=10, decay=20, shape="linear")(k, 100), 12) for k in (0, 9, 80, 90, 100)]
    [0.1, 1.0, 1.0, 0.5, 0.0]
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    warmup: int | float = 0.05
    decay: int | float = 0.2
    shape: Down = "sqrt"
    final: float = 0.0

    def _validate(self) -> None:
        for name in ("warmup", "decay"):
            object.__setattr__(self, name, checked_span(name, getattr(self, name)))
        if isinstance(self.warmup, float) and isinstance(self.decay, float) and self.warmup + self.decay > 1 + 1e-9:
            got = f"got warmup={self.warmup:g} and decay={self.decay:g}"
            raise InputError(f"`warmup` and `decay` must add up to at most 1, {got}")
        if self.shape not in DOWN:
            raise InputError(f"`shape` must be {', '.join(DOWN[:-1])} or {DOWN[-1]}, got shape={self.shape!r}")
        self._keep("final", 0, 1, "a share of the peak")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        rising = xp.clip((k + 1) / min(steps_of(self.warmup, n), max(n, 1)), 0.0, 1.0)
        decay = min(steps_of(self.decay, n), n)
        u = xp.clip(k - (n - decay), 0, decay) / max(decay, 1)
        return rising * down(u, self.shape, self.final, xp)


def _checked_momentum(momentum: Any) -> tuple[float, float]:
    values = tuple(momentum) if isinstance(momentum, list | tuple) else ()
    if len(values) != 2 or not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        values = (1.0, 0.0)
    low, high = map(float, values)
    if not 0 <= low <= high < 1:
        raise InputError(
            f"`momentum` must be [low, high] in [0, 1), or None to leave it alone, got momentum={momentum!r}: "
            "try [0.85, 0.95]"
        )
    return low, high
