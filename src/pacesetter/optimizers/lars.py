"""LARS (You, Gitman and Ginsburg 2017): momentum, with a rate for each tensor from the size of its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.optimizers._base import Walked, settle, settle_switch
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._walk import New, Numbers, Walk
from pacesetter.optimizers.lamb import trust

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["lars"]


@final
@dataclass(frozen=True)
class lars(Walked):
    """LARS: w <- w - v, v <- momentum * v + lr * coefficient * ||w|| / ||u|| * u, with u = g + weight_decay * w.

    Where ||w|| or ||u|| is 0 the ratio is 1, without the coefficient. Each tensor has its own.

    momentum: in [0, 1).
    coefficient: above 0; the paper's "trust", 0.001.
    nesterov: step by lr * ratio * u + momentum * v.
    weight_decay: at least 0, added to the gradient.

    Made for very large batches.

    Raises InputError for numbers outside these ranges.

    >>> str(lars(weight_decay=1e-4))
    'lars(weight_decay=0.0001)'

    Source: You, Gitman, Ginsburg: Large batch training of convolutional networks (2017); as optax has it.
    """

    adaptive: ClassVar[bool] = False
    light: ClassVar[bool] = True
    unit: ClassVar[str] = "a multiple of the thousandth of its length by which a tensor of weights moves at each step"

    momentum: float = 0.9
    coefficient: float = 1e-3
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="momentum", positive="coefficient", not_negative="weight_decay")
        settle_switch(self, "nesterov")

    def slots(self) -> Mapping[str, float | None]:
        """The velocity, which has the rate in it."""
        return {"velocity": 0.0}

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """Nothing is kept of a lane."""
        if self.weight_decay:
            walk.regrade(lambda t: t["grad"].add(t["weight"], alpha=self.weight_decay))
        weights, steps = walk.see(lambda t: ({}, [(t["weight"], t["weight"]), (t["grad"], t["grad"])]), each=True)
        ratio = trust(weights, steps, self.coefficient)
        walk.move(self._moved, lambda lr: (lr * ratio,), {})
        return {}

    def _moved(self, t: Numbers, rate: Any) -> New:
        velocity = t.blend("velocity", self.momentum, t["grad"], rate)
        move = (rate * t["grad"]).add(velocity, alpha=self.momentum) if self.nesterov else velocity
        return {"weight": t.less("weight", move, 1.0), "velocity": velocity}
