"""Schedule-Free SGD and AdamW (Defazio et al. 2024): an average of the weights instead of a schedule."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Params, State, Walked, settle
from pacesetter.optimizers._scalars import Scalar, maximum, minimum, power, quotient, root
from pacesetter.optimizers._walk import New, Numbers, Walk

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["schedule_free_adamw", "schedule_free_sgd"]


class _ScheduleFree(Walked):
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

    def _direction(self, t: Numbers, *own: Any) -> "tuple[Tensor, New]":
        """The u of one tensor by its size, and its other slots; `own` is what `_own` gave."""
        raise NotImplementedError

    def _own(self, step: Any) -> tuple[Any, ...]:
        """The size of u, which goes into the rate, and coefficients of its direction."""
        return (1.0,)

    def slots(self) -> Mapping[str, float | None]:
        """The z."""
        return {"z": None}

    def begin(self) -> dict[str, Any]:
        """The step, the highest rate, the sum of weights in the mean, and the share of the rate in the warm-up."""
        return {"step": 0.0, "highest": 0.0, "weights": 0.0, "used": 1.0}

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The numbers of the lane after one update."""
        step = lane["step"] + 1
        used = minimum(step / self.warmup_steps, 1.0) if self.warmup_steps else step * 0 + 1
        # One mean for the lane: rates that keep their ratios between weights weigh alike, by any of them that is not 0.
        highest = lane["highest"]
        for rate in walk.rates:
            highest = maximum(highest, used * rate)
        weight_now = power(step, self.r) * highest * highest
        weights = lane["weights"] + weight_now
        share = quotient(weight_now, weights, 0.0)
        after = {"step": step, "highest": highest, "weights": weights, "used": used}
        along = 1 - self._beta * (1 - share)
        size, *own = self._own(step)
        walk.move(self._moved, lambda lr: (used * lr * size, used * lr * size * along, share, *own), after)
        return after

    def _moved(self, t: Numbers, rate: Any, along: Any, share: Any, *own: Any) -> New:
        u, new = self._direction(t, *own)
        towards = t.having(weight=t.lerp("weight", t["z"], share))
        return {"weight": towards.less("weight", u, along), "z": t.less("z", u, rate), **new}

    def evaluation(self, params: Params, state: State) -> Params:
        """x, the average."""
        z: Any = state["z"]
        away = 1 - 1 / self._beta
        if isinstance(params, dict):
            return {name: y + away * (z[name] - y) for name, y in params.items()}
        alone: Tensor = params + away * (z - params)
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
    light: ClassVar[bool] = True
    unit: ClassVar[str] = "parameter units per unit of gradient, of the fast iterate z"
    _called: ClassVar[str] = "momentum"

    momentum: float = 0.9
    warmup_steps: int = 0
    r: float = 0.0
    weight_decay: float = 0.0

    def _settle(self) -> None:
        settle(self, shares="momentum", not_negative="r weight_decay")

    def _direction(self, t: Numbers, *own: Any) -> "tuple[Tensor, New]":
        return t.pulled(self.weight_decay), {}


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

    def slots(self) -> Mapping[str, float | None]:
        """That of the base, and the mean square."""
        return {**super().slots(), "square": 0.0}

    def _own(self, step: Any) -> tuple[Any, ...]:
        """Of the bias correction."""
        size = root(1 - self.beta2**step)
        return size, size * self.eps, self.weight_decay / size

    def _direction(self, t: Numbers, *own: Any) -> "tuple[Tensor, New]":
        eps, pull = own
        square = t.blend("square", self.beta2, t["grad"], t["grad"], 1 - self.beta2)
        u = t.over(t["grad"], t.root(square, eps))
        return t.with_weight(u, pull) if self.weight_decay else u, {"square": square}
