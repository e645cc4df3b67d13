"""Adafactor (Shazeer and Stern 2018): the mean square of a matrix from its rows and columns alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Joint, Scalar, State, like, scalar, settle

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["adafactor"]


@final
@dataclass(frozen=True)
class adafactor(Joint):
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

    def start(self, params: "dict[str, Tensor]") -> State:
        """Mean squares of rows and columns, of all numbers where there is one axis or none, and the step."""
        factored = {name: w for name, w in params.items() if w.dim() > 1}
        return {
            "step": scalar(0.0, params),
            "rows": {name: w.new_zeros((*w.shape[:-1], 1)) for name, w in factored.items()},
            "columns": {name: w.new_zeros((*w.shape[:-2], 1, w.shape[-1])) for name, w in factored.items()},
            "square": {name: w.new_zeros(w.shape) for name, w in params.items() if w.dim() <= 1},
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
        import torch

        step = state["step"] + 1
        new: dict[str, dict[str, Tensor]] = {"rows": {}, "columns": {}, "square": {}}
        moved = {}
        for name, weight in params.items():
            grad, tiny = grads[name], torch.finfo(weight.dtype).eps
            fresh = like(step**self.beta2_decay, weight)
            if grad.dim() > 1:
                rows = state["rows"][name].lerp((grad * grad).mean(-1, keepdim=True), fresh)
                columns = state["columns"][name].lerp((grad * grad).mean(-2, keepdim=True), fresh)
                square = (rows @ columns) / rows.mean(-2, keepdim=True).clamp(min=tiny)
                new["rows"][name], new["columns"][name] = rows, columns
            else:
                square = new["square"][name] = state["square"][name].lerp(grad * grad, fresh)
            update = square.clamp(min=tiny * tiny).rsqrt() * grad
            root = weight.numel() ** 0.5
            rate = torch.minimum(torch.as_tensor(lr[name], dtype=torch.float64), step**-0.5)
            size = torch.clamp(torch.linalg.vector_norm(weight).double() / root, min=self.eps) * rate
            clipped = torch.clamp(torch.linalg.vector_norm(update).double() / (root * self.clip), min=1.0)
            kept = weight - like(lr[name], weight) * self.weight_decay * weight if self.weight_decay else weight
            moved[name] = kept - like(size / clipped, weight) * update
        kept_state: State = {"step": step, **new}
        return moved, kept_state

    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """`torch.optim.Adafactor`."""
        return "Adafactor", {
            "beta2_decay": self.beta2_decay,
            "eps": (None, self.eps),
            "d": self.clip,
            "weight_decay": self.weight_decay,
        }
