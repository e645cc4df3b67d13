"""Schedule-Free SGD and AdamW (Defazio et al. 2024): an average of the weights instead of a schedule."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Joint, Params, Scalar, State, filled, like, scalar, settle

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["schedule_free_adamw", "schedule_free_sgd"]


class _ScheduleFree(Joint):
    """y, where gradients are taken, is what trains; x = y + (1 - 1 / beta) * (z - y) is what is evaluated.

    z <- z - lr * u; x <- (1 - c) * x + c * z; y = (1 - beta) * z + beta * x, with u the direction of the rule and c the
    weight of the new z in a running mean, in which step k (from 0) counts (k + 1)^r * (highest lr so far)^2.
    """

    sets_rate: ClassVar[bool] = True

    warmup_steps: int
    r: float

    def __post_init__(self) -> None:
        self._settle()
        if isinstance(self.warmup_steps, bool) or not isinstance(self.warmup_steps, int) or self.warmup_steps < 0:
            got = f"got warmup_steps={self.warmup_steps!r}"
            raise InputError(f"`warmup_steps` must be a whole number of at least 0, {got}")
        if self._beta <= 0:
            raise InputError(f"`{self._called}` must be above 0 for an average to be taken, got {self._called}=0.0")

    _called: ClassVar[str]

    @property
    def _beta(self) -> float:
        return float(getattr(self, self._called))

    def _settle(self) -> None:
        raise NotImplementedError

    def _directions(
        self, grads: "dict[str, Tensor]", state: Any, params: "dict[str, Tensor]", step: Any
    ) -> "tuple[dict[str, Tensor], State]":
        """u, and the slots of its own."""
        raise NotImplementedError

    def start(self, params: "dict[str, Tensor]") -> State:
        """z; the step, the highest rate, the sum of weights in the mean, and the share of the rate in the warm-up."""
        return {
            "step": scalar(0.0, params),
            "highest": scalar(0.0, params),
            "weights": scalar(0.0, params),
            "used": scalar(1.0, params),
            "z": {name: weight.clone() for name, weight in params.items()},
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
        used = torch.clamp(step / max(self.warmup_steps, 1), max=1.0) if self.warmup_steps else step * 0 + 1
        # One mean for the lane: rates that keep their ratios between weights weigh alike, by any of them that is not 0.
        highest = state["highest"]
        for rate in {id(rate): rate for rate in lr.values()}.values():
            highest = torch.maximum(highest, used * rate)
        weight_now = step**self.r * highest**2
        weights = state["weights"] + weight_now
        share = torch.where(weights > 0, weight_now / torch.where(weights > 0, weights, 1.0), 0.0)
        directions, own = self._directions(grads, state, params, step)
        moved, z = {}, {}
        for name, y in params.items():
            rate, u = used * lr[name], directions[name]
            towards = y + like(share, y) * (state["z"][name] - y)
            moved[name] = towards + like(rate * (self._beta * (1 - share) - 1), y) * u
            z[name] = state["z"][name] - like(rate, y) * u
        kept: State = {"step": step, "highest": highest, "weights": weights, "used": used, "z": z}
        return moved, kept | own

    def evaluation(self, params: Params, state: State) -> Params:
        """x, the average."""
        z: Any = state["z"]
        away = 1 - 1 / self._beta
        if isinstance(params, dict):
            return {name: y + away * (z[name] - y) for name, y in params.items()}
        alone: Tensor = params + away * (z[""] - params)
        return alone

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The rate, as far as its own warm-up lets it."""
        used: Any = state["used"]
        rate: Scalar = used * lr
        return rate


@final
@dataclass(frozen=True)
class schedule_free_sgd(_ScheduleFree):
    """Schedule-Free SGD: z <- z - lr * g at y = (1 - momentum) * z + momentum * x, x the mean of all z.

    momentum: in (0, 1); how near to the average gradients are taken.
    warmup_steps: updates over which the rate rises in a straight line, by itself; or give a schedule's `warmup`.
    r: at least 0; later steps count more in the mean, as (k + 1)^r.
    weight_decay: at least 0, added to the gradient at y.

    The trained weights are y, the ones to evaluate are x. Its rates are 10 to 50 times those of SGD with a schedule.
    `effective_lr` is lr within its own warm-up.

    Raises InputError for numbers outside these ranges.

    >>> str(schedule_free_sgd(warmup_steps=100))
    'schedule_free_sgd(warmup_steps=100)'

    Source: Defazio et al.: The road less scheduled (2024); as version 1.4.1 of the package schedulefree, with its
    weight_lr_power of 2.
    """

    adaptive: ClassVar[bool] = False
    unit: ClassVar[str] = "parameter units per unit of gradient, of the fast iterate z"
    _called: ClassVar[str] = "momentum"

    momentum: float = 0.9
    warmup_steps: int = 0
    r: float = 0.0
    weight_decay: float = 0.0

    def _settle(self) -> None:
        settle(self, shares="momentum", not_negative="r weight_decay")

    def _directions(
        self, grads: "dict[str, Tensor]", state: Any, params: "dict[str, Tensor]", step: Any
    ) -> "tuple[dict[str, Tensor], State]":
        if not self.weight_decay:
            return grads, {}
        return {name: grad + self.weight_decay * params[name] for name, grad in grads.items()}, {}


@final
@dataclass(frozen=True)
class schedule_free_adamw(_ScheduleFree):
    """Schedule-Free AdamW: z <- z - lr * (g / (sqrt(v') + eps) + weight_decay * y), x the mean of all z.

    v <- beta2 * v + (1 - beta2) * g^2 and v' = v / (1 - beta2^t); g is the gradient at y = (1 - beta1) * z + beta1 * x.

    beta1: in (0, 1); how near to the average gradients are taken; in the place of Adam's mean gradient.
    beta2, eps: as in Adam.
    warmup_steps: updates over which the rate rises in a straight line, by itself; or give a schedule's `warmup`.
    r: at least 0; later steps count more in the mean, as (k + 1)^r.
    weight_decay: at least 0, decoupled, at y.

    The trained weights are y, the ones to evaluate are x. Its rates are 1 to 10 times those of AdamW with a schedule.
    `effective_lr` is lr within its own warm-up.

    Raises InputError for numbers outside these ranges.

    >>> str(schedule_free_adamw(weight_decay=0.1))
    'schedule_free_adamw(weight_decay=0.1)'

    Source: Defazio et al.: The road less scheduled (2024); as version 1.4.1 of the package schedulefree, with its
    weight_lr_power of 2.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units per step of the fast iterate z, for a weight whose gradient keeps its size"
    _called: ClassVar[str] = "beta1"

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    warmup_steps: int = 0
    r: float = 0.0
    weight_decay: float = 0.0

    def _settle(self) -> None:
        settle(self, shares="beta1 beta2", positive="eps", not_negative="r weight_decay")

    def start(self, params: "dict[str, Tensor]") -> State:
        """That of the base, and the mean square."""
        return {**super().start(params), "square": filled(0.0, params)}

    def _directions(
        self, grads: "dict[str, Tensor]", state: Any, params: "dict[str, Tensor]", step: Any
    ) -> "tuple[dict[str, Tensor], State]":
        directions, square = {}, {}
        for name, grad in grads.items():
            square[name] = (self.beta2 * state["square"][name]).addcmul(grad, grad, value=1 - self.beta2)
            scale = (square[name] / like(1 - self.beta2**step, grad)).sqrt() + self.eps
            directions[name] = grad / scale
            if self.weight_decay:
                directions[name] = directions[name] + self.weight_decay * params[name]
        return directions, {"square": square}
