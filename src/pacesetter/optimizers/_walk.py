"""How a rule goes over the tensors of a lane: by functions of one tensor's numbers, and by sums over all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Scalar: TypeAlias = "float | Tensor"
New: TypeAlias = dict[str, Any]
"""What is new of a tensor's numbers, by name."""
Term: TypeAlias = "Tensor | tuple[Tensor, Tensor]"
"""What is summed: the products of the numbers of two tensors, or the absolute values of one's."""
Coefficients: TypeAlias = Callable[[Any], Sequence[Any]]
"""From a rate to scalars, or to tensors with one scalar for each tensor of the lane."""


class Numbers(dict[str, Any]):
    """Of a tensor: its "weight", its "grad" and its slots, by name.

    The methods give new numbers for old ones. In a walk in place they are put in the place of the old, which are gone
    then, and in any other nothing is changed: a function asks for the new of a name last.
    """

    in_place = False

    def apart(self) -> "Numbers":
        """The same numbers, none of which is changed."""
        return Numbers(self)

    def having(self, **others: "Tensor") -> "Numbers":
        """The same numbers but for some."""
        new = Numbers(self, **others)
        new.in_place = self.in_place
        return new

    def pulled(self, weight_decay: float) -> "Tensor":
        """The gradient with `weight_decay` times the weight added."""
        grad: Tensor = self["grad"]
        return grad.add(self["weight"], alpha=weight_decay) if weight_decay else grad

    def lerp(self, name: str, end: "Tensor", share: Scalar) -> "Tensor":
        """The old, moved by a share of the way to `end`."""
        old: Tensor = self[name]
        return old.lerp_(end, share) if self.in_place else old.lerp(end, share)

    def blend(self, name: str, beta: float, one: "Tensor", other: "Tensor", factor: float = 1.0) -> "Tensor":
        """`beta` times the old, and `factor` times the product of two others."""
        old: Tensor = self[name]
        if self.in_place:
            return old.mul_(beta).addcmul_(one, other, value=factor)
        return (old * beta).addcmul(one, other, value=factor)

    def less(self, name: str, step: "Tensor", rate: Scalar) -> "Tensor":
        """The old, less `rate` times `step`."""
        old: Tensor = self[name]
        if isinstance(rate, int | float):
            return old.sub_(step, alpha=rate) if self.in_place else old.sub(step, alpha=rate)
        return old.addcmul_(step, rate, value=-1) if self.in_place else old.addcmul(step, rate, value=-1)

    def less_ratio(self, name: str, one: "Tensor", other: "Tensor") -> "Tensor":
        """The old, less one divided by another."""
        old: Tensor = self[name]
        return old.addcdiv_(one, other, value=-1) if self.in_place else old.addcdiv(one, other, value=-1)

    def scaled(self, name: str, factor: Scalar) -> "Tensor":
        """The old, times a factor."""
        old: Tensor = self[name]
        return old.mul_(factor) if self.in_place else old * factor


def none(rate: Any) -> Sequence[Any]:
    """No coefficients."""
    return ()


class Walk(ABC):
    """One update of a lane, as its rule sees it. The rule's functions know neither the lane nor its other tensors.

    A function gets the numbers of a tensor, or of a part of one, or of several tensors in a row; and after them the
    coefficients of its rate, in the precision of the weights. It returns the new numbers, by name. Under a name that is
    no slot one that sees leaves what those after it would else work out again.
    """

    def __init__(self, rates: "dict[str, Scalar]") -> None:
        """Hold the rate of each tensor."""
        self.of_each = rates
        self.rates = list({id(rate): rate for rate in rates.values()}.values())

    @abstractmethod
    def see(
        self,
        function: "Callable[..., tuple[New, Sequence[Term]]]",
        coefficients: Coefficients = none,
        *,
        counts: Coefficients | None = None,
        each: bool = False,
    ) -> "list[Tensor]":
        """The sums of the terms of all tensors, in double precision, and the new slots.

        counts: factors of the terms, by the rate of their tensor. each: give the sums of each tensor, in a row.
        """

    @abstractmethod
    def regrade(self, function: "Callable[..., Tensor]", coefficients: Coefficients = none, into: str = "grad") -> None:
        """From here on, and until the weights have moved, the gradient is what a function makes of the numbers."""

    @abstractmethod
    def move(self, function: Callable[..., New], coefficients: Coefficients, lane: "dict[str, Tensor]") -> None:
        """The new weights and slots, once the scalars of the lane are known."""


class Around(Walk):
    """A walk around a walk, for a rule around a rule."""

    def __init__(self, walk: Walk) -> None:
        super().__init__(walk.of_each)
        self.walk = walk

    def see(self, *parts: Any, **options: Any) -> "list[Tensor]":
        """As the walk within."""
        return self.walk.see(*parts, **options)

    def regrade(self, *parts: Any, **options: Any) -> None:
        """As the walk within."""
        self.walk.regrade(*parts, **options)


