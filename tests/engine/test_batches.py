"""Batches: a loader's own, in its own order, read once for all lanes; what breaks on the way is named."""

import random
import warnings
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    RandomSampler,
    Sampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    random_split,
)

from pacesetter import engine
from pacesetter.engine.batches import Batches, DataError, validation_batches
from pacesetter.engine.blame import in_one_line
from pacesetter.errors import TaskError
from pacesetter.records import Outcome
from tests.engine.helpers import LOOPED, PLANS, VECTORISED, blobs, lanes_of, small_task, trained

CPU = torch.device("cpu")
INPUTS, TARGETS = blobs()
WHOLE = TensorDataset(INPUTS, TARGETS)
PART = Subset(WHOLE, list(range(10, 90)))


class Noisy(Dataset[Any]):
    """Examples with noise from every global generator."""

    def __len__(self) -> int:
        return len(INPUTS)

    def __getitem__(self, index: int) -> Any:
        noise = torch.randn(5, dtype=torch.float64) * np.random.rand() * random.random()
        return INPUTS[index] + noise, TARGETS[index]


class Listed(Dataset[Any]):
    """Examples one by one, without noise."""

    def __len__(self) -> int:
        return len(INPUTS)

    def __getitem__(self, index: int) -> Any:
        return INPUTS[index], TARGETS[index]


def task_of(train: Any, **changes: Any) -> Any:
    """A task on a loader, with validation data of its own."""
    return small_task(train=train, valid=(INPUTS[72:], TARGETS[72:]), batch_size=None, **changes)


def stream(loader: Any, seed: int = 3, **changes: Any) -> Batches:
    """What lanes under a seed read of a loader."""
    return Batches(task_of(loader, **changes).train_source, seed, CPU)


def same(ours: Any, theirs: Any) -> bool:
    """Whether two batches are of the same types, and their tensors the same bits in the same layout."""
    if isinstance(theirs, torch.Tensor):
        return ours.dtype == theirs.dtype and ours.stride() == theirs.stride() and torch.equal(ours, theirs)
    return type(ours) is type(theirs) and all(map(same, ours, theirs))


WAYS: dict[str, Callable[[Dataset[Any], torch.Generator | None], DataLoader[Any]]] = {
    "shuffled": lambda data, g: DataLoader(data, 16, shuffle=True, generator=g),
    "in order": lambda data, g: DataLoader(data, 7, generator=g),
    "dropping": lambda data, g: DataLoader(data, 7, shuffle=True, drop_last=True, generator=g),
    "replacing": lambda data, g: DataLoader(
        data, 7, sampler=RandomSampler(data, replacement=True, num_samples=50, generator=g), generator=g
    ),
    "weighted": lambda data, g: DataLoader(
        data, 7, sampler=WeightedRandomSampler([0.1] * 20 + [0.9] * 60, 30, generator=g), generator=g
    ),
    "some": lambda data, g: DataLoader(data, 7, sampler=SubsetRandomSampler(range(40), generator=g), generator=g),
    "a list": lambda data, g: DataLoader(data, 7, sampler=[3, 1, 4, 1, 5, 9, 2, 6], generator=g),
    "batches": lambda data, g: DataLoader(
        data, batch_sampler=BatchSampler(RandomSampler(data, generator=g), 9, drop_last=False), generator=g
    ),
}


@pytest.mark.parametrize("data", [WHOLE, PART, Noisy()], ids=["tensors", "part", "noisy"])
@pytest.mark.parametrize("way", WAYS)
def test_batches_are_those_of_the_loader_under_the_seed(way: str, data: Any) -> None:
    """Over several epochs, the plain loop over the same loader, its generator seeded, sees the same, bit by bit."""
    loader = WAYS[way](data, torch.Generator().manual_seed(3))

    def plain() -> Any:
        while True:
            yield from loader

    kept = []
    for read in (lambda: stream(WAYS[way](data, None)), plain):
        torch.manual_seed(1), np.random.seed(1), random.seed(1)  # what examples draw themselves
        kept.append(list(islice(read(), 40)))
    assert all(map(same, *kept))


