"""Decay by a constant ratio."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece
from pacesetter.schedules._spans import Span, checked_span, steps_of

__all__ = ["exponential"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class exponential(Piece):
    """Smooth decay by the same ratio over equal times: `factor = decay ** (k / every)`.

    span: in steps or as a share of the run, or None for the rest.
    decay: in [0, 1]; the ratio over `every`.
    every: steps (from 1) or a share of the span; with the defaults (0.95 per fiftieth) a run ends at 0.95**50 = 0.077.

    Agrees with torch's ExponentialLR(gamma) as `exponential(decay=gamma, every=1)` up to the span's end; after it
    torch's rate goes on falling, here it stays.

    Use it to follow a recipe that gives a ratio per epoch, or, with `every` in steps, where the length is not known.
    The ratio decides where the run ends, and is easily a little too high or too low; with a known length a straight
    line has nothing to tune.

    As text: `exponential`, `warmup(0.05) >> exponential(decay=0.5, every=0.1)`.

    Source: Szegedy et al., "Rethinking the Inception Architecture for Computer Vision", 2016 (0.94 every two epochs).

    >>> exponential(decay=0.5, every=10)(20, 100)
    0.25
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    decay: float = 0.95
    every: int | float = 0.02

    def _validate(self) -> None:
        self._keep("decay", 0, 1, "what is left of the rate")
        object.__setattr__(self, "every", checked_span("every", self.every))

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return xp.power(self.decay, k / steps_of(self.every, n))
