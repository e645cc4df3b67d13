"""Mechanic (Cutkosky, Defazio and Mehta 2023): any rule, with its whole way from the start scaled by what helps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import State, Walked, settle
from pacesetter.optimizers._scalars import Scalar, maximum, root
from pacesetter.optimizers._walk import Around, Coefficients, New, Numbers, Term, Walk, none
from pacesetter.optimizers.adamw import adamw

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["mechanic"]

MEMORIES = (0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
"""Of the six tuners that run side by side: the published values."""
BASE = "base "
"""Before the names of what the base keeps."""
LEAST = 1e-6
"""Where the greatest inner product starts."""


@final
@dataclass(frozen=True)
class mechanic(Walked):
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

    base: Walked = field(default_factory=adamw)
    decay: float = 0.01
    s_init: float = 1e-8
    eps: float = 1e-8

    def __post_init__(self) -> None:
        settle(self, positive="s_init eps", not_negative="decay")
        if not isinstance(self.base, Walked):
            raise InputError(f"`base` must be a rule of ours, got base={self.base}")
        if self.base.sets_rate or self.base.averages:
            raise InputError(
                f"`base` must be a rule that takes its rate and its weights as they are, got base={self.base}"
            )

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]  # of the rule that it wraps
        """What the base needs."""
        return self.base.needs

    def slots(self) -> Mapping[str, float | None]:
        """The start; those of the base are added by `kept`."""
        return {"start": None}

    def kept(self, weight: "Tensor") -> "dict[str, Tensor]":
        """The start and the base's slots."""
        return super().kept(weight) | {BASE + slot: value for slot, value in self.base.kept(weight).items()}

    def each(self) -> dict[str, float]:
        """The base's."""
        return {BASE + slot: value for slot, value in self.base.each().items()}

    def begin(self) -> dict[str, Any]:
        """The base's numbers; of the six tuners the scales, products, rewards and squares."""
        six = [0.0] * len(MEMORIES)
        own = {"scales": six, "squares": six, "rewards": six, "products": [LEAST] * len(MEMORIES)}
        return own | {BASE + name: value for name, value in self.base.begin().items()}

    def whole(self, weight: "Tensor") -> bool:
        """Whether the base's functions must."""
        return self.base.whole(weight)

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The numbers of the lane after one update."""
        import torch

        inner = {name.removeprefix(BASE): value for name, value in lane.items() if name.startswith(BASE)}
        base = _Base(walk)
        inner = self.base.advance(base, inner, **extra)
        scale = lane["scales"].sum()
        whole = scale + self.eps

        def seen(t: Numbers, whole: Any, *own: Any) -> tuple[New, list[Term]]:
            moved, way, grad = base.function(_of_base(t), *own), (t["weight"] - t["start"]) / whole, t["grad"]
            stepped = moved["weight"]
            return {"moved": moved, "way": way}, [(stepped, stepped), (grad, grad), (way, grad), (way, stepped)]

        norm, steepness, gain, drift = walk.see(seen, lambda lr: (whole, *base.coefficients(lr)))
        pull = self.decay * scale * root(steepness) / (root(norm) + self.eps)
        product = gain + pull * drift
        memories = torch.tensor(MEMORIES, dtype=torch.float64, device=scale.device)
        products = maximum(memories * lane["products"], abs(product))
        squares = memories**2 * lane["squares"] + product**2
        rewards = maximum(memories * lane["rewards"] - lane["scales"] * product, 0.0)
        scales = (products * self.s_init / len(MEMORIES) + rewards) / (root(squares) + self.eps)
        now = maximum(scales.sum(), 0.0)

        def moved(t: Numbers, now: Any) -> New:
            new = t["moved"]
            weight = t["start"] + now * (t["way"] + new["weight"] - t["weight"])
            return {**{BASE + slot: value for slot, value in new.items() if slot != "weight"}, "weight": weight}

        after = {"scales": scales, "squares": squares, "rewards": rewards, "products": products}
        after |= {BASE + name: value for name, value in inner.items()}
        walk.move(moved, lambda lr: (now,), after)
        return after

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The sum of the scales, times lr."""
        scales: Any = state["scales"]
        rate: Scalar = scales.sum() * lr
        return rate


class _Base(Around):
    """The walk of the base, whose slots have names of their own, and which is not followed when it moves."""

    function: Callable[..., New]
    coefficients: Coefficients

    def see(self, function: Any, *parts: Any, **options: Any) -> "list[Tensor]":
        """The sums, and the new slots of the base."""

        def seen(t: Numbers, *own: Any) -> tuple[New, list[Term]]:
            new, terms = function(_of_base(t), *own)
            return {BASE + slot: value for slot, value in new.items()}, terms

        return self.walk.see(seen, *parts, **options)

    def regrade(self, function: Any, coefficients: Coefficients = none, into: str = "grad") -> None:
        """The gradient as the base gets it."""
        self.walk.regrade(lambda t, *own: function(_of_base(t), *own), coefficients, BASE + into)

    def move(self, function: Callable[..., New], coefficients: Coefficients, lane: "dict[str, Tensor]") -> None:
        """Know how the base would move."""
        self.function, self.coefficients = function, coefficients


def _of_base(t: Numbers) -> Numbers:
    """The numbers of a tensor as the base calls them."""
    own = {name.removeprefix(BASE): value for name, value in t.items() if name.startswith(BASE)}
    return Numbers({"weight": t["weight"], "grad": t["grad"], **own})
