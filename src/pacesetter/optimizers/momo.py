"""MoMo and MoMo-Adam (Schaipp et al. 2024): a model of the loss caps the step."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import State, Walked, settle, settle_switch
from pacesetter.optimizers._scalars import Scalar, between, is_number, maximum, minimum, quotient, root, where
from pacesetter.optimizers._walk import New, Numbers, Term, Walk

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["momo", "momo_adam"]


class _Model(Walked):
    """A model of the loss from running means: its mean f, the mean gradient d, and the mean <g, x>.

    The step along d (or along d / D) goes as far as the model says that the loss falls to its lower bound, and lr at
    most.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"loss"})
    sets_rate: ClassVar[bool] = True

    lower_bound: float
    estimate_bound: bool
    weight_decay: float

    def _settle_bound(self) -> None:
        settle_switch(self, "estimate_bound")
        bound: Any = self.lower_bound
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not abs(bound) < float("inf"):
            raise InputError(f"`lower_bound` must be a finite number, got lower_bound={bound!r}")
        object.__setattr__(self, "lower_bound", float(bound))

    def slots(self) -> Mapping[str, float | None]:
        """The mean gradient."""
        return {"mean": 0.0}

    def begin(self) -> dict[str, Any]:
        """The step, the mean loss, the mean of <g, x>, the lower bound and the last step's size."""
        return {"step": 0.0, "loss": 0.0, "inner": 0.0, "bound": self.lower_bound, "size": 0.0}

    def _told(self, extra: Any) -> Any:
        """The loss, in double precision."""
        if "loss" not in extra:
            raise InputError(
                f"`update` of `{type(self).__name__}` needs the loss, got none: call update(..., loss=loss)"
            )
        told = extra["loss"]
        return told if is_number(told) else told.double()

    def _sizes(self, walk: Walk, lane: Any, told: "tuple[Any, Any, Any, Any]", rho: Any) -> "tuple[Any, Any]":
        """The size of the step by the rate, and what of it is kept."""
        found = {id(rate): self._size(lane, told, rho, rate) for rate in walk.rates}
        # Where groups have their own rates, the first one's stand for the lane.
        size, bound = next(iter(found.values()))
        return lambda lr: (found[id(lr)][0], 1 + lr * self.weight_decay), {"bound": bound, "size": size}

    def _less(self, t: Numbers, direction: "Tensor", size: Any, more: Any) -> New:
        moved = t.less("weight", direction, size)
        return {"weight": moved / more if self.weight_decay else moved}

    def _size(self, state: Any, told: "tuple[Any, Any, Any, Any]", rho: Any, rate: Any) -> "tuple[Any, Any]":
        """(step size, lower bound) of the model: told are the mean loss, <d, x>, the mean <g, x> and ||d||^2."""
        loss, along, inner, norm = told
        more, bound = 1 + rate * self.weight_decay, state["bound"]
        if self.estimate_bound:
            cap = more * loss + along - more * inner
            reset = maximum(cap / (2 * more * rho), self.lower_bound)
            bound = where(cap < more * rho * bound, reset, bound)
        fall = maximum(more * (loss - rho * bound) + along - more * inner, 0.0)
        # A norm that is no number is not taken for one of 0: it makes NaN of the weights.
        size = where(norm > 0, minimum(quotient(fall, norm, 0.0), rate / rho), 0.0 * norm)
        if self.estimate_bound:
            bound = maximum((loss + along - inner - 0.5 * size * norm) / rho, self.lower_bound)
        return size, bound

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The size of the step along the mean gradient; none at rate 0."""
        rate: Scalar = where(lr > 0, state["size"], 0.0)
        return rate


@final
@dataclass(frozen=True)
class momo(_Model):
    """MoMo: x <- x - tau * d, tau = min(lr / rho, max(0, f - rho * lower_bound + <d, x> - c) / ||d||^2).

    d, f and c are running means of the gradient, of the loss and of <g, x>, all with `momentum`; rho is 1, and with
    `bias_correction` 1 - momentum^t. The step is as long as the model of the loss says that it falls to its lower
    bound.

    momentum: in [0, 1); memory of the means, which start at the first values.
    lower_bound: of the loss; 0 suits losses that can be fitted to nothing.
    estimate_bound: raise the bound by what is seen, for losses that end well above it.
    bias_correction: the means start at 0 and are corrected.
    weight_decay: at least 0, proximal: x is divided by 1 + lr * weight_decay after the step.

    `lr` is the cap; 1 is its authors' choice. `effective_lr` is tau. It is told the loss.

    Raises InputError for numbers outside these ranges.

    >>> str(momo(estimate_bound=True))
    'momo(estimate_bound=True)'

    Source: Schaipp, Ohana, Eickenberg, Defazio, Gower: MoMo: momentum models for adaptive learning rates (2024); as
    version 0.1.0 of the package momo-opt. optax's divides the weights by 1 + lr * weight_decay, but not the step.
    """

    adaptive: ClassVar[bool] = False
    unit: ClassVar[str] = "parameter units per unit of gradient, at most; the step is shorter where the loss says so"

    momentum: float = 0.9
    lower_bound: float = 0.0
    estimate_bound: bool = False
    bias_correction: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="momentum", not_negative="weight_decay")
        settle_switch(self, "bias_correction")
        self._settle_bound()

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The numbers of the lane after one update."""
        step, beta = lane["step"] + 1, self.momentum
        # Without a correction the means start at the first values.
        fresh = 1 - beta if self.bias_correction else where(step == 1, 1.0, 1 - beta)
        rho = 1 - beta**step if self.bias_correction else step * 0 + 1
        product, along, norm = walk.see(self._seen, lambda lr: (fresh,))
        loss = between(lane["loss"], self._told(extra), fresh)
        inner = between(lane["inner"], product, fresh)
        sizes, found = self._sizes(walk, lane, (loss, along, inner, norm), rho)
        after = {"step": step, "loss": loss, "inner": inner, **found}
        walk.move(lambda t, size, more: self._less(t, t["mean"], size, more), sizes, after)
        return after

    @staticmethod
    def _seen(t: Numbers, fresh: Any) -> "tuple[New, list[Term]]":
        weight, mean = t["weight"], t.lerp("mean", t["grad"], fresh)
        return {"mean": mean}, [(t["grad"], weight), (weight, mean), (mean, mean)]


