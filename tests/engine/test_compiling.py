"""Compiled steps: the recorded numbers, made once, kept for the next time, and never in anybody's way."""

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, vmap

from pacesetter import engine
from pacesetter.engine import compiling
from pacesetter.engine.compiling import NotCompiled, cache_folder, compiled, is_kept
from pacesetter.engine.recording import Recording, record
from tests.engine.helpers import VECTORISED, blobs, joined, lanes_of, small_task, trained

LANES = 4


def recorded(make_model=None, dtype=torch.float64) -> tuple[Recording, list[torch.Tensor]]:
    """A step of plain descent of stacked lanes: (recording, leaves), with weights that differ from lane to lane."""
    torch.manual_seed(0)
    model = (make_model or (lambda: nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.4), nn.Tanh(), nn.Linear(4, 2))))()
    names = [name for name, _ in model.named_parameters()]
    scale = torch.linspace(0.5, 1.5, LANES, dtype=dtype)
    weights = [torch.stack([p.detach().to(dtype) * s for s in scale]) for p in model.parameters()]
    batch = [torch.randn(5, 3, dtype=dtype), torch.tensor([0, 1, 1, 0, 1])]

    def step(*leaves):
        params = [p.detach().requires_grad_() for p in leaves[:-2]]

        def loss(params):
            return F.cross_entropy(
                functional_call(model, dict(zip(names, params, strict=True)), (leaves[-2],)), leaves[-1]
            )

        losses = vmap(loss, randomness="same")(params)
        found = torch.autograd.grad(losses.sum(), params)
        return [losses.detach(), *(p.detach() - 0.1 * g for p, g in zip(params, found, strict=True))]

    leaves = [*weights, *batch]
    return record(step, leaves), leaves


@pytest.fixture(scope="module")
def small():
    """A tiny recorded step with dropout, its leaves, and its compiled code, made once for all tests here."""
    recording, leaves = recorded()
    return recording, leaves, compiled(recording, leaves, 1)


def test_compiled_is_recorded_and_draws_the_same(small):
    """Compiled code gives the recording's numbers, and takes the same random numbers from torch's generator."""
    recording, leaves, call = small
    for seed in (3, 4):
        torch.manual_seed(seed)
        expected = recording(*leaves)
        after = torch.get_rng_state()
        torch.manual_seed(seed)
        made = call(*leaves)
        assert torch.equal(torch.get_rng_state(), after)
        for one, other in zip(made, expected, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)
    assert not torch.equal(call(*leaves)[0], expected[0])


def test_nan_stays_in_its_lane(small):
    """A lane of weights that are NaN gives NaN in its own row; the others have the bits that they had without it."""
    _, leaves, call = small
    torch.manual_seed(3)
    healthy = call(*leaves)
    sick = [leaf.clone() for leaf in leaves]
    for leaf in sick[:-2]:
        leaf[1] = float("nan")
    torch.manual_seed(3)
    made = call(*sick)
    others = [0, 2, 3]
    for one, other in zip(made, healthy, strict=True):
        assert torch.isnan(one[1]).all()
        assert torch.equal(one[others], other[others])


def test_a_kept_file_needs_no_compiler(small, monkeypatch):
    """Compiled once, the same step is there without a compiler, in one file; another number of threads is another."""
    recording, leaves, call = small
    files = set((cache_folder() / "compiled").glob("*.pt2"))
    monkeypatch.setenv("CXX", "/nowhere/c++")
    again, others = recorded()
    torch.manual_seed(3)
    expected = call(*leaves)
    torch.manual_seed(3)
    made = compiled(again, others, 1)(*others)
    assert all(map(torch.equal, made, expected))
    assert is_kept(recording, leaves, 1)
    assert not is_kept(recording, leaves, 2)
    assert not is_kept(recording, [*leaves[:-2], leaves[-2][:4], leaves[-1][:4]], 1)
    assert set((cache_folder() / "compiled").glob("*.pt2")) == files


def test_other_constants_are_the_same_code():
    """A file is named after the places of constants, not their values, which are handed over at each call."""
    one, other = (record(lambda x, c=c: [x * c], [torch.ones(3)]) for c in (torch.ones(3), torch.zeros(3)))
    assert compiling._place(one, [torch.ones(3)], 1) == compiling._place(other, [torch.ones(3)], 1)
    wide = record(lambda x: [x * 2], [torch.ones(3)])
    assert compiling._place(wide, [torch.ones(3)], 1) != compiling._place(one, [torch.ones(3)], 1)


def settings_now():
    """What of a process a compiler may change: environment, threads, random state, streams, and modules."""
    torchs = {name for name in sys.modules if "inductor" in name or "dynamo" in name}
    return dict(os.environ), torch.get_num_threads(), torch.get_rng_state().tolist(), os.fstat(1).st_ino, torchs


