"""What a rule is, and what all rules of ours share.

torch is imported inside functions only: reading, checking and printing a rule's text form must not wait for it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from pacesetter.errors import InputError
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._walk import Fresh, New, Numbers, Walk
from pacesetter.textform import format_call

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from pacesetter.optimizers._driver import Driver

Params: TypeAlias = "Tensor | dict[str, Tensor]"
State: TypeAlias = "dict[str, Tensor | dict[str, Tensor]]"
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
    elementwise: whether each number of a weight moves by itself, so that it does not matter which tensor it is of.
    vectorises: whether `init` and `update` exist; a rule without trains one lane at a time, by its `to_torch`.
    """

    adaptive: ClassVar[bool]
    unit: ClassVar[str]
    needs: ClassVar[frozenset[str]] = frozenset()
    sets_rate: ClassVar[bool] = False
    elementwise: ClassVar[bool] = False
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


class Walked(Rule):
    """A rule whose update is walks over the tensors of a lane, which `advance` makes: some to see sums, one to move.

    A subclass says what it keeps: `slots` for each weight, `each` for each tensor, `begin` for the lane; the state has
    these names. Numbers of tensors and of lanes are in double precision, so that bias corrections stay exact.

    light: whether its functions make next to nothing on the way, so that each of their few operations had better be
        made of many tensors together.
    """

    light: ClassVar[bool] = False

    def slots(self) -> Mapping[str, float | None]:
        """The names of the numbers kept for each weight, with the value they start from; None is the weight itself."""
        return {}

    def each(self) -> dict[str, float]:
        """The names of the numbers kept for each tensor, with the value they start from."""
        return {}

    def begin(self) -> dict[str, Any]:
        """The names of the numbers kept for a lane, or rows of them, with the value they start from."""
        return {}

    def kept(self, weight: "Tensor") -> "dict[str, Tensor]":
        """The slots of one tensor before the first update."""
        import torch

        return {
            slot: weight.clone() if value is None else torch.full_like(weight, value)
            for slot, value in self.slots().items()
        }

    def whole(self, weight: "Tensor") -> bool:
        """Whether the functions of its walks must get this tensor in its shape, and not in parts or beside others."""
        return False

    @abstractmethod
    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The numbers of the lane after one update; in `lane` those before it, and in a row those of each tensor."""

    def init(self, params: Params) -> State:
        """The state before the first update."""
        import torch

        tensors = named(params)
        device = next(iter(tensors.values())).device if tensors else None

        def number(value: Any) -> "Tensor":
            if isinstance(value, float):
                return torch.full((), value, dtype=torch.float64, device=device)
            return torch.tensor(value, dtype=torch.float64, device=device)

        state: dict[str, Any] = {name: number(value) for name, value in self.begin().items()}
        state |= {slot: {name: number(value) for name in tensors} for slot, value in self.each().items()}
        for name, tensor in tensors.items():
            for slot, value in self.kept(tensor).items():
                state.setdefault(slot, {})[name] = value
        if isinstance(params, dict):
            return state
        return {slot: value[""] if isinstance(value, dict) else value for slot, value in state.items()}

    def update(self, grads: Params, state: State, params: Params, lr: Rate, **extra: Scalar) -> tuple[Params, State]:
        """The weights and state after one update at rate `lr`, a number or one per name."""
        begin = self.begin()
        others = [grads, *(value for name, value in state.items() if name not in begin)]
        if any(isinstance(other, dict) is not isinstance(params, dict) for other in others):
            raise InputError("`params`, `grads` and `state` must have one form, got a dict beside a tensor")
        if isinstance(params, dict):
            rates = dict(lr) if isinstance(lr, Mapping) else dict.fromkeys(params, lr)
            return self._updated(grads, state, params, rates, extra)
        named = {name: value if name in begin else {"": value} for name, value in state.items()}
        weights, after = self._updated({"": grads}, named, {"": params}, {"": lr}, extra)
        return weights[""], {name: value[""] if isinstance(value, dict) else value for name, value in after.items()}

    def _updated(
        self, grads: Any, state: Any, params: Any, rates: Any, extra: "dict[str, Scalar]"
    ) -> "tuple[dict[str, Tensor], State]":
        """The same, of dicts."""
        begin, each = self.begin(), self.each()
        slots = {name: value for name, value in state.items() if name not in begin and name not in each}
        numbers = {name: Numbers(weight=weight, grad=grads[name]) for name, weight in params.items()}
        walk = Fresh(list(numbers.values()), [rates[name] for name in params])
        for slot, values in slots.items():
            for name, value in values.items():
                numbers[name][slot] = value
        lane = {name: state[name] for name in begin}
        lane |= {name: in_row(state[name][own] for own in params) for name in each}
        after: dict[str, Any] = self.advance(walk, lane, **extra)
        after |= {name: dict(zip(params, after[name].unbind(), strict=True)) for name in each}
        after |= {slot: {name: numbers[name][slot] for name in values} for slot, values in slots.items()}
        return {name: own["weight"] for name, own in numbers.items()}, {name: after[name] for name in state}


class Elementwise(Walked):
    """A rule whose update of a weight needs that weight, its gradient and its own slots of state only.

    A subclass says which slots it keeps and how one tensor moves.
    """

    elementwise: ClassVar[bool] = True
    counts_steps: ClassVar[bool] = False

    @abstractmethod
    def slots(self) -> Mapping[str, float]:
        """The names of the numbers kept for each weight, with the value they start from."""

    @abstractmethod
    def move(self, t: Numbers, *coefficients: Scalar) -> New:
        """The weights and slots of one tensor after the update."""

    def coefficients(self, lr: Scalar, step: Scalar) -> tuple[Scalar, ...]:
        """The scalars that `move` gets, worked out once for all tensors; `step` counts from 1."""
        return (lr,)

    def begin(self) -> dict[str, Any]:
        """The step, where it is counted."""
        return {"step": 0.0} if self.counts_steps else {}

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The step after one update, in which each tensor moves by itself."""
        after = {name: value + 1 for name, value in lane.items()}
        step = after.get("step", 0.0)
        walk.move(self.move, lambda lr: self.coefficients(lr, step), after)
        return after


def named(params: Params) -> "dict[str, Tensor]":
    """The tensors of a lane by name; one that is alone has none."""
    return params if isinstance(params, dict) else {"": params}


def in_row(values: "Iterable[Tensor]") -> "Tensor":
    """Numbers of several tensors in a row."""
    import torch

    return torch.stack(list(values))


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
