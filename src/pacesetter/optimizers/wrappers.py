"""What composes with any rule: clipping of gradients, and weight decay of either kind."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Params, State, Walked, settle, settle_switch
from pacesetter.optimizers._scalars import Scalar, minimum, root
from pacesetter.optimizers._walk import Around, Coefficients, New, Numbers, Walk

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["clip", "decay"]

CLIP_EPS = 1e-6
"""Added to the norm before a gradient is divided by it, as `torch.nn.utils.clip_grad_norm_` does."""
LEAST_NORM = 1e-3
"""Of weights, in adaptive clipping: those that start at 0 may move."""


class _Wrapper(Walked):
    """A rule around a rule, whose state, rate and weights to evaluate are those of the inner one."""

    rule: Walked

    def _check(self) -> None:
        if not isinstance(self.rule, Walked):
            raise InputError(f"`rule` must be a rule of ours to be wrapped, got rule={self.rule}")

    @property
    def adaptive(self) -> bool:  # type: ignore[override]  # of the rule that it wraps, like those below
        """Whether the inner rule is."""
        return self.rule.adaptive

    @property
    def light(self) -> bool:  # type: ignore[override]
        """Whether the inner rule is."""
        return self.rule.light

    @property
    def unit(self) -> str:  # type: ignore[override]
        """The inner rule's."""
        return self.rule.unit

    @property
    def needs(self) -> frozenset[str]:  # type: ignore[override]
        """What the inner rule needs."""
        return self.rule.needs

    @property
    def sets_rate(self) -> bool:  # type: ignore[override]
        """Whether the inner rule does."""
        return self.rule.sets_rate

    @property
    def averages(self) -> bool:
        """Whether the inner rule does."""
        return self.rule.averages

    def slots(self) -> Mapping[str, float | None]:
        """The inner rule's."""
        return self.rule.slots()

    def each(self) -> dict[str, float]:
        """The inner rule's."""
        return self.rule.each()

    def begin(self) -> dict[str, Any]:
        """The inner rule's."""
        return self.rule.begin()

    def kept(self, weight: "Tensor") -> "dict[str, Tensor]":
        """The inner rule's."""
        return self.rule.kept(weight)

    def init(self, params: Params) -> State:
        """The inner rule's, which may begin with what it sees of the weights."""
        return self.rule.init(params)

    def whole(self, weight: "Tensor") -> bool:
        """Whether the inner rule's functions must."""
        return self.rule.whole(weight)

    def evaluation(self, params: Params, state: State) -> Params:
        """The inner rule's weights to evaluate."""
        return self.rule.evaluation(params, state)

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The inner rule's rate."""
        return self.rule.effective_lr(state, lr)


@final
@dataclass(frozen=True)
class clip(_Wrapper):
    """Any rule with its gradients clipped before: by their norm, number by number, or by the size of the weights.

    rule: what the gradients go to.
    norm: above 0; the norm over all weights that a longer gradient is brought to.
    value: above 0; the largest number that a gradient may hold.
    adaptive: above 0; the share of its weights' norm that the gradient of a unit (a row, a kernel) may have; 0.01 is
        usual.

    Exactly one of the three is given. `Task(clip_norm=...)` clips by the norm too, for every rule of a study.

    Raises InputError for numbers outside these ranges.

    >>> from pacesetter.optimizers import adam
    >>> str(clip(adam(beta2=0.95), norm=1))
    'clip(adam(beta2=0.95), norm=1.0)'

    Sources: Pascanu, Mikolov, Bengio: On the difficulty of training recurrent neural networks (2013); Brock et al.:
    High-performance large-scale image recognition without normalization (2021), for `adaptive`.
    """

    rule: Walked
    norm: float | None = None
    value: float | None = None
    # Whether a rule is `adaptive` is known of each, so the argument of that name is kept as `share`.
    share: float | None = field(default=None, metadata={"argument": "adaptive"})

    def __init__(
        self, rule: Walked, norm: float | None = None, value: float | None = None, adaptive: float | None = None
    ) -> None:
        for entry, given in zip(fields(self), (rule, norm, value, adaptive), strict=True):
            object.__setattr__(self, entry.name, given)
        self._check()
        told = {"norm": norm, "value": value, "adaptive": adaptive}
        names = [name for name, given in told.items() if given is not None]
        if len(names) != 1:
            got = ", ".join(names) or "none"
            raise InputError(f"`clip` must have exactly one of norm, value and adaptive, got {got}")
        settle(self, positive=names[0].replace("adaptive", "share"))

    def to_torch(self, params: "Iterable[Any]", lr: float) -> "torch.optim.Optimizer":
        """As of every rule. Around a rule of torch's it is torch's class, whose step clips `grad` in place first."""
        from pacesetter.optimizers._optimizer import made

        for way, most in (("norm", self.norm), ("value", self.value)):
            if most is not None:
                return made(self, params, lr, clipping=(self.rule, way, most))
        return made(self, params, lr)

    def whole(self, weight: "Tensor") -> bool:
        """Whether the inner rule's functions must, or a tensor has units whose norms are taken."""
        return self.share is not None or self.rule.whole(weight)

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The inner rule's numbers after one update by the clipped gradients."""
        if self.value is not None:
            most = self.value
            walk.regrade(lambda t: t["grad"].clamp(-most, most))
        elif self.norm is not None:
            (squares,) = walk.see(lambda t: ({}, [(t["grad"], t["grad"])]))
            share = minimum(self.norm / (root(squares) + CLIP_EPS), 1.0)
            walk.regrade(lambda t, share: t["grad"] * share, lambda lr: (share,))
        else:
            walk.regrade(self._clipped)
        return self.rule.advance(walk, lane, **extra)

    def _clipped(self, t: Numbers) -> "Tensor":
        import torch

        most = self.share * _unit_norm(t["weight"]).clamp(min=LEAST_NORM)  # type: ignore[operator]
        size = _unit_norm(t["grad"])
        return torch.where(size > most, t["grad"] * (most / size.clamp(min=CLIP_EPS)), t["grad"])


