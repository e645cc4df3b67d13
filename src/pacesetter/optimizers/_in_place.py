"""The walk of a torch optimizer: small tensors in a row, large ones in parts, and what is new put in place of the old.

A rule's functions make several tensors on the way. Of a part of a large tensor these stay in the processor's cache and
in memory that is used again; of many small tensors in a row each operation is made once.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import is_
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._utils import _flatten_dense_tensors, _unflatten_dense_tensors

from pacesetter.optimizers._base import Walked, in_row
from pacesetter.optimizers._scalars import Scalar
from pacesetter.optimizers._several import Several
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
TOGETHER = 2**19
"""Numbers of several tensors whose operations are made together. Of twice as many, what `lion` makes on the way went
back to the system after each step, and to ask for it again took three times as long as the step."""
HOST = "cpu"
"""The device that nobody waits for."""
SUMMED_IN = (torch.float32, torch.float64)
"""Precisions in which numbers of a row are summed; those of another are brought to the first."""


class Piece:
    """A tensor, or several in a row: how parts of it are read and written."""

    def __init__(
        self, places: list[int], weights: list[Tensor], states: list[dict[str, Tensor]], slots: list[str]
    ) -> None:
        self.places, self.weights = places, weights
        self.on_host = weights[0].device.type == HOST
        self.kept = [(state, slot, state[slot]) for state in states for slot in slots]
        self._at = self._where()

    def holds(self) -> bool:
        """Whether nobody has put the numbers of the weights elsewhere."""
        return self._at == self._where()

    def _where(self) -> list[Any]:
        """What the views of weights that it holds depend on."""
        return []

    def parts(self) -> Iterator[Numbers]:
        """The numbers of each part, to be written into."""
        (weight,) = self.weights
        yield _Written({slot: value for _, slot, value in self.kept}, weight=weight, grad=weight.grad)

    def write(self, part: Numbers, new: New) -> None:
        """Put what is new of a part in its place, if it is not there."""
        for slot, value in new.items():
            if slot in part and part[slot] is not value:
                part[slot].copy_(value)

    def coefficients(self, made: Made, rate: Any) -> list[Any]:
        """Those of its tensor, which has this rate."""
        found = made.of(rate, self.weights[0].dtype)
        return [self._own(value) if has_one_for_each(value) else value for value in found] if made.each else found

    def _own(self, value: Tensor) -> Scalar:
        own = value[self.places[0]]
        return own.item() if self.on_host else own

    def sums(self, term: Term, each: bool) -> Sequence[Scalar]:
        """The sum of a part's term; for each of its tensors, if that is asked for; of squares the root."""
        return [_summed(term)]


class Dense(Piece):
    """A piece that goes over its numbers as they lie in memory."""

    def _where(self) -> list[Any]:
        return [(p.data_ptr(), p.dtype, p.shape, p.is_contiguous()) for p in self.weights]


class Large(Dense):
    """A tensor in parts."""

    def __init__(self, size: int, *own: Any) -> None:
        super().__init__(*own)
        self._size = size
        slots = [slot for _, slot, _ in self.kept]
        flat = [torch.split(value.view(-1), size) for value in (self.weights[0], *(own for _, _, own in self.kept))]
        self._parts = [(weight, dict(zip(slots, values, strict=True))) for weight, *values in zip(*flat, strict=True)]

    def parts(self) -> Iterator[Numbers]:
        """The parts, one after the other."""
        grad = self.weights[0].grad
        assert grad is not None
        for (weight, slots), own in zip(self._parts, torch.split(grad.reshape(-1), self._size), strict=True):
            yield _Written(slots, weight=weight, grad=own)


class Row(Dense):
    """Several small tensors in a row. Their state lies in a row; what the optimizer has for each are views."""

    def __init__(
        self, places: list[int], weights: list[Tensor], states: list[dict[str, Tensor]], slots: list[str]
    ) -> None:
        self._lengths = [weight.numel() for weight in weights]
        self._flat = [weight.view(-1) for weight in weights]
        self._begins = np.cumsum([0, *self._lengths[:-1]])
        self._slots: dict[str, Tensor] = {}
        for slot in slots:
            self._slots[slot] = _in_one_row([state[slot] for state in states])
            for state, view in zip(states, _as_they_were(self._slots[slot], weights), strict=True):
                state[slot] = view
        super().__init__(places, weights, states, slots)

    def parts(self) -> Iterator[Numbers]:
        """All of it at once."""
        grad = _in_one_row([weight.grad for weight in self.weights])
        yield _Written(self._slots, weight=torch.cat(self._flat), grad=grad)

    def write(self, part: Numbers, new: New) -> None:
        """The weights go to their tensors."""
        if "weight" in new:
            torch.split_with_sizes_copy(new["weight"], self._lengths, out=self._flat)
        for slot, value in new.items():
            if slot in self._slots and part[slot] is not value:
                part[slot].copy_(value)

    def _own(self, value: Tensor) -> Tensor:
        """Where each tensor has its own, a row of them."""
        own = value if len(self.places) == len(value) else value[self.places]
        if not self.on_host:
            lengths = torch.tensor(self._lengths, device=value.device)
            return torch.repeat_interleave(own, lengths, output_size=sum(self._lengths))
        # NumPy's takes a tenth of the time, and so do its sums.
        return torch.from_numpy(np.repeat(_summable(own).numpy(), self._lengths)).to(value.dtype)

    def sums(self, term: Term, each: bool) -> Sequence[Scalar]:
        """The sum of the row, or for each tensor."""
        if not each:
            return [_summed(term)]
        if not self.on_host:
            return _summed_each(term, lambda row: torch.split(row, self._lengths))
        own = [_summable(value) for value in _factors(term)]
        values = own[0] * own[1] if len(own) == 2 else own[0].abs()
        found = np.add.reduceat(values.numpy(), self._begins)
        sums: list[float] = (np.sqrt(found) if is_square(term) else found).tolist()
        return sums


