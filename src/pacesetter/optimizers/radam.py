"""RAdam (Liu et al. 2020): Adam that waits until its mean square can be trusted."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.optimizers._base import Elementwise, settle
from pacesetter.optimizers._scalars import Scalar, root, where
from pacesetter.optimizers._walk import New, Numbers

__all__ = ["radam"]

ENOUGH = 5.0
"""Length of the average from which on the mean square is used."""


@final
@dataclass(frozen=True)
class radam(Elementwise):
    """RAdam: w <- w - lr * r_t * m' / (sqrt(v) / sqrt(1 - beta2^t) + eps') once the average of squares is long enough.

    Its length is rho_t = rho - 2 * t * beta2^t / (1 - beta2^t), rho = 2 / (1 - beta2) - 1; up to 5 the step is lr * m',
    without a division. r_t = sqrt((rho_t - 4) * (rho_t - 2) * rho / ((rho - 4) * (rho - 2) * rho_t)); m' and v as in
    Adam, eps' as torch has it, beside the uncorrected root; g = dE/dw + weight_decay * w.

    beta1, beta2, eps: as in Adam; beta2 above 0.8 at least, or the average never is long enough.
    weight_decay: at least 0, added to the gradient.

    Raises InputError for numbers outside these ranges.

    >>> str(radam())
    'radam'

    Source: Liu et al.: On the variance of the adaptive learning rate and beyond (2020). The defaults are torch's.
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
        """The running means of the gradient and of its square."""
        return {"mean": 0.0, "square": 0.0}

    def coefficients(self, lr: Scalar, step: Scalar) -> tuple[Scalar, ...]:
        """The size of a plain step, that of a divided one (0 while the average is short), and which of them is made."""
        plain = lr / (1 - self.beta1**step)
        rho = 2 / (1 - self.beta2) - 1
        if rho <= ENOUGH:
            return plain, 0.0  # never long enough, and the formula below has its poles here
        short = 1 - self.beta2**step
        length = rho - 2 * step * self.beta2**step / short
        trusted = length > ENOUGH
        safe = where(trusted, length, rho + ENOUGH)
        rect = root(abs(((safe - 4) * (safe - 2) * rho) / ((rho - 4) * (rho - 2) * safe)))
        share = where(trusted, 1.0, 0.0)
        return plain * (1 - share), plain * share * rect * root(short)

    def move(self, t: Numbers, *coefficients: Scalar) -> New:
        """The numbers of one tensor after the update."""
        plain, divided = coefficients
        grad = t.pulled(self.weight_decay)
        mean = t.lerp("mean", grad, 1 - self.beta1)
        square = t.blend("square", self.beta2, grad, grad, 1 - self.beta2)
        step = plain * mean + t.over(divided * mean, t.root(square, self.eps))
        return {"weight": t["weight"] - step, "mean": mean, "square": square}

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.RAdam`."""
        return "RAdam", {"betas": (self.beta1, self.beta2), "eps": self.eps, "weight_decay": self.weight_decay}