def test_tensors_behind_a_loader_are_indexed_in_memory() -> None:
    """No example of a TensorDataset, nor of a part of one, is fetched alone, whatever the loader's sampler."""

    class Refusing(torch.Tensor):
        pass

    for data in (WHOLE, PART, random_split(WHOLE, [80, 16])[0]):
        source = task_of(DataLoader(data, 16, shuffle=True, num_workers=2)).train_source
        assert [t.data_ptr() for t in source.in_memory] == [INPUTS.data_ptr(), TARGETS.data_ptr()]
        assert source.loader(torch.Generator()).num_workers == 0
    own = task_of(DataLoader(TensorDataset(INPUTS.as_subclass(Refusing), TARGETS), 16)).train_source
    assert own.in_memory == ()


class Own(TensorDataset):
    """A data set that may do more than its base."""


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(Own(INPUTS, TARGETS), 16),
        DataLoader(WHOLE, 16, collate_fn=lambda rows: tuple(map(torch.stack, zip(*rows, strict=True)))),
        DataLoader(TensorDataset(INPUTS.T.contiguous().T, TARGETS), 16),
        DataLoader(WHOLE, 16, num_workers=1, persistent_workers=True),
        DataLoader(WHOLE, batch_size=None),
    ],
    ids=["subclass", "collate", "layout", "persistent", "ready batches"],
)
def test_what_indexing_could_change_is_read_as_the_loader_does(loader: Any) -> None:
    """Any other data set, collate function or layout is read through the loader itself."""
    assert task_of(loader).train_source.in_memory == ()


def test_a_loader_of_ready_batches_can_be_split() -> None:
    """Without validation data, some of the ready batches are set aside, and each stays a batch."""
    ready = [(INPUTS[i : i + 8], TARGETS[i : i + 8]) for i in range(0, 96, 8)]
    task = small_task(train=DataLoader(ready, batch_size=None, shuffle=True), valid=None, batch_size=None)
    assert (task.train_source.batches_per_epoch, task.valid_source.length) == (10, 2)
    assert next(Batches(task.train_source, 0, CPU))[0].shape == (8, 5)
    assert [len(batch[1]) for batch in validation_batches(task.valid_source, CPU)] == [8, 8]


@pytest.mark.parametrize("valid", [DataLoader(WHOLE, 10), DataLoader(PART, 10)], ids=["whole", "part"])
def test_validation_tensors_are_read_in_order_with_the_short_batch(valid: Any) -> None:
    """A validation loader over tensors gives what it gives itself."""
    source = small_task(valid=valid).valid_source
    assert source.in_memory
    ours, theirs = list(validation_batches(source, CPU)), list(valid)
    assert len(ours) == len(theirs)
    assert all(map(same, ours, theirs))


def _begin(worker: int) -> None:
    """What a worker does first."""


def test_a_loader_is_rebuilt_from_all_its_parts() -> None:
    """Workers, their beginning, context, prefetching, patience and collate function are the loader's own."""
    loader = DataLoader(
        Noisy(),
        16,
        num_workers=2,
        worker_init_fn=_begin,
        prefetch_factor=3,
        persistent_workers=True,
        timeout=50,
        multiprocessing_context="fork",
        collate_fn=list,
        drop_last=True,
        pin_memory=True,
    )
    source = task_of(loader, loss=None, objective=lambda model, batch: model(INPUTS).sum()).train_source
    rebuilt = source.loader(torch.Generator())
    for name in (
        *("num_workers", "worker_init_fn", "prefetch_factor", "persistent_workers", "timeout"),
        *("multiprocessing_context", "collate_fn", "drop_last", "batch_size"),
    ):
        assert getattr(rebuilt, name) == getattr(loader, name), name
    assert not rebuilt.pin_memory
    assert source.loader(torch.Generator(), torch.device("cuda")).pin_memory


def test_pinned_memory_without_a_gpu_is_no_word() -> None:
    """A loader that pins memory is read without a warning where nothing needs it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        next(stream(DataLoader(Noisy(), 16, pin_memory=True)))


def test_too_many_workers_are_no_word_a_second_time() -> None:
    """Torch warns of more workers than there are cores when the loader is made, and not again for every bundle."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loader = DataLoader(Noisy(), 16, num_workers=4096)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert task_of(loader).train_source.loader(torch.Generator()).num_workers == 4096


