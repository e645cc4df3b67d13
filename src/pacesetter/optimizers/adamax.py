"""Adamax (Kingma and Ba 2015): Adam with the largest gradient in the place of the root mean square."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.optimizers._base import Elementwise, settle
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._walk import New, Numbers

__all__ = ["adamax"]


@final
@dataclass(frozen=True)
class adamax(Elementwise):
    """Adamax: w <- w - lr / (1 - beta1^t) * m / u, with u <- max(beta2 * u, |g| + eps).

    m <- beta1 * m + (1 - beta1) * g; t counts updates from 1; g = dE/dw + weight_decay * w.

    beta1: memory of the mean gradient, in [0, 1).
    beta2: memory of the largest gradient, in [0, 1).
    eps: above 0; keeps the step finite where gradients vanish.
    weight_decay: at least 0, added to the gradient.

    Raises InputError for numbers outside these ranges.

    >>> str(adamax())
    'adamax'

    Source: Kingma, Ba: Adam: a method for stochastic optimization (2015), section 7.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units per step, for a weight whose gradient keeps its sign and size"
    counts_steps: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="beta1 beta2", positive="eps", not_negative="weight_decay")

    def slots(self) -> dict[str, float]:
        """The mean gradient and the largest."""
        return {"mean": 0.0, "largest": 0.0}

    def coefficients(self, lr: Scalar, step: Scalar) -> tuple[Scalar, ...]:
        """The rate with the bias correction of the mean worked in."""
        return (lr / (1 - self.beta1**step),)

    def move(self, t: Numbers, *coefficients: Scalar) -> New:
        """The numbers of one tensor after the update."""
        (size,) = coefficients
        grad = t.pulled(self.weight_decay)
        mean = t.lerp("mean", grad, 1 - self.beta1)
        largest = (t["largest"] * self.beta2).maximum(grad.abs() + self.eps)
        return {"weight": t.less_ratio("weight", mean, largest, size), "mean": mean, "largest": largest}

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.Adamax`."""
        return "Adamax", {"betas": (self.beta1, self.beta2), "eps": self.eps, "weight_decay": self.weight_decay}
