"""LAMB (You et al. 2020): Adam's step, as long as the weights of its tensor say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.optimizers._base import Walked, settle
from pacesetter.optimizers._scalars import Scalar, quotient, root, where
from pacesetter.optimizers._walk import New, Numbers, Term, Walk
from pacesetter.optimizers.adam import corrected

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["lamb", "trust"]


@final
@dataclass(frozen=True)
class lamb(Walked):
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

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-6
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="beta1 beta2", positive="eps", not_negative="weight_decay")

    def slots(self) -> Mapping[str, float | None]:
        """The running means of the gradient and of its square."""
        return {"mean": 0.0, "square": 0.0}

    def begin(self) -> dict[str, Any]:
        """The step."""
        return {"step": 0.0}

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The step after one update."""
        after = {"step": lane["step"] + 1}
        # The size and eps of Adam's step with the bias corrections worked in.
        size, eps = corrected(1.0, after["step"], self.beta1, self.beta2, self.eps)
        # The step is seen without its size, which goes into the rate.
        weights, steps = walk.see(self._seen, lambda lr: (eps, self.weight_decay / size), each=True)
        rate = size * trust(weights, size * size * steps)
        walk.move(lambda t, rate: {"weight": t.less("weight", t["step"], rate)}, lambda lr: (lr * rate,), after)
        return after

    def _seen(self, t: Numbers, eps: Any, pull: Any) -> "tuple[New, list[Term]]":
        weight, grad = t["weight"], t["grad"]
        mean = t.lerp("mean", grad, 1 - self.beta1)
        square = t.blend("square", self.beta2, grad, grad, 1 - self.beta2)
        step = t.over(mean, t.root(square, eps))
        if self.weight_decay:
            step = t.with_weight(step, pull)
        return {"mean": mean, "square": square, "step": step}, [(weight, weight), (step, step)]


def trust(weights: "Tensor", steps: "Tensor", coefficient: float = 1.0) -> "Tensor":
    """The `coefficient` times ||weight|| / ||step|| from their squares, and 1 where either is 0."""
    ratio = coefficient * root(quotient(weights, steps, 0.0))
    kept: Tensor = where(ratio > 0, ratio, 1.0)
    return kept
