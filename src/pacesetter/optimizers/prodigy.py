"""Prodigy (Mishchenko and Defazio 2024): Adam at a rate that it estimates from the distance to the solution."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.optimizers._base import Joint, Scalar, State, dot, filled, like, scalar, settle, settle_switch, total

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["prodigy"]


@final
@dataclass(frozen=True)
class prodigy(Joint):
    """Prodigy: Adam's update at the rate d * lr, with d an estimate of the distance from the start to the solution.

    With d the estimate so far, x the weights, x0 those at the start, and dlr = d * lr:
    num <- beta3 * num + (d / d0) * dlr * <g, x0 - x>; m <- beta1 * m + (1 - beta1) * d * g;
    v <- beta2 * v + (1 - beta2) * d^2 * g^2; s <- beta3 * s + (d / d0) * dlr * g; beta3 = sqrt(beta2).
    d' = max(d, d_coef * num / ||s||_1), and x <- x - dlr * weight_decay * x - dlr * m / (sqrt(v) + d' * eps).

    beta1, beta2, eps: as in Adam.
    d0: the first estimate, above 0; 1e-6 is small enough for any model. If training does not begin, try 1e-5.
    d_coef: above 0; a factor on the estimate: 0.5 or 2 to be more careful or bolder.
    bias_correction: Adam's, worked into dlr; off, as its authors have it.
    safeguard_warmup: leaves lr out of s; to be used with a warm-up.
    weight_decay: at least 0, decoupled.

    Its authors advise lr=1, with a cosine schedule or none. `effective_lr` is d * lr, as the step used it. Weights that
    share a lane share one d.

    Raises InputError for numbers outside these ranges.

    >>> str(prodigy(d0=1e-5))
    'prodigy(d0=1e-05)'

    Source: Mishchenko, Defazio: Prodigy: an expeditiously adaptive parameter-free learner (2024); as version 1.1.2 of
    the package prodigyopt, without its `growth_rate` and `slice_p`.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "a multiple of the rate that it estimates; 1 is its authors' advice"
    sets_rate: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    d0: float = 1e-6
    d_coef: float = 1.0
    bias_correction: bool = False
    safeguard_warmup: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="beta1 beta2", positive="eps d0 d_coef", not_negative="weight_decay")
        settle_switch(self, "bias_correction")
        settle_switch(self, "safeguard_warmup")

    def start(self, params: "dict[str, Tensor]") -> State:
        """The start, moments and weighted sum of gradients; the step, estimate, rate at lr=1 and numerator."""
        return {
            "step": scalar(0.0, params),
            "d": scalar(self.d0, params),
            "used": scalar(0.0, params),
            "numerator": scalar(0.0, params),
            "start": {name: weight.clone() for name, weight in params.items()},
            "mean": filled(0.0, params),
            "square": filled(0.0, params),
            "sum": filled(0.0, params),
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

        d, step, beta3 = state["d"], state["step"] + 1, self.beta2**0.5
        corrected = (1 - self.beta2**step) ** 0.5 / (1 - self.beta1**step) if self.bias_correction else 1.0
        rates = {name: d * rate * corrected for name, rate in lr.items()}
        gain = {name: d / self.d0 * rate for name, rate in rates.items()}
        numerator = beta3 * state["numerator"] + total(
            gain[name] * dot(grads[name], state["start"][name] - weight) for name, weight in params.items()
        )
        mean, square, summed = {}, {}, {}
        for name, grad in grads.items():
            mean[name] = self.beta1 * state["mean"][name] + like((1 - self.beta1) * d, grad) * grad
            square[name] = self.beta2 * state["square"][name] + like((1 - self.beta2) * d * d, grad) * grad * grad
            share = d / self.d0 * d if self.safeguard_warmup else gain[name]
            summed[name] = beta3 * state["sum"][name] + like(share, grad) * grad
        size = total(one.abs().sum() for one in summed.values())
        known = size > 0
        found = torch.where(known, self.d_coef * numerator / torch.where(known, size, 1.0), d)
        now = torch.maximum(d, found)
        moved = {}
        for name, weight in params.items():
            rate = like(rates[name], weight)
            scale = square[name].sqrt() + like(now * self.eps, weight)
            kept = weight - rate * self.weight_decay * weight if self.weight_decay else weight
            moved[name] = kept - rate * mean[name] / scale
        kept_state: State = {
            "step": step,
            "d": now,
            "used": d * corrected,
            "numerator": numerator,
            "start": state["start"],
            "mean": mean,
            "square": square,
            "sum": summed,
        }
        return moved, kept_state

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The estimate of the distance times lr."""
        used: Any = state["used"]
        rate: Scalar = used * lr
        return rate
