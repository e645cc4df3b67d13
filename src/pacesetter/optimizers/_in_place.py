"""The walk of a torch optimizer: small tensors in a row, large ones in parts, and what is new put in place of the old.

A rule's functions make several tensors on the way. Of a part of a large tensor these stay in the processor's cache and
in memory that is used again; of many small tensors in a row each operation is made once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from pacesetter.optimizers._base import Walked
from pacesetter.optimizers._walk import (
    Coefficients,
    Made,
    New,
    Numbers,
    Sums,
    Term,
    Walk,
    has_one_for_each,
    is_square,
    none,
)

__all__ = ["InPlace", "Layout"]

PART = 2**18
"""Numbers of a part, for each thread: the best of the powers of two from 2**13 on, at 1e5 to 1e7 numbers in all."""
SMALL = 2**15
"""Numbers up to which a tensor goes in a row with others: above it, copying them costs more than a few calls."""
PART_ELSEWHERE = 2**24
"""On devices that take long to begin an operation."""

States = dict[str, dict[str, Tensor]]


class Piece:
    """A tensor, or several in a row: how parts of it are read and written."""

    def __init__(
        self, places: list[int], weights: list[Tensor], states: list[dict[str, Tensor]], slots: list[str]
    ) -> None:
        self.places, self.weights, self._states = places, weights, states
        self._kept = [(state, slot, state[slot]) for state in states for slot in slots]

    def holds(self) -> bool:
        """Whether nobody has replaced the state of a tensor."""
        return all(state.get(slot) is value for state, slot, value in self._kept)

    def parts(self) -> Iterator[Numbers]:
        """The numbers of each part, to be written into."""
        yield _numbers({slot: value for _, slot, value in self._kept}, self.weights[0], self.weights[0].grad)

    def write(self, part: Numbers, new: New) -> None:
        """Put what is new of a part in its place, if it is not there."""
        for slot, value in new.items():
            if slot in part and part[slot] is not value:
                part[slot].copy_(value)

    def coefficients(self, made: list[Any]) -> list[Any]:
        """Those of its tensor."""
        return [value[self.places[0]] if has_one_for_each(value) else value for value in made]

    def sums(self, term: Term) -> list[Tensor]:
        """The sum of a part's term, for each of its tensors."""
        return [_summed(term)]


class Large(Piece):
    """A tensor in parts."""

    def __init__(self, size: int, *own: Any) -> None:
        super().__init__(*own)
        self._size = size
        flat = [torch.split(value.view(-1), size) for _, _, value in self._kept]
        slots = [slot for _, slot, _ in self._kept]
        self._parts = [dict(zip(slots, values, strict=True)) for values in zip(*flat, strict=True)]

    def parts(self) -> Iterator[Numbers]:
        """The parts, one after the other."""
        weight = self.weights[0]
        assert weight.grad is not None
        weights, grads = (torch.split(value.reshape(-1), self._size) for value in (weight, weight.grad))
        for slots, own, grad in zip(self._parts or [{}] * len(weights), weights, grads, strict=True):
            yield _numbers(slots, own, grad)


class Row(Piece):
    """Several small tensors in a row. Their state lies in a row; what the optimizer has for each are views."""

    def __init__(
        self, places: list[int], weights: list[Tensor], states: list[dict[str, Tensor]], slots: list[str]
    ) -> None:
        self._lengths = [weight.numel() for weight in weights]
        self._flat: dict[str, Tensor] = {}
        for slot in slots:
            self._flat[slot] = _in_one_row([state[slot] for state in states])
            for state, view in zip(states, _as_they_were(self._flat[slot], weights), strict=True):
                state[slot] = view
        super().__init__(places, weights, states, slots)

    def parts(self) -> Iterator[Numbers]:
        """All of it at once."""
        yield _numbers(self._flat, _in_one_row(self.weights), _in_one_row([weight.grad for weight in self.weights]))

    def write(self, part: Numbers, new: New) -> None:
        """The weights go to their tensors."""
        if "weight" in new:
            torch._foreach_copy_(self.weights, list(_as_they_were(new["weight"], self.weights)))
        for slot, value in new.items():
            if slot in self._flat and part[slot] is not value:
                part[slot].copy_(value)

    def coefficients(self, made: list[Any]) -> list[Any]:
        """Where each tensor has its own, a row of them."""
        return [self._spread(value) if has_one_for_each(value) else value for value in made]

    def _spread(self, value: Tensor) -> Tensor:
        spread, own = value.new_empty(sum(self._lengths)), value.unbind()
        torch._foreach_copy_(self._each(spread), [own[place] for place in self.places])
        return spread

    def _each(self, row: Tensor) -> list[Tensor]:
        return list(torch.split_with_sizes(row, self._lengths))

    def sums(self, term: Term) -> list[Tensor]:
        """The sum for each tensor."""
        if not isinstance(term, tuple):
            return [_summed(own) for own in self._each(term)]
        if term[0] is term[1]:
            return list(torch._foreach_norm(self._each(term[0])))  # noqa: SLF001  # as torch's own
        pairs = zip(*(self._each(own) for own in term), strict=True)
        return [_summed(pair) for pair in pairs]


