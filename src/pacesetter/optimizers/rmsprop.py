"""RMSprop (Tieleman and Hinton 2012), with momentum and the centred form (Graves 2013)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.optimizers._base import Elementwise, Scalar, settle, settle_switch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["rmsprop"]


@final
@dataclass(frozen=True)
class rmsprop(Elementwise):
    """RMSprop: w <- w - lr * g / (sqrt(v) + eps), with v <- beta2 * v + (1 - beta2) * g^2.

    With momentum, w <- w - lr * b and b <- momentum * b + g / (sqrt(v) + eps); g = dE/dw + weight_decay * w.

    beta2: memory of the mean square, in [0, 1); torch's `alpha`; 0.99 averages over about 100 steps. v starts at 0
        uncorrected, so the first steps are up to 1 / sqrt(1 - beta2) times as long as lr.
    eps: above 0; keeps the step finite where gradients vanish.
    momentum: share of the last move that is kept, in [0, 1).
    centered: divide by the standard deviation instead of the root mean square.
    weight_decay: at least 0, added to the gradient.

    Raises InputError for numbers outside these ranges.

    >>> str(rmsprop(momentum=0.9))
    'rmsprop(momentum=0.9)'

    Source: Tieleman, Hinton: Neural networks for machine learning, lecture 6.5 (2012).
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units per step, for a weight whose gradient keeps its size"

    beta2: float = 0.99
    eps: float = 1e-8
    momentum: float = 0.0
    centered: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="beta2 momentum", positive="eps", not_negative="weight_decay")
        settle_switch(self, "centered")

    def slots(self) -> dict[str, float]:
        """The mean square; the mean and the velocity where they are asked for."""
        wanted = {"square": True, "mean": self.centered, "velocity": self.momentum > 0}
        return {name: 0.0 for name, is_wanted in wanted.items() if is_wanted}

    def move(
        self, weight: "Tensor", grad: "Tensor", slots: "tuple[Tensor, ...]", *coefficients: Scalar
    ) -> "tuple[Tensor, tuple[Tensor, ...]]":
        """One tensor after the update."""
        (lr,) = coefficients
        if self.weight_decay:
            grad = grad.add(weight, alpha=self.weight_decay)
        square = (slots[0] * self.beta2).addcmul(grad, grad, value=1 - self.beta2)
        kept = [square]
        spread = square
        if self.centered:
            mean = slots[1].lerp(grad, 1 - self.beta2)
            spread = square.addcmul(mean, mean, value=-1)
            kept.append(mean)
        scale = spread.sqrt() + self.eps
        if not self.momentum:
            return weight.addcdiv(lr * grad, scale, value=-1), tuple(kept)
        velocity = (slots[-1] * self.momentum).addcdiv(grad, scale)
        return weight - lr * velocity, (*kept, velocity)

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.RMSprop`."""
        return "RMSprop", {
            "alpha": self.beta2,
            "eps": self.eps,
            "momentum": self.momentum,
            "centered": self.centered,
            "weight_decay": self.weight_decay,
        }
