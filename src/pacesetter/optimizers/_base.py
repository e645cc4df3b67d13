"""What a rule is, and what all element-by-element rules share.

torch is imported inside functions only: reading, checking and printing a rule's text form must not wait for it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pacesetter.errors import InputError
from pacesetter.textform import format_call

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pacesetter.optimizers._driver import Driver

Params: TypeAlias = "Tensor | dict[str, Tensor]"
State: TypeAlias = "dict[str, Tensor | dict[str, Tensor]]"
Scalar: TypeAlias = "float | Tensor"
Rate: TypeAlias = "Scalar | Mapping[str, Scalar]"
"""One rate for all tensors, or one for each name."""


class Rule(ABC):
    """How gradients become the next weights: pure functions over plain tensors, with the learning rate as an argument.

    `params` and `grads` are a tensor, or a dict of all tensors of a lane by name; a state is a dict whose leaves are
    all tensors: one under a slot's name that belongs to the lane, or a dict of them by the names of the weights. No
    call changes what it is given, none branches on values, and each keeps the parameters' dtype and device, so that
    `torch.func.vmap` runs many lanes, each with its own rate, in one call.

    A rule is a frozen dataclass of numbers (and, where it wraps one, of another rule): hashable, and `str(rule)` reads
    back as an equal one.

    adaptive: whether each weight's step is scaled by the size of its own past gradients.
    unit: what a learning rate of 1 means for this rule, in words.
    needs: what `update` must be given besides, by name: "loss", the loss whose gradient it is, without dimensions.
    sets_rate: whether it works out a rate of its own, of which `lr` is a multiple: `effective_lr` then says which.
    vectorises: whether `init` and `update` exist; a rule without trains one lane at a time, by its `to_torch`.
    """

    adaptive: ClassVar[bool]
    unit: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    sets_rate: ClassVar[bool] = False
    vectorises: ClassVar[bool] = True

    @abstractmethod
    def init(self, params: Params) -> State:
        """The state before the first update."""

    @abstractmethod
    def update(self, grads: Params, state: State, params: Params, lr: Rate, **extra: Scalar) -> tuple[Params, State]:
        """The weights and state after one update at rate `lr`: a float, a tensor without dimensions, or one per name.

        `extra` has what the rule `needs`; more than that is not looked at.
        """

    def evaluation(self, params: Params, state: State) -> Params:
        """The weights to evaluate: the trained ones, unless a rule averages."""
        return params

    @property
    def averages(self) -> bool:
        """Whether the weights to evaluate are others than the trained ones."""
        return type(self).evaluation is not Rule.evaluation

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """The rate that the update was made with which led to `state`, when it was asked for `lr`."""
        return lr

    def torch_optimizer(self) -> tuple[str, dict[str, Any]] | None:
        """The same rule in `torch.optim`: its class name and all its arguments but `lr`; None if torch has it not."""
        return None

    def to_torch(self, params: "Iterable[Any]", lr: float) -> "torch.optim.Optimizer":
        """An optimizer of this rule over `params`, tensors or parameter groups, at `lr` or at a group's own rate.

        It is torch's own class where torch has the rule, fused where it can be, and else one of ours, which does what
        torch's do. Raises InputError for parameters or rates that no optimizer could use, naming their group.
        """
        from pacesetter.optimizers._optimizer import made

        return made(self, params, lr)

    def driver(self, params: "Iterable[Any]", lr: float) -> "Driver":
        """The optimizer that `to_torch` gives, with one way to drive it whatever it wants besides gradients."""
        from pacesetter.optimizers._driver import Driver

        return Driver(self.to_torch(params, lr))

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

    def update(self, grads: Params, state: State, params: Params, lr: Rate, **extra: Scalar) -> tuple[Params, State]:
        """The weights and state after one update at rate `lr`, a number or one per name."""
        names = tuple(self.slots())
        kept: State = {}
        step: Scalar = 0.0
        if self.counts_steps:
            kept["step"] = step = _tensor(state["step"]) + 1
        if not isinstance(params, dict):
            assert not isinstance(lr, Mapping)
            exact = self.coefficients(lr, step)
            weight, slots = self.move(
                params, _tensor(grads), tuple(_tensor(state[name]) for name in names), *_cast(exact, params.dtype)
            )
            return weight, kept | dict(zip(names, slots, strict=True))
        # Worked out once for all tensors of one rate and kind.
        worked_out: dict[tuple[int, torch.dtype], tuple[Scalar, ...]] = {}
        weights: dict[str, Tensor] = {}
        old = [_mapping(state[name]) for name in names]
        new: list[dict[str, Tensor]] = [{} for _ in names]
        gradients = _mapping(grads)
        for name, weight in params.items():
            rate = lr[name] if isinstance(lr, Mapping) else lr
            key = (id(rate), weight.dtype)
            if key not in worked_out:
                worked_out[key] = _cast(self.coefficients(rate, step), weight.dtype)
            weights[name], slots = self.move(
                weight, gradients[name], tuple(slot[name] for slot in old), *worked_out[key]
            )
            for slot, value in zip(new, slots, strict=True):
                slot[name] = value
        return weights, kept | dict(zip(names, new, strict=True))


class Joint(Rule):
    """A rule in which all tensors of a lane hang together: its update takes sums over all of them.

    A subclass gives `start` and `advance`, in which parameters, gradients and slots are dicts by name; a lane that is
    one tensor is made such a dict here. Scalars of a lane are kept in double precision; `like` brings one to a
    tensor's.
    """

    @abstractmethod
    def start(self, params: "dict[str, Tensor]") -> State:
        """The state before the first update."""

    @abstractmethod
    def advance(
        self,
        grads: "dict[str, Tensor]",
        state: Any,
        params: "dict[str, Tensor]",
        lr: "dict[str, Scalar]",
        **extra: Scalar,
    ) -> "tuple[dict[str, Tensor], State]":
        """The weights and state after one update, with the rate of each tensor."""

    def init(self, params: Params) -> State:
        """The state before the first update."""
        return self.start(params if isinstance(params, dict) else {"": params})

    def update(self, grads: Params, state: State, params: Params, lr: Rate, **extra: Scalar) -> tuple[Params, State]:
        """The weights and state after one update at rate `lr`, a number or one per name."""
        if isinstance(params, dict):
            rates = dict(lr) if isinstance(lr, Mapping) else dict.fromkeys(params, lr)
            return self.advance(_mapping(grads), state, params, rates, **extra)
        assert not isinstance(lr, Mapping)
        weights, kept = self.advance({"": _tensor(grads)}, state, {"": params}, {"": lr}, **extra)
        return weights[""], kept


def total(values: "Iterable[Tensor]") -> "Tensor":
    """The sum of scalars of several tensors, in double precision."""
    import torch

    return torch.stack([value.double() for value in values]).sum()


def dot(one: "Tensor", other: "Tensor") -> "Tensor":
    """The sum of the products of two tensors' numbers, in double precision."""
    return (one * other).sum().double()


def scalar(value: float, params: "dict[str, Tensor]") -> "Tensor":
    """A scalar of a lane, in double precision, where its weights are."""
    import torch

    device = next(iter(params.values())).device if params else None
    return torch.full((), value, dtype=torch.float64, device=device)


def filled(value: float, params: "dict[str, Tensor]") -> "dict[str, Tensor]":
    """A slot that starts from one value at every weight."""
    import torch

    return {name: torch.full_like(weight, value) for name, weight in params.items()}


def like(value: Scalar, tensor: "Tensor") -> Scalar:
    """A scalar in the precision of a tensor, so that it does not raise that of the tensor."""
    return value if isinstance(value, int | float) else value.to(tensor.dtype)


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
