"""D-Adaptation (Defazio and Mishchenko 2023): SGD and Adam at a rate that they estimate."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.optimizers._base import Joint, Scalar, State, dot, filled, like, scalar, settle, settle_switch, total

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["dadapt_adam", "dadapt_sgd"]

UNIT = "a multiple of the rate that it estimates; 1 is its authors' advice"


@final
@dataclass(frozen=True)
class dadapt_sgd(Joint):
    """D-Adaptation of SGD: z = x0 - s and x <- momentum * x + (1 - momentum) * z, s the sum of dlr * g.

    dlr = d * lr / ||g_0||; num <- num + dlr * <g, s> before s <- s + dlr * g; d <- max(d, 2 * num / ||s||), an estimate
    of the distance from the start x0 to the solution. g_0 is the first gradient that is not 0, without the decay.

    momentum: in [0, 1); weight of the last x in the average.
    d0: the first estimate, above 0.
    weight_decay: at least 0, added to the gradient.

    `effective_lr` is dlr. Known to diverge where the curvature differs a lot between directions.

    Raises InputError for numbers outside these ranges.

    >>> str(dadapt_sgd())
    'dadapt_sgd'

    Source: Defazio, Mishchenko: Learning-rate-free learning by D-adaptation (2023); as version 3.2 of the package
    dadaptation, without its `growth_rate`.
    """

    adaptive: ClassVar[bool] = False
    unit: ClassVar[str] = UNIT
    sets_rate: ClassVar[bool] = True

    momentum: float = 0.0
    d0: float = 1e-6
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="momentum", positive="d0", not_negative="weight_decay")

    def start(self, params: "dict[str, Tensor]") -> State:
        """The start and the sum of steps; the estimate, the rate at lr=1, the numerator, the first gradient's norm."""
        return {
            "d": scalar(self.d0, params),
            "used": scalar(0.0, params),
            "numerator": scalar(0.0, params),
            "first": scalar(0.0, params),
            "start": {name: weight.clone() for name, weight in params.items()},
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

        norm = total(dot(grad, grad) for grad in grads.values()).sqrt()
        first = torch.where(state["first"] > 0, state["first"], norm)
        used = torch.where(first > 0, state["d"] / torch.where(first > 0, first, 1.0), 0.0)
        if self.weight_decay:
            grads = {name: grad + self.weight_decay * params[name] for name, grad in grads.items()}
        numerator = state["numerator"] + total(
            used * lr[name] * dot(grad, state["sum"][name]) for name, grad in grads.items()
        )
        summed = {name: state["sum"][name] + like(used * lr[name], grad) * grad for name, grad in grads.items()}
        size = total(dot(one, one) for one in summed.values()).sqrt()
        known = size > 0
        found = torch.where(known, 2 * numerator / torch.where(known, size, 1.0), state["d"])
        moved = {
            name: torch.where(
                known,
                self.momentum * weight + (1 - self.momentum) * (state["start"][name] - summed[name]),
                weight,
            )
            for name, weight in params.items()
        }
        kept: State = {
            "d": torch.maximum(state["d"], found),
            "used": used,
            "numerator": numerator,
            "first": first,
            "start": state["start"],
            "sum": summed,
        }
        return moved, kept

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The estimate times lr, over the norm of the first gradient."""
        used: Any = state["used"]
        rate: Scalar = used * lr
        return rate


@final
@dataclass(frozen=True)
class dadapt_adam(Joint):
    """D-Adaptation of Adam: x <- x - m / (sqrt(v) + eps), with the rate dlr = d * lr inside m.

    With v from before the update: num' = sum of dlr * <g, s / (sqrt(v) + eps)>; m <- beta1 * m + (1 - beta1) * dlr * g;
    v <- beta2 * v + (1 - beta2) * g^2; s <- b * s + (1 - b) * dlr * g and num <- b * num + (1 - b) * num', b =
    sqrt(beta2); d <- max(d, num / ((1 - b) * ||s||_1)), an estimate of the distance from the start to the solution.

    beta1, beta2, eps: as in Adam.
    d0: the first estimate, above 0; 1e-6 is small enough for any model.
    bias_correction: Adam's, worked into dlr; off, as its authors have it.
    weight_decay: at least 0; decoupled (x <- x - dlr * weight_decay * x) where `decoupled`, else added to the gradient.
        Decoupled is the default here, as in `prodigy`; in the package it is the other.

    `effective_lr` is dlr.

    Raises InputError for numbers outside these ranges.

    >>> str(dadapt_adam(weight_decay=0.1))
    'dadapt_adam(weight_decay=0.1)'

    Source: Defazio, Mishchenko: Learning-rate-free learning by D-adaptation (2023); as version 3.2 of the package
    dadaptation, without its `growth_rate` and `layer_scale`.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = UNIT
    sets_rate: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    d0: float = 1e-6
    bias_correction: bool = False
    weight_decay: float = 0.0
    decoupled: bool = True

    def __post_init__(self) -> None:
        settle(self, shares="beta1 beta2", positive="eps d0", not_negative="weight_decay")
        settle_switch(self, "bias_correction")
        settle_switch(self, "decoupled")

    def start(self, params: "dict[str, Tensor]") -> State:
        """The moments and the weighted sum of steps; the step, the estimate, the rate at lr=1 and the numerator."""
        return {
            "step": scalar(0.0, params),
            "d": scalar(self.d0, params),
            "used": scalar(0.0, params),
            "numerator": scalar(0.0, params),
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

        step, root = state["step"] + 1, self.beta2**0.5
        corrected = (1 - self.beta2**step) ** 0.5 / (1 - self.beta1**step) if self.bias_correction else 1.0
        used = state["d"] * corrected
        if self.weight_decay and not self.decoupled:
            grads = {name: grad + self.weight_decay * params[name] for name, grad in grads.items()}
        gains, mean, square, summed = [], {}, {}, {}
        for name, grad in grads.items():
            rate = used * lr[name]
            scale = state["square"][name].sqrt() + self.eps
            gains.append(rate * dot(grad, state["sum"][name] / scale))
            mean[name] = self.beta1 * state["mean"][name] + like((1 - self.beta1) * rate, grad) * grad
            square[name] = (self.beta2 * state["square"][name]).addcmul(grad, grad, value=1 - self.beta2)
            summed[name] = root * state["sum"][name] + like((1 - root) * rate, grad) * grad
        numerator = root * state["numerator"] + (1 - root) * total(gains)
        size = total(one.abs().sum() for one in summed.values())
        known = size > 0
        found = torch.where(known, numerator / ((1 - root) * torch.where(known, size, 1.0)), state["d"])
        moved = {}
        for name, weight in params.items():
            kept = weight
            if self.weight_decay and self.decoupled:
                kept = weight - like(self.weight_decay * used * lr[name], weight) * weight
            moved[name] = kept.addcdiv(mean[name], square[name].sqrt() + self.eps, value=-1)
        new: State = {
            "step": step,
            "d": torch.maximum(state["d"], found),
            "used": used,
            "numerator": numerator,
            "mean": mean,
            "square": square,
            "sum": summed,
        }
        return moved, new

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The estimate times lr."""
        used: Any = state["used"]
        rate: Scalar = used * lr
        return rate
