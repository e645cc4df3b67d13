"""RMSprop (Tieleman and Hinton 2012), with momentum and the centred form (Graves 2013)."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.optimizers._base import Elementwise, settle, settle_switch
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._walk import New, Numbers

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

    def move(self, t: Numbers, *coefficients: Scalar) -> New:
        """The numbers of one tensor after the update."""
        (lr,) = coefficients
        grad = t.pulled(self.weight_decay)
        new = {"square": t.blend("square", self.beta2, grad, grad, 1 - self.beta2)}
        spread = new["square"]
        if self.centered:
            new["mean"] = mean = t.lerp("mean", grad, 1 - self.beta2)
            spread = spread.addcmul(mean, mean, value=-1)
        scale = t.root(spread, self.eps)
        if not self.momentum:
            return {**new, "weight": t.less_ratio("weight", grad, scale, lr)}
        new["velocity"] = (t["velocity"] * self.momentum).addcdiv(grad, scale)
        return {**new, "weight": t.less("weight", new["velocity"], lr)}

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.RMSprop`."""
        return "RMSprop", {
            "alpha": self.beta2,
            "eps": self.eps,
            "momentum": self.momentum,
            "centered": self.centered,
            "weight_decay": self.weight_decay,
        }
