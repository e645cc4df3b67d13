"""Rates that rise and fall again and again."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece
from pacesetter.schedules._spans import Span, checked_span, steps_of

__all__ = ["exp_range", "triangular", "triangular2"]


class _Triangles(Piece):
    """Straight up from `low` and down again, over and over; a subclass may let the hills shrink."""

    __slots__ = ()
    KIND: ClassVar[Kind] = "cyclical"
    cycle: int | float
    low: float
    rise: int | float

    def _validate(self) -> None:
        self._keep("low", 0, 1, "a share of the peak")
        object.__setattr__(self, "cycle", checked_span("cycle", self.cycle, least=2))
        object.__setattr__(self, "rise", checked_span("rise", self.rise))
        whole = 1.0 if isinstance(self.rise, float) else self.cycle if isinstance(self.cycle, int) else math.inf
        if self.rise >= whole:
            got = f"got rise={self.rise} and cycle={self.cycle}"
            raise InputError(f"`rise` must be shorter than the cycle to leave something for the way down, {got}")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        cycle = max(steps_of(self.cycle, n), 2)
        rise = min(self.rise, cycle - 1) if isinstance(self.rise, int) else self.rise * cycle
        inside = xp.mod(k, cycle)
        height = xp.where(inside <= rise, inside / rise, (cycle - inside) / (cycle - rise))
        height = height * self._height(k, (k - inside) / cycle, n, xp)
        return height + self.low * (1.0 - height)

    def _height(self, k: Any, cycle: Any, n: int, xp: Namespace) -> Any:
        """How high the hill is whose number is `cycle`, from 0, at step `k`."""
        return 1.0


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class triangular(_Triangles):
    """Straight up from `low` to the peak and down again, over and over.

    `factor = low + (1 - low) * (1 - |2 * x - 1|)`, x = k/c - floor(k/c), c the cycle's length; so with `rise` 0.5.

    span: in steps or as a share of the run, or None for the rest.
    cycle: length c of one up-and-down, in steps (from 2) or as a share of the span; 0.1 by default: ten in a run.
        A share that comes to one step is taken as two, since a cycle of one would never leave `low`.
    low: lowest factor, in [0, 1].
    rise: where in a cycle the peak lies, in steps (from 1) or as a share of the cycle in (0, 1), which is not rounded
        to a step; half by default. All but one step where a cycle given as a share is shorter.

    Agrees with torch's CyclicLR(base_lr=low * lr, max_lr=lr, step_size_up=rise, step_size_down=c - rise) up to the
    span's end; after it torch's rate goes on cycling, here it stays.

    Use it where little is known of the rate, since each hill passes through all of them, or to look whether a run gets
    out of a poor minimum. It ends no run well by itself; `triangular * linear` does.

    As text: `triangular(cycle=0.2)`, `triangular(cycle=0.2) * linear`.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.

    >>> [triangular(cycle=4, low=0.5)(k, 100) for k in range(5)]
    [0.5, 0.75, 1.0, 0.75, 0.5]
    """

    span: Span = None
    cycle: int | float = 0.1
    low: float = 0.1
    rise: int | float = 0.5


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class triangular2(_Triangles):
    """Up and down like `triangular`, and each hill is half as high above `low` as the one before.

    `factor = low + (1 - low) * 0.5**i * (1 - |2 * x - 1|)` in cycle i, from 0.

    span: in steps or as a share of the run, or None for the rest.
    cycle: length of one up-and-down, in steps (from 2) or as a share of the span; 0.1 by default.
    low: lowest factor, in [0, 1].
    rise: where in a cycle the peak lies, as in `triangular`.

    Agrees with torch's CyclicLR(mode="triangular2") up to the span's end; here it stays then.

    Use it as `triangular`, where each hill should be half as high as the one before.

    As text: `triangular2(cycle=0.2)`, `triangular2(0.8, cycle=0.25) >> cooldown`.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.

    >>> [triangular2(cycle=4, low=0)(k, 100) for k in (2, 6, 10)]
    [1.0, 0.5, 0.25]
    """

    span: Span = None
    cycle: int | float = 0.1
    low: float = 0.1
    rise: int | float = 0.5

    def _height(self, k: Any, cycle: Any, n: int, xp: Namespace) -> Any:
        return xp.power(0.5, cycle)


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class exp_range(_Triangles):
    """Up and down like `triangular`, with hills that shrink smoothly: their height is `decay ** (k / every)`.

    span: in steps or as a share of the run, or None for the rest.
    cycle: length of one up-and-down, in steps (from 2) or as a share of the span; 0.1 by default.
    low: lowest factor, in [0, 1].
    decay: in [0, 1]; what is left of the height after `every`.
    every: steps (from 1) or a share of the span; by default (0.95 per fiftieth) the last hill is 0.08 high.
    rise: where in a cycle the peak lies, as in `triangular`.

    Agrees with torch's CyclicLR(mode="exp_range", gamma=decay) as every=1, up to the span's end; here it stays then.

    Use it as `triangular`, where the hills should shrink smoothly so that the run ends at a low rate.

    As text: `exp_range`, `exp_range(0.9, cycle=0.2) >> cooldown`.

    Source: Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.

    >>> [exp_range(cycle=4, low=0, decay=0.5, every=2)(k, 100) for k in (2, 6, 10)]
    [0.5, 0.125, 0.03125]
    """

    span: Span = None
    cycle: int | float = 0.1
    low: float = 0.1
    decay: float = 0.95
    every: int | float = 0.02
    rise: int | float = 0.5

    def _validate(self) -> None:
        _Triangles._validate(self)
        self._keep("decay", 0, 1, "what is left of the height")
        object.__setattr__(self, "every", checked_span("every", self.every))

    def _height(self, k: Any, cycle: Any, n: int, xp: Namespace) -> Any:
        return xp.power(self.decay, k / steps_of(self.every, n))
