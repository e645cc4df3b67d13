"""What a rule is, and what all element-by-element rules share.

torch is imported inside functions only: reading, checking and printing a rule's text form must not wait for it.
"""

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pacesetter.errors import InputError
from pacesetter.textform import format_call

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Params: TypeAlias = "Tensor | dict[str, Tensor]"
State: TypeAlias = "dict[str, Tensor | dict[str, Tensor]]"
Scalar: TypeAlias = "float | Tensor"


class Rule(ABC):
    """How gradients become the next weights: pure functions over plain tensors, with the learning rate as an argument.

    `params` and `grads` are a tensor, or a dict of all tensors of a lane by name; a state is a dict whose leaves are
    all tensors. No call changes what it is given, none branches on values, and each keeps the parameters' dtype and
    device, so that `torch.func.vmap` runs many lanes, each with its own rate, in one call.

    A rule is a frozen dataclass of numbers: hashable, and `str(rule)` reads back as an equal one.

    adaptive: whether each weight's step is scaled by the size of its own past gradients.
    unit: what a learning rate of 1 means for this rule, in words.
    """

    adaptive: ClassVar[bool]
    unit: ClassVar[str]

    @abstractmethod
    def init(self, params: Params) -> State:
        """The state before the first update."""

    @abstractmethod
    def update(self, grads: Params, state: State, params: Params, lr: Scalar) -> tuple[Params, State]:
        """The weights and state after one update at rate `lr`, a float or a tensor without dimensions."""

    def evaluation(self, params: Params, state: State) -> Params:
        """The weights to evaluate: the trained ones, unless a rule averages."""
        return params

    @abstractmethod
    def torch_optimizer(self) -> tuple[str, dict[str, Any]]:
        """The same rule in `torch.optim`: its class name and all its keyword arguments but `lr`."""

    def __str__(self) -> str:
        return format_call(self)


class Elementwise(Rule):
    """A rule whose update of a weight needs that weight, its gradient and its own slots of state only.

    A subclass says which slots it keeps and how one tensor moves; walking over a lane's tensors is done here.
    """

    counts_steps: ClassVar[bool] = False

    @abstractmethod
    def slots(self) -> dict[str, float]:
        """The names of the tensors kept for each weight, with the value they start from."""

    @abstractmethod
    def move(
        self, weight: "Tensor", grad: "Tensor", slots: "tuple[Tensor, ...]", *coefficients: Scalar
    ) -> "tuple[Tensor, tuple[Tensor, ...]]":
        """One tensor of weights and its slots after the update."""

    def coefficients(self, lr: Scalar, step: Scalar) -> tuple[Scalar, ...]:
        """The scalars that `move` gets, worked out once for all tensors; `step` counts from 1."""
        return (lr,)

    def init(self, params: Params) -> State:
        """The state before the first update."""
        import torch

        tensors = params if isinstance(params, dict) else {"": params}
        state: State = {}
        if self.counts_steps:
            # Double precision, so that bias corrections stay exact when the weights are float32.
            device = next(iter(tensors.values())).device if tensors else None
            state["step"] = torch.zeros((), dtype=torch.float64, device=device)
        for slot, start in self.slots().items():
            filled = {name: torch.full_like(tensor, start) for name, tensor in tensors.items()}
            state[slot] = filled if isinstance(params, dict) else filled[""]
        return state

    def update(self, grads: Params, state: State, params: Params, lr: Scalar) -> tuple[Params, State]:
        """The weights and state after one update at rate `lr`, a float or a tensor without dimensions."""
        names = tuple(self.slots())
        kept: State = {}
        step: Scalar = 0.0
        if self.counts_steps:
            kept["step"] = step = _tensor(state["step"]) + 1
        exact = self.coefficients(lr, step)
        if not isinstance(params, dict):
            weight, slots = self.move(
                params, _tensor(grads), tuple(_tensor(state[name]) for name in names), *_cast(exact, params.dtype)
            )
            return weight, kept | dict(zip(names, slots, strict=True))
        cast: dict[torch.dtype, tuple[Scalar, ...]] = {}
        weights: dict[str, Tensor] = {}
        old = [_mapping(state[name]) for name in names]
        new: list[dict[str, Tensor]] = [{} for _ in names]
        gradients = _mapping(grads)
        for name, weight in params.items():
            if weight.dtype not in cast:
                cast[weight.dtype] = _cast(exact, weight.dtype)
            weights[name], slots = self.move(
                weight, gradients[name], tuple(slot[name] for slot in old), *cast[weight.dtype]
            )
            for slot, value in zip(new, slots, strict=True):
                slot[name] = value
        return weights, kept | dict(zip(names, new, strict=True))


def _tensor(value: Params) -> "Tensor":
    if isinstance(value, dict):
        raise InputError("`params`, `grads` and `state` must have one form, got a dict beside a tensor")
    return value


def _mapping(value: Params) -> "dict[str, Tensor]":
    if not isinstance(value, dict):
        raise InputError("`params`, `grads` and `state` must have one form, got a tensor beside a dict")
    return value


def _cast(values: tuple[Scalar, ...], dtype: "torch.dtype") -> tuple[Scalar, ...]:
    # A rate or bias correction in float64 must not turn float32 weights into float64 ones (vmap and weights without
    # dimensions would promote).
    return tuple(value if isinstance(value, int | float) else value.to(dtype) for value in values)


def settle(rule: Rule, *, shares: str = "", positive: str = "", not_negative: str = "") -> None:
    """Checks the named fields (space-separated) of a rule under construction, and makes them plain floats.

    shares: in [0, 1); positive: finite and above 0; not_negative: finite and at least 0.
    """
    smallest = math.ulp(0.0)
    for names, least, below, text in (
        (shares, 0.0, 1.0, "must be at least 0 and below 1"),
        (positive, smallest, math.inf, "must be a finite number above 0"),
        (not_negative, 0.0, math.inf, "must be a finite number of at least 0"),
    ):
        for name in names.split():
            value = getattr(rule, name)
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not least <= value < below:
                raise InputError(f"`{name}` of `{type(rule).__name__}` {text}, got {name}={value!r}")
            object.__setattr__(rule, name, float(value))  # so that 1 and 1.0 have one text form


def settle_switch(rule: Rule, name: str) -> None:
    """Checks that the named field of a rule under construction is true or false."""
    value = getattr(rule, name)
    if not isinstance(value, bool):
        raise InputError(f"`{name}` of `{type(rule).__name__}` must be True or False, got {name}={value!r}")
