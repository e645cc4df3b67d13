"""MoMo and MoMo-Adam (Schaipp et al. 2024): a model of the loss caps the step."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Joint, Scalar, State, dot, filled, like, scalar, settle, settle_switch, total

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["momo", "momo_adam"]


class _Model(Joint):
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

    def start(self, params: "dict[str, Tensor]") -> State:
        """The mean gradient; the step, the mean loss, the mean of <g, x>, the lower bound and the last step's size."""
        return {
            "step": scalar(0.0, params),
            "loss": scalar(0.0, params),
            "inner": scalar(0.0, params),
            "mean": filled(0.0, params),
            "bound": scalar(self.lower_bound, params),
            "size": scalar(0.0, params),
        }

    def _told(self, extra: Any) -> "Tensor":
        """The loss, in double precision."""
        import torch

        if "loss" not in extra:
            raise InputError(
                f"`update` of `{type(self).__name__}` needs the loss, got none: call update(..., loss=loss)"
            )
        return torch.as_tensor(extra["loss"]).double()

    def _moved(
        self,
        params: "dict[str, Tensor]",
        directions: "dict[str, Tensor]",
        state: Any,
        told: "tuple[Any, Any, Any, Any]",
        rho: Any,
        lr: "dict[str, Scalar]",
    ) -> "tuple[dict[str, Tensor], State]":
        """All weights after their steps; the size of the step and the lower bound."""
        # Worked out once for all tensors of one rate.
        found = {id(rate): self._size(state, told, rho, rate) for rate in {id(r): r for r in lr.values()}.values()}
        moved = {}
        for name, weight in params.items():
            size, _ = found[id(lr[name])]
            moved[name] = weight - like(size, weight) * directions[name]
            if self.weight_decay:
                moved[name] = moved[name] / (1 + like(lr[name], weight) * self.weight_decay)
        # Where groups have their own rates, the first one's stand for the lane.
        size, bound = next(iter(found.values()))
        return moved, {"bound": bound, "size": size}

    def _size(self, state: Any, told: "tuple[Any, Any, Any, Any]", rho: Any, rate: Any) -> "tuple[Any, Any]":
        """(step size, lower bound) of the model: told are the mean loss, <d, x>, the mean <g, x> and ||d||^2."""
        import torch

        loss, along, inner, norm = told
        more, bound = 1 + rate * self.weight_decay, state["bound"]
        if self.estimate_bound:
            cap = more * loss + along - more * inner
            reset = torch.clamp(cap / (2 * more * rho), min=self.lower_bound)
            bound = torch.where(cap < more * rho * bound, reset, bound)
        fall = torch.clamp(more * (loss - rho * bound) + along - more * inner, min=0.0)
        most = rate / rho
        size = torch.where(norm > 0, torch.clamp(fall / torch.where(norm > 0, norm, 1.0), max=most), 0.0 * norm)
        if self.estimate_bound:
            bound = torch.clamp((loss + along - inner - 0.5 * size * norm) / rho, min=self.lower_bound)
        return size, bound

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The size of the step along the mean gradient; none at rate 0."""
        import torch

        size: Any = state["size"]
        rate: Scalar = torch.where(torch.as_tensor(lr, device=size.device) > 0, size, 0.0)
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

        step, beta = state["step"] + 1, self.momentum
        rho = 1 - beta**step if self.bias_correction else step * 0 + 1
        told = self._told(extra)
        product = total(dot(grads[name], params[name]) for name in params)

        def mean_of(old: Any, now: Any) -> Any:
            # Without a correction the means start at the first values.
            old = old if self.bias_correction else torch.where(step == 1, now, old)
            return beta * old + (1 - beta) * now

        loss, inner = mean_of(state["loss"], told), mean_of(state["inner"], product)
        mean = {name: mean_of(state["mean"][name], grad) for name, grad in grads.items()}
        along = total(dot(params[name], mean[name]) for name in params)
        norm = total(dot(one, one) for one in mean.values())
        moved, found = self._moved(params, mean, state, (loss, along, inner, norm), rho, lr)
        kept: State = {
            "step": step,
            "loss": loss,
            "inner": inner,
            "mean": mean,
        }
        return moved, kept | found


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

    def start(self, params: "dict[str, Tensor]") -> State:
        """That of the base, and the mean square."""
        return {**super().start(params), "square": filled(0.0, params)}

    def advance(
        self,
        grads: "dict[str, Tensor]",
        state: Any,
        params: "dict[str, Tensor]",
        lr: "dict[str, Scalar]",
        **extra: Scalar,
    ) -> "tuple[dict[str, Tensor], State]":
        """All weights after one update."""
        step, beta = state["step"] + 1, self.beta1
        rho = 1 - beta**step
        mean, square, scaled = {}, {}, {}
        for name, grad in grads.items():
            mean[name] = beta * state["mean"][name] + (1 - beta) * grad
            square[name] = (self.beta2 * state["square"][name]).addcmul(grad, grad, value=1 - self.beta2)
            scale = (square[name] / like(1 - self.beta2**step, grad)).sqrt() + self.eps
            scaled[name] = mean[name] / scale
        loss = beta * state["loss"] + (1 - beta) * self._told(extra)
        inner = beta * state["inner"] + (1 - beta) * total(dot(grads[name], params[name]) for name in params)
        along = total(dot(params[name], mean[name]) for name in params)
        norm = total(dot(mean[name], scaled[name]) for name in params)
        moved, found = self._moved(params, scaled, state, (loss, along, inner, norm), rho, lr)
        kept: State = {
            "step": step,
            "loss": loss,
            "inner": inner,
            "mean": mean,
        }
        return moved, {**kept, **found, "square": square}
