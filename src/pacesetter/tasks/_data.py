"""What a task's data is: `Source`, made from tensors, a Dataset or a DataLoader without ever iterating the original.

A loader is taken apart (dataset, sampler, collate function, workers) and rebuilt under each lane's seed by the engine,
so that the user's own loader and its generator stay untouched.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from pacesetter.errors import TaskError

__all__ = ["Source", "make_source", "split_source"]

Batch = Any

OF_TORCH = (BatchSampler, RandomSampler, SequentialSampler, SubsetRandomSampler, WeightedRandomSampler)
"""Samplers that are known to draw from the generator that they are given and from no other."""


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """Examples and how to batch them: either `tensors` (indexed in memory) or a map-style `dataset`.

    pack: turns the list of a batch's tensors into what the loss receives (a tuple, a list or a bare tensor).
    sampler, batch_sampler: the user's own, copied under a seed for each lane; None means a fresh permutation an epoch.
    batched: each item of the data set is a whole batch already, and `length` counts batches.
    """

    length: int
    batch_size: int
    tensors: tuple[torch.Tensor, ...] | None = None
    pack: Callable[[list[torch.Tensor]], Batch] = tuple
    dataset: Dataset[Any] | None = None
    collate: Callable[[list[Any]], Batch] | None = None
    sampler: Iterable[Any] | None = None
    batch_sampler: Iterable[Any] | None = None
    workers: int = 0
    drop_last: bool = True
    batched: bool = False

    @property
    def batches_per_epoch(self) -> int:
        """Batches in one pass over the data."""
        if isinstance(self.batch_sampler, Sized):
            return len(self.batch_sampler)
        drawn = len(self.sampler) if isinstance(self.sampler, Sized) else self.length
        if self.batched:
            return drawn
        return drawn // self.batch_size if self.drop_last else -(-drawn // self.batch_size)

    @property
    def in_memory(self) -> tuple[torch.Tensor, ...]:
        """The tensors that batches are rows of; none for data that must be read example by example."""
        return self.tensors or ()

    @property
    def draws(self) -> bool:
        """Whether reading a batch in this process may draw from the global random generators.

        Worker processes have generators of their own, and torch's samplers draw from the one they are given.
        """
        if self.tensors is not None:
            return False
        inner = getattr(self.batch_sampler, "sampler", None)
        samplers = (self.batch_sampler, inner, self.sampler)
        return self.workers == 0 or not all(s is None or type(s) in OF_TORCH for s in samplers)

    def loader(self, generator: torch.Generator | None) -> DataLoader[Any]:
        """A fresh DataLoader over the dataset: drawn under `generator`, or the same each time when that is None."""
        assert self.dataset is not None
        common: dict[str, Any] = {"collate_fn": self.collate, "num_workers": self.workers, "generator": generator}
        batch_size = None if self.batched else self.batch_size
        if generator is None:
            return DataLoader(self.dataset, batch_size=batch_size, **common)
        if self.batch_sampler is not None:
            return DataLoader(self.dataset, batch_sampler=_under(self.batch_sampler, generator), **common)
        sampler = None if self.sampler is None else _under(self.sampler, generator)
        return DataLoader(
            self.dataset,
            batch_size=batch_size,
            shuffle=True if sampler is None else None,
            sampler=sampler,
            drop_last=self.drop_last and not self.batched,
            **common,
        )


def _under(sampler: Any, generator: torch.Generator) -> Any:
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


def make_source(data: Any, batch_size: int | None, which: str) -> Source:
    """The source for a task's `train` or `valid` argument (`which` names it in errors).

    Raises TaskError when the data is empty, holds NaN, is a stream, or is smaller than one batch of training.
    """
    if isinstance(data, DataLoader):
        source = _from_loader(data, which)
        if which == "train" and batch_size not in (None, source.batch_size):
            raise TaskError(
                f"`batch_size` must be left out or that of the DataLoader `train`, {source.batch_size}, "
                f"got batch_size={batch_size}"
            )
    else:
        if batch_size is None:
            raise TaskError(f"`batch_size` must be given unless `{which}` is a DataLoader, got batch_size=None")
        source = _from_data(data, batch_size, which)
    if source.length == 0:
        raise TaskError(f"`{which}` must hold at least one example, got len({which})=0")
    if which == "train" and source.batches_per_epoch == 0:
        raise TaskError(
            f"`batch_size` must be at most the number of training examples, got batch_size={source.batch_size} "
            f"and {source.length} examples: give a smaller batch_size"
        )
    for index, tensor in enumerate(source.tensors or ()):
        if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
            raise TaskError(
                f"`{which}` must not hold NaN, got NaN in tensor {index}, first in example "
                f"{int(torch.nonzero(torch.isnan(tensor))[0][0])}: clean or drop such examples"
            )
    return source


def _from_loader(loader: DataLoader[Any], which: str) -> Source:
    dataset = loader.dataset
    if isinstance(dataset, IterableDataset):
        raise TaskError(
            f"`{which}` must be a map-style dataset, because every learning rate has to see the same batches again, "
            f"got {which}={type(dataset).__name__} (a stream): collect its examples in a list or a TensorDataset"
        )
    if not hasattr(dataset, "__len__"):
        raise TaskError(f"`{which}` must have a length, got {which}={type(dataset).__name__}: define `__len__`")
    batch_sampler = loader.batch_sampler if loader.batch_size is None else None
    batched = loader.batch_size is None and batch_sampler is None
    batch_size: int = loader.batch_size or getattr(batch_sampler, "batch_size", None) or 1
    if which == "valid":
        dataset = _as_drawn(dataset, batch_sampler or loader.sampler)
    sized: Any = dataset
    return Source(
        length=len(sized),
        batch_size=batch_size,
        dataset=dataset,
        collate=loader.collate_fn,
        sampler=None if batch_sampler is not None or which == "valid" else loader.sampler,
        batch_sampler=batch_sampler if which == "train" else None,
        workers=loader.num_workers,
        drop_last=loader.drop_last,
        batched=batched,
    )


def _as_drawn(dataset: Dataset[Any], sampler: Any) -> Dataset[Any]:
    """The examples that a validation loader's sampler draws, once and for all lanes: every evaluation sees the same."""
    if isinstance(sampler, SequentialSampler):
        return dataset
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)
        drawn = list(_under(sampler, torch.Generator().manual_seed(0)))
    rows = [row for item in drawn for row in (item if isinstance(item, list | tuple) else [item])]
    return Subset(dataset, rows)


