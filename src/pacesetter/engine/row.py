"""The weights of a lane in a row: a rule that moves each number by itself then takes one operation for all tensors.

For few lanes of a small model a step's time is that of its operations, however little each has to do, and most of them
are the rule's: a dozen for every tensor.
"""

import torch

from pacesetter.engine.program import Tensors
from pacesetter.optimizers import Rule

__all__ = ["Row"]

SMALL = 2**13
"""Numbers a tensor, on average, up to which the operations saved are worth the copy of each gradient into its place:
a step of 1, 3 and 13 lanes took 0.86, 0.89 and 0.99 of its time at 4,400, and 0.90, 1.00 and 1.07 at 9,200."""


class Row:
    """Where the tensors of a lane lie in its row."""

    def __init__(self, weights: Tensors) -> None:
        """weights: [lanes, ...] each."""
        self._shapes = {name: tensor.shape[1:] for name, tensor in weights.items()}
        self._sizes = [shape.numel() for shape in self._shapes.values()]

    @classmethod
    def of(cls, weights: Tensors, rule: Rule, rates: int) -> "Row | None":
        """That of these weights, [lanes, ...] each, if the rule may and should move them in a row at so many rates."""
        kinds = {(tensor.dtype, tensor.device) for tensor in weights.values()}
        numbers = sum(tensor[0].numel() for tensor in weights.values())
        alike = rule.elementwise and len(kinds) == rates == 1
        return cls(weights) if alike and len(weights) > 1 and numbers <= SMALL * len(weights) else None

    def together(self, tensors: Tensors) -> Tensors:
        """The row, [lanes, numbers], of tensors [lanes, ...], under the name "". A row is given back."""
        if "" in tensors:
            return tensors
        parts = [tensors[name] for name in self._shapes]
        return {"": torch.cat([part.reshape(len(part), -1) for part in parts], 1)}

    def apart(self, tensors: Tensors) -> Tensors:
        """The tensors, by name, of a row of [lanes, numbers], or of [numbers] of one lane; else they are given back."""
        if "" not in tensors:
            return tensors
        parts = tensors[""].split_with_sizes(self._sizes, -1)
        return {
            name: part.view((*part.shape[:-1], *shape))
            for part, (name, shape) in zip(parts, self._shapes.items(), strict=True)
        }