def test_the_process_is_left_as_it_was(monkeypatch):
    """Compiling leaves environment, threads, random state, streams and modules alone, and no process behind."""
    recording, leaves = recorded(lambda: nn.Linear(3, 2))
    monkeypatch.setattr(compiling, "_compile", lambda *_: "stopped here")
    before = settings_now()
    with pytest.raises(NotCompiled, match="stopped here"):
        compiled(recording, leaves, 1)
    assert settings_now() == before
    assert multiprocessing.active_children() == []


# ----------------------------------------------------------------------------------------------- what can go wrong


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """An empty cache and a step whose code is not in it."""
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path))
    return recorded(lambda: nn.Linear(3, 2))


def fails(tiny) -> str:
    """Why a step cannot be compiled, of which nothing is left behind."""
    recording, leaves = tiny
    with pytest.raises(NotCompiled) as told:
        compiled(recording, leaves, 1)
    assert not is_kept(recording, leaves, 1)
    assert multiprocessing.active_children() == []
    assert "\n" not in str(told.value)
    return str(told.value)


def test_a_missing_compiler_is_named(tiny, monkeypatch):
    """Without a C++ compiler, the sentence has the name under which one was looked for."""
    monkeypatch.setenv("CXX", "no-such-c++")
    assert fails(tiny) == "this machine has no C++ compiler called no-such-c++"
    monkeypatch.delenv("CXX")
    monkeypatch.setenv("PATH", "")
    assert "called " + ("g++" if sys.platform == "linux" else "clang++") in fails(tiny)


def test_a_compiler_that_fails_is_a_sentence(tiny, monkeypatch):
    """Whatever torch's compiler raises comes as its kind and first line."""
    monkeypatch.setitem(sys.modules, "torch._inductor", None)
    assert "torch's compiler cannot make it: ModuleNotFoundError: " in fails(tiny)
    assert compiling._first_line(ValueError("first line\nsecond line")) == "ValueError: first line"
    assert compiling._first_line(ValueError("")) == "ValueError"


@pytest.mark.parametrize(
    ("child", "words"),
    [
        (lambda *_: os._exit(9), "the compiler's process died"),
        (lambda recording, leaves, threads, path, tell: tell.send("it was not in the mood"), "it was not in the mood"),
        (lambda recording, leaves, threads, path, tell: tell.send(""), "torch's compiler made nothing"),
    ],
)
def test_a_compiler_that_dies_or_gives_up_is_a_sentence(tiny, monkeypatch, child, words):
    """A child that dies, gives a reason, or makes an empty file ends in a sentence, without a file or a process."""
    monkeypatch.setattr(compiling, "_child", child)
    assert words in fails(tiny)


def test_a_compiler_that_takes_too_long_is_ended(tiny, monkeypatch):
    """A child that goes on and on is killed."""
    monkeypatch.setattr(compiling, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(compiling, "_child", lambda *_: __import__("time").sleep(60))
    assert "it took longer than 0.05 seconds" in fails(tiny)


def test_a_broken_file_is_told_once_and_deleted(tiny):
    """Half a file is no traceback: it is said and deleted, so that the next time it is made anew."""
    recording, leaves = tiny
    place = compiling._place(recording, leaves, 1)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"half a file")
    assert is_kept(recording, leaves, 1)
    assert "could not be loaded" in fails(tiny)
    assert not place.exists()


