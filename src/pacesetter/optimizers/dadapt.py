"""D-Adaptation (Defazio and Mishchenko 2023): SGD and Adam at a rate that they estimate."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.optimizers._base import State, Walked, settle, settle_switch
from pacesetter.optimizers._scalars import Scalar, maximum, quotient, root, where
from pacesetter.optimizers._walk import New, Numbers, Term, Walk

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["dadapt_adam", "dadapt_sgd"]

UNIT = "a multiple of the rate that it estimates; 1 is its authors' advice"


@final
@dataclass(frozen=True)
class dadapt_sgd(Walked):
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

    def slots(self) -> Mapping[str, float | None]:
        """The start and the sum of steps."""
        return {"start": None, "sum": 0.0}

    def begin(self) -> dict[str, Any]:
        """The estimate, the rate at lr=1, the numerator, the first gradient's norm."""
        return {"d": self.d0, "used": 0.0, "numerator": 0.0, "first": 0.0}

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The numbers of the lane after one update."""
        (squares,) = walk.see(lambda t: ({}, [(t["grad"], t["grad"])]))
        first = where(lane["first"] > 0, lane["first"], root(squares))
        used = quotient(lane["d"], first, 0.0)
        if self.weight_decay:
            walk.regrade(lambda t: t["grad"].add(t["weight"], alpha=self.weight_decay))
        gains, squares = walk.see(self._seen, lambda lr: (used * lr,), counts=lambda lr: (used * lr, 1.0))
        numerator = lane["numerator"] + gains
        found = quotient(2 * numerator, root(squares), lane["d"])
        after = {"d": maximum(lane["d"], found), "used": used, "numerator": numerator, "first": first}
        share = where(squares > 0, 1 - self.momentum, 0.0)
        walk.move(
            lambda t, share: {"weight": t.lerp("weight", t["start"] - t["sum"], share)}, lambda lr: (share,), after
        )
        return after

    @staticmethod
    def _seen(t: Numbers, rate: Any) -> "tuple[New, list[Term]]":
        summed = t.apart().less("sum", t["grad"], -rate)  # the old is asked for after it
        return {"sum": summed}, [(t["grad"], t["sum"]), (summed, summed)]

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The estimate times lr, over the norm of the first gradient."""
        used: Any = state["used"]
        rate: Scalar = used * lr
        return rate


@final
@dataclass(frozen=True)
class dadapt_adam(Walked):
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

    def slots(self) -> Mapping[str, float | None]:
        """The moments and the weighted sum of steps."""
        return {"mean": 0.0, "square": 0.0, "sum": 0.0}

    def begin(self) -> dict[str, Any]:
        """The step, the estimate, the rate at lr=1 and the numerator."""
        return {"step": 0.0, "d": self.d0, "used": 0.0, "numerator": 0.0}

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The numbers of the lane after one update."""
        step, memory = lane["step"] + 1, self.beta2**0.5
        corrected = root(1 - self.beta2**step) / (1 - self.beta1**step) if self.bias_correction else 1.0
        used = lane["d"] * corrected
        if self.weight_decay and not self.decoupled:
            walk.regrade(lambda t: t["grad"].add(t["weight"], alpha=self.weight_decay))
        gains, size = walk.see(
            self._seen,
            lambda lr: ((1 - self.beta1) * used * lr, (1 - memory) * used * lr),
            counts=lambda lr: (used * lr, 1.0),
        )
        numerator = memory * lane["numerator"] + (1 - memory) * gains
        found = quotient(numerator, (1 - memory) * size, lane["d"])
        after = {"step": step, "d": maximum(lane["d"], found), "used": used, "numerator": numerator}
        walk.move(self._moved, lambda lr: (1 - self.weight_decay * used * lr,), after)
        return after

    def _seen(self, t: Numbers, fresh: Any, share: Any) -> "tuple[New, list[Term]]":
        grad, step = t["grad"], t.over(t["sum"], t.root(t["square"], self.eps))
        new = {
            "mean": t.blend("mean", self.beta1, grad, fresh),
            "square": t.blend("square", self.beta2, grad, grad, 1 - self.beta2),
            "sum": t.blend("sum", self.beta2**0.5, grad, share),
        }
        return new, [(grad, step), new["sum"]]

    def _moved(self, t: Numbers, stays: Any) -> New:
        if self.weight_decay and self.decoupled:
            t = t.having(weight=t.scaled("weight", stays))
        return {"weight": t.less_ratio("weight", t["mean"], t.root(t["square"], self.eps))}

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The estimate times lr."""
        used: Any = state["used"]
        rate: Scalar = used * lr
        return rate
