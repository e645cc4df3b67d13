"""What a task's data is: `Source`, made from tensors, a Dataset or a DataLoader without ever iterating the original.

A loader is taken apart (dataset, samplers, all that says how it fetches) and rebuilt under each lane's seed by the
engine, so that the user's own loader and its generator stay untouched.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset, SequentialSampler, Subset, TensorDataset

from pacesetter.errors import TaskError
from pacesetter.tasks._loaders import (
    drawn_rows,
    fetching,
    length_of,
    only_from_its_generator,
    refuse_one_pass,
    rows_of,
    under,
)

__all__ = ["Source", "make_source"]

Batch = Any

CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False, slots=True)
class Source:
    """Examples and how to batch them: either `tensors` (indexed in memory) or a map-style `dataset`.

    pack: turns the list of a batch's tensors into what the loss receives (a tuple, a list or a bare tensor).
    fetching: keywords of a DataLoader over the dataset that say how its examples are fetched, and not which.
    sampler, batch_sampler: the user's own, copied under a seed for each lane; None means a fresh permutation an epoch.
    batched: each item of the data set is a whole batch already, and `length` counts batches.
    by_epochs: the length of training was reckoned from `batches_per_epoch`, so that no epoch may have another number.
    is_clean: it is known that no example holds NaN.
    """

    length: int
    batch_size: int
    tensors: tuple[torch.Tensor, ...] | None = None
    pack: Callable[[list[torch.Tensor]], Batch] = tuple
    dataset: Dataset[Any] | None = None
    fetching: Mapping[str, Any] = field(default_factory=dict)
    sampler: Iterable[Any] | None = None
    batch_sampler: Iterable[Any] | None = None
    drop_last: bool = True
    batched: bool = False
    by_epochs: bool = False
    is_clean: bool = False

    @property
    def is_sized(self) -> bool:
        """Whether it is known how many batches one pass over the data has."""
        own = self.batch_sampler if self.batch_sampler is not None else self.sampler
        return own is None or length_of(own) is not None

    @property
    def batches_per_epoch(self) -> int:
        """Batches in one pass over the data; for samplers without a length, as many as would be without them."""
        batches = None if self.batch_sampler is None else length_of(self.batch_sampler)
        if batches is not None:
            return batches
        drawn = None if self.sampler is None else length_of(self.sampler)
        drawn = self.length if drawn is None else drawn
        if self.batched:
            return drawn
        return drawn // self.batch_size if self.drop_last else -(-drawn // self.batch_size)

    @property
    def in_memory(self) -> tuple[torch.Tensor, ...]:
        """The tensors that batches are rows of; none for data that is read example by example."""
        return self.tensors if self.tensors is not None else _tensors_behind(self._rows())

    @property
    def has_own_sampler(self) -> bool:
        """Whether a sampler of the user's own code says which examples are drawn."""
        return not (only_from_its_generator(self.sampler) and only_from_its_generator(self.batch_sampler))

    @property
    def draws(self) -> bool:
        """Whether reading a batch in this process may draw from the global random generators.

        Worker processes have generators of their own, and torch's samplers draw from the one they are given.
        """
        if self.tensors is not None:
            return False
        if self.has_own_sampler:
            return True
        return not self.fetching.get("num_workers") and self._rows() is None

    def _rows(self, device: torch.device | None = None) -> Dataset[Any] | None:
        return None if self.batched else rows_of(self.dataset, self.fetching, device)

    def loader(self, generator: torch.Generator | None, device: torch.device = CPU) -> DataLoader[Any]:
        """A fresh DataLoader over the dataset: drawn under `generator`, or the same each time when that is None.

        Batches of tensors in memory are made on `device`, all others where the data set makes them.
        """
        rows = self._rows(device)
        how: dict[str, Any] = {"collate_fn": _as_it_is}
        if rows is None:
            how = dict(self.fetching)
            # Memory from which a GPU can read by itself is only of use to a GPU.
            how["pin_memory"] = how.get("pin_memory", False) and device.type == "cuda"
        which: dict[str, Any] = {"batch_size": None if self.batched else self.batch_size}
        if generator is not None and self.batch_sampler is not None:
            which = {"batch_sampler": under(self.batch_sampler, generator)}
        elif generator is not None:
            which["sampler"] = None if self.sampler is None else under(self.sampler, generator)
            which["shuffle"] = True if self.sampler is None else None
            which["drop_last"] = self.drop_last and not self.batched
        with warnings.catch_warnings():
            # The user was told when making the loader.
            warnings.filterwarnings("ignore", message="This DataLoader will create")
            return DataLoader(self.dataset if rows is None else rows, generator=generator, **how, **which)  # type: ignore[arg-type]


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _tensors_behind(rows: Any) -> tuple[torch.Tensor, ...]:
    while isinstance(rows, Subset):
        rows = rows.dataset
    return () if rows is None else tuple(rows.tensors)


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
        if _has_nan(tensor):
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
    sampler = loader.sampler if batch_sampler is None else batch_sampler
    refuse_one_pass(sampler, which)
    batched = loader.batch_size is None and batch_sampler is None
    batch_size: int = loader.batch_size or getattr(batch_sampler, "batch_size", None) or 1
    if which == "valid":
        dataset = _as_drawn(dataset, sampler, which)
    sized: Any = dataset
    source = Source(
        length=len(sized),
        batch_size=batch_size,
        dataset=dataset,
        fetching=fetching(loader),
        sampler=sampler if which == "train" and batch_sampler is None else None,
        batch_sampler=batch_sampler if which == "train" else None,
        drop_last=loader.drop_last,
        batched=batched,
    )
    # A sampler may leave such examples out, so that only those which are drawn count.
    return replace(source, is_clean=bool(source.in_memory) and not any(map(_has_nan, source.in_memory)))


def _has_nan(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and bool(torch.isnan(tensor).any())


def _as_drawn(dataset: Dataset[Any], sampler: Any, which: str) -> Dataset[Any]:
    """The examples that a validation loader's sampler draws, once and for all lanes: every evaluation sees the same."""
    return dataset if isinstance(sampler, SequentialSampler) else Subset(dataset, drawn_rows(dataset, sampler, which))


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
