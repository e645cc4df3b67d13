"""Chunks share batches and random numbers: how lanes are spread over them changes nothing but the speed."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from pacesetter import engine
from pacesetter.engine import chunks as chunks_module
from pacesetter.engine.chunks import joined as joined_chunks
from pacesetter.engine.chunks import side_by_side, sizes_of
from pacesetter.engine.traceless import Randomness
from pacesetter.records import Outcome
from tests.engine.helpers import LOOPED, PLANS, VECTORISED, blobs, joined, lanes_of, small_task, trained

COLUMNS = ("lr", "train_loss", "grad_norm", "eval_steps", "valid_loss")
IN_TWOS = {"vectorised": replace(VECTORISED, lanes_per_chunk=2), "looped": LOOPED}


def with_dropout() -> nn.Module:
    """A model that draws random numbers at every step."""
    return nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.3), nn.Linear(8, 3)).double()


class Noisy(Dataset):
    """Examples with noise that is drawn anew each time, from all three global generators; it counts what is read."""

    def __init__(self, examples: int = 72) -> None:
        self.inputs, self.targets = (t[:examples] for t in blobs())
        self.read = 0

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index):
        self.read += 1
        noise = torch.randn(5, dtype=torch.float64) * np.random.rand() * random.random()
        return self.inputs[index] + 0.1 * noise, self.targets[index]


def same_curves(ones, others) -> None:
    """Assert that the parts of lanes, {lane: parts}, are equal bit by bit, to their ends and weights."""
    assert list(ones) == list(others)
    for lane, parts in ones.items():
        one, other = joined(parts), joined(others[lane])
        for column in COLUMNS:
            assert np.array_equal(getattr(one, column), getattr(other, column), equal_nan=column != "lr"), column
        end, same = parts[-1], others[lane][-1]
        assert (end.outcome, end.message) == (same.outcome, same.message)
        if end.weights is not None:
            assert all(torch.equal(end.weights[name], same.weights[name]) for name in end.weights)


def of_bundle(bundle, lanes, *strides) -> dict:
    """All parts of these lanes, in strides of so many steps."""
    parts = [part for steps in strides for part in engine.advance(bundle, steps)]
    return {lane: [part for part in parts if part.lane == lane] for lane in lanes}


# ----------------------------------------------------------------------------------------------------- side by side


def state_now() -> list[bytes]:
    """Of all global generators."""
    now = Randomness.now()
    return [
        repr(now.of_python).encode(),
        now.of_numpy[1].tobytes() + bytes(now.of_numpy[2]),
        now.of_torch.numpy().tobytes(),
    ]


def stream(draws: bool):
    """Six rows of two batches, in memory or drawn from the global generators."""
    for number in range(6):
        yield [torch.rand(4) + np.random.rand() + random.random() if draws else torch.full((4,), float(number))] * 2


@pytest.mark.parametrize("held", [1, 70, 2**20], ids=["one", "some", "all"])
@pytest.mark.parametrize("draws", [False, True])
def test_every_chunk_finds_what_the_first_found(monkeypatch, draws, held):
    """Each chunk gets the same batches and random state at each step, in blocks of any size, as a chunk alone."""
    monkeypatch.setattr(chunks_module, "HELD_BYTES", held)

    def told(count):
        torch.manual_seed(1)
        np.random.seed(1)
        random.seed(1)
        found: list[list] = [[] for _ in range(count)]
        for chunk, number, batches in side_by_side(stream(draws), count, draws):
            # What a model with dropout does, and one that draws on the host.
            drawn = [*torch.rand(3).tolist(), np.random.rand(), random.random()]
            found[chunk].append((number, [t.tolist() for t in batches], drawn, state_now()))
        return found, state_now()

    (alone,), end = told(1)
    assert [number for number, *_ in alone] == list(range(6))
    for count in (2, 3):
        found, after = told(count)
        assert found == [alone] * count
        assert after == end


def test_blocks_hold_what_they_may(monkeypatch):
    """Chunk after chunk over all batches that may be held; batch after batch where one fills the memory."""
    order = lambda: [chunk for chunk, *_ in side_by_side(stream(False), 2, False)]
    assert order() == [0] * 6 + [1] * 6
    monkeypatch.setattr(chunks_module, "HELD_BYTES", 1)
    assert order() == [0, 1] * 6


def test_an_empty_stream_ends():
    """No batch, no step, whatever the number of chunks."""
    assert list(side_by_side(iter([]), 3, True)) == []


# ------------------------------------------------------------------------------------------------------ composition


@pytest.mark.parametrize(
    ("lanes", "size", "compiled", "sizes"),
    [
        (13, 32, False, [13]),
        (33, 32, False, [16, 17]),
        (20, 8, False, [6, 7, 7]),
        (1, 8, False, [1]),
        (20, 8, True, [8, 8, 4]),
        (3, 8, True, [3]),
    ],
)
def test_chunks_are_even_or_full(lanes, size, compiled, sizes):
    """Stacks are of even sizes, none above the plan's; compiled ones are full, as idle rows cost as much as lanes."""
    assert sizes_of(lanes, replace(VECTORISED, lanes_per_chunk=size, compiled=compiled)) == sizes
    assert sizes_of(lanes, replace(LOOPED, lanes_per_chunk=size)) == [1] * lanes


