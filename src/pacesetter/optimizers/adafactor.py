"""Adafactor (Shazeer and Stern 2018): the mean square of a matrix from its rows and columns alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Walked, settle
from pacesetter.optimizers._scalars import Scalar, minimum
from pacesetter.optimizers._walk import New, Numbers, Walk, cast

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["adafactor"]


@final
@dataclass(frozen=True)
class adafactor(Walked):
    """Adafactor: w <- w - a * u / max(1, rms(u) / clip), u = g / sqrt(v), a = max(eps, rms(w)) * min(lr, 1 / sqrt(t)).

    v is a mean of g^2 with memory 1 - t^beta2_decay. Of a tensor with two axes or more only the means over its last and
    over its second to last axis are kept, R and C, and v = R C / mean(R): memory for one number per row and column.

    beta2_decay: at most 0; -0.8 is the paper's: the longer the run, the longer the memory.
    eps: above 0; the least size of weights that steps are a share of.
    clip: from 1; the largest root mean square of a step before the rate.
    weight_decay: at least 0, decoupled, at rate lr.

    Raises InputError for numbers outside these ranges.

    >>> str(adafactor())
    'adafactor'

    Source: Shazeer, Stern: Adafactor: adaptive learning rates with sublinear memory cost (2018); as
    `torch.optim.Adafactor` of version 2.13 has it.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "the share of a tensor's root mean square by which its weights move, at most 1 / sqrt(t)"

    beta2_decay: float = -0.8
    eps: float = 1e-3
    clip: float = 1.0
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, positive="eps clip", not_negative="weight_decay")
        if self.clip < 1:
            raise InputError(f"`clip` of `adafactor` must be at least 1, got clip={self.clip!r}")
        decay: Any = self.beta2_decay
        if isinstance(decay, bool) or not isinstance(decay, int | float) or not -float("inf") < decay <= 0:
            raise InputError(f"`beta2_decay` must be a finite number of at most 0, got beta2_decay={decay!r}")
        object.__setattr__(self, "beta2_decay", float(decay))

    def begin(self) -> dict[str, Any]:
        """The step."""
        return {"step": 0.0}

    def kept(self, weight: "Tensor") -> "dict[str, Tensor]":
        """Mean squares of rows and columns, of all numbers where there is one axis or none."""
        if weight.dim() <= 1:
            return {"square": weight.new_zeros(weight.shape)}
        rows, columns = (*weight.shape[:-1], 1), (*weight.shape[:-2], 1, weight.shape[-1])
        return {"rows": weight.new_zeros(rows), "columns": weight.new_zeros(columns)}

    def whole(self, weight: "Tensor") -> bool:
        """All tensors."""
        return True

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The step after one update."""
        step = lane["step"] + 1

        def coefficients(lr: Any) -> tuple[Any, ...]:
            return lr, minimum(lr, step**-0.5), step**self.beta2_decay

        walk.move(self._moved, coefficients, {"step": step})
        return {"step": step}

    def _moved(self, t: Numbers, lr: Any, rate: Any, fresh: Any) -> New:
        import torch

        weight, grad = t["weight"], t["grad"]
        tiny = torch.finfo(weight.dtype).eps
        new: New = {}
        if grad.dim() > 1:
            new["rows"] = rows = t["rows"].lerp((grad * grad).mean(-1, keepdim=True), fresh)
            new["columns"] = t["columns"].lerp((grad * grad).mean(-2, keepdim=True), fresh)
            square = (rows @ new["columns"]) / rows.mean(-2, keepdim=True).clamp(min=tiny)
        else:
            new["square"] = square = t["square"].lerp(grad * grad, fresh)
        update = square.clamp(min=tiny * tiny).rsqrt() * grad
        root = weight.numel() ** 0.5
        size = torch.clamp(torch.linalg.vector_norm(weight).double() / root, min=self.eps) * rate
        clipped = torch.clamp(torch.linalg.vector_norm(update).double() / (root * self.clip), min=1.0)
        kept = weight - lr * self.weight_decay * weight if self.weight_decay else weight
        return {"weight": kept - cast(size / clipped, weight.dtype) * update, **new}

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.Adafactor`."""
        return "Adafactor", {
            "beta2_decay": self.beta2_decay,
            "eps": (None, self.eps),
            "d": self.clip,
            "weight_decay": self.weight_decay,
        }
