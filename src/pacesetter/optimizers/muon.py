"""Muon (Jordan 2024): momentum made orthogonal for matrices, AdamW for everything else."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Joint, Scalar, State, filled, like, scalar, settle, settle_switch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["muon", "orthogonal"]

COEFFICIENTS = (3.4445, -4.775, 2.0315)
"""Of the quintic iteration, chosen for the steepest slope at 0 (Jordan 2024)."""
ROUNDS = 5
TINY = 1e-7


@final
@dataclass(frozen=True)
class muon(Joint):
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

    def start(self, params: "dict[str, Tensor]") -> State:
        """The mean gradient of all; of what is no matrix the mean square too; the step."""
        rest = {name: weight for name, weight in params.items() if weight.dim() != 2}
        return {"step": scalar(0.0, params), "mean": filled(0.0, params), "square": filled(0.0, rest)}

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
        moved, mean, square = {}, {}, {}
        for name, weight in params.items():
            grad, rate = grads[name], like(lr[name], weight)
            kept = weight - rate * self.weight_decay * weight if self.weight_decay else weight
            if weight.dim() == 2:
                mean[name] = state["mean"][name].lerp(grad, 1 - self.momentum)
                ahead = grad.lerp(mean[name], self.momentum) if self.nesterov else mean[name]
                moved[name] = kept - rate * self._size(*weight.shape) * orthogonal(ahead)
                continue
            mean[name] = state["mean"][name].lerp(grad, 1 - self.beta1)
            square[name] = (state["square"][name] * self.beta2).addcmul(grad, grad, value=1 - self.beta2)
            scale = (square[name] / like(1 - self.beta2**step, weight)).sqrt() + self.eps
            moved[name] = kept - rate * (mean[name] / like(1 - self.beta1**step, weight)) / scale
        return moved, {"step": step, "mean": mean, "square": square}

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
        found = first * found + (second * gram + third * (gram @ gram)) @ found
    return found.T if tall else found
