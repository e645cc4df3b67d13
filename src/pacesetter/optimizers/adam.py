"""Adam (Kingma and Ba 2015), with L2 regularization in the gradient."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.optimizers._base import Elementwise, settle, settle_switch
from pacesetter.optimizers._scalars import Scalar, root, where
from pacesetter.optimizers._walk import New, Numbers

__all__ = ["adam"]


@final
@dataclass(frozen=True)
class adam(Elementwise):
    """Adam: w <- w - lr * m' / (sqrt(v') + eps), with m, v running means of g and g^2.

    m <- beta1 * m + (1 - beta1) * g and v <- beta2 * v + (1 - beta2) * g^2; m' = m / (1 - beta1^t) and
    v' = v / (1 - beta2^t) undo the pull of their start at 0 (t counts updates from 1); g = dE/dw + weight_decay * w.

    beta1: memory of the mean gradient, in [0, 1); 0.9 averages over about 10 steps.
    beta2: memory of the mean square, in [0, 1); 0.999 averages over about 1,000 steps, 0.95 suits short runs.
    eps: above 0; keeps the step finite where gradients vanish.
    weight_decay: at least 0, added to the gradient, which the division then rescales; for decay proper see `adamw`.
    amsgrad: divide by the largest v so far (Reddi, Kale and Kumar 2018).
    gi_start: v starts at the first gradient's square, and is corrected all the same: the first steps are about
        sqrt(1 - beta2) as long and grow by themselves, a warm-up of its own (Kalra and Barkeshli 2024).

    Raises InputError for numbers outside these ranges.

    >>> str(adam(beta2=0.95))
    'adam(beta2=0.95)'

    Source: Kingma, Ba: Adam: a method for stochastic optimization (2015). The defaults are the paper's and torch's.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units per step, for a weight whose gradient keeps its sign and size"
    counts_steps: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    amsgrad: bool = False
    gi_start: bool = False

    def __post_init__(self) -> None:
        settle(self, shares="beta1 beta2", positive="eps", not_negative="weight_decay")
        settle_switch(self, "amsgrad")
        settle_switch(self, "gi_start")

    def slots(self) -> dict[str, float]:
        """The running means of the gradient and of its square; the largest of these, if it is asked for."""
        return {"mean": 0.0, "square": 0.0} | ({"largest": 0.0} if self.amsgrad else {})

    def coefficients(self, lr: Scalar, step: Scalar) -> tuple[Scalar, ...]:
        """The step size and the eps in force, with the bias corrections worked in; the share of the new square."""
        found = corrected(lr, step, self.beta1, self.beta2, self.eps)
        if not self.gi_start:
            return found
        return (*found, where(step == 1, 1.0, 1 - self.beta2))

    def move(self, t: Numbers, *coefficients: Scalar) -> New:
        """The numbers of one tensor after the update."""
        size, eps = coefficients[:2]
        grad = t.pulled(self.weight_decay)
        new = {"mean": t.lerp("mean", grad, 1 - self.beta1)}
        if self.gi_start:
            new["square"] = t.lerp("square", grad * grad, coefficients[2])
        else:
            new["square"] = t.blend("square", self.beta2, grad, grad, 1 - self.beta2)
        spread = new["square"]
        if self.amsgrad:
            new["largest"] = spread = t["largest"].maximum(spread)
        new["weight"] = t.less_ratio("weight", new["mean"], t.root(spread, eps), size)
        return new

    def torch_optimizer(self) -> tuple[str, dict[str, Any]] | None:
        """`torch.optim.Adam`; torch has no other start."""
        if self.gi_start:
            return None
        settings = {"betas": (self.beta1, self.beta2), "eps": self.eps, "weight_decay": self.weight_decay}
        return "Adam", settings | ({"amsgrad": True} if self.amsgrad else {})


def corrected(lr: Scalar, step: Scalar, beta1: float, beta2: float, eps: float) -> tuple[Scalar, Scalar]:
    """Adam's bias corrections, as scalars: the step size and the eps that give the same update without any on tensors.

    lr * (m / a) / (sqrt(v / b) + eps) = (lr * sqrt(b) / a) * m / (sqrt(v) + eps * sqrt(b)),
    with a = 1 - beta1^t and b = 1 - beta2^t.
    """
    right = root(1 - beta2**step)
    return lr * right / (1 - beta1**step), eps * right
