"""Decay made for a budget: REX, and Chebyshev's step sizes in fractal order."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece, checked_ends, progress
from pacesetter.schedules._spans import Span

__all__ = ["chebyshev", "rex"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class rex(Piece):
    """Slow at first, steep at the end: `factor = final + (1 - final) * (1 - u) / (1 - u / 2)`, u = k/n.

    span: n, in steps or as a share of the run, or None for the rest.
    final: end value in [0, 1].
    ends: "after" reaches `final` at the first step after the span (u = k/n), "last" at its last step (u = k/(n-1)).

    Use it where the run is short for the task, for which it was made, as a `linear` that stays higher for longer.

    As text: `rex`, `warmup(0.05) >> rex`.

    Source: Chen, Wolfe and Kyrillidis, "REX: Revisiting Budgeted Training with an Improved Schedule", 2021.

    >>> round(rex()(50, 100), 12)
    0.666666666667
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
        height = (1.0 - u) / (1.0 - 0.5 * u)
        return height + self.final * (1.0 - height)


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class chebyshev(Piece):
    """A rate of its own for every step: the best step sizes for a quadratic, in an order that keeps each prefix stable.

    With N the least power of two that is not below the span and theta_j = pi * (j + 1/2) / N, the sizes are
    `s_j = 1 / (c - r * cos(theta_j))`, c and r half the sum and half the difference of 1 and `low`. Step k has s_p(k),
    p the fractal permutation [0], [0, 1], [0, 3, 1, 2], [0, 7, 3, 4, 1, 6, 2, 5] ...; the factor is s_p(k) / s_0.

    span: in steps or as a share of the run, or None for the rest. The last step's value is held.
    low: the smallest curvature beside the largest, in [1e-6, 1]; also about the smallest rate beside the peak. 0.05 by
        default.

    Most rates lie near `low`, few near the peak. pytorch_optimizer's chebyshev has the same values times s_0, two steps
    later: its first three epochs share the first value.

    Use it for gradient descent without momentum on problems whose curvatures are known to lie in a range, with a peak
    of about 1 / (the smallest curvature). Single steps are far too long by design and later ones repair them; gradients
    from small batches are not what it was made for.

    As text: `chebyshev`, `warmup(0.05) >> chebyshev(low=0.2)`.

    Source: Agarwal, Goel and Zhang, "Acceleration via Fractal Learning Rate Schedules", 2021.

    >>> [round(chebyshev(low=0.5)(k, 4), 3) for k in range(4)]
    [1.0, 0.529, 0.793, 0.614]
    """

    KIND: ClassVar[Kind] = "cyclical"
    span: Span = None
    low: float = 0.05

    def _validate(self) -> None:
        self._keep("low", 1e-6, 1, "the smallest curvature beside the largest")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        levels = max(n - 1, 0).bit_length()
        left = xp.floor(xp.clip(k, 0, max(n - 1, 0)))
        # The permutation of 2**(m+1) has at 2 i the place that the one of 2**m has at i, and at 2 i + 1 its mirror. So
        # the step's bits are taken off one by one, the highest first, and each that is set mirrors what is there.
        place = left * 0.0
        for level in range(levels):
            bit = 2.0 ** (levels - 1 - level)
            found = xp.floor(left / bit)
            left = left - bit * found
            place = xp.where(found > 0.5, 2.0 ** (level + 1) - 1.0 - place, place)
        middle, half = (1 + self.low) / 2, (1 - self.low) / 2
        angle = math.pi / 2**levels
        return (middle - half * math.cos(angle / 2)) / (middle - half * xp.cos(angle * (place + 0.5)))
