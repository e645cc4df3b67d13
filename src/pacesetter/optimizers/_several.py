"""Several tensors that go through an operation together, as one tensor would."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from pacesetter.optimizers._scalars import is_number

__all__ = ["Several"]

AT_ONCE = ("add", "addcmul", "lerp", "sign", "sub")
"""Methods of tensors that torch has for lists of them, with the same arguments: those that light rules call."""
EXACT = (torch.float32, torch.float64)
"""Precisions in which torch multiplies by a number as by a tensor of it."""


class Several:
    """Tensors, in whatever shapes; the methods of a tensor are called of each.

    Another tensor in an operation is a `Several` of as many, in the same shapes or without dimensions.

    >>> (2 * Several([torch.ones(2), torch.ones(())])).tensors
    (tensor([2., 2.]), tensor(2.))
    """

    def __init__(self, tensors: list[Tensor] | tuple[Tensor, ...]) -> None:
        self.tensors = tensors

    def __getattr__(self, name: str) -> Callable[..., "Several"]:
        if name.startswith("__"):
            raise AttributeError(name)
        return partial(_each, getattr(Tensor, name), self)

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


def _each(function: Any, own: Several, *parts: Any, **named: Any) -> Several:
    """A method of each of the tensors, with the same arguments."""
    return Several([function(tensor, *parts, **named) for tensor in own.tensors])
