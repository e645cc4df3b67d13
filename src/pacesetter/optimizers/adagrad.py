"""AdaGrad (Duchi, Hazan and Singer 2011)."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.optimizers._base import Elementwise, settle
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._walk import New, Numbers

__all__ = ["adagrad"]


@final
@dataclass(frozen=True)
class adagrad(Elementwise):
    """AdaGrad: w <- w - lr * g / (sqrt(s) + eps), with s <- s + g^2 and g = dE/dw + weight_decay * w.

    The sum never forgets, so steps shrink like 1 / sqrt(t) by themselves. torch's `lr_decay` is a schedule's job here.

    eps: above 0; keeps the step finite where gradients vanish.
    initial_accumulator: where s starts, at least 0; above 0 it shortens the first steps.
    weight_decay: at least 0, added to the gradient.

    Raises InputError for numbers outside these ranges.

    >>> str(adagrad())
    'adagrad'

    Source: Duchi, Hazan, Singer: Adaptive subgradient methods for online learning and stochastic optimization (2011).
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units of the first step; later steps are shorter by the root of the summed squares"

    eps: float = 1e-10
    initial_accumulator: float = 0.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, positive="eps", not_negative="initial_accumulator weight_decay")

    def slots(self) -> dict[str, float]:
        """The sum of squared gradients."""
        return {"sum": self.initial_accumulator}

    def move(self, t: Numbers, *coefficients: Scalar) -> New:
        """The numbers of one tensor after the update."""
        (lr,) = coefficients
        grad = t.pulled(self.weight_decay)
        total = t["sum"].addcmul(grad, grad)
        return {"weight": t.less_ratio("weight", grad, t.root(total, self.eps), lr), "sum": total}

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.Adagrad`."""
        return "Adagrad", {
            "eps": self.eps,
            "initial_accumulator_value": self.initial_accumulator,
            "weight_decay": self.weight_decay,
        }
