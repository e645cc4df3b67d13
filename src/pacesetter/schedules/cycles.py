"""Rates that rise and fall again and again."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece
from pacesetter.schedules._spans import Span, checked_span, steps_of

__all__ = ["triangular"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class triangular(Piece):
    """Straight up from `low` to the peak and down again, over and over.

    `factor = low + (1 - low) * (1 - |2 * x - 1|)`, x = k/c - floor(k/c), c the cycle's length.

    span: in steps or as a share of the run, or None for the rest.
    cycle: length c of one up-and-down, in steps (from 2) or as a share of the span; 0.1 by default: ten in a run.
        A share that comes to one step is taken as two, since a cycle of one would never leave `low`.
    low: lowest factor, in [0, 1].

    Agrees with torch's CyclicLR(base_lr=low * lr, max_lr=lr, step_size_up=c/2) up to the span's end; after it torch's
    rate goes on cycling, here it stays.

    Smith, "Cyclical Learning Rates for Training Neural Networks", 2017.

    >>> [triangular(cycle=4, low=0.5)(k, 100) for k in range(5)]
    [0.5, 0.75, 1.0, 0.75, 0.5]
    """

    KIND: ClassVar[Kind] = "cyclical"
    span: Span = None
    cycle: int | float = 0.1
    low: float = 0.1

    def _validate(self) -> None:
        self._keep("low", 0, 1, "a share of the peak")
        object.__setattr__(self, "cycle", checked_span("cycle", self.cycle, least=2))

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        cycles = k / max(steps_of(self.cycle, n), 2)
        x = cycles - xp.floor(cycles)
        depth = xp.abs(2.0 * x - 1.0)
        return (1.0 - depth) + self.low * depth