@final
@dataclass(frozen=True)
class momo_adam(_Model):
    """MoMo-Adam: x <- x - tau * d / D, D = sqrt(v') + eps, with norms and tau of MoMo under D.

    d, f and c are running means, with beta1, of the gradient, the loss and <g, x>, from 0; v' is Adam's corrected mean
    square; rho = 1 - beta1^t. tau = min(lr / rho, max(0, f - rho * lower_bound + <d, x> - c) / <d, d / D>).

    beta1, beta2, eps: as in Adam.
    lower_bound: of the loss; 0 suits losses that can be fitted to nothing.
    estimate_bound: raise the bound by what is seen, for losses that end well above it.
    weight_decay: at least 0, proximal: x is divided by 1 + lr * weight_decay after the step.

    `lr` is the cap; its authors take 0.01. `effective_lr` is tau. It is told the loss.

    Raises InputError for numbers outside these ranges.

    >>> str(momo_adam(weight_decay=0.1))
    'momo_adam(weight_decay=0.1)'

    Source: Schaipp, Ohana, Eickenberg, Defazio, Gower: MoMo: momentum models for adaptive learning rates (2024); as
    version 0.1.0 of the package momo-opt, with its `divide`. optax's decay differs, as with `momo`.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units per step, at most; the step is shorter where the loss says so"

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    lower_bound: float = 0.0
    estimate_bound: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        settle(self, shares="beta1 beta2", positive="eps", not_negative="weight_decay")
        self._settle_bound()

    def slots(self) -> Mapping[str, float | None]:
        """That of the base, and the mean square."""
        return {**super().slots(), "square": 0.0}

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The numbers of the lane after one update."""
        step, fresh = lane["step"] + 1, 1 - self.beta1
        # d / D from the mean square as it is: right * d / (sqrt(v) + right * eps).
        right = root(1 - self.beta2**step)
        product, along, norm = walk.see(self._seen, lambda lr: (right, right * self.eps))
        loss = between(lane["loss"], self._told(extra), fresh)
        inner = between(lane["inner"], product, fresh)
        sizes, found = self._sizes(walk, lane, (loss, along, inner, norm), 1 - self.beta1**step)
        after = {"step": step, "loss": loss, "inner": inner, **found}
        walk.move(lambda t, size, more: self._less(t, t["scaled"], size, more), sizes, after)
        return after

    def _seen(self, t: Numbers, right: Any, eps: Any) -> "tuple[New, list[Term]]":
        weight, grad = t["weight"], t["grad"]
        mean = t.lerp("mean", grad, 1 - self.beta1)
        square = t.blend("square", self.beta2, grad, grad, 1 - self.beta2)
        scaled = t.over(right * mean, t.root(square, eps))
        return {"mean": mean, "square": square, "scaled": scaled}, [(grad, weight), (weight, mean), (mean, scaled)]
