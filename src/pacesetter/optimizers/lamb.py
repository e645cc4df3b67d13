"""LAMB (You et al. 2020): Adam's step, as long as the weights of its tensor say."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

from pacesetter.optimizers._base import Elementwise, Scalar, settle
from pacesetter.optimizers.adam import corrected

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["lamb", "trust"]


@final
@dataclass(frozen=True)
class lamb(Elementwise):
    """LAMB: w <- w - lr * ||w|| / ||u|| * u, with u = m' / (sqrt(v') + eps) + weight_decay * w, for each tensor.

    m' and v' as in Adam. Where ||w|| or ||u|| is 0 the ratio is 1.

    beta1, beta2: as in Adam.
    eps: above 0; 1e-6 by default, as in the paper.
    weight_decay: at least 0, within the step whose length is set.

    Made for very large batches.

    Raises InputError for numbers outside these ranges.

    >>> str(lamb(weight_decay=0.01))
    'lamb(weight_decay=0.01)'

    Source: You et al.: Large batch optimization for deep learning: training BERT in 76 minutes (2020); as optax has it,
    without a cap on the ratio.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "the share of its own length by which a tensor of weights moves at each step"
    counts_steps: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-6
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="beta1 beta2", positive="eps", not_negative="weight_decay")

    def slots(self) -> dict[str, float]:
        """The running means of the gradient and of its square."""
        return {"mean": 0.0, "square": 0.0}

    def coefficients(self, lr: Scalar, step: Scalar) -> tuple[Scalar, ...]:
        """The rate, and the size and eps of Adam's step with the bias corrections worked in."""
        return lr, *corrected(1.0, step, self.beta1, self.beta2, self.eps)

    def move(
        self, weight: "Tensor", grad: "Tensor", slots: "tuple[Tensor, ...]", *coefficients: Scalar
    ) -> "tuple[Tensor, tuple[Tensor, ...]]":
        """One tensor after the update."""
        lr, size, eps = coefficients
        mean = slots[0].lerp(grad, 1 - self.beta1)
        square = (slots[1] * self.beta2).addcmul(grad, grad, value=1 - self.beta2)
        step = size * mean / (square.sqrt() + eps)
        if self.weight_decay:
            step = step.add(weight, alpha=self.weight_decay)
        return weight - lr * trust(weight, step) * step, (mean, square)


def trust(weight: "Tensor", step: "Tensor", coefficient: float = 1.0) -> "Tensor":
    """The `coefficient` times ||weight|| / ||step||, and 1 where either norm is 0."""
    import torch

    size, length = torch.linalg.vector_norm(weight), torch.linalg.vector_norm(step)
    known = (size > 0) & (length > 0)
    return torch.where(known, coefficient * size / torch.where(known, length, 1.0), 1.0)
