"""Batches: the same ones, in the same order, for every lane of a seed."""

from collections.abc import Iterator
from typing import Any

import torch

from pacesetter.errors import TaskError
from pacesetter.tasks._data import Source

__all__ = ["Batches", "batch_length", "to_device", "validation_batches"]


class Batches:
    """An endless stream of training batches under `seed`: a fresh permutation each epoch, incomplete batches dropped.

    The order comes from a generator of its own, seeded with `seed`, so that it depends on nothing else; what a data set
    draws itself (augmentation) comes from the global generators, which the caller has set. `skip` moves on without
    handing batches out.

    draws: whether reading a batch may draw from the global random generators; never for tensors in memory.
    """

    draws: bool

    def __init__(self, source: Source, seed: int, device: torch.device) -> None:
        """Prepare the stream; tensors are moved to the device once."""
        generator = torch.Generator().manual_seed(seed)
        self.draws = source.draws
        # No reference from the iterator back to here: a loader's workers end as soon as the stream is let go.
        if source.tensors is None:
            self._iterator = _drawn(source, generator, device)
        else:
            self._iterator = _indexed(source, [t.to(device) for t in source.tensors], generator, device)

    def __iter__(self) -> Iterator[Any]:
        """The stream itself."""
        return self

    def __next__(self) -> Any:
        """The next batch."""
        return next(self._iterator)

    def skip(self, count: int) -> None:
        """Move on by `count` batches."""
        for _ in range(count):
            next(self._iterator)


def _indexed(
    source: Source, tensors: list[torch.Tensor], generator: torch.Generator, device: torch.device
) -> Iterator[Any]:
    size = source.batch_size
    while True:
        order = torch.randperm(source.length, generator=generator).to(device)
        for first in range(0, source.length - size + 1, size):
            rows = order[first : first + size]
            yield source.pack([t[rows] for t in tensors])


def _drawn(source: Source, generator: torch.Generator, device: torch.device) -> Iterator[Any]:
    loader = source.loader(generator)
    while True:
        drawn = 0
        for drawn, batch in enumerate(loader, start=1):
            yield _checked(to_device(batch, device), drawn)
        if not drawn:
            raise TaskError("`train` must give at least one batch an epoch, got none: check its sampler")


def validation_batches(source: Source, device: torch.device) -> Iterator[Any]:
    """The whole validation set in its own order, the last batch as short as it falls."""
    if source.tensors is not None:
        tensors = [t.to(device) for t in source.tensors]
        for first in range(0, source.length, source.batch_size):
            yield source.pack([t[first : first + source.batch_size] for t in tensors])
        return
    for number, batch in enumerate(source.loader(None), start=1):
        yield _checked(to_device(batch, device), number)


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch of any shape (tensor, mapping, sequence, anything else) with its tensors on the device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, dict):
        return {key: to_device(value, device) for key, value in batch.items()}
    if isinstance(batch, tuple) and hasattr(batch, "_fields"):
        return type(batch)(*(to_device(value, device) for value in batch))
    if isinstance(batch, list | tuple):
        return type(batch)(to_device(value, device) for value in batch)
    return batch


def tensors_of(batch: Any) -> Iterator[torch.Tensor]:
    """Every tensor in a batch of any shape."""
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, dict):
        for value in batch.values():
            yield from tensors_of(value)
    elif isinstance(batch, list | tuple):
        for value in batch:
            yield from tensors_of(value)


def batch_length(batch: Any) -> int:
    """Examples in a batch: the first axis of its first tensor that has one."""
    return next((len(t) for t in tensors_of(batch) if t.dim()), 1)


def _checked(batch: Any, number: int) -> Any:
    for tensor in tensors_of(batch):
        if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
            raise TaskError(f"the data must not hold NaN, got NaN in batch {number} of an epoch: clean the data set")
    return batch
