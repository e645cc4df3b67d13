"""What every schedule is, and the two ways to join them: `a >> b` (then) and `a * b` (times).

A schedule is a frozen value. Nothing in it counts steps: the step is an argument. What a controller such as `plateau`
has seen so far lies in a state that the caller keeps.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, final

import numpy as np

from pacesetter.errors import InputError
from pacesetter.schedules._arrays import FLOATS, Namespace, evaluate, kind_of
from pacesetter.schedules._drawing import svg
from pacesetter.schedules._spans import Span, check_spans, lengths

__all__ = ["Chain", "Kind", "Product", "Schedule", "State"]

Kind = Literal["constant", "decay", "cyclical", "plateau"]
State = dict[str, Any]

# From the least to the most specific: a joined schedule is called after the most specific of its pieces.
_KINDS: tuple[Kind, ...] = ("constant", "decay", "cyclical", "plateau")


class Schedule(ABC):
    """A pure function `(step, total_steps) -> factor`, with `lr(step) = lr * factor` and a peak of 1.

    Two schedules are equal when their texts are. `str()` gives that text, `schedules.parse` reads it. `pure` says
    whether the factor depends on the step alone; if not, the schedule is a controller: it starts from `init()`, is
    told a metric by `update` and gives its factor by `factor`. A pure schedule is a controller with an empty state,
    so code written for controllers serves every schedule.

    >>> from pacesetter import schedules
    >>> schedule = schedules.warmup(10) >> schedules.cosine(final=0.1)
    >>> schedule(0, 100), schedule(9, 100), round(schedule(100, 100), 12)
    (0.1, 1.0, 0.1)
    """

    __slots__ = ()

    @property
    @abstractmethod
    def pure(self) -> bool:
        """Whether the factor depends on the step alone."""

    @property
    @abstractmethod
    def kind(self) -> Kind:
        """What people call it: constant, decay, cyclical or plateau."""

    @property
    @abstractmethod
    def span(self) -> Span:
        """How long it lasts in a chain: steps, a share of the chain, or None for the rest."""

    @final
    def __call__(self, step: Any, total_steps: int) -> Any:
        """The factor of update `step` (from 0) in a run of `total_steps`.

        step: a number, or a numpy array, torch tensor or array of jax; fractional steps are fine. Past its last step a
        schedule holds its end value. A number gives a float, an array an array of its kind.
        Raises InputError for a negative step, a span longer than the run, or a controller (it needs its state).
        """
        if not self.pure:
            what = f"`{self}` is a controller and needs its state"
            raise InputError(f"{what}, got a step only: call factor(state, step, total_steps) with state from init()")
        return self.factor({}, step, total_steps)

    @final
    def factor(self, state: Mapping[str, Any], step: Any, total_steps: int) -> Any:
        """The factor of update `step` given the state; the arguments and errors are those of a call."""
        n = self._steps(_checked_total(total_steps))
        try:
            return evaluate(step, lambda k, xp: self._at(state, k, n, xp))
        except KeyError:
            raise _foreign_state(self, state) from None

    @final
    def momentum_at(self, step: Any, total_steps: int) -> Any:
        """The momentum of update `step` where a piece cycles it, as `one_cycle(momentum=[0.85, 0.95])` does; else None.

        The arguments and errors are those of a call. Before and after that piece its momentum is held.
        """
        n = self._steps(_checked_total(total_steps))
        return evaluate(step, lambda k, xp: self._momentum(k, n, xp))

    @final
    def at_update(self, state: Mapping[str, Any], made: int, total_steps: int) -> tuple[float, float | None]:
        """(factor, momentum or None) after so many updates, as `factor` and `momentum_at` give them, in one call.

        For loops that ask at every update: `made` must be an int of at least 0, and `total_steps` one that was
        validated.
        """
        n = self._steps(total_steps)
        try:
            return float(self._at(state, made, n, FLOATS)), self._momentum(made, n, FLOATS)
        except KeyError:
            raise _foreign_state(self, state) from None

    @final
    def update(self, state: State, metric: float, step: float, total_steps: int) -> State:
        """The state after `metric` was measured; `step` is the number of updates made so far. `state` is not changed.

        In a chain only the piece that the next update belongs to hears of the metric. Raises InputError for a metric
        that is NaN: it is neither better nor worse than any other, so no rate can follow from it.
        """
        k, xp = kind_of(step)
        if xp is not FLOATS:
            raise InputError(f"`step` must be one number for an update, got {type(step).__name__}")
        value = float(metric)
        if math.isnan(value):
            what = "`metric` must be a number to compare by, got metric=nan"
            raise InputError(f"{what} at step {k:g}: the training has most likely diverged; lower its rate")
        try:
            return self._observe(state, value, k, self._steps(_checked_total(total_steps)))
        except KeyError:
            raise _foreign_state(self, state) from None

    @final
    def bounds(self, total_steps: int) -> list[int]:
        """The steps at which a piece of it begins or ends, from 0 to `total_steps`: where its shape may change."""
        n = self._steps(_checked_total(total_steps))
        return sorted({0, total_steps, *(place for place in self._bounds(n) if place <= total_steps)})

    def init(self) -> State:
        """The state before the first metric: plain data, ready for JSON. Empty for a pure schedule."""
        return {}

    @final
    def validate(self, total_steps: int) -> None:
        """Raises InputError, with the numbers, when the spans do not fit into `total_steps`."""
        self._check(self._steps(_checked_total(total_steps)))

    @final
    def __rshift__(self, other: "Schedule") -> "Schedule":
        return Chain((self, other)) if _is_schedule(other) else NotImplemented

    @final
    def __mul__(self, other: "Schedule") -> "Schedule":
        return Product((self, other)) if _is_schedule(other) else NotImplemented

    # Equality goes by text, because in Python 1 == 1.0 while here the one is a step and the other the whole run.
    @final
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Schedule) and type(self) is type(other) and str(self) == str(other)

    @final
    def __hash__(self) -> int:
        return hash(str(self))

    @final
    def __repr__(self) -> str:
        return str(self)

    def _repr_svg_(self) -> str | None:
        """Its curve over 1,000 steps, which notebooks show; none of a controller, or where its spans are longer."""
        try:
            return svg(str(self), self(np.arange(0, 1001, 2), 1000)) if self.pure else None
        except InputError:
            return None

    @abstractmethod
    def __str__(self) -> str: ...

    @abstractmethod
    def _steps(self, whole: int) -> int:
        """Its own length in a run of `whole` steps."""

    @abstractmethod
    def _at(self, state: Mapping[str, Any], k: Any, n: int, xp: Namespace) -> Any:
        """The factor at its own step `k` (below 0 before it begins, from n after its end) when it is `n` steps long."""

    def _observe(self, state: State, metric: float, k: float, n: int) -> State:
        """The state after `metric` at its own step `k`, when it is `n` steps long."""
        return state

    def _momentum(self, k: Any, n: int, xp: Namespace) -> Any:
        """The momentum at its own step `k`, when it is `n` steps long; None where it cycles none."""
        return None

    @property
    def _goes_on(self) -> bool:
        """Whether in a chain it begins at the factor that the piece before it ended with, instead of at the peak."""
        return False

    def _inside(self, n: int) -> list[tuple["Schedule", int]]:
        """The pieces it is made of and their lengths when it is `n` steps long; InputError when they do not fit."""
        return []

    def _bounds(self, n: int) -> list[int]:
        """Where its pieces begin and end, when it is `n` steps long."""
        return [0, n]

    @final
    def _check(self, n: int) -> None:
        for piece, length in self._inside(n):
            piece._check(length)


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Chain(Schedule):
    """`a >> b >> ...`: one after the other. At most one piece leaves its span out and takes the rest.

    The last piece holds its end. Raises InputError when shares add up to more than 1, or to 1 beside a rest.
    """

    pieces: tuple[Schedule, ...]
    # Lengths by total length: they are asked for at every step of a training, with the same total.
    _sizes: dict[int, list[int]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "pieces", _flat(Chain, self.pieces))
        check_spans([piece.span for piece in self.pieces], str(self))

    @property
    def pure(self) -> bool:
        return all(piece.pure for piece in self.pieces)

    @property
    def kind(self) -> Kind:
        return _most_specific(self.pieces)

    @property
    def span(self) -> Span:
        return None

    def __str__(self) -> str:
        return " >> ".join(map(str, self.pieces))

    def init(self) -> State:
        return _joint_state(self)

    def _steps(self, whole: int) -> int:
        return whole

    def _lengths(self, n: int) -> list[int]:
        sizes = self._sizes.get(n)
        if sizes is None:
            sizes = lengths([piece.span for piece in self.pieces], n, self)
            if len(self._sizes) < 100:
                self._sizes[n] = sizes
        return sizes

    def _inside(self, n: int) -> list[tuple[Schedule, int]]:
        return list(zip(self.pieces, self._lengths(n), strict=True))

    @property
    def _goes_on(self) -> bool:
        return self.pieces[0]._goes_on

    def _at(self, state: Mapping[str, Any], k: Any, n: int, xp: Namespace) -> Any:
        sizes = self._lengths(n)
        if xp is FLOATS:
            place, start = _active(sizes, k)
            return self._level(state, place, sizes) * self.pieces[place]._at(
                _inner(state, place), k - start, sizes[place], xp
            )
        value: Any = None
        start = 0
        for place, piece in enumerate(self.pieces):
            mine = piece._at(_inner(state, place), k - start, sizes[place], xp) * self._level(state, place, sizes)
            value = mine if place == 0 else xp.where(k < start, value, mine)
            start += sizes[place]
        return value

    def _level(self, state: Mapping[str, Any], place: int, sizes: list[int]) -> float:
        """The factor that a piece begins with: 1, or where the one before it ended."""
        if place == 0 or not self.pieces[place]._goes_on:
            return 1.0
        end = self.pieces[place - 1]._at(_inner(state, place - 1), sizes[place - 1], sizes[place - 1], FLOATS)
        return float(end) * self._level(state, place - 1, sizes)

    def _bounds(self, n: int) -> list[int]:
        places, start = [], 0
        for piece, size in self._inside(n):
            places += [start + place for place in piece._bounds(size)]
            start += size
        return places

    def _momentum(self, k: Any, n: int, xp: Namespace) -> Any:
        start = 0
        for piece, size in self._inside(n):
            value = piece._momentum(k - start, size, xp)
            if value is not None:
                return value
            start += size
        return None

    def _observe(self, state: State, metric: float, k: float, n: int) -> State:
        if self.pure:
            return state
        sizes = self._lengths(n)
        place, start = _active(sizes, k)
        states = list(state["pieces"])
        states[place] = self.pieces[place]._observe(states[place], metric, k - start, sizes[place])
        return {"pieces": states}


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Product(Schedule):
    """`a * b * ...`: the factors multiplied. In a chain it takes the span that all its factors share, else the rest."""

    pieces: tuple[Schedule, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "pieces", _flat(Product, self.pieces))

    @property
    def pure(self) -> bool:
        return all(piece.pure for piece in self.pieces)

    @property
    def kind(self) -> Kind:
        return _most_specific(self.pieces)

    @property
    def span(self) -> Span:
        first = self.pieces[0].span
        shared = all(piece.span == first and type(piece.span) is type(first) for piece in self.pieces)
        return first if shared else None

    def __str__(self) -> str:
        return " * ".join(f"({piece})" if isinstance(piece, Chain) else str(piece) for piece in self.pieces)

    def init(self) -> State:
        return _joint_state(self)

    def _steps(self, whole: int) -> int:
        # With a shared span every factor has the same length, so the first can answer for all.
        return whole if self.span is None else self.pieces[0]._steps(whole)

    def _length(self, piece: Schedule, n: int) -> int:
        return piece._steps(n) if self.span is None else n

    def _inside(self, n: int) -> list[tuple[Schedule, int]]:
        return [(piece, self._length(piece, n)) for piece in self.pieces]

    def _at(self, state: Mapping[str, Any], k: Any, n: int, xp: Namespace) -> Any:
        value: Any = 1.0
        for place, piece in enumerate(self.pieces):
            value = value * piece._at(_inner(state, place), k, self._length(piece, n), xp)
        return value

    @property
    def _goes_on(self) -> bool:
        return any(piece._goes_on for piece in self.pieces)

    def _bounds(self, n: int) -> list[int]:
        return [place for piece, length in self._inside(n) for place in piece._bounds(length)]

    def _momentum(self, k: Any, n: int, xp: Namespace) -> Any:
        found = (piece._momentum(k, length, xp) for piece, length in self._inside(n))
        return next((value for value in found if value is not None), None)

    def _observe(self, state: State, metric: float, k: float, n: int) -> State:
        if self.pure:
            return state
        pairs = zip(self.pieces, state["pieces"], strict=True)
        return {"pieces": [piece._observe(mine, metric, k, self._length(piece, n)) for piece, mine in pairs]}


def _is_schedule(value: object) -> bool:
    # Types promise it, people at a prompt do not.
    return isinstance(value, Schedule)


def _checked_total(total_steps: Any) -> int:
    if type(total_steps) is int and total_steps >= 1:
        return total_steps
    whole = (
        hasattr(total_steps, "__index__") and not isinstance(total_steps, bool) and getattr(total_steps, "ndim", 0) == 0
    )
    if whole and int(total_steps) >= 1:
        return int(total_steps)
    raise InputError(f"`total_steps` must be a whole number of steps from 1, got total_steps={total_steps!r}")


def _flat(cls: type[Chain] | type[Product], pieces: tuple[Schedule, ...]) -> tuple[Schedule, ...]:
    """A chain of chains is one chain, and so for products: both are associative."""
    return tuple(part for piece in pieces for part in (piece.pieces if isinstance(piece, cls) else (piece,)))


def _foreign_state(schedule: Schedule, state: Mapping[str, Any]) -> InputError:
    return InputError(f"`state` must come from init() of `{schedule}`, got state={state!r}: start with init()")


def _most_specific(pieces: tuple[Schedule, ...]) -> Kind:
    return max((piece.kind for piece in pieces), key=_KINDS.index)


def _joint_state(schedule: Chain | Product) -> State:
    return {} if schedule.pure else {"pieces": [piece.init() for piece in schedule.pieces]}


def _inner(state: Mapping[str, Any], place: int) -> Mapping[str, Any]:
    # A pure joined schedule has an empty state all the way down.
    inner: Mapping[str, Any] = state["pieces"][place] if state else state
    return inner


def _active(sizes: list[int], k: float) -> tuple[int, int]:
    """The piece that step `k` belongs to and its first step; the last piece never ends."""
    start = 0
    for place, size in enumerate(sizes[:-1]):
        if k < start + size:
            return place, start
        start += size
    return len(sizes) - 1, start
