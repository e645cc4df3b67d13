"""Prodigy (Mishchenko and Defazio 2024): Adam at a rate that it estimates from the distance to the solution."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.optimizers._base import State, Walked, settle, settle_switch
from pacesetter.optimizers._scalars import Scalar, maximum, quotient, root
from pacesetter.optimizers._walk import New, Numbers, Term, Walk

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["prodigy"]


@final
@dataclass(frozen=True)
class prodigy(Walked):
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

    def slots(self) -> Mapping[str, float | None]:
        """The start, the moments and the weighted sum of gradients."""
        return {"start": None, "mean": 0.0, "square": 0.0, "sum": 0.0}

    def begin(self) -> dict[str, Any]:
        """The step, the estimate, the rate at lr=1 and the numerator."""
        return {"step": 0.0, "d": self.d0, "used": 0.0, "numerator": 0.0}

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The numbers of the lane after one update."""
        d, step, beta3 = lane["d"], lane["step"] + 1, self.beta2**0.5
        used = d * self._corrected(step)
        more = d / self.d0
        gains, size = walk.see(
            self._seen,
            lambda lr: (
                (1 - self.beta1) * d,
                (1 - self.beta2) * d * d,
                more * (d if self.safeguard_warmup else used * lr),
            ),
            counts=lambda lr: (more * used * lr, 1.0),
        )
        numerator = beta3 * lane["numerator"] + gains
        now = maximum(d, quotient(self.d_coef * numerator, size, d))
        after = {"step": step, "d": now, "used": used, "numerator": numerator}
        walk.move(self._moved, lambda lr: (used * lr, 1 - used * lr * self.weight_decay, now * self.eps), after)
        return after

    def _seen(self, t: Numbers, fresh: Any, squared: Any, share: Any) -> "tuple[New, list[Term]]":
        grad = t["grad"]
        new = {
            "mean": t.blend("mean", self.beta1, grad, fresh),
            "square": t.blend("square", self.beta2, grad * squared, grad),
            "sum": t.blend("sum", self.beta2**0.5, grad, share),
        }
        return new, [(grad, t["start"] - t["weight"]), new["sum"]]

    def _moved(self, t: Numbers, rate: Any, stays: Any, eps: Any) -> New:
        if self.weight_decay:
            t = t.having(weight=t.scaled("weight", stays))
        return {"weight": t.less_ratio("weight", t["mean"], t.root(t["square"], eps), rate)}

    def _corrected(self, step: Any) -> Any:
        return root(1 - self.beta2**step) / (1 - self.beta1**step) if self.bias_correction else 1.0

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The estimate of the distance times lr."""
        used: Any = state["used"]
        rate: Scalar = used * lr
        return rate
