"""The schedule that does nothing: the plain learning rate of a grid search."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece
from pacesetter.schedules._spans import Span

__all__ = ["constant"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class constant(Piece):
    """The same factor at every step: `factor = value`.

    span: steps, a share of the run, or None for the rest.
    value: in [0, 1]; 1 is the peak itself, a lower one serves as a plateau inside a chain.

    Agrees with torch's ConstantLR as `constant(5, value=1/3) >> constant()`.

    Use it to see what a rate does by itself, as what every other schedule has to beat, and for as long as the length of
    the run is open; `constant(0.8) >> cooldown` gains most of what a decay gains.

    As text: `constant`, `warmup(0.05) >> constant >> cooldown(0.2)`.

    Source: the plain learning rate; no paper.

    >>> constant(value=0.5)(7, 100)
    0.5
    """

    KIND: ClassVar[Kind] = "constant"
    span: Span = None
    value: float = 1.0

    def _validate(self) -> None:
        self._keep("value", 0, 1, "a share of the peak")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return k * 0.0 + self.value
