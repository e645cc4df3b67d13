"""Decay along cosines."""

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece, checked_ends, progress
from pacesetter.schedules._spans import Span

__all__ = ["cosine"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class cosine(Piece):
    """Half a cosine wave from the peak to `final`: `factor = final + (1 - final) * (1 + cos(pi * u)) / 2`, u = k/n.

    span: n, in steps or as a share of the run, or None for the rest.
    final: end value in [0, 1]; 0 as in the paper, 0.1 is common for language models.
    ends: "after" reaches `final` at the first step after the span (u = k/n), "last" at its last step (u = k/(n-1)).

    Agrees with torch's CosineAnnealingLR(T_max=n, eta_min=final * lr) up to step n; after it torch's rate rises again,
    here it stays.

    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017 (without the restarts).

    >>> round(cosine(final=0.1)(50, 100), 12), cosine(final=0.1)(100, 100)
    (0.55, 0.1)
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
        height = 0.5 + 0.5 * xp.cos(math.pi * u)
        # Written as a mean of both ends, it meets each of them exactly.
        return height + self.final * (1.0 - height)
