"""NAdam (Dozat 2016): Adam with Nesterov's look ahead."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.optimizers._base import Joint, Scalar, State, filled, like, scalar, settle

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["nadam"]


@final
@dataclass(frozen=True)
class nadam(Joint):
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

    def start(self, params: "dict[str, Tensor]") -> State:
        """The moments; the step, and the product of momenta."""
        return {
            "step": scalar(0.0, params),
            "product": scalar(1.0, params),
            "mean": filled(0.0, params),
            "square": filled(0.0, params),
        }

    def advance(
        self,
        grads: "dict[str, Tensor]",
        state: Any,
        params: "dict[str, Tensor]",
        lr: "dict[str, Scalar]",
        **extra: Scalar,
    ) -> "tuple[dict[str, Tensor], State]":
        """All weights after one update."""
        step = state["step"] + 1
        now, after = (self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay)) for t in (step, step + 1))
        product = state["product"] * now
        of_grad, of_mean = (1 - now) / (1 - product), after / (1 - product * after)
        moved, mean, square = {}, {}, {}
        for name, weight in params.items():
            grad = grads[name] + self.weight_decay * weight if self.weight_decay else grads[name]
            mean[name] = state["mean"][name].lerp(grad, 1 - self.beta1)
            square[name] = (state["square"][name] * self.beta2).addcmul(grad, grad, value=1 - self.beta2)
            scale = (square[name] / like(1 - self.beta2**step, weight)).sqrt() + self.eps
            ahead = like(of_grad, weight) * grad + like(of_mean, weight) * mean[name]
            moved[name] = weight - like(lr[name], weight) * ahead / scale
        return moved, {"step": step, "product": product, "mean": mean, "square": square}

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.NAdam`."""
        return "NAdam", {
            "betas": (self.beta1, self.beta2),
            "eps": self.eps,
            "momentum_decay": self.momentum_decay,
            "weight_decay": self.weight_decay,
        }
