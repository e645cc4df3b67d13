"""Batches: the same ones, in the same order, for every lane of a seed."""

import copy
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from itertools import count, islice
from typing import Any

import torch

from pacesetter.engine.blame import in_one_line
from pacesetter.errors import PacesetterError, TaskError
from pacesetter.tasks._data import Source

__all__ = [
    "Batches",
    "DataError",
    "batch_length",
    "refuse_other_length",
    "tensors_of",
    "to_device",
    "validation_batches",
]


class DataError(TaskError):
    """The data cannot be read on, where it could before: lanes that need it fail, and the others are trained."""


class Batches:
    """An endless stream of training batches under `seed`: a fresh permutation each epoch, incomplete batches dropped.

    The order comes from a generator of its own, seeded with `seed`, so that it depends on nothing else; what a data set
    draws itself (augmentation) comes from the global generators, which the caller has set. `skip` moves on without
    handing batches out.

    draws: whether reading a batch may draw from the global random generators; never for tensors in memory.

    Raises DataError when the data set, its sampler or its collate function raises, or an epoch has no batch, or not as
    many as the loader said; TaskError when a batch holds NaN.
    """

    draws: bool

    def __init__(self, source: Source, seed: int, device: torch.device) -> None:
        """Prepare the stream; tensors are moved to the device once."""
        generator = torch.Generator().manual_seed(seed)
        self.draws = source.draws
        self._broken = ""
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
        if self._broken:
            raise DataError(self._broken)
        try:
            return next(self._iterator)
        except TaskError as error:
            # What has failed stays so: a generator that has raised would only say that it has ended.
            self._broken = str(error)
            raise

    def skip(self, count: int) -> None:
        """Move on by `count` batches."""
        for _ in range(count):
            next(self)


def _indexed(
    source: Source, tensors: list[torch.Tensor], generator: torch.Generator, device: torch.device
) -> Iterator[Any]:
    size = source.batch_size
    while True:
        order = torch.randperm(source.length, generator=generator).to(device)
        for rows in torch.split(order[: source.length // size * size], size):
            yield source.pack([t.index_select(0, rows) for t in tensors])


def _drawn(source: Source, generator: torch.Generator, device: torch.device) -> Iterator[Any]:
    loader = source.loader(generator, device)
    said = source.batches_per_epoch
    for epoch in count(1):
        number = 0
        for number, batch in enumerate(_read("train", loader, source, device, f" of epoch {epoch}"), start=1):
            if source.by_epochs and number > said:
                raise _other_length(said, f"more in epoch {epoch}")
            yield batch
        if not number:
            raise DataError(
                f"`train` must give at least one batch an epoch, got none in epoch {epoch}: "
                "check that its sampler can be read again"
            )
        if source.by_epochs and number < said:
            raise _other_length(said, f"{number} in epoch {epoch}")


def refuse_other_length(source: Source) -> None:
    """Raise DataError when a sampler of the user's own does not draw as many batches as it says; no example is read."""
    if source.by_epochs and source.has_own_sampler:
        loader = source.loader(torch.Generator().manual_seed(0))
        said = source.batches_per_epoch
        drawn = sum(
            1 for _ in islice(loader.sampler if loader.batch_sampler is None else loader.batch_sampler, said + 1)
        )
        if drawn != said:
            raise _other_length(said, str(drawn) if drawn < said else "more")


def _other_length(said: int, got: str) -> DataError:
    return DataError(
        f"`train` must give as many batches as its length says, {said}, got {got}: correct the "
        "`__len__` of its sampler, or give the task `steps` instead of `epochs`"
    )


def validation_batches(source: Source, device: torch.device) -> Iterator[Any]:
    """The whole validation set in its own order, the last batch as short as it falls."""
    if source.tensors is not None:
        tensors = [t.to(device) for t in source.tensors]
        for first in range(0, source.length, source.batch_size):
            yield source.pack([t[first : first + source.batch_size] for t in tensors])
        return
    yield from _read("valid", source.loader(None, device), source, device, "")


def _read(which: str, loader: Iterable[Any], source: Source, device: torch.device, when: str) -> Iterator[Any]:
    """One pass over a loader, with the batches on the device; whatever the user's code raises says where it was."""
    number = 0
    try:
        for number, batch in enumerate(loader, start=1):
            yield to_device(batch if source.is_clean else _checked(batch, number), device)
    except PacesetterError:
        raise
    except (Exception, SystemExit) as error:
        raise DataError(f"`{which}` could not give batch {number + 1}{when}: {in_one_line(error)}") from error


def to_device(batch: Any, device: torch.device) -> Any:
    """A batch of any shape (tensor, mapping, sequence, anything else) with its tensors on the device."""
    if isinstance(batch, torch.Tensor):
        return batch.to(device)
    if isinstance(batch, MutableMapping) and type(batch) is not dict:
        # The user's code may ask it for more than a mapping has.
        twin: Any = copy.copy(batch)
        for key, value in batch.items():
            twin[key] = to_device(value, device)
        return twin
    if isinstance(batch, Mapping):
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
    elif isinstance(batch, Mapping):
        for value in batch.values():
            yield from tensors_of(value)
    elif isinstance(batch, list | tuple):
        for value in batch:
            yield from tensors_of(value)


def batch_length(batch: Any) -> int:
    """Examples in a batch: the first axis of its first tensor that has one."""
    return next((len(t) for t in tensors_of(batch) if t.dim()), 1)


def _checked(batch: Any, number: int) -> Any:
    if any(map(_has_nan, tensors_of(batch))):
        raise TaskError(f"the data must not hold NaN, got NaN in batch {number} of an epoch: clean the data set")
    return batch


def _has_nan(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and bool(torch.isnan(tensor).any())