def test_workers_augment_alike_under_a_seed() -> None:
    """Worker processes draw from the seed of the lane: another stream under it reads the same, another seed another."""
    loader = DataLoader(Noisy(), 16, shuffle=True, num_workers=2, multiprocessing_context="fork")
    before = torch.get_rng_state()
    one, again, other = (next(stream(loader, seed)) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert same(one, again)
    assert not torch.equal(one[0], other[0])


class Drawing(Sampler[int]):
    """A sampler that draws from numpy's global generator."""

    def __iter__(self) -> Any:
        yield from np.random.permutation(len(INPUTS)).tolist()

    def __len__(self) -> int:
        return len(INPUTS)


@pytest.mark.parametrize(
    ("train", "draws"),
    [
        (DataLoader(WHOLE, 16, shuffle=True), False),
        (DataLoader(WHOLE, 16, sampler=WeightedRandomSampler([1.0] * 96, 96)), False),
        (DataLoader(PART, batch_sampler=BatchSampler(SequentialSampler(PART), 16, True)), False),
        (DataLoader(Noisy(), 16, shuffle=True, num_workers=2), False),
        (DataLoader(Noisy(), 16, shuffle=True), True),
        (DataLoader(Listed(), 16), True),
        (DataLoader(WHOLE, 16, sampler=Drawing()), True),
        (DataLoader(Noisy(), 16, sampler=Drawing(), num_workers=2), True),
        (DataLoader(WHOLE, batch_sampler=BatchSampler(Drawing(), 16, True)), True),
    ],
)
def test_what_may_draw_says_so(train: Any, draws: bool) -> None:
    """Reading draws from the global generators only where the user's code runs in this process."""
    assert stream(train).draws is draws
    assert Batches(small_task().train_source, 0, CPU).draws is False


class Says(Sampler[int]):
    """A sampler that says one length and draws another, the first epoch apart."""

    def __init__(self, says: int, first: int, later: int) -> None:
        self.says, self.counts = says, [first]
        self.later = later

    def __iter__(self) -> Any:
        count = self.counts.pop() if self.counts else self.later
        yield from range(count)

    def __len__(self) -> int:
        return self.says


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize(
    ("sampler", "got"),
    [
        (lambda: Says(64, 64, 32), "must give as many batches as its length says, 4, got 2 in epoch 2"),
        (lambda: Says(64, 64, 96), "must give as many batches as its length says, 4, got more in epoch 2"),
        (lambda: Says(64, 64, 0), "must give at least one batch an epoch, got none in epoch 2"),
    ],
)
def test_an_epoch_of_another_length_fails_its_lanes_in_words(sampler: Any, got: str, plan: Any) -> None:
    """Where the length of training was reckoned from the loader's, an epoch with another number of batches is named."""
    task = task_of(DataLoader(Noisy(), 16, sampler=sampler()), steps=None, epochs=3, evaluations=3)
    lanes = lanes_of(task, [0.1, 0.01])
    ends = [parts[-1] for parts in trained(task, lanes, plan).values()]
    assert [end.outcome for end in ends] == [Outcome.FAILED] * 2
    assert all(end.message.startswith(f"failed: `train` {got}") for end in ends)


def test_with_steps_no_length_is_needed() -> None:
    """Epochs that vary and samplers without a length train for the given steps; `epochs` of them cannot be counted."""

    class Unsized(Sampler[int]):
        def __iter__(self) -> Any:
            yield from range(64)

    def batches() -> Any:
        return BatchSampler(Unsized(), 16, drop_last=True)

    for loader in (
        DataLoader(Listed(), 16, sampler=Says(64, 64, 32)),
        DataLoader(Listed(), 16, sampler=Unsized()),
        DataLoader(Listed(), batch_sampler=batches()),
    ):
        task = task_of(loader, steps=10)
        (lane,) = lanes_of(task, [0.01])
        assert trained(task, [lane], VECTORISED)[lane][-1].outcome is Outcome.FINISHED
    for loader in (DataLoader(Listed(), 16, sampler=Unsized()), DataLoader(Listed(), batch_sampler=batches())):
        with pytest.raises(TaskError, match="`steps` must be given when the sampler of `train` has no length"):
            task_of(loader, steps=None, epochs=2)


@pytest.mark.parametrize("sampler", [map(int, range(96)), (row for row in range(96))], ids=["map", "generator"])
def test_a_sampler_for_one_pass_is_refused(sampler: Any) -> None:
    """What can be read only once cannot be a sampler of many epochs."""
    with pytest.raises(TaskError, match="`train` must have a sampler that can be read again in every epoch, got one"):
        task_of(DataLoader(Noisy(), 16, sampler=sampler))


def test_a_validation_sampler_without_an_end_is_refused() -> None:
    """Validation reads its whole set, so its sampler must come to an end."""

    class Endless(Sampler[int]):
        def __iter__(self) -> Any:
            while True:
                yield 0

    with pytest.raises(TaskError, match="`valid` must have a sampler that ends"):
        small_task(valid=DataLoader(Noisy(), 16, sampler=Endless()))


class Corrupt(Listed):
    """One example cannot be read, after the first batches."""

    def __getitem__(self, index: int) -> Any:
        if index == 70:
            raise OSError("corrupt file")
        return super().__getitem__(index)


@pytest.mark.parametrize("workers", [0, 1])
def test_data_that_raises_is_named_with_its_place(workers: int) -> None:
    """The error says which data, batch, epoch and line, in this process and in a loader's worker, and says it again."""
    batches = stream(DataLoader(Corrupt(), 16, num_workers=workers))
    for _ in range(4):
        next(batches)
    expected = r"`train` could not give batch 5 of epoch 1: OSError: corrupt file \(in .*test_batches.py, line \d+\)$"
    for _ in range(2):
        with pytest.raises(DataError, match=expected):
            next(batches)


def test_lanes_of_other_seeds_finish_beside_data_that_raises() -> None:
    """An example that is reached under one seed only fails the lanes of that seed; the others finish."""
    options: dict[str, Any] = {"valid": (INPUTS[72:], TARGETS[72:]), "steps": 4, "evaluations": 2}
    source = small_task(train=Listed(), **options).train_source
    loaders = [source.loader(torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    drawn = [{row for rows in islice(loader.batch_sampler, 4) for row in rows} for loader in loaders]
    bad = min(drawn[0] - drawn[1])

    class Partly(Listed):
        def __getitem__(self, index: int) -> Any:
            if index == bad:
                raise OSError("corrupt file")
            return super().__getitem__(index)

    task = small_task(train=Partly(), **options)
    lanes = [lane for seed in (0, 1) for lane in lanes_of(task, [0.1, 0.01], seed=seed)]
    parts = trained(task, lanes, VECTORISED)
    failed, finished = Outcome.FAILED, Outcome.FINISHED
    assert [parts[lane][-1].outcome for lane in lanes] == [failed, failed, finished, finished]


def test_validation_data_that_raises_fails_in_words() -> None:
    """The validation data is named where it is that which cannot be read."""
    task = small_task(valid=DataLoader(Corrupt(), 16))
    (lane,) = lanes_of(task, [0.1])
    message = trained(task, [lane], LOOPED)[lane][-1].message
    assert message.startswith("failed: `valid` could not give batch 5: OSError: corrupt file (in ")
    with pytest.raises(TaskError, match="`valid` could not give batch 1: OSError"):
        engine.check(small_task(valid=DataLoader(Corrupt(), 96)))


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_batches_of_other_shapes_train_or_fail_in_words(plan: Any) -> None:
    """A collate function may give batches of any length; one that the model cannot take fails its lanes in words."""

    def shorter(rows: list[Any]) -> Any:
        count = 3 + int(rows[0][1]) * 4
        return torch.stack([row[0] for row in rows[:count]]), torch.stack([row[1] for row in rows[:count]])

    def narrower(rows: list[Any]) -> Any:
        width = 5 if any(torch.equal(row[0], INPUTS[0]) for row in rows) else 4
        return torch.stack([row[0][:width] for row in rows]), torch.stack([row[1] for row in rows])

    outcomes = []
    for collate in (shorter, narrower):
        task = task_of(DataLoader(Listed(), 16, collate_fn=collate), steps=8)
        (lane,) = lanes_of(task, [0.01])
        outcomes.append(trained(task, [lane], plan)[lane][-1])
    assert outcomes[0].outcome is Outcome.FINISHED
    assert outcomes[1].outcome is Outcome.FAILED
    assert "shape" in outcomes[1].message or "size" in outcomes[1].message
    assert "\n" not in outcomes[1].message


def test_an_error_of_ours_says_it_all() -> None:
    """Errors in the one grammar are told as they are, without their kind."""
    assert in_one_line(DataError("`train` must be good")) == "`train` must be good"
