"""Several tensors that go through an operation together, as one tensor would."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pacesetter.optimizers._scalars import is_number

__all__ = ["Several"]

AT_ONCE = ("abs", "add", "addcdiv", "addcmul", "div", "lerp", "neg", "sign", "sqrt", "sub")
"""Methods of tensors that torch has for lists of them, with the same arguments."""
EXACT = (torch.float32, torch.float64)
"""Precisions in which torch multiplies by a number as by a tensor of it."""


class Several:
    """Tensors, in whatever shapes; the operations of a tensor are made on each.

    Another tensor in an operation is a `Several` of as many, in the same shapes or without dimensions.

    >>> (2 * Several([torch.ones(2), torch.ones(())])).tensors
    [tensor([2., 2.]), tensor(2.)]
    """

    def __init__(self, tensors: list[Tensor] | tuple[Tensor, ...]) -> None:
        self.tensors = tensors

    def __getattr__(self, name: str) -> Callable[..., "Several"]:
        if name.startswith("__"):
            raise AttributeError(name)
        return partial(_each, getattr(Tensor, name), self)

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, parts: Any = (), named: Any = None) -> "Several":
        """What torch calls for its functions."""
        return _each(function, *parts, **(named or {}))

    def mul(self, other: Any) -> "Several":
        """The products."""
        return Several(torch._foreach_mul(self.tensors, self._factor(other)))  # noqa: SLF001  # as torch's optimizers

    def mul_(self, other: Any) -> "Several":
        """The products, in place."""
        torch._foreach_mul_(self.tensors, self._factor(other))
        return self

    def _factor(self, other: Any) -> Any:
        # torch makes a tensor of a number anew for each of the list, which takes longer than to multiply.
        dtype = self.tensors[0].dtype
        exact = is_number(other) and dtype in EXACT
        return torch.tensor(other, dtype=dtype, device=self.tensors[0].device) if exact else _inner(other)

    def __add__(self, other: Any) -> "Several":
        return self.add(other)

    def __sub__(self, other: Any) -> "Several":
        return self.sub(other)

    def __mul__(self, other: Any) -> "Several":
        return self.mul(other)

    def __truediv__(self, other: Any) -> "Several":
        return self.div(other)

    def __neg__(self) -> "Several":
        return self.neg()

    __radd__, __rmul__ = __add__, __mul__


def _at_once(name: str) -> Callable[..., Several]:
    """A method that is made of all tensors by one call."""
    operation, in_place = getattr(torch, f"_foreach_{name}"), name.endswith("_")

    def method(self: Several, *parts: Any, **named: Any) -> Several:
        found = operation(self.tensors, *map(_inner, parts), **named)
        return self if in_place else Several(found)

    return method


for _name in AT_ONCE:
    for _method in (_name, f"{_name}_"):
        setattr(Several, _method, _at_once(_method))


def _inner(part: Any) -> Any:
    return part.tensors if isinstance(part, Several) else part


def _each(function: Any, *parts: Any, **named: Any) -> Several:
    """A function of each of the tensors."""
    count = next(len(part.tensors) for part in (*parts, *named.values()) if isinstance(part, Several))

    def at(part: Any, place: int) -> Any:
        return part.tensors[place] if isinstance(part, Several) else part

    found = [
        function(*(at(part, place) for part in parts), **{name: at(part, place) for name, part in named.items()})
        for place in range(count)
    ]
    return Several(found)