def _from_data(data: Any, batch_size: int, which: str) -> Source:
    if isinstance(data, TensorDataset):
        data = data.tensors
    if isinstance(data, torch.Tensor | np.ndarray):
        tensor = _as_tensor(data, which)
        _same_length([tensor], which)
        return Source(len(tensor), batch_size, (tensor,), pack=_alone)
    if isinstance(data, tuple | list) and data and all(isinstance(t, torch.Tensor | np.ndarray) for t in data):
        tensors = tuple(_as_tensor(t, which) for t in data)
        _same_length(tensors, which)
        return Source(len(tensors[0]), batch_size, tensors)
    if isinstance(data, str | Mapping | IterableDataset) or not (
        hasattr(data, "__len__") and hasattr(data, "__getitem__")
    ):
        raise TaskError(
            f"`{which}` must be tensors, a map-style Dataset or a DataLoader, got {which}={type(data).__name__}: "
            "collect its examples in a list, or in tensors as (input, target)"
        )
    return Source(len(data), batch_size, dataset=data)


def _as_tensor(data: Any, which: str) -> torch.Tensor:
    try:
        return torch.as_tensor(data)
    except (TypeError, ValueError) as error:
        raise TaskError(f"`{which}` must hold numbers, got an array of {data.dtype}: {error}") from error


def _alone(tensors: list[torch.Tensor]) -> Batch:
    return tensors[0]


def _same_length(tensors: Sequence[torch.Tensor], which: str) -> None:
    if any(tensor.dim() == 0 for tensor in tensors):
        raise TaskError(f"`{which}` must have examples along the first axis, got a tensor without axes")
    lengths = sorted({len(tensor) for tensor in tensors})
    if len(lengths) > 1:
        raise TaskError(f"`{which}` must be tensors of one length, got lengths {lengths}")


def split_source(source: Source, share: float) -> tuple[Source, Source]:
    """(training, validation): a fixed random `share` of the examples is set aside, the same for every lane and seed."""
    held_out = max(1, round(source.length * share))
    if held_out >= source.length:
        raise TaskError(
            f"`train` must leave examples to train on after {share:.0%} are split off for validation, "
            f"got {source.length} examples: give `valid`"
        )
    order = torch.randperm(source.length, generator=torch.Generator().manual_seed(0))
    parts = (order[held_out:], order[:held_out])
    if source.tensors is not None:
        tensors = source.tensors
        made = [
            Source(len(part), source.batch_size, tuple(t[part] for t in tensors), pack=source.pack) for part in parts
        ]
    else:
        assert source.dataset is not None
        if source.batch_sampler is not None or (
            source.sampler is not None and type(source.sampler).__name__ not in ("RandomSampler", "SequentialSampler")
        ):
            raise TaskError(
                "`valid` must be given when `train` is a DataLoader with its own sampler, because the sampler cannot "
                "be split, got valid=None"
            )
        made = [
            Source(
                len(part),
                source.batch_size,
                dataset=Subset(source.dataset, part.tolist()),
                collate=source.collate,
                workers=source.workers,
                drop_last=source.drop_last,
            )
            for part in parts
        ]
    if made[0].batches_per_epoch == 0:
        raise TaskError(
            f"`batch_size` must be at most the number of training examples, got batch_size={source.batch_size} and "
            f"{made[0].length} examples after {share:.0%} were split off for validation: give a smaller batch_size"
        )
    return made[0], made[1]