@pytest.mark.parametrize("held", [1, 2**20])
@pytest.mark.parametrize("data", ["tensors", "noisy"])
@pytest.mark.parametrize("engine_name", PLANS)
def test_rules_together_are_rules_apart(monkeypatch, engine_name, data, held):
    """A bundle of several rules gives each lane every bit that a bundle of its rule alone gives it."""
    monkeypatch.setattr(chunks_module, "HELD_BYTES", held)
    task = small_task(with_dropout, **({"train": Noisy(), "valid": Noisy(24)} if data == "noisy" else {}))
    plan = IN_TWOS[engine_name]
    by_rule = [
        lanes_of(task, rates, rule, "plateau(patience=0)")
        for rule, rates in (("adam", [0.1, 0.01, 0.001, 0.02]), ("sgd", [0.1, 0.01]), ("adagrad", [0.1, 0.01]))
    ]
    mixed = [lane for row in zip(*by_rule, strict=False) for lane in row] + by_rule[0][2:]
    together = of_bundle(engine.start(task, mixed, plan, with_weights=True), sorted(mixed), 10, 14)
    apart: dict = {}
    for lanes in by_rule:
        apart |= of_bundle(engine.start(task, lanes, plan, with_weights=True), lanes, 24)
    same_curves(together, {lane: apart[lane] for lane in sorted(mixed)})
    assert all(parts[-1].weights for parts in together.values())


