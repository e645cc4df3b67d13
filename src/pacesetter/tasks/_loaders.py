"""A DataLoader taken apart and put together again: which examples it draws, and how it fetches them."""

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    default_collate,
)

from pacesetter.errors import TaskError

__all__ = [
    "Rows",
    "drawn_rows",
    "fetching",
    "length_of",
    "only_from_its_generator",
    "refuse_one_pass",
    "rows_of",
    "under",
]

OF_TORCH = (BatchSampler, RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler)
"""Samplers that are known to draw from the generator that they are given and from no other."""
FETCHING = ("collate_fn", "num_workers", "worker_init_fn", "timeout", "pin_memory")
OF_WORKERS = ("prefetch_factor", "persistent_workers", "multiprocessing_context")
"""What a DataLoader takes only when it has worker processes."""
ENDLESS = 100
"""A validation sampler without a length that draws this many times as many examples as there are never ends."""


def fetching(loader: DataLoader[Any]) -> dict[str, Any]:
    """The keywords of a DataLoader that say how it fetches, and not which examples.

    `in_order` is left out: batches that overtook each other would not be the same for all lanes.
    """
    names = FETCHING + (OF_WORKERS if loader.num_workers else ())
    return {name: getattr(loader, name) for name in names}


class Rows(Dataset[Any]):
    """Tensors of which a DataLoader takes a whole batch in one indexing: what it would collate example by example."""

    def __init__(self, tensors: Sequence[torch.Tensor]) -> None:
        """Hold the tensors, which share their first axis."""
        self.tensors = tensors

    def __len__(self) -> int:
        return len(self.tensors[0])

    def __getitem__(self, row: int) -> Any:
        return tuple(tensor[row] for tensor in self.tensors)

    def __getitems__(self, rows: list[int]) -> list[torch.Tensor]:
        """The batch itself, in a list as the default collate function makes it."""
        chosen = torch.as_tensor(rows)
        return [tensor[chosen.to(tensor.device)] for tensor in self.tensors]


def rows_of(dataset: Any, options: Mapping[str, Any], device: torch.device | None = None) -> Dataset[Any] | None:
    """The data set giving whole batches, its tensors on `device` (None: where they are); None if they would differ.

    They are the same, to the bit, for a TensorDataset (or a Subset of one) of ordinary tensors with the default collate
    function. Workers that stay need their own loader: torch draws the order of later epochs differently for them.
    """
    if options.get("collate_fn", default_collate) is not default_collate or options.get("persistent_workers"):
        return None
    if type(dataset) is Subset:
        inner = rows_of(dataset.dataset, options, device)
        return None if inner is None else Subset(inner, dataset.indices)
    if type(dataset) is not TensorDataset or not all(map(_is_ordinary, dataset.tensors)):
        return None
    return Rows([tensor if device is None else tensor.to(device) for tensor in dataset.tensors])


def _is_ordinary(tensor: torch.Tensor) -> bool:
    """Whether rows that are indexed lie in memory as rows that are stacked do, and are as independent."""
    return (
        type(tensor) is torch.Tensor
        and tensor.layout is torch.strided
        and tensor.is_contiguous()
        and not tensor.is_quantized
        and not tensor.requires_grad
    )


def under(sampler: Any, generator: torch.Generator) -> Any:
    """A copy of a sampler (and the sampler inside a batch sampler) that draws from `generator`."""
    twin = copy.copy(sampler)
    if hasattr(twin, "generator"):
        twin.generator = generator
    inner = getattr(twin, "sampler", None)
    if inner is not None and hasattr(inner, "generator"):
        inner = copy.copy(inner)
        inner.generator = generator
        twin.sampler = inner
    return twin


def only_from_its_generator(sampler: Any) -> bool:
    """Whether a sampler (and the one inside it) is known to draw from no global random generator."""
    return sampler is None or (type(sampler) in OF_TORCH and only_from_its_generator(getattr(sampler, "sampler", None)))


def length_of(sampler: Any) -> int | None:
    """How many items a sampler says it draws in an epoch; None when it does not say."""
    try:
        return len(sampler)
    except (TypeError, NotImplementedError):
        return None


def refuse_one_pass(sampler: Any, which: str) -> None:
    """Raise TaskError for a sampler that can be read only once."""
    for one in (sampler, getattr(sampler, "sampler", None)):
        # Python's own (generators, `map`, `zip`); a class of the user's may begin anew in its `__iter__`.
        if isinstance(one, Iterator) and type(one).__module__ in ("builtins", "itertools"):
            raise TaskError(
                f"`{which}` must have a sampler that can be read again in every epoch, got one that is a "
                f"{type(one).__name__}: give a list or a torch.utils.data.Sampler"
            )


def drawn_rows(dataset: Any, sampler: Any, which: str) -> list[Any]:
    """The rows that a loader's sampler draws in one pass under seed 0, in order."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        length = length_of(sampler)
        # Twice a length that is said may be a mistake; without one, what goes on and on has no end.
        limit = ENDLESS * max(len(dataset), 1) if length is None else 2 * length
        drawn = list(itertools.islice(under(sampler, torch.Generator().manual_seed(0)), limit + 1))
    if len(drawn) > limit:
        raise TaskError(
            f"`{which}` must have a sampler that ends, got one that draws more than {limit} times "
            f"from {len(dataset)} examples"
        )
    return [row for item in drawn for row in (item if isinstance(item, list | tuple) else [item])]
