"""A batch of any form taken apart into its tensors, which a recorded step takes, and what else the step depends on."""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch.utils import _pytree as trees

__all__ = ["Apart"]

Leaves = list[torch.Tensor]


class Apart:
    """`tensors` of a batch, and its `kind`: all of it that decides which operations are made. None: nobody knows.

    A batch of the same kind is put `together` from other tensors.
    """

    tensors: Leaves
    kind: Hashable
    together: Callable[[Sequence[torch.Tensor]], Any]

    def __init__(self, batch: Any) -> None:
        """Take it apart; at every step, so the usual form is not taken for a tree."""
        if type(batch) is tuple and all(type(one) is torch.Tensor for one in batch):
            self.tensors = list(batch)
            self.kind = tuple(map(_form, batch))
            self.together = tuple
            return
        given, layout = trees.tree_flatten(batch)
        self.tensors = [one for one in given if isinstance(one, torch.Tensor)]
        forms = tuple(_form(one) if isinstance(one, torch.Tensor) else _plain(one) for one in given)
        self.kind = None if None in forms else (layout, forms)

        def together(tensors: Sequence[torch.Tensor]) -> Any:
            new = iter(tensors)
            return trees.tree_unflatten([next(new) if isinstance(one, torch.Tensor) else one for one in given], layout)

        self.together = together


def _form(tensor: torch.Tensor) -> Hashable:
    return tensor.shape, tensor.stride(), tensor.dtype


def _plain(value: Any) -> Hashable:
    """A plain value as what it does; None for any other."""
    if value is None or isinstance(value, bool | int | float | str):
        return type(value), repr(value)  # 1, 1.0 and True are equal, and do not do the same
    return None
