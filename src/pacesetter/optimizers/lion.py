"""Lion (Chen et al. 2023): the sign of a mean gradient."""

from dataclasses import dataclass
from typing import ClassVar, final

from pacesetter.optimizers._base import Elementwise, settle
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._walk import New, Numbers

__all__ = ["lion"]


@final
@dataclass(frozen=True)
class lion(Elementwise):
    """Lion: w <- w - lr * (sign(beta1 * m + (1 - beta1) * g) + weight_decay * w); m <- beta2 * m + (1 - beta2) * g.

    beta1: in [0, 1); how much the sign listens to the past.
    beta2: memory of the mean gradient, in [0, 1).
    weight_decay: at least 0, decoupled.

    Every weight moves by lr at each step, so its rates are three to ten times lower than Adam's, and the weight decay
    as much higher.

    Raises InputError for numbers outside these ranges.

    >>> str(lion(weight_decay=0.1))
    'lion(weight_decay=0.1)'

    Source: Chen et al.: Symbolic discovery of optimization algorithms (2023).
    """

    adaptive: ClassVar[bool] = True
    light: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units per step, for every weight"

    beta1: float = 0.9
    beta2: float = 0.99
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="beta1 beta2", not_negative="weight_decay")

    def slots(self) -> dict[str, float]:
        """The mean gradient."""
        return {"mean": 0.0}

    def move(self, t: Numbers, *coefficients: Scalar) -> New:
        """The numbers of one tensor after the update."""
        (lr,) = coefficients
        grad = t["grad"]
        direction = t.sign(t["mean"].lerp(grad, 1 - self.beta1))
        if self.weight_decay:
            direction = direction.add(t["weight"], alpha=self.weight_decay)
        return {"weight": t.less("weight", direction, lr), "mean": t.lerp("mean", grad, 1 - self.beta2)}
