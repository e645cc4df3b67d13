"""Ramps: straight up (warm-up), straight down (linear decay), and up by a constant ratio (the LR range test)."""

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, final

from pacesetter.errors import InputError
from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece, checked_ends, progress
from pacesetter.schedules._spans import Span

__all__ = ["linear", "sweep", "warmup"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class linear(Piece):
    """A straight line from the peak to `final`: `factor = 1 + (final - 1) * u`, u = k/n.

    span: n, in steps or as a share of the run, or None for the rest.
    final: end value in [0, 1]; 0 by default, the decay to zero that most large language models end with.
    ends: "after" reaches `final` at the first step after the span (u = k/n), "last" at its last step (u = k/(n-1)).

    Agrees with torch's LinearLR(start_factor=1, end_factor=final, total_iters=n).

    >>> linear(final=0.5)(50, 100)
    0.75
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
        # Written as a mean of both ends, it meets each of them exactly.
        return (1.0 - u) + self.final * u


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class sweep(Piece):
    """Up by the same ratio at every step, to the peak at the last: `factor = low ** (1 - u)`, u = k/(n-1).

    span: n, in steps or as a share of the run, or None for the rest.
    low: where it begins, in [1e-30, 1], as a share of the peak; six decades by default, which hold every rate that is
        too low and every one that is too high for most models.

    This is the LR range test, which shows what each rate does to the loss within one short run. To train with, take
    `warmup`. Smith, "Cyclical Learning Rates for Training Neural Networks", 2017 (there a straight line).

    >>> [sweep(low=0.01)(step, 3) for step in range(3)]
    [0.01, 0.1, 1.0]
    """

    KIND: ClassVar[Kind] = "constant"
    span: Span = None
    low: float = 1e-6

    def _validate(self) -> None:
        self._keep("low", 1e-30, 1, "a share of the peak")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return xp.power(self.low, 1.0 - progress(k, n, "last", xp))


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class warmup(Piece):
    """A straight line up to the peak: `factor = (k + 1) / W`, and 1 from step W - 1 on.

    span: W, in steps or as a share of the run; it must be given. A few percent of the run is usual.

    The first update already moves (1/W, not 0), and the last of the W has the full rate. Libraries differ here: many
    use k/W, whose first update does nothing and whose peak comes one step later; torch's LinearLR starts from a third.

    Linear warm-up: Goyal et al., "Accurate, Large Minibatch SGD", 2017.

    >>> [warmup(4)(step, 100) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """

    KIND: ClassVar[Kind] = "constant"
    span: int | float = field()

    def _validate(self) -> None:
        if self.span is None:
            raise InputError("`span` must be given to `warmup`, got span=None: write warmup(0.05), say")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return xp.clip((k + 1) / max(n, 1), 0.0, 1.0)
