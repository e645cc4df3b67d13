"""NAdam (Dozat 2016): Adam with Nesterov's look ahead."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.optimizers._base import Walked, settle
from pacesetter.optimizers._scalars import Scalar, root
from pacesetter.optimizers._walk import New, Numbers, Walk

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["nadam"]


@final
@dataclass(frozen=True)
class nadam(Walked):
    """NAdam: w <- w - lr * (a * g + b * m) / (sqrt(v') + eps), with m, v, v' as in Adam.

    The momentum warms up: mu_t = beta1 * (1 - 0.96^(t * momentum_decay) / 2), and with P_t the product of mu_1 to mu_t
    a = (1 - mu_t) / (1 - P_t) and b = mu_(t+1) / (1 - P_(t+1)); g = dE/dw + weight_decay * w.

    beta1, beta2, eps: as in Adam.
    momentum_decay: at least 0; how fast the momentum reaches beta1. 0.004 by default, the paper's.
    weight_decay: at least 0, added to the gradient.

    Raises InputError for numbers outside these ranges.

    >>> str(nadam(beta2=0.95))
    'nadam(beta2=0.95)'

    Source: Dozat: Incorporating Nesterov momentum into Adam (2016). The defaults are torch's.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units per step, for a weight whose gradient keeps its sign and size"

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    momentum_decay: float = 4e-3
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="beta1 beta2", positive="eps", not_negative="momentum_decay weight_decay")

    def slots(self) -> Mapping[str, float | None]:
        """The running means of the gradient and of its square."""
        return {"mean": 0.0, "square": 0.0}

    def begin(self) -> dict[str, Any]:
        """The step, and the product of momenta."""
        return {"step": 0.0, "product": 1.0}

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The step and the product after one update."""
        step = lane["step"] + 1
        now, next_one = (self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay)) for t in (step, step + 1))
        product = lane["product"] * now
        right = root(1 - self.beta2**step)
        of_grad, of_mean = right * (1 - now) / (1 - product), right * next_one / (1 - product * next_one)
        after = {"step": step, "product": product}
        walk.move(self._moved, lambda lr: (lr * of_grad, lr * of_mean, right * self.eps), after)
        return after

    def _moved(self, t: Numbers, of_grad: Any, of_mean: Any, eps: Any) -> New:
        grad = t.pulled(self.weight_decay)
        mean = t.lerp("mean", grad, 1 - self.beta1)
        square = t.blend("square", self.beta2, grad, grad, 1 - self.beta2)
        ahead = of_grad * grad + of_mean * mean
        return {"weight": t.less_ratio("weight", ahead, t.root(square, eps)), "mean": mean, "square": square}

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.NAdam`."""
        return "NAdam", {
            "betas": (self.beta1, self.beta2),
            "eps": self.eps,
            "momentum_decay": self.momentum_decay,
            "weight_decay": self.weight_decay,
        }