class Together(Piece):
    """Several tensors, of which each operation is made together."""

    def __init__(self, *own: Any) -> None:
        super().__init__(*own)
        slots: dict[str, list[Tensor]] = {}
        for _, slot, value in self.kept:
            slots.setdefault(slot, []).append(value)
        self._numbers = {slot: Several(values) for slot, values in slots.items()}

    def parts(self) -> Iterator[Numbers]:
        """All of it at once."""
        grads: list[Any] = [weight.grad for weight in self.weights]
        yield _Written(self._numbers, weight=Several(self.weights), grad=Several(grads))

    def write(self, part: Numbers, new: New) -> None:
        """Put what is new of a part in its place, if it is not there."""
        for slot, value in new.items():
            if slot in part and part[slot] is not value:
                torch._foreach_copy_(part[slot].tensors, value.tensors)

    def _own(self, value: Tensor) -> Any:
        own = value if len(self.places) == len(value) else value[self.places]
        return Several(own.unbind())

    def sums(self, term: Any, each: bool) -> Sequence[Scalar]:
        """The sum for each tensor."""
        return _summed_each(term, lambda several: several.tensors)


class Layout:
    """How tensors of an optimizer are laid out; it holds as long as they keep their forms and their state.

    each: the numbers that the rule keeps for each tensor, in rows; what the optimizer has for each are views.
    on_host: whether no device has to be waited for, so that scalars are floats, which cost less.
    """

    def __init__(self, rule: Walked, weights: list[Tensor], groups: list[int], state: Mapping[Any, Any]) -> None:
        self.groups, self._weights = groups, weights
        self.firsts = [groups.index(group) for group in dict.fromkeys(groups)]
        self._all = list(state.values())
        self._states = states = [state[weight] for weight in weights]
        self.each = {slot: in_row(own[slot] for own in states) for slot in rule.each()}
        for slot, numbers in self.each.items():
            for own, number in zip(states, numbers.unbind(), strict=True):
                own[slot] = number
        self.pieces: list[Piece] = []
        rows: dict[Any, list[int]] = {}
        for place, (weight, own_state) in enumerate(zip(weights, states, strict=True)):
            on_host = weight.device.type == HOST
            part = PART * torch.get_num_threads() if on_host else PART_ELSEWHERE
            slots = list(rule.kept(torch.empty_like(weight, device="meta")))
            own = [place], [weight], [own_state], slots
            dense = type(weight) in (Tensor, torch.nn.Parameter) and all(
                value.is_contiguous() for value in (weight, *(own_state[slot] for slot in slots))
            )
            if rule.whole(weight) or not dense or not weight.numel():
                self.pieces.append(Piece(*own))
            elif weight.numel() > (part if rule.light or not on_host else SMALL):
                self.pieces.append(Large(part, *own))
            else:
                kind = (groups[place], weight.dtype, weight.device, *slots)
                row = rows.setdefault(kind, [])
                most = TOGETHER if rule.light else part
                if row and sum(weights[other].numel() for other in row) + weight.numel() > most:
                    self._add_row(row, slots, rule.light)
                    row = rows[kind] = []
                row.append(place)
        for (_, _, _, *slots), row in rows.items():
            self._add_row(row, slots, rule.light)
        self.on_host = all(piece.on_host for piece in self.pieces)
        kept = [own for piece in self.pieces for own in piece.kept]
        kept += [(own, slot, own[slot]) for own in states for slot in self.each]
        self._gets = [(own.get, slot) for own, slot, _ in kept]
        self._values = [value for _, _, value in kept]

    def _add_row(self, row: list[int], slots: list[str], light: bool) -> None:
        kind = Together if light else Row
        self.pieces.append(kind(row, [self._weights[p] for p in row], [self._states[p] for p in row], slots))

    def holds(self, weights: list[Tensor], state: Mapping[Any, Any]) -> bool:
        """Whether these are the tensors, where they were, with their state."""
        return (
            _same(weights, self._weights)
            and _same(state.values(), self._all)
            and _same([get(slot) for get, slot in self._gets], self._values)
            and all(piece.holds() for piece in self.pieces)
        )


