"""Muon (Jordan 2024): momentum made orthogonal for matrices, AdamW for everything else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Walked, settle, settle_switch
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._walk import New, Numbers, Walk
from pacesetter.optimizers.adam import corrected

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["muon", "orthogonal"]

COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the quintic iteration, chosen for the steepest slope at 0 (Jordan 2024)."""
ROUNDS = 5
TINY = 1e-7


@final
@dataclass(frozen=True)
class muon(Walked):
    """Muon: matrices move by w <- (1 - lr * weight_decay) * w - lr * c * O(u), O(u) nearly the nearest orthogonal one.

    m <- momentum * m + (1 - momentum) * g, u = momentum * m + (1 - momentum) * g (with `nesterov`) or m; O is five
    rounds of a Newton-Schulz iteration. What is no matrix (biases, norms, kernels of convolutions) is moved by AdamW at
    the same rate.

    momentum: in [0, 1).
    nesterov: look ahead by one gradient.
    adjust: c for an A x B matrix: "match_rms_adamw" is 0.2 * sqrt(max(A, B)), with which steps are as long as AdamW's
        and one rate serves both; "original" is sqrt(max(1, A / B)).
    weight_decay: at least 0, decoupled, of matrices and the rest; 0.1 by default, as in torch.
    beta1, beta2, eps: of AdamW.

    Embeddings and heads are matrices too, and are orthogonalized like any other: give them to another optimizer if that
    is not meant. The iteration is in the precision of the weights; torch's, which it agrees with otherwise, is in
    bfloat16.

    Raises InputError for numbers outside these ranges.

    >>> str(muon(weight_decay=0))
    'muon(weight_decay=0.0)'

    Source: Jordan: Muon: an optimizer for hidden layers in neural networks (2024); Liu et al.: Muon is scalable for LLM
    training (2025), for matching AdamW.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units per step, as in AdamW; with adjust=original, of the orthogonal step"

    momentum: float = 0.95
    nesterov: bool = True
    adjust: Literal["match_rms_adamw", "original"] = "match_rms_adamw"
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        settle(self, shares="momentum beta1 beta2", positive="eps", not_negative="weight_decay")
        settle_switch(self, "nesterov")
        if self.adjust not in ("match_rms_adamw", "original"):
            raise InputError(f"`adjust` must be match_rms_adamw or original, got adjust={self.adjust!r}")

    def slots(self) -> Mapping[str, float | None]:
        """The mean gradient; of what is no matrix the mean square too."""
        return {"mean": 0.0, "square": 0.0}

    def begin(self) -> dict[str, Any]:
        """The step."""
        return {"step": 0.0}

    def kept(self, weight: "Tensor") -> "dict[str, Tensor]":
        """A matrix has no mean square."""
        return {slot: value for slot, value in super().kept(weight).items() if slot == "mean" or weight.dim() != 2}

    def whole(self, weight: "Tensor") -> bool:
        """Matrices."""
        return weight.dim() == 2

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The step after one update."""
        after = {"step": lane["step"] + 1}
        size, eps = corrected(1.0, after["step"], self.beta1, self.beta2, self.eps)
        walk.move(self._moved, lambda lr: (lr, 1 - lr * self.weight_decay, lr * size, eps), after)
        return after

    def _moved(self, t: Numbers, rate: Any, stays: Any, size: Any, eps: Any) -> New:
        grad, shape = t["grad"], t["weight"].shape
        if self.weight_decay:
            t = t.having(weight=t.scaled("weight", stays))
        if len(shape) == 2:
            mean = t.lerp("mean", grad, 1 - self.momentum)
            ahead = grad.lerp(mean, self.momentum) if self.nesterov else mean
            return {"weight": t.less("weight", orthogonal(ahead), rate * self._size(*shape)), "mean": mean}
        mean = t.lerp("mean", grad, 1 - self.beta1)
        square = t.blend("square", self.beta2, grad, grad, 1 - self.beta2)
        return {"weight": t.less_ratio("weight", mean, t.root(square, eps), size), "mean": mean, "square": square}

    def _size(self, rows: int, columns: int) -> float:
        if self.adjust == "original":
            return float(max(1.0, rows / columns) ** 0.5)
        return float(0.2 * max(rows, columns) ** 0.5)


def orthogonal(matrix: "Tensor") -> "Tensor":
    """Five rounds of Newton and Schulz: the singular values of the outcome lie between about 0.7 and 1.2."""
    import torch

    first, second, third = COEFFICIENTS
    tall = matrix.shape[0] > matrix.shape[1]
    found: Tensor = matrix.T if tall else matrix
    found = found / torch.linalg.vector_norm(found).clamp(min=TINY)
    for _ in range(ROUNDS):
        gram = found @ found.T
        found = torch.addmm(found, torch.addmm(gram, gram, gram, beta=second, alpha=third), found, beta=first)
    return found.T if tall else found
