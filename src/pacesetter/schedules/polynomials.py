"""Decay along a power of what is left of the run."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece, checked_ends, progress
from pacesetter.schedules._ramps import raised
from pacesetter.schedules._spans import Span

__all__ = ["polynomial"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class polynomial(Piece):
    """From the peak to `final` along a power: `factor = final + (1 - final) * (1 - u) ** power`, u = k/n.

    span: n, in steps or as a share of the run, or None for the rest.
    power: above 0, at most 100; 2 by default, which is gentle at the end. 1 is the straight line, below 1 it falls
        late.
    final: end value in [0, 1].
    ends: "after" reaches `final` at the first step after the span (u = k/n), "last" at its last step (u = k/(n-1)).

    Agrees with torch's PolynomialLR(total_iters=n, power=power) for final=0.

    Use it to follow a recipe that has it, such as power=0.9 for image segmentation, or to try whether a fall that is
    earlier (power above 1) or later (below 1) than a straight line suits a task.

    As text: `polynomial`, `warmup(0.05) >> polynomial(power=0.9)`.

    Source: Liu, Rabinovich and Berg, "ParseNet: Looking Wider to See Better", 2015 (the "poly" policy).

    >>> polynomial(final=0.2)(50, 100)
    0.4
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    power: float = 2.0
    final: float = 0.0
    ends: Literal["after", "last"] = "after"

    def _validate(self) -> None:
        self._keep("power", 1e-6, 100, "above 0: how fast it falls at first")
        self._keep("final", 0, 1, "a share of the peak")
        checked_ends(self.ends)

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        height = raised(1.0 - progress(k, n, self.ends, xp), self.power, xp)
        return height + self.final * (1.0 - height)