def _same(found: Collection[Any], known: Collection[Any]) -> bool:
    """Whether they are the same objects."""
    return len(found) == len(known) and all(map(is_, found, known))


class InPlace(Walk):
    """A walk that changes weights and state, and of the gradients nothing."""

    def __init__(self, layout: Layout, rates: Sequence[Scalar]) -> None:
        """Begin over the pieces of a layout, with the rate of each tensor."""
        super().__init__(rates)
        self._pieces, self._on_host, self._groups = layout.pieces, layout.on_host, layout.firsts
        self._begun: list[list[Numbers]] | None = None
        self._regraded: list[tuple[str, Callable[..., Tensor], Made]] = []

    @property
    def rates(self) -> list[Any]:
        """The rates that there are."""
        found = [self.of_each[place] for place in self._groups]
        return found if len(found) == 1 else list({id(rate): rate for rate in found}.values())

    def see(
        self,
        function: Callable[..., tuple[New, Sequence[Term]]],
        coefficients: Coefficients = none,
        *,
        counts: Coefficients | None = None,
        each: bool = False,
    ) -> list[Any]:
        """The sums; the new slots are in their place, and what else is left lies beside them until the end."""
        sums = Sums(self, counts, each)
        for piece, part, own in self._parts(coefficients, keep=True):
            new, terms = function(part, *own)
            roots = [is_square(term) for term in terms]
            values = [piece.sums(term, each) for term in terms]
            sums.add(piece.places[: len(values[0])], values, roots)
            piece.write(part, new)  # after the sums, in which the old may be
            part.update({name: value for name, value in new.items() if name not in part})
        found = sums.found(self._on_host)
        return [value.item() for value in found] if self._on_host and not each else found

    def regrade(self, function: Callable[..., Tensor], coefficients: Coefficients = none, into: str = "grad") -> None:
        """The gradient of a part is made when the part is gone over next."""
        self._regraded.append((into, function, Made(coefficients, self._on_host)))

    def move(self, function: Callable[..., New], coefficients: Coefficients, lane: dict[str, Tensor]) -> None:
        """The new weights and slots are in their place."""
        for piece, part, own in self._parts(coefficients, keep=False):
            piece.write(part, function(part, *own))

    def _parts(self, coefficients: Coefficients, keep: bool) -> Iterator[tuple[Piece, Numbers, list[Any]]]:
        rates, made = self.of_each, Made(coefficients, self._on_host)
        regraded, self._regraded = self._regraded, []
        begun: Sequence[Iterable[Numbers]] = self._begun or [piece.parts() for piece in self._pieces]
        gone_over = []
        for piece, parts in zip(self._pieces, begun, strict=True):
            rate = rates[piece.places[0]]
            own = piece.coefficients(made, rate)
            anew = [(into, again, piece.coefficients(of, rate)) for into, again, of in regraded]
            kept = []
            for part in _taken(parts) if isinstance(parts, list) and not keep else parts:
                for into, again, its in anew:
                    part[into] = again(part, *its)
                yield piece, part, own
                if keep:
                    kept.append(part)
            gone_over.append(kept)
        self._begun = gone_over if keep else None


def _taken(parts: list[Numbers]) -> Iterator[Numbers]:
    """The parts, none of which is held any more once the next is asked for: their memory is used again."""
    parts.reverse()
    while parts:
        yield parts.pop()


class _Written(Numbers):
    """A part's numbers, which the rule may write into."""

    in_place = True


def _in_one_row(tensors: Sequence[Any]) -> Tensor:
    row: Tensor = _flatten_dense_tensors(tensors)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return row


def _as_they_were(row: Tensor, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
    """A row as views in the forms of tensors."""
    views: Sequence[Tensor] = _unflatten_dense_tensors(row, tensors)  # type: ignore[no-untyped-call]  # as above
    return views


def _summable(row: Tensor) -> Tensor:
    return row if row.dtype in SUMMED_IN else row.to(SUMMED_IN[0])


def _factors(term: Any) -> tuple[Any, ...]:
    return term if isinstance(term, tuple) else (term,)


def _summed_each(term: Any, tensors: Callable[[Any], Sequence[Tensor]]) -> Sequence[Tensor]:
    """The sums of a term of many tensors, which `tensors` takes apart; of squares the roots."""
    if is_square(term):
        return torch._foreach_norm(list(tensors(term[0])))  # noqa: SLF001  # as torch's optimizers
    apart = zip(*(tensors(own) for own in _factors(term)), strict=True)
    return [_summed(own if len(own) == 2 else own[0]) for own in apart]


def _summed(term: Any) -> Tensor:
    """The sum of a term of one tensor; of squares the root."""
    if not isinstance(term, tuple):
        size: Tensor = term.abs().sum()
        return size
    one, other = term
    if one is other:
        root: Tensor = torch.linalg.vector_norm(one)
        return root
    return torch.dot(one.reshape(-1), other.reshape(-1))