def test_a_cache_that_cannot_be_written_is_a_sentence(tiny, monkeypatch, tmp_path):
    """A cache folder that is a file, or in a place that cannot be written, is named in the reason."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path / "file"))
    assert "`PACESETTER_CACHE` must be a place that can be written to" in fails(tiny)


def test_a_study_goes_on_when_its_step_cannot_be_compiled(tiny, monkeypatch):
    """Under a compiled plan on a machine without a compiler, lanes train by recordings, and the chunk says why."""
    monkeypatch.setenv("CXX", "no-such-c++")
    task = small_task()
    lanes = lanes_of(task, [0.1, 0.01, 0.001])
    plan = engine.Plan("vectorised", 4, 1, "cpu", "a test", compiled=True)
    bundle = engine.start(task, lanes, plan)
    parts = engine.advance(bundle, 24)
    expected = trained(task, lanes, VECTORISED)
    for lane in lanes:
        mine = joined([part for part in parts if part.lane == lane])
        assert np.array_equal(mine.train_loss, joined(expected[lane]).train_loss)
    assert "no-such-c++" in bundle.chunks[0].why_not_compiled


def test_the_latest_files_are_kept(monkeypatch, tmp_path):
    """Of more files than are kept the oldest go."""
    monkeypatch.setattr(compiling, "KEPT_FILES", 3)
    for age in range(6):
        (tmp_path / f"{age}.pt2").touch()
        os.utime(tmp_path / f"{age}.pt2", (1000 - age, 1000 - age))
    compiling._forget_oldest(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.pt2", "1.pt2", "2.pt2"]


def test_the_cache_is_in_the_systems_place(monkeypatch):
    """The cache lies where the system keeps caches, or where `PACESETTER_CACHE` says."""
    monkeypatch.setenv("PACESETTER_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("PACESETTER_CACHE")
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == Path.home() / "Library" / "Caches" / "pacesetter"
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/cached")
    assert cache_folder() == Path("/cached/pacesetter")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path.home() / ".cache" / "pacesetter"


# ------------------------------------------------------------------------------------------------ with the compiler


@pytest.mark.slow
def test_a_broken_file_is_made_anew(tiny):
    """After a broken file was told of, the next study compiles again and has its code."""
    recording, leaves = tiny
    place = compiling._place(recording, leaves, 1)
    place.parent.mkdir(parents=True)
    place.write_bytes(b"half a file")
    fails(tiny)
    made = compiled(recording, leaves, 1)(*leaves)
    for one, other in zip(made, recording(*leaves), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.slow
def test_compiling_leaves_no_trace_in_its_process(monkeypatch, tmp_path):
    """A whole compile leaves threads, environment, random state and modules as they were, and prints nothing."""
    code = (
        "import multiprocessing, torch\n"
        "from pacesetter.engine.compiling import compiled\n"
        "from tests.engine.test_compiling import recorded, settings_now\n"
        "recording, leaves = recorded(lambda: torch.nn.Linear(3, 2))\n"
        "torch.set_num_threads(2)\n"
        "before = settings_now()\n"
        "compiled(recording, leaves, 1)\n"
        "assert settings_now() == before\n"
        "assert multiprocessing.active_children() == []\n"
    )
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert len(list((tmp_path / "compiled").iterdir())) == 1


class Convolutional(nn.Module):
    """Convolution, running statistics and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(1, 4, 2)
        self.norm = nn.BatchNorm1d(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(16, 3)

    def forward(self, x):
        seen = torch.relu(self.norm(self.convolution(x[:, None]))).transpose(1, 2)
        return self.head(self.drop(self.attention(seen, seen, seen, need_weights=False)[0].flatten(1)))


@pytest.mark.slow
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-2)])
@pytest.mark.parametrize("rule", ["adamw", "sgd(momentum=0.9)"])
def test_compiled_training_is_the_stacked_one(dtype, tolerance, rule):
    """Curves of compiled lanes are those of recorded ones, 24 steps of sums in another order apart.

    A float32 step differs by 1e-7. Adam divides by the size of each gradient: one that is close to 0, where the batch
    norm makes the offset before it count for nothing, is then another one of the full size.
    """
    inputs, targets = blobs(dtype=dtype)
    task = small_task(
        lambda: Convolutional().to(dtype), train=(inputs[:72], targets[:72]), valid=(inputs[72:], targets[72:])
    )
    lanes = lanes_of(task, [1e-2, 3e-3, 1e-3], rule)
    plan = engine.Plan("vectorised", 4, 1, "cpu", "a test", compiled=True)
    bundle = engine.start(task, lanes, plan)
    parts = engine.advance(bundle, 24)
    assert bundle.chunks[0].why_not_compiled == ""
    expected = trained(task, lanes, VECTORISED)
    for lane in lanes:
        mine = joined([part for part in parts if part.lane == lane])
        np.testing.assert_allclose(mine.train_loss, joined(expected[lane]).train_loss, rtol=tolerance)
        np.testing.assert_allclose(mine.valid_loss, joined(expected[lane]).valid_loss, rtol=tolerance)


@pytest.mark.slow
def test_compiled_chunks_change_no_bit():
    """Under a compiled plan a lane has the same bits alone, with idle rows beside it, and among lanes that diverge."""
    task = small_task(lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.2), nn.Linear(8, 3)).double())
    rates = [0.1, 0.05, 0.02, 1e200, 0.01, 1e200, 0.005]
    plan = engine.Plan("vectorised", 4, 1, "cpu", "a test", compiled=True)
    every = trained(task, lanes_of(task, rates), plan)
    for lane in lanes_of(task, [0.1, 0.005]):
        alone = joined(trained(task, [lane], plan)[lane])
        assert np.array_equal(joined(every[lane]).train_loss, alone.train_loss)
        assert np.array_equal(joined(every[lane]).valid_loss, alone.valid_loss)
