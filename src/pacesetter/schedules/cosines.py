"""Decay along cosines."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece, checked_ends, progress
from pacesetter.schedules._ramps import raised
from pacesetter.schedules._spans import Span, checked_span, steps_of

__all__ = ["cosine", "cosine_restarts", "flat_cosine"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class cosine(Piece):
    """Half a cosine wave from the peak down: `factor = final + (1 - final) * (1 + cos(pi * u**power)) / 2`, u = k/n.

    span: n, in steps or as a share of the run, or None for the rest.
    final: end value in [0, 1]; 0 as in the paper, 0.1 is common for language models.
    ends: "after" reaches `final` at the first step after the span (u = k/n), "last" at its last step (u = k/(n-1)).
    power: above 0, at most 100; above 1 the rate stays up longer and falls later (the k of "k-decay").

    Agrees with torch's CosineAnnealingLR(T_max=n, eta_min=final * lr) up to step n; after it torch's rate rises again,
    here it stays.

    Use it where the length of the run is known and others are to be compared with: many published recipes have it. A
    run that is cut off early has not had its decay, and one that is to go on has had it too early.

    As text: `cosine`, `warmup(0.05) >> cosine(final=0.1)`.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017 (without the restarts);
    Zhang and Li, "k-decay: A New Method for Learning Rate Schedule", 2020 (`power`).

    >>> round(cosine(final=0.1)(50, 100), 12), cosine(final=0.1)(100, 100)
    (0.55, 0.1)
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    final: float = 0.0
    ends: Literal["after", "last"] = "after"
    power: float = 1.0

    def _validate(self) -> None:
        self._keep("final", 0, 1, "a share of the peak")
        checked_ends(self.ends)
        self._keep("power", 1e-6, 100, "above 0: how long the rate stays up")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        u = progress(k, n, self.ends, xp)
        return _half_wave(u if self.power == 1 else raised(u, self.power, xp), self.final, xp)


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class cosine_restarts(Piece):
    """Half cosine waves one after the other: each begins at the peak again and falls to `final`.

    In wave i (from 0) of length `cycle * growth**i` the factor is
    `final + (1 - final) * decay**i * (1 + cos(pi * u)) / 2`, u the share of the wave that is done. Where a wave ends
    with the span, the span ends at `final`.

    span: in steps or as a share of the run, or None for the rest.
    cycle: length of the first wave, in steps (from 1) or as a share of the span; a quarter by default.
    growth: from 1 to 100; how much longer each wave is than the one before. The paper likes 2.
    decay: in [0, 1]; how high each wave begins beside the one before.
    final: end value of each wave, in [0, 1].

    Agrees with torch's CosineAnnealingWarmRestarts(T_0=cycle, T_mult=growth, eta_min=final * lr) up to the span's end;
    after it torch's rate restarts, here it stays. With `decay`, Keras's CosineDecayRestarts has the same formula;
    timm's differs where `final` is above 0.

    Use it to have several models of one run: each wave ends with one. Each restart gives up some of what was gained, so
    for the one model at the end compare it with a single `cosine`.

    As text: `cosine_restarts`, `warmup(0.05) >> cosine_restarts(cycle=0.2, decay=0.5)`.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017.

    >>> waves = cosine_restarts(cycle=10, growth=2)
    >>> [round(waves(k, 30), 12) for k in (0, 5, 10, 20, 30)]
    [1.0, 0.5, 1.0, 0.5, 0.0]
    """

    KIND: ClassVar[Kind] = "cyclical"
    span: Span = None
    cycle: int | float = 0.25
    growth: float = 1.0
    decay: float = 1.0
    final: float = 0.0

    def _validate(self) -> None:
        object.__setattr__(self, "cycle", checked_span("cycle", self.cycle))
        self._keep("growth", 1, 100, "how much longer each wave is")
        self._keep("decay", 0, 1, "how high each wave begins beside the one before")
        self._keep("final", 0, 1, "a share of the peak")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        wave, done = self._place(k, steps_of(self.cycle, n), xp)
        # A wave that ends with the span has its end value there, not the peak of one that never comes.
        ended = (k >= n) & (done == 0.0)
        wave = xp.where(ended, xp.clip(wave - 1.0, 0.0, math.inf), wave)
        height = 0.5 + 0.5 * xp.cos(math.pi * xp.where(ended, 1.0, done))
        if self.decay < 1:
            height = xp.power(self.decay, wave) * height
        return height + self.final * (1.0 - height)

    def _place(self, k: Any, cycle: int, xp: Namespace) -> tuple[Any, Any]:
        """Which wave `k` is in, and the share of it that is done."""
        if self.growth == 1:
            inside = xp.mod(k, cycle)
            return (k - inside) / cycle, inside / cycle

        def begin(wave: Any) -> Any:
            return cycle * (xp.power(self.growth, wave) - 1.0) / (self.growth - 1.0)

        wave = xp.floor(xp.log(1.0 + k * ((self.growth - 1.0) / cycle)) / math.log(self.growth))
        # The logarithm may miss a whole number by a rounding.
        wave = xp.where(k < begin(wave), wave - 1.0, wave)
        wave = xp.where(k >= begin(wave + 1.0), wave + 1.0, wave)
        return wave, (k - begin(wave)) / (begin(wave + 1.0) - begin(wave))


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class flat_cosine(Piece):
    """Flat at the peak, then half a cosine wave down to `final`.

    span: in steps or as a share of the run, or None for the rest.
    flat: how long the peak lasts, in steps (from 1) or as a share of the span; 0.72 by default, as its authors found
        it.
    final: end value in [0, 1], reached at the first step after the span.

    The same as `constant(flat) >> cosine(final=final)`. fastai's fit_flat_cos has it with three quarters.

    Use it where the peak should last and the way down should be long and smooth; `wsd` has the other shapes of the way
    down, and the warm-up.

    As text: `flat_cosine`, `warmup(0.05) >> flat_cosine(flat=0.6)`.

    Source: Wright and Demeure, "Ranger21: a synergistic deep learning optimizer", 2021.

    >>> [round(flat_cosine(flat=0.5)(k, 100), 12) for k in (50, 75, 100)]
    [1.0, 0.5, 0.0]
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    flat: int | float = 0.72
    final: float = 0.0

    def _validate(self) -> None:
        object.__setattr__(self, "flat", checked_span("flat", self.flat))
        self._keep("final", 0, 1, "a share of the peak")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        flat = min(steps_of(self.flat, n), n)
        return _half_wave(progress(xp.clip(k - flat, 0, n - flat), n - flat, "after", xp), self.final, xp)


def _half_wave(u: Any, final: float, xp: Namespace) -> Any:
    height = 0.5 + 0.5 * xp.cos(math.pi * u)
    # Written as a mean of both ends, it meets each of them exactly.
    return height + final * (1.0 - height)