@pytest.mark.parametrize("engine_name", PLANS)
def test_data_are_read_once_for_all_chunks(engine_name):
    """However many chunks there are, each example is fetched once a step, in training and in validation."""
    counts = []
    for lanes in (1, 6):
        train, valid = Noisy(), Noisy(24)
        task = small_task(
            train=DataLoader(train, batch_size=16, shuffle=True),
            valid=DataLoader(valid, batch_size=16),
            batch_size=None,
        )
        rows = lanes_of(task, np.geomspace(0.01, 0.1, lanes))
        train.read = valid.read = 0
        bundle = engine.start(task, rows, IN_TWOS[engine_name])
        assert len(bundle.chunks) == {"vectorised": -(-lanes // 2), "looped": lanes}[engine_name]
        engine.advance(bundle, 24)
        counts.append((train.read, valid.read))
    assert counts[0] == counts[1]
    assert counts[0][1] == 24 * 5


# ------------------------------------------------------------------------------------------------------- compaction


def dying(task, rule="sgd"):
    """Eight lanes, every second of which diverges at its first steps."""
    return lanes_of(task, [0.1, 1e200, 0.05, 1e201, 0.02, 1e202, 0.01, 1e203], rule)


@pytest.mark.parametrize("data", ["tensors", "noisy"])
def test_what_is_left_of_chunks_is_joined(data):
    """When lanes diverge, the rest of chunks is stacked anew, and goes on with the bits that it has without them."""
    task = small_task(with_dropout, **({"train": Noisy(), "valid": Noisy(24)} if data == "noisy" else {}))
    lanes = dying(task)
    plan = replace(VECTORISED, lanes_per_chunk=4)
    bundle = engine.start(task, lanes, plan, with_weights=True)
    found = of_bundle(bundle, lanes, 6)
    assert [chunk.lanes for chunk in bundle.chunks] == [4]
    assert bundle.lanes == lanes[::2]
    more = of_bundle(bundle, lanes, 18)
    found = {lane: parts + more[lane] for lane, parts in found.items()}
    assert [parts[-1].outcome for parts in found.values()] == [Outcome.FINISHED, Outcome.DIVERGED] * 4
    same_curves({lane: found[lane] for lane in lanes[::2]}, alone(task, lanes[::2], plan))


def alone(task, lanes, plan):
    """The same lanes by themselves."""
    return of_bundle(engine.start(task, lanes, plan, with_weights=True), lanes, 24)


def test_chunks_of_other_rules_are_not_joined():
    """Only neighbours of one rule are made one, and only where they fit."""
    task = small_task()
    lanes = [*lanes_of(task, [0.1, 0.2], "adam"), *lanes_of(task, [0.1, 0.2, 0.3, 0.4, 0.5], "sgd")]
    plan = replace(VECTORISED, lanes_per_chunk=2)
    bundle = engine.start(task, lanes, plan)
    assert [chunk.lanes for chunk in bundle.chunks] == [2, 1, 2, 2]
    assert [chunk.lanes for chunk in joined_chunks(bundle.chunks, 4)] == [2, 3, 2]
    looped = engine.start(task, lanes, LOOPED).chunks
    assert joined_chunks(looped, 8) == looped


@pytest.mark.parametrize("data", ["tensors", "noisy"])
@pytest.mark.parametrize("engine_name", PLANS)
def test_a_bundle_saved_after_a_compaction_goes_on(engine_name, data):
    """Saved after lanes were lost and chunks joined, a bundle of two rules goes on with every bit, weights included."""
    model = lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3)).double()
    task = small_task(model, **({"train": Noisy(), "valid": Noisy(24)} if data == "noisy" else {}))
    lanes = [*lanes_of(task, [0.01, 0.02, 0.03], "adam", "plateau(patience=0)"), *dying(task)]
    plan = replace(PLANS[engine_name], lanes_per_chunk=3)
    whole = engine.start(task, lanes, plan, with_weights=True)
    stopped = engine.start(task, lanes, plan, with_weights=True)
    same_curves(of_bundle(whole, lanes, 6), of_bundle(stopped, lanes, 6))
    sizes = [chunk.lanes for chunk in stopped.chunks]
    assert sizes == {"vectorised": [3, 3, 1], "looped": [1] * 7}[engine_name]
    saved = engine.save(stopped)
    torch.manual_seed(99)
    loaded = engine.load(task, plan, saved, with_weights=True)
    assert [chunk.lanes for chunk in loaded.chunks] == sizes
    left = list(whole.lanes)
    assert loaded.lanes == left
    same_curves(of_bundle(whole, left, 9, 9), of_bundle(loaded, left, 18))
    assert engine.save(stopped) == saved


@pytest.mark.parametrize("engine_name", PLANS)
def test_updates_of_several_batches_are_shared_as_well(monkeypatch, engine_name):
    """With accumulation every chunk sees the same groups of batches, in one block or many."""
    task = small_task(with_dropout, train=Noisy(), accumulate=3, steps=8)
    lanes = lanes_of(task, [0.1, 0.05, 0.02, 0.01, 0.005])
    found = []
    for held in (1, 2**20):
        monkeypatch.setattr(chunks_module, "HELD_BYTES", held)
        found.append(trained(task, lanes, IN_TWOS[engine_name]))
    same_curves(*found)
    same_curves({lanes[4]: found[0][lanes[4]]}, trained(task, lanes[4:], IN_TWOS[engine_name]))
