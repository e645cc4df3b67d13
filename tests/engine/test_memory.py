"""Memory: read as people write it, never more than there is, and what lanes need is counted before they start."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from pacesetter import optimizers, words
from pacesetter.engine import memory
from pacesetter.engine.memory import budget, free_bytes, is_out_of_memory, needs, peak_bytes
from pacesetter.errors import InputError, TaskError
from tests.engine.helpers import PLANS, lanes_of, small_task, trained
from tests.engine.limited import run_limited

CPU = torch.device("cpu")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads what Linux tells")


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4e9), ("4 gb", 4e9), ("4G", 4e9), ("512MiB", 2**29), ("0.5GiB", 2**29), ("4e9", 4e9), ("7", 7), ("8B", 8)],
)
def test_sizes_are_read_as_people_write_them(text: str, size: float) -> None:
    """Units of a thousand and of 1024, with and without the B, and plain numbers of bytes."""
    assert budget(text) == size


@pytest.mark.parametrize("text", ["", "lots", "4XB", "-1GB", "0", "nan", "inf", "1e999", "4GB4", "GB", "0.1"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """Anything else is refused in the one grammar, with what was got and what to try."""
    with pytest.raises(InputError, match=r"^`memory` must be a size .*, got memory='.*': try 4GB"):
        budget(text)


@LINUX
def test_the_default_is_half_of_what_is_free() -> None:
    """Without a size, half of what the machine has free."""
    free = free_bytes()
    assert free is not None
    assert budget(None) == pytest.approx(free / 2, rel=0.2)


@pytest.mark.parametrize("version", [1, 2])
def test_a_containers_limit_counts(version: int, tmp_path, monkeypatch) -> None:
    """In a container, what is free is what its limit leaves, cached files not counted as used."""
    limit, used, stat, cached = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat", "total_inactive_file"),
        2: ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    }[version]
    group = tmp_path / "memory" if version == 1 else tmp_path
    group.mkdir(exist_ok=True)
    for name, text in ((limit, "5000"), (used, "4000"), (stat, f"anon 7\n{cached} 300\n")):
        (group / name).write_text(text)
    monkeypatch.setattr(memory, "GROUPS", tmp_path)
    assert free_bytes() == 1300
    (group / limit).write_text("max")
    assert free_bytes() != 1300


def test_a_system_that_does_not_say_has_no_budget(tmp_path, monkeypatch) -> None:
    """Where nothing tells how much is free, there is no number, and no error."""
    monkeypatch.setattr(memory, "MEMORY", tmp_path / "none")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "none")
    assert free_bytes() is None
    assert budget(None) is None


def _wide(frozen: bool = False) -> nn.Module:
    model = nn.Sequential(nn.Linear(5, 1000), nn.Tanh(), nn.Linear(1000, 3)).double()
    model[0].requires_grad_(not frozen)
    return model


def test_a_lane_holds_weights_slots_and_recording() -> None:
    """Adam holds each trained weight three times; frozen weights are held once for all lanes."""
    weights = 8 * (1000 * 3 + 3)
    frozen = 8 * (5 * 1000 + 1000)
    task = small_task(lambda: _wide(frozen=True))
    sgd, adam = (needs(task, optimizers.parse(rule), CPU) for rule in ("sgd", "adam"))
    assert adam.per_lane - sgd.per_lane == 2 * weights + 8
    assert weights <= sgd.per_lane < 1.1 * weights
    assert frozen <= sgd.shared < needs(small_task(_wide), optimizers.parse("sgd"), CPU).shared + frozen


def test_activations_count_by_the_batch() -> None:
    """What a lane takes while it computes grows with the batch, as its activations do, and holds at least those."""
    few, many = (
        needs(small_task(_wide, batch_size=size), optimizers.parse("sgd"), CPU).per_chunk_lane for size in (8, 64)
    )
    activations = 8 * 1000  # of the hidden layer, for each example
    assert 56 * activations <= many - few <= 6 * 56 * activations


class _Slopes(nn.Module):
    """Gives the slope of a network, by `torch.func` as its users write it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _wide()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.func.vmap(torch.func.grad(lambda row: self.body(row).sum()))(x)


def test_a_model_that_uses_torch_func_is_measured_too() -> None:
    """`torch.func` refuses to tell what it keeps; what its operations make is counted instead, and it trains."""
    task = small_task(_Slopes, loss=lambda output, target: (output - target[:, None]).square().mean(), steps=3)
    assert needs(task, optimizers.parse("sgd"), CPU).per_chunk_lane > 2 * 16 * 8 * 1000
    for plan in PLANS.values():
        assert all(parts[-1].outcome.ended for parts in trained(task, lanes_of(task, [1e-3]), plan).values())


