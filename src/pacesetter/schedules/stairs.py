"""Decay in steps."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece
from pacesetter.schedules._spans import Span, checked_span, steps_of

__all__ = ["step"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class step(Piece):
    """Multiplied by `decay` after every `every`: `factor = decay ** floor(k / every)`.

    span: in steps or as a share of the run, or None for the rest.
    decay: in [0, 1]; a tenth by default, the classic of image classification.
    every: steps (from 1) or a share of the span; 0.3 by default, so that three drops fall into a run.

    Agrees with torch's StepLR(step_size=every, gamma=decay) up to the span's end; after it torch's rate goes on
    falling, here it stays.

    >>> [round(step(every=30)(k, 100), 12) for k in (29, 30, 60, 99)]
    [1.0, 0.1, 0.01, 0.001]
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    decay: float = 0.1
    every: int | float = 0.3

    def _validate(self) -> None:
        self._keep("decay", 0, 1, "what is left of the rate")
        object.__setattr__(self, "every", checked_span("every", self.every))

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return xp.power(self.decay, xp.floor(k / steps_of(self.every, n)))