class Fresh(Walk):
    """A walk that changes nothing that it is given: what is new takes the place of the old among its `numbers`."""

    def __init__(self, numbers: dict[str, Numbers], rates: "dict[str, Scalar]") -> None:
        """Begin with the numbers of each tensor."""
        super().__init__(rates)
        self.numbers = numbers

    def see(
        self,
        function: "Callable[..., tuple[New, Sequence[Term]]]",
        coefficients: Coefficients = none,
        *,
        counts: Coefficients | None = None,
        each: bool = False,
    ) -> "list[Tensor]":
        """The sums, and the new slots."""
        made, sums = Made(coefficients), Sums(self, counts, each)
        for place, (name, numbers) in enumerate(self.numbers.items()):
            new, terms = function(numbers, *made.at(self.of_each[name], numbers["weight"].dtype, place))
            numbers.update(new)
            sums.add(place, [_summed(term) for term in terms], [is_square(term) for term in terms])
        return sums.found()

    def regrade(self, function: "Callable[..., Tensor]", coefficients: Coefficients = none, into: str = "grad") -> None:
        """The new gradients."""
        self.move(lambda numbers, *own: {into: function(numbers, *own)}, coefficients, {})

    def move(self, function: Callable[..., New], coefficients: Coefficients, lane: "dict[str, Tensor]") -> None:
        """The new weights and slots."""
        made = Made(coefficients)
        for place, (name, numbers) in enumerate(self.numbers.items()):
            numbers.update(function(numbers, *made.at(self.of_each[name], numbers["weight"].dtype, place)))


class Made:
    """Coefficients, worked out once for all tensors of one rate and kind."""

    def __init__(self, coefficients: Coefficients) -> None:
        self._make = coefficients
        self._made: dict[tuple[int, torch.dtype], list[Any]] = {}

    def of(self, rate: Any, dtype: "torch.dtype") -> list[Any]:
        """Those of a rate, in the precision of the weights."""
        key = (id(rate), dtype)
        if key not in self._made:
            self._made[key] = [cast(value, dtype) for value in self._make(rate)]
        return self._made[key]

    def at(self, rate: Any, dtype: "torch.dtype", place: int) -> list[Any]:
        """Those of the tensor at a place."""
        return [value[place] if has_one_for_each(value) else value for value in self.of(rate, dtype)]


def has_one_for_each(value: Any) -> bool:
    """Whether a coefficient has a number for each tensor."""
    return not isinstance(value, int | float) and value.dim() == 1


def cast(value: Any, dtype: "torch.dtype") -> Any:
    """A scalar in a precision, so that it does not raise that of weights (in vmap, and of those without dimensions)."""
    return value if isinstance(value, int | float) else value.to(dtype)


class Sums:
    """Sums of several tensors, or of parts of them, being collected."""

    def __init__(self, walk: Walk, counts: Coefficients | None, each: bool) -> None:
        self._rates, self._counts, self._each = list(walk.of_each.values()), counts, each
        self._places: list[int] = []
        self._values: list[list[Tensor]] = []
        self._roots: list[bool] = []

    def add(self, place: int, values: "list[Tensor]", roots: list[bool]) -> None:
        """The sums of what belongs to the tensor at a place, or to it and others of its rate; of squares, the roots."""
        self._places.append(place)
        self._values.append(values)
        self._roots = roots

    def found(self) -> "list[Tensor]":
        """The sums, in double precision."""
        import torch

        columns = [torch.stack(column).double() for column in zip(*self._values, strict=True)]
        columns = [column.square() if root else column for column, root in zip(columns, self._roots, strict=True)]
        if self._each:
            if self._places == list(range(len(self._rates))):
                return columns
            places = torch.tensor(self._places, device=columns[0].device)
            return [column.new_zeros(len(self._rates)).index_add(0, places, column) for column in columns]
        if self._counts is None:
            return [column.sum() for column in columns]
        by_rate: dict[int, list[int]] = {}
        for entry, place in enumerate(self._places):
            by_rate.setdefault(id(self._rates[place]), []).append(entry)
        if len(by_rate) == 1:
            counts = self._counts(self._rates[0])
            return [column.sum() * count for column, count in zip(columns, counts, strict=True)]
        found = []
        for entries in by_rate.values():
            counts = self._counts(self._rates[self._places[entries[0]]])
            found.append([column[entries].sum() * count for column, count in zip(columns, counts, strict=True)])
        return [torch.stack(parts).sum() for parts in zip(*found, strict=True)]


def is_square(term: Term) -> bool:
    """Whether a term is the squares of a tensor's numbers."""
    return isinstance(term, tuple) and term[0] is term[1]


def _summed(term: Term) -> "Tensor":
    """The sum of a tensor's term; of squares the root, which is one operation and not two."""
    import torch

    if not isinstance(term, tuple):
        size: Tensor = torch.linalg.vector_norm(term, 1)
        return size
    if is_square(term):
        root: Tensor = torch.linalg.vector_norm(term[0])
        return root
    return (term[0] * term[1]).sum()
