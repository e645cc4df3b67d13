"""Mechanic (Cutkosky, Defazio and Mehta 2023): any rule, with its whole way from the start scaled by what helps."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Joint, Rule, Scalar, State, dot, like, scalar, settle, total
from pacesetter.optimizers.adamw import adamw

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["mechanic"]

MEMORIES = (0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
"""Of the six tuners that run side by side: the published values."""
LEAST = 1e-6
"""Where the greatest inner product starts."""


@final
@dataclass(frozen=True)
class mechanic(Joint):
    """Mechanic: x = x_ref + S * Delta, Delta the sum of the steps of a base rule, S the sum of six tuners' scales.

    With h = <Delta, g + decay * S * ||g|| * x / ||x||> from before Delta is moved on, each tuner of memory b has
    m <- max(b * m, |h|), v <- b^2 * v + h^2, r <- max(b * r - s * h, 0), and s = (s_init * m / 6 + r) / (sqrt(v) +
    eps).

    base: the rule whose steps are scaled; AdamW by default. At `lr` it makes its steps.
    decay: at least 0; pulls S down, 0.01 by default.
    s_init: above 0; the first scale. It needs hundreds of steps to grow from the default of 1e-8. Weights in bfloat16
        cannot make moves so small: with them take 1e-3 or more.
    eps: above 0; keeps scales finite.

    `effective_lr` is S times that of the base. Delta is worked out as (x - x_ref) / (S + eps), as the published code
    does.

    Raises InputError for numbers outside these ranges, and for a base that works out a rate itself.

    >>> from pacesetter.optimizers import parse
    >>> str(parse("mechanic(sgd(momentum=0.9))"))
    'mechanic(base=sgd(momentum=0.9))'

    Source: Cutkosky, Defazio, Mehta: Mechanic: a learning rate tuner (2023); as version 0.0.1 of the package
    mechanic-pytorch, which keeps its tuners in single precision, here in double. optax's clips h and differs.
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = (
        "a rate of the base, which is multiplied by a scale that it works out; the base's usual one is a good choice"
    )
    sets_rate: ClassVar[bool] = True

    base: Rule = field(default_factory=adamw)
    decay: float = 0.01
    s_init: float = 1e-8
    eps: float = 1e-8

    def __post_init__(self) -> None:
        settle(self, positive="s_init eps", not_negative="decay")
        if not isinstance(self.base, Rule) or self.base.sets_rate or self.base.averages:
            raise InputError(
                f"`base` must be a rule that takes its rate and its weights as they are, got base={self.base}"
            )
        if not self.base.vectorises:
            raise InputError(f"`base` must be a rule of ours, got base={self.base}")

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # of the rule that it wraps
        """What the base needs."""
        return self.base.needs

    def start(self, params: "dict[str, Tensor]") -> State:
        """The start and the base's state; of the six tuners the scales, products, rewards and squares."""
        import torch

        one = scalar(0.0, params)
        six = torch.zeros(len(MEMORIES), dtype=torch.float64, device=one.device)
        own: State = {
            "scales": six.clone(),
            "squares": six.clone(),
            "rewards": six.clone(),
            "products": six + LEAST,
            "start": {name: weight.clone() for name, weight in params.items()},
        }
        return own | {f"base {slot}": value for slot, value in self.base.init(params).items()}

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

        inner = {slot.removeprefix("base "): value for slot, value in state.items() if slot.startswith("base ")}
        stepped: Any
        stepped, inner = self.base.update(grads, inner, params, lr, **extra)
        start, scale = state["start"], state["scales"].sum()
        whole = scale + self.eps
        ways = {name: (weight - start[name]) / like(whole, weight) for name, weight in params.items()}
        norm = total(dot(one, one) for one in stepped.values()).sqrt()
        steepness = total(dot(grad, grad) for grad in grads.values()).sqrt()
        pull = self.decay * scale * steepness / (norm + self.eps)
        product = total(dot(ways[name], grads[name] + like(pull, grads[name]) * stepped[name]) for name in params)
        memories = torch.tensor(MEMORIES, dtype=torch.float64, device=scale.device)
        products = torch.maximum(memories * state["products"], product.abs())
        squares = memories**2 * state["squares"] + product**2
        rewards = torch.clamp(memories * state["rewards"] - state["scales"] * product, min=0.0)
        scales = (products * self.s_init / len(MEMORIES) + rewards) / (squares.sqrt() + self.eps)
        now = torch.clamp(scales.sum(), min=0.0)
        moved = {
            name: start[name] + like(now, weight) * (ways[name] + stepped[name] - weight)
            for name, weight in params.items()
        }
        kept: State = {
            "scales": scales,
            "squares": squares,
            "rewards": rewards,
            "products": products,
            "start": start,
        }
        return moved, kept | {f"base {slot}": value for slot, value in inner.items()}

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The sum of the scales, times lr."""
        scales: Any = state["scales"]
        rate: Scalar = scales.sum() * lr
        return rate
