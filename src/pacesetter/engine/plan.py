"""How lanes are run: the plan, chosen once by measuring, stored with the study, reused by whatever goes on with it."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, TypeVar

__all__ = ["ENGINES", "PRECISIONS", "Plan", "even_parts"]

T = TypeVar("T")

ENGINES = ("auto", "vectorised", "compiled", "looped")
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True, slots=True)
class Plan:
    """How lanes are run; results are bit-identical under one plan, and no number of workers changes them.

    engine: "vectorised" (chunks of stacked lanes) or "looped" (ordinary models, one after the other).
    compiled: whether the vectorised step is machine code made for it, or torch's own operations one by one.
    lanes_per_chunk: lanes stacked in one pass; a compiled step always computes so many, idle ones included.
    lanes_per_bundle: lanes of a seed that are held in memory, and see each batch, together.
    threads: of torch, in each process. workers: processes that train bundles side by side.
    precision: "float32" (as the model and data are) or "bfloat16" (its matrix products in bfloat16, by autocast).
    reason: why it was chosen, in a sentence.
    """

    engine: str
    lanes_per_chunk: int
    threads: int
    device: str
    reason: str
    compiled: bool = False
    lanes_per_bundle: int = 512
    workers: int = 1
    precision: str = "float32"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Plan":
        """The plan that `to_json` gave."""
        return cls(**values)


def even_parts(items: Sequence[T], most: int) -> list[Sequence[T]]:
    """The items in as few parts as have at most `most` of them, none more than one larger than another."""
    count = -(-len(items) // most)
    return [items[a:b] for a, b in pairwise(len(items) * k // count for k in range(count + 1))]
