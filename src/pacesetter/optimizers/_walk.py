"""How a rule goes over the tensors of a lane: by functions of one tensor's numbers, and by sums over all of them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from pacesetter.optimizers._scalars import Scalar, is_number

if TYPE_CHECKING:
    import torch
    from torch import Tensor

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
        if all(self[name] is value for name, value in others.items()):
            return self
        new = Numbers(self, **others)
        new.in_place = self.in_place
        return new

    def pulled(self, weight_decay: float) -> "Tensor":
        """The gradient with `weight_decay` times the weight added."""
        grad: Tensor = self["grad"]
        return grad.add(self["weight"], alpha=weight_decay) if weight_decay else grad

    # What is made of a tensor that nobody else needs takes its place, in a walk in place.

    def sign(self, made: "Tensor") -> "Tensor":
        """The signs."""
        return made.sign_() if self.in_place else made.sign()

    def root(self, square: "Tensor", eps: Scalar) -> "Tensor":
        """The square root, which is made here, and `eps` added."""
        made = square.sqrt()
        spread: Tensor = made.add_(eps) if self.in_place else made + eps
        return spread

    def over(self, one: "Tensor", made: "Tensor") -> "Tensor":
        """One divided by what was made."""
        import torch

        ratio: Tensor = torch.div(one, made, out=made) if self.in_place else one / made
        return ratio

    def with_weight(self, made: "Tensor", factor: Scalar) -> "Tensor":
        """What was made and so many times the weight."""
        if self.in_place and is_number(factor):
            return made.add_(self["weight"], alpha=factor)
        more: Tensor = made + factor * self["weight"]
        return more

    def lerp(self, name: str, end: "Tensor", share: Scalar) -> "Tensor":
        """The old, moved by a share of the way to `end`."""
        old: Tensor = self[name]
        return old.lerp_(end, share) if self.in_place else old.lerp(end, share)

    def blend(self, name: str, beta: float, one: "Tensor", other: Any, factor: float = 1.0) -> "Tensor":
        """`beta` times the old, and `factor` times the product of two others, the second may be a scalar."""
        old: Tensor = self[name]
        if is_number(other):
            factor = factor * other
            return old.mul_(beta).add_(one, alpha=factor) if self.in_place else (old * beta).add(one, alpha=factor)
        if self.in_place:
            return old.mul_(beta).addcmul_(one, other, value=factor)
        return (old * beta).addcmul(one, other, value=factor)

    def less(self, name: str, step: "Tensor", rate: Any) -> "Tensor":
        """The old, less `rate` times `step`."""
        old: Tensor = self[name]
        if is_number(rate):
            return old.sub_(step, alpha=rate) if self.in_place else old.sub(step, alpha=rate)
        return old.addcmul_(step, rate, value=-1) if self.in_place else old.addcmul(step, rate, value=-1)

    def less_ratio(self, name: str, one: "Tensor", other: "Tensor", rate: Any = 1.0) -> "Tensor":
        """The old, less `rate` times one divided by another."""
        old: Tensor = self[name]
        if not is_number(rate):
            one, rate = rate * one, 1.0
        return old.addcdiv_(one, other, value=-rate) if self.in_place else old.addcdiv(one, other, value=-rate)

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

    def __init__(self, rates: Sequence[Scalar]) -> None:
        """Hold the rate of each tensor; tensors of one rate have the same object."""
        self.of_each = rates

    @property
    def rates(self) -> list[Any]:
        """The rates that there are."""
        return list({id(rate): rate for rate in self.of_each}.values())

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

    def __init__(self, numbers: Sequence[Numbers], rates: Sequence[Scalar]) -> None:
        """Begin with the numbers of each tensor, and its rate."""
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
        for place, numbers in enumerate(self.numbers):
            new, terms = function(numbers, *made.at(self.of_each[place], numbers["weight"].dtype, place))
            numbers.update(new)
            sums.add([place], [[_summed(term)] for term in terms], [is_square(term) for term in terms])
        return sums.found()

    def regrade(self, function: "Callable[..., Tensor]", coefficients: Coefficients = none, into: str = "grad") -> None:
        """The new gradients."""
        self.move(lambda numbers, *own: {into: function(numbers, *own)}, coefficients, {})

    def move(self, function: Callable[..., New], coefficients: Coefficients, lane: "dict[str, Tensor]") -> None:
        """The new weights and slots."""
        made = Made(coefficients)
        for place, numbers in enumerate(self.numbers):
            numbers.update(function(numbers, *made.at(self.of_each[place], numbers["weight"].dtype, place)))


class Made:
    """Coefficients, worked out once for all tensors of one rate and kind. each: some have one for each tensor."""

    def __init__(self, coefficients: Coefficients, as_floats: bool = False) -> None:
        self._make, self._as_floats = coefficients, as_floats
        self._made: dict[tuple[int, torch.dtype], list[Any]] = {}
        self.each = False

    def of(self, rate: Any, dtype: "torch.dtype") -> list[Any]:
        """Those of a rate, in the precision of the weights."""
        key = (id(rate), dtype)
        if key not in self._made:
            made = [
                value if type(value) is float else cast(value, dtype, self._as_floats) for value in self._make(rate)
            ]
            self._made[key] = made
            self.each = self.each or any(has_one_for_each(value) for value in made)
        return self._made[key]

    def at(self, rate: Any, dtype: "torch.dtype", place: int) -> list[Any]:
        """Those of the tensor at a place."""
        return [value[place] if has_one_for_each(value) else value for value in self.of(rate, dtype)]


def has_one_for_each(value: Any) -> bool:
    """Whether a coefficient has a number for each tensor."""
    return not is_number(value) and value.dim() == 1


def cast(value: Any, dtype: "torch.dtype", as_float: bool = False) -> Any:
    """A scalar in a precision, so that it does not raise that of weights (in vmap, and of those without dimensions)."""
    if as_float and not is_number(value) and value.dim() == 0:
        return value.item()
    return value if is_number(value) else value.to(dtype)


class Sums:
    """Sums of several tensors, or of parts of them, being collected."""

    def __init__(self, walk: Walk, counts: Coefficients | None, each: bool) -> None:
        self._rates, self._counts, self._each = walk.of_each, counts, each
        self._places: list[int] = []
        self._columns: list[list[Scalar]] = []
        self._roots: list[bool] = []

    def add(self, places: list[int], values: Sequence[Sequence[Scalar]], roots: list[bool]) -> None:
        """The sums of the tensors at some places, for each term; of one, they may be of others of its rate too.

        roots: which of them are the roots of sums, as those of squares are.
        """
        self._places += places
        self._roots = roots
        self._columns = self._columns or [[] for _ in values]
        for column, found in zip(self._columns, values, strict=True):
            column.extend(found)

    def found(self, on_host: bool = False) -> "list[Tensor]":
        """The sums, in double precision. on_host: their device need not be waited for."""
        import torch

        columns: list[Any] = self._columns
        if on_host:
            numbers = [[value if is_number(value) else value.item() for value in column] for column in columns]
            columns = list(torch.tensor(numbers, dtype=torch.float64))
        else:
            columns = [torch.stack(column).double() for column in columns]
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
