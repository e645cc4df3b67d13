"""AdamW (Loshchilov and Hutter 2019): Adam with the weight decay outside of the gradient."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.optimizers._base import Elementwise, settle
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._walk import New, Numbers
from pacesetter.optimizers.adam import corrected

__all__ = ["adamw"]


@final
@dataclass(frozen=True)
class adamw(Elementwise):
    """AdamW: w <- (1 - lr * weight_decay) * w - lr * m' / (sqrt(v') + eps), with `adam`'s m' and v'.

    beta1: memory of the mean gradient, in [0, 1).
    beta2: memory of the mean square, in [0, 1).
    eps: above 0; keeps the step finite where gradients vanish.
    weight_decay: share of each weight that decays per step and unit of lr, at least 0; 0.01 is torch's default.
        It is scaled by the rate in force, so it follows the schedule.

    Raises InputError for numbers outside these ranges.

    >>> str(adamw(weight_decay=0.1))
    'adamw(weight_decay=0.1)'

    Source: Loshchilov, Hutter: Decoupled weight decay regularization (2019).
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units per step, for a weight whose gradient keeps its sign and size"
    counts_steps: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        settle(self, shares="beta1 beta2", positive="eps", not_negative="weight_decay")

    def slots(self) -> dict[str, float]:
        """The running means of the gradient and of its square."""
        return {"mean": 0.0, "square": 0.0}

    def coefficients(self, lr: Scalar, step: Scalar) -> tuple[Scalar, ...]:
        """The step size and eps in force, and the share of each weight that stays."""
        return (*corrected(lr, step, self.beta1, self.beta2, self.eps), 1 - lr * self.weight_decay)

    def move(self, t: Numbers, *coefficients: Scalar) -> New:
        """The numbers of one tensor after the update."""
        size, eps, stays = coefficients
        mean = t.lerp("mean", t["grad"], 1 - self.beta1)
        square = t.blend("square", self.beta2, t["grad"], t["grad"], 1 - self.beta2)
        if self.weight_decay:
            t = t.having(weight=t.scaled("weight", stays))
        return {"weight": t.less_ratio("weight", mean, t.root(square, eps), size), "mean": mean, "square": square}

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.AdamW`."""
        return "AdamW", {"betas": (self.beta1, self.beta2), "eps": self.eps, "weight_decay": self.weight_decay}