def test_too_little_memory_says_what_one_lane_needs() -> None:
    """A budget below one lane's needs is refused with that need; one above, and none, are not."""
    need = needs(small_task(_wide), optimizers.parse("sgd"), CPU)
    with pytest.raises(InputError, match=f"`memory` must be at least .*{words.size(need.one_lane)}, got memory='1kB'"):
        need.refuse("1kB")
    need.refuse(None)
    need.refuse("1GB")


def test_a_model_that_cannot_run_has_no_needs() -> None:
    """Measuring a model that raises is the task's fault, not a traceback."""
    with pytest.raises(TaskError, match="`task` could not be trained on its first batch: RuntimeError"):
        needs(small_task(lambda: nn.Linear(4, 3).double()), optimizers.parse("sgd"), CPU)


@LINUX
def test_running_out_is_known_in_each_of_its_forms() -> None:
    """Python, numpy and torch say in words of their own that memory ran out; each is known, also as a cause."""
    code = """
from pacesetter.engine.memory import is_out_of_memory
def caused():
    try:
        torch.zeros(2**40)
    except RuntimeError as error:
        raise ValueError("wrapped") from error
for take in (lambda: bytearray(2**40), lambda: numpy.zeros(2**38), lambda: torch.zeros(2**38), caused):
    try:
        take()
    except Exception as error:
        print(type(error).__name__, is_out_of_memory(error))
"""
    done = run_limited(code, more=100_000_000)
    assert done.returncode == 0, done.stderr
    assert [line.split()[1] for line in done.stdout.splitlines()] == ["True"] * 4


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("x"), OSError(2, "no file"), KeyError(1)])
def test_other_errors_are_not_taken_for_it(error: Exception) -> None:
    """An ordinary error is not answered with smaller chunks."""
    assert not is_out_of_memory(error)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))


@LINUX
def test_the_peak_grows_with_what_is_taken_and_stays() -> None:
    """The peak is at least what was held at once, also after it was let go, and a program starts with its own."""
    code = """
from pacesetter.engine.memory import peak_bytes
before = peak_bytes()
numpy.ones(30_000_000)
print(before, peak_bytes() - before)
"""
    held = np.ones(800_000_000, dtype=np.uint8)
    done = run_limited(code, more=2_000_000_000)
    del held
    before, more = map(int, done.stdout.split())
    assert 10e6 < before < 800e6
    assert 200e6 <= more < 400e6
    assert (peak_bytes() or 0) >= 800e6


@LINUX
def test_peaks_hold_all_processes() -> None:
    """What a study says is its own peak with those of the processes beside it."""
    alone, together = (memory.peaks("cpu", beside)["peak_memory_bytes"] for beside in (0, 10**9))
    assert 10**9 <= together - alone < 1.2 * 10**9
    assert list(memory.peaks("cpu")) == ["peak_memory_bytes"]


@LINUX
def test_lanes_take_what_they_were_reckoned_to() -> None:
    """The peak of training stacked lanes of a model of many weights is near what was reckoned, and not far above."""
    code = """
from pacesetter import optimizers
from pacesetter.engine import Plan, advance, start
from pacesetter.engine.memory import needs, peak_bytes
from pacesetter.records import Lane
from pacesetter.tasks import Task
x = torch.randn(64, 400)
task = Task(
    model=lambda: torch.nn.Sequential(torch.nn.Linear(400, 1000), torch.nn.ReLU(), torch.nn.Linear(1000, 10)),
    loss=torch.nn.functional.cross_entropy, train=(x, torch.arange(64) % 10), valid=(x, torch.arange(64) % 10),
    batch_size=32, steps=4, evaluations=1,
)
need = needs(task, optimizers.parse("adam"), torch.device("cpu"))
def peak_of(count):
    lanes = [Lane("adam", "constant", 1e-4 * (i + 1), 0, 4) for i in range(count)]
    bundle = start(task, lanes, Plan("vectorised", count, 1, "cpu", "a test"))
    advance(bundle, 4)
    return peak_bytes()
few, many = peak_of(1), peak_of(17)
print((many - few) / 16 / (need.per_lane + need.per_chunk_lane))
"""
    done = run_limited(code, more=2**34)
    assert done.returncode == 0, done.stderr
    assert 0.5 < float(done.stdout) < 1.5
