"""Adadelta (Zeiler 2012)."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.optimizers._base import Elementwise, settle
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._walk import New, Numbers

__all__ = ["adadelta"]


@final
@dataclass(frozen=True)
class adadelta(Elementwise):
    """Adadelta: w <- w - lr * u, with u = g * sqrt(s + eps) / sqrt(v + eps): past moves' size over past gradients'.

    v <- beta2 * v + (1 - beta2) * g^2 and, after the move, s <- beta2 * s + (1 - beta2) * u^2; g = dE/dw +
    weight_decay * w.

    beta2: memory of both mean squares, in [0, 1); the paper's and torch's `rho`.
    eps: above 0; it starts the moves, which grow from its root.
    weight_decay: at least 0, added to the gradient.

    Raises InputError for numbers outside these ranges.

    >>> str(adadelta(beta2=0.95))
    'adadelta(beta2=0.95)'

    Source: Zeiler: ADADELTA: an adaptive learning rate method (2012), where lr is 1.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "a multiple of the step that the rule makes by itself; 1 is the paper's"

    beta2: float = 0.9
    eps: float = 1e-6
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="beta2", positive="eps", not_negative="weight_decay")

    def slots(self) -> dict[str, float]:
        """The mean squares of gradients and of moves."""
        return {"square": 0.0, "moves": 0.0}

    def move(self, t: Numbers, *coefficients: Scalar) -> New:
        """The numbers of one tensor after the update."""
        (lr,) = coefficients
        grad = t.pulled(self.weight_decay)
        square = t.blend("square", self.beta2, grad, grad, 1 - self.beta2)
        step = (t["moves"] + self.eps).sqrt() / (square + self.eps).sqrt() * grad
        moves = t.blend("moves", self.beta2, step, step, 1 - self.beta2)
        return {"weight": t.less("weight", step, lr), "square": square, "moves": moves}

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.Adadelta`."""
        return "Adadelta", {"rho": self.beta2, "eps": self.eps, "weight_decay": self.weight_decay}
