"""Decay along the hyperbolic tangent."""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, final

from pacesetter.errors import InputError
from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece, checked_ends, progress
from pacesetter.schedules._spans import Span

__all__ = ["tanh"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class tanh(Piece):
    """An S from the peak to `final`: `factor = final + (1 - final) * (1 - tanh(low + (high - low) * u)) / 2`, u = k/n.

    span: n, in steps or as a share of the run, or None for the rest.
    low, high: where on the tangent the span begins and ends, in [-100, 100]; -7 and 3 by default. It begins within one
        in a million of the peak and ends 0.0025 of the way above `final`.
    final: in [0, 1]; what the end approaches.
    ends: "after" is at `high` at the first step after the span (u = k/n), "last" at its last step (u = k/(n-1)).

    Agrees with timm's TanhLRScheduler(lb=low, ub=high) in one cycle.

    Use it where a cosine comes down too early: with the defaults the peak lasts for about half of the run. Its paper
    compares it on image classification only.

    As text: `tanh`, `warmup(0.05) >> tanh(low=-4, high=4, final=0.1)`.

    Source: Hsueh, Li and Wu, "Stochastic Gradient Descent with Hyperbolic-Tangent Decay on Classification", 2019.

    >>> round(tanh(low=-3, high=3)(50, 100), 12)
    0.5
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    low: float = -7.0
    high: float = 3.0
    final: float = 0.0
    ends: Literal["after", "last"] = "after"

    def _validate(self) -> None:
        for name in ("low", "high"):
            self._keep(name, -100, 100, "a place on the tangent")
        if self.low >= self.high:
            raise InputError(f"`low` must be below `high`, got low={self.low:g} and high={self.high:g}")
        self._keep("final", 0, 1, "a share of the peak")
        checked_ends(self.ends)

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        u = progress(k, n, self.ends, xp)
        height = 0.5 - 0.5 * xp.tanh(self.low * (1.0 - u) + self.high * u)
        return height + self.final * (1.0 - height)