@final
@dataclass(frozen=True)
class decay(_Wrapper):
    """Any rule with weight decay: decoupled, w <- w - lr * weight_decay * w beside its step, or within the gradient.

    rule: what makes the step.
    weight_decay: at least 0.
    decoupled: True, as AdamW has it; False adds weight_decay * w to the gradient, as L2 regularization does.

    Around a rule that works out a rate of its own, lr is that rate, `effective_lr`. Around one that evaluates other
    weights than it trains, decay is decoupled only within that rule: those weights would not decay alike.

    Raises InputError for numbers outside these ranges.

    >>> from pacesetter.optimizers import rmsprop
    >>> str(decay(rmsprop(), 0.1))
    'decay(rmsprop, 0.1)'

    Source: Loshchilov, Hutter: Decoupled weight decay regularization (2019).
    """

    rule: Walked
    weight_decay: float
    decoupled: bool = True

    def __post_init__(self) -> None:
        self._check()
        settle(self, not_negative="weight_decay")
        settle_switch(self, "decoupled")
        if self.decoupled and self.averages:
            raise InputError(
                "`decoupled` must be False around a rule that evaluates other weights than it trains, "
                f"got rule={self.rule}: give it decoupled=False, or a weight_decay of its own"
            )

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The inner rule's numbers after one update and the decay."""
        if self.decoupled:
            return self.rule.advance(_Decaying(walk, self), lane, **extra)
        walk.regrade(lambda t: t["grad"].add(t["weight"], alpha=self.weight_decay))
        return self.rule.advance(walk, lane, **extra)


class _Decaying(Around):
    """A walk whose weights decay as they move, at the rate that the rule works out."""

    def __init__(self, walk: Walk, rule: decay) -> None:
        super().__init__(walk)
        self._rule = rule

    def move(self, function: Callable[..., New], coefficients: Coefficients, lane: "dict[str, Tensor]") -> None:
        """The new weights, less their decay, and slots."""

        def decayed(t: Numbers, share: Any, *own: Any) -> dict[str, Any]:
            new = function(t.apart(), *own)
            return {**new, "weight": t.having(weight=new["weight"]).apart().less("weight", t["weight"], share)}

        def shared(lr: Any) -> tuple[Any, ...]:
            rate: Any = self._rule.effective_lr(dict(lane), lr)
            return rate * self._rule.weight_decay, *coefficients(lr)

        self.walk.move(decayed, shared, lane)


def _unit_norm(tensor: "Tensor") -> "Tensor":
    """The norm of each unit: over all axes but the first, or of all numbers where there is one axis or none."""
    import torch

    norm: Tensor
    if tensor.dim() <= 1:
        norm = torch.linalg.vector_norm(tensor)
    else:
        norm = torch.linalg.vector_norm(tensor, dim=tuple(range(1, tensor.dim())), keepdim=True)
    return norm