class Layout:
    """How the tensors of an optimizer are laid out; it holds as long as they keep their forms and their state."""

    def __init__(self, rule: Walked, params: dict[str, Tensor], states: States) -> None:
        self._form = form(params)
        self._states = [states[name] for name in params]
        self.pieces: list[Piece] = []
        rows: dict[Any, list[int]] = {}
        weights = list(params.values())
        for place, (name, weight) in enumerate(params.items()):
            on_cpu = weight.device.type == "cpu"
            part = PART * torch.get_num_threads() if on_cpu else PART_ELSEWHERE
            slots = list(rule.kept(torch.empty_like(weight, device="meta")))
            own = [place], [weight], [states[name]], slots
            dense = type(weight) in (Tensor, torch.nn.Parameter) and all(
                value.is_contiguous() for value in (weight, *states[name].values())
            )
            if rule.whole(weight) or not dense:
                self.pieces.append(Piece(*own))
            elif weight.numel() > (SMALL if on_cpu else part):
                self.pieces.append(Large(part, *own))
            else:
                group = (name.partition(".")[0], weight.dtype, weight.device, *slots)
                row = rows.setdefault(group, [])
                if row and sum(weights[other].numel() for other in row) + weight.numel() > part:
                    self._add_row(row, weights, slots)
                    row = rows[group] = []
                row.append(place)
        for (_, _, _, *slots), row in rows.items():
            self._add_row(row, weights, slots)

    def _add_row(self, row: list[int], weights: list[Tensor], slots: list[str]) -> None:
        self.pieces.append(Row(row, [weights[place] for place in row], [self._states[place] for place in row], slots))

    def holds(self, params: dict[str, Tensor], states: States) -> bool:
        """Whether these are the tensors, their forms and their state."""
        same = all(one is other for one, other in zip(self._states, states.values(), strict=False))
        return same and self._form == form(params) and all(piece.holds() for piece in self.pieces)


def form(params: dict[str, Tensor]) -> list[Any]:
    """What a layout depends on."""
    return [(name, p.shape, p.dtype, p.device, p.is_contiguous()) for name, p in params.items()]


class InPlace(Walk):
    """A walk that changes weights and state, and of the gradients nothing."""

    def __init__(self, pieces: list[Piece], rates: dict[str, Any]) -> None:
        """Begin over the pieces, with the rate of each tensor."""
        super().__init__(rates)
        self._pieces = pieces
        self._begun: list[list[Numbers]] | None = None
        self._regraded: list[tuple[str, Callable[..., Tensor], Made]] = []

    def see(
        self,
        function: Callable[..., tuple[New, Sequence[Term]]],
        coefficients: Coefficients = none,
        *,
        counts: Coefficients | None = None,
        each: bool = False,
    ) -> list[Tensor]:
        """The sums; the new slots are in their place, and what else is left lies beside them until the end."""
        sums = Sums(self, counts, each)
        for piece, part, own in self._parts(coefficients, keep=True):
            new, terms = function(part, *own)
            roots = [is_square(term) for term in terms]
            if each:
                values = zip(*(piece.sums(term) for term in terms), strict=True)
                for place, of_one in zip(piece.places, values, strict=True):
                    sums.add(place, list(of_one), roots)
            else:
                sums.add(piece.places[0], [_summed(term) for term in terms], roots)
            piece.write(part, new)  # after the sums, in which the old may be
            part.update({name: value for name, value in new.items() if name not in part})
        return sums.found()

    def regrade(self, function: Callable[..., Tensor], coefficients: Coefficients = none, into: str = "grad") -> None:
        """The gradient of a part is made when the part is gone over next."""
        self._regraded.append((into, function, Made(coefficients)))

    def move(self, function: Callable[..., New], coefficients: Coefficients, lane: dict[str, Tensor]) -> None:
        """The new weights and slots are in their place."""
        for piece, part, own in self._parts(coefficients, keep=False):
            piece.write(part, function(part, *own))

    def _parts(self, coefficients: Coefficients, keep: bool) -> Iterator[tuple[Piece, Numbers, list[Any]]]:
        rates, made = list(self.of_each.values()), Made(coefficients)
        regraded, self._regraded = self._regraded, []
        begun: Sequence[Iterable[Numbers]] = self._begun or [piece.parts() for piece in self._pieces]
        gone_over = []
        for piece, parts in zip(self._pieces, begun, strict=True):
            rate, dtype = rates[piece.places[0]], piece.weights[0].dtype
            own = piece.coefficients(made.of(rate, dtype))
            anew = [(into, again, piece.coefficients(of.of(rate, dtype))) for into, again, of in regraded]
            kept = []
            for part in parts if keep else _taken(parts):
                for into, again, its in anew:
                    part[into] = again(part, *its)
                yield piece, part, own
                if keep:
                    kept.append(part)
            gone_over.append(kept)
        self._begun = gone_over if keep else None


def _taken(parts: Iterable[Numbers]) -> Iterator[Numbers]:
    """The parts, none of which is held any more once the next is asked for: their memory is used again."""
    if not isinstance(parts, list):
        yield from parts
        return
    parts.reverse()
    while parts:
        yield parts.pop()


def _numbers(slots: dict[str, Tensor], weight: Tensor, grad: Tensor | None) -> Numbers:
    """A part's numbers, which the rule may write into."""
    numbers = Numbers(slots, weight=weight, grad=grad)
    numbers.in_place = True
    return numbers


def _in_one_row(tensors: Sequence[Any]) -> Tensor:
    row: Tensor = _flatten_dense_tensors(tensors)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return row


def _as_they_were(row: Tensor, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """A row as views in the forms of tensors."""
    views: Sequence[Tensor] = _unflatten_dense_tensors(row, tensors)  # type: ignore[no-untyped-call]  # as above
    return views


def _summed(term: Term) -> Tensor:
    """The sum of a term of one tensor; of squares the root."""
    if not isinstance(term, tuple):
        return term.abs().sum()
    one, other = term
    if one is other:
        root: Tensor = torch.linalg.vector_norm(one)
        return root
    return torch.dot(one.reshape(-1), other.reshape(-1))
