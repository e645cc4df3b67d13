"""Stochastic gradient descent, with momentum (Polyak 1964) and its look-ahead form (Nesterov 1983)."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Elementwise, settle, settle_switch
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._walk import New, Numbers

__all__ = ["sgd"]


@final
@dataclass(frozen=True)
class sgd(Elementwise):
    """Gradient descent: w <- w - lr * v, with v <- momentum * v + g and g = dE/dw + weight_decay * w.

    momentum: share of the last velocity that is kept, in [0, 1); 0, the default, is plain gradient descent. At a share
        m, a steady gradient moves the weights 1 / (1 - m) times as fast as without; from 1 on nothing would hold it.
    nesterov: step by g + momentum * v instead of v; needs momentum.
    weight_decay: pull towards 0, added to the gradient, at least 0.

    Raises InputError for numbers outside these ranges.

    >>> str(sgd(momentum=0.9))
    'sgd(momentum=0.9)'

    Source: Sutskever, Martens, Dahl, Hinton: On the importance of initialization and momentum in deep learning (2013).
    Dampening, which `torch.optim.SGD` also has, is 0.
    """

    adaptive: ClassVar[bool] = False
    unit: ClassVar[str] = "parameter units per unit of gradient"

    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="momentum", not_negative="weight_decay")
        settle_switch(self, "nesterov")
        if self.nesterov and not self.momentum:
            raise InputError(
                "`nesterov` needs a momentum above 0, got momentum=0.0: say sgd(momentum=0.9, nesterov=True)"
            )

    def slots(self) -> dict[str, float]:
        """The velocity; nothing without momentum."""
        return {"velocity": 0.0} if self.momentum else {}

    def move(self, t: Numbers, *coefficients: Scalar) -> New:
        """The numbers of one tensor after the update."""
        (lr,) = coefficients
        grad = t.pulled(self.weight_decay)
        if not self.momentum:
            return {"weight": t.less("weight", grad, lr)}
        velocity = grad.add(t["velocity"], alpha=self.momentum)
        direction = grad.add(velocity, alpha=self.momentum) if self.nesterov else velocity
        return {"weight": t.less("weight", direction, lr), "velocity": velocity}

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.SGD`."""
        return "SGD", {"momentum": self.momentum, "nesterov": self.nesterov, "weight_decay": self.weight_decay}
