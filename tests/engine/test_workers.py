"""Bundles over processes: no number of them changes a result, and no end of one loses a lane."""

import math
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import Future
from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.console import Console
from rich.file_proxy import FileProxy
from torch import nn
from torch.utils.data import DataLoader, Dataset

from pacesetter import engine, tasks
from pacesetter.engine import processes
from pacesetter.engine.train import bundles_of
from pacesetter.engine.workers import refuse_while_spawning, workers
from pacesetter.errors import InputError, TaskError
from pacesetter.records import Outcome
from tests.engine.helpers import LOOPED, PLANS, VECTORISED, blobs, joined, lanes_of, small_task, trained

needs_fork = pytest.mark.skipif(not processes._may_fork(LOOPED), reason="processes are not forked here")

PARENT = os.getpid()


class Noisy(Dataset):
    """Examples with noise that is drawn anew each time, from all three global generators."""

    def __init__(self) -> None:
        self.inputs, self.targets = blobs()

    def __len__(self) -> int:
        return len(self.inputs)

    def __getitem__(self, index):
        noise = torch.randn(5, dtype=torch.float64) + np.random.rand()
        return self.inputs[index] + 0.1 * noise, self.targets[index]


def with_dropout():
    """A model that draws random numbers at every step."""
    return nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.3), nn.Linear(8, 3)).double()


def several_lanes(task):
    """Lanes of two rules and three seeds, one of them diverging in each: five bundles of the plans below."""
    return [
        lane
        for seed in range(3)
        for rule in ("sgd", "adam")
        for lane in lanes_of(task, [0.01, 0.1] if rule == "adam" else [0.03, 1e200], rule, seed=seed)
    ]


def in_bundles(plan, workers=1):
    """The plan with small chunks and bundles, so that there are several."""
    return replace(plan, lanes_per_chunk=2, lanes_per_bundle=3, workers=workers)


def everything(task, lanes, plan, **options):
    """How lanes ended, their curves and weights, as values that compare."""
    weights: dict = {}
    parts = trained(task, lanes, plan, on_weights=weights.__setitem__, **options)
    found = {}
    for lane, own in parts.items():
        curve = joined(own)
        numbers = (curve.lr, curve.train_loss, curve.grad_norm, curve.eval_steps, curve.valid_loss)
        tensors = {name: tensor.numpy().tobytes() for name, tensor in weights.get(lane, {}).items()}
        found[lane] = (own[-1].outcome, own[-1].message, [column.tobytes() for column in numbers], tensors)
    return found


def no_processes_are_left():
    """Whether every process that was started here has ended, and been seen to end."""
    return multiprocessing.active_children() == []


@needs_fork
@pytest.mark.parametrize("engine_name", PLANS)
@pytest.mark.parametrize("data", ["tensors", "a noisy data set", "a loader"])
def test_the_number_of_workers_changes_no_bit(engine_name, data):
    """Ends, curves and weights of one, two and three processes are equal bit by bit, where batches are noisy too."""
    changes = {
        "tensors": {},
        "a noisy data set": {"train": Noisy()},
        "a loader": {"train": DataLoader(Noisy(), batch_size=16, shuffle=True), "batch_size": None},
    }[data]
    task = small_task(with_dropout, **changes)
    lanes = several_lanes(task)
    notes: list[str] = []
    one, two, three = (
        everything(task, lanes, in_bundles(PLANS[engine_name], count), on_note=notes.append) for count in (1, 2, 3)
    )
    assert one == two == three
    assert {end for end, *_ in one.values()} == {Outcome.FINISHED, Outcome.DIVERGED}
    assert notes == []
    assert no_processes_are_left()


@needs_fork
def test_bundles_train_in_other_processes_side_by_side():
    """With two workers lanes are trained in two processes, neither of which is this one."""
    seen = multiprocessing.get_context("fork").SimpleQueue()

    def model():
        seen.put(os.getpid())
        return with_dropout()

    task = small_task(model)
    taken: list[int] = []
    trained(task, several_lanes(task), in_bundles(VECTORISED, 2), on_memory=taken.append)
    found = set()
    while not seen.empty():
        found.add(seen.get())
    assert len(found) == 2
    assert PARENT not in found
    assert taken[-1] > 2 * 10**7


def test_bundles_follow_from_lanes_and_plan():
    """Bundles have one seed and length, are of even sizes, hold rules together and come longest first."""
    task = small_task()
    lanes = several_lanes(task) + [replace(lane, total_steps=99) for lane in lanes_of(task, [0.1], seed=5)]
    assert bundles_of(lanes, in_bundles(LOOPED)) == bundles_of(lanes[::-1][::-1], in_bundles(LOOPED, 4))
    bundles = bundles_of(lanes, in_bundles(LOOPED))
    assert bundles[0] == [lanes[-1]]
    assert [len(bundle) for bundle in bundles[1:]] == [2] * 6
    assert all(len({(lane.seed, lane.optimizer, lane.total_steps) for lane in bundle}) == 1 for bundle in bundles)
    assert sorted(lane for bundle in bundles for lane in bundle) == sorted(lanes)
    (one,) = bundles_of(lanes[:4], replace(LOOPED, lanes_per_bundle=4))
    assert [lane.optimizer for lane in one] == ["adam", "adam", "sgd", "sgd"]


@needs_fork
@pytest.mark.parametrize("seconds", [0.0, math.inf])
def test_a_worker_that_is_killed_is_replaced(monkeypatch, seconds):
    """Lanes of a killed process go on from their last state, or anew without one; nothing is told twice or changed."""
    monkeypatch.setattr("pacesetter.engine.saved.SECONDS_BETWEEN_STATES", seconds)
    monkeypatch.setattr("pacesetter.engine.serving.SECONDS_BETWEEN_WORDS", 0.0)
    task = small_task(with_dropout, evaluations=12)
    lanes = several_lanes(task)
    whole = everything(task, lanes, in_bundles(LOOPED))
    notes: list[str] = []
    killed = 0
    parts: dict = {lane: [] for lane in lanes}
    for count, told in enumerate(engine.train(task, lanes, in_bundles(LOOPED, 2), on_note=notes.append), start=1):
        for part in told:
            parts[part.lane].append(part)
        if count in (5, 30):
            for process in multiprocessing.active_children():
                os.kill(process.pid, signal.SIGKILL)
                killed += 1
    assert len(notes) == killed == 4
    assert "signal 9" in notes[0]
    assert ("go on from step" if seconds == 0 else "start anew") in notes[0]
    for lane in lanes:
        assert joined(parts[lane]).train_loss.tobytes() == whole[lane][2][1]
        assert joined(parts[lane]).valid_loss.tobytes() == whole[lane][2][4]
        assert sum(part.outcome.ended for part in parts[lane]) == 1
    assert no_processes_are_left()


@needs_fork
def test_lanes_that_end_every_process_fail_alone():
    """A bundle whose process dies three times fails with what became of it; the others are trained."""

    def model():
        if torch.initial_seed() == 1 and os.getpid() != PARENT:
            os._exit(3)
        return with_dropout()

    task = small_task(model)
    lanes = several_lanes(task)
    ends = {lane: parts[-1] for lane, parts in trained(task, lanes, in_bundles(LOOPED, 2)).items()}
    failed = {lane for lane, end in ends.items() if end.outcome is Outcome.FAILED}
    assert failed == {lane for lane in lanes if lane.seed == 1}
    assert {ends[lane].message for lane in failed} == {
        "failed: 3 processes that trained it ended, the last with exit code 3"
    }


@needs_fork
def test_a_model_error_reads_the_same_from_another_process():
    """What the user's code raises fails its bundle with the same words and line, wherever it was trained."""

    def model():
        if torch.initial_seed() == 1:
            raise RuntimeError("the cat sat on the keyboard")
        return with_dropout()

    task = small_task(model)
    one, two = (everything(task, several_lanes(task), in_bundles(LOOPED, count)) for count in (1, 2))
    assert one == two
    assert any("the cat sat on the keyboard (in " in message for _, message, *_ in two.values())


@needs_fork
def test_a_wrong_task_stops_all_processes():
    """A TaskError of one process comes out as it is, and the other processes end."""

    def model():
        if os.getpid() != PARENT:
            raise TaskError("`model` must be one, got none")
        return with_dropout()

    task = small_task(model)
    with pytest.raises(TaskError, match="`model` must be one, got none"):
        trained(task, several_lanes(task), in_bundles(LOOPED, 2))
    assert no_processes_are_left()


@needs_fork
def test_processes_end_with_whoever_stops_listening():
    """Training that is left in the middle leaves no process behind, also where a step takes for ever."""

    def loss(output, target):
        if torch.initial_seed() == 2:
            signal.pause()
        return nn.functional.cross_entropy(output, target)

    task = small_task(loss=loss)
    training = engine.train(task, several_lanes(task), in_bundles(LOOPED, 3))
    next(training)
    assert not no_processes_are_left()
    training.close()
    assert no_processes_are_left()


@needs_fork
def test_what_a_model_prints_is_printed_once(capfd):
    """Text that waited in a buffer of this process does not come out of the others too, and theirs is not lost."""

    def model():
        if os.getpid() != PARENT:
            print("made elsewhere")  # noqa: T201
        return with_dropout()

    print("waiting", end="")  # noqa: T201
    task = small_task(model)
    trained(task, several_lanes(task), in_bundles(LOOPED, 2))
    out = capfd.readouterr().out
    assert out.count("waiting") == 1
    assert out.count("made elsewhere") >= 6


@needs_fork
def test_a_model_may_print_while_a_bar_is_drawn(monkeypatch, capfd):
    """Text of another process does not wait for the lock of a bar that is being drawn in this one."""
    real = sys.stdout
    console = Console(file=real)
    monkeypatch.setattr(sys, "stdout", FileProxy(console, real))
    drawn, held = threading.Event(), threading.Event()

    def draw():
        with console._lock:
            held.set()
            drawn.wait()

    def model():
        if os.getpid() != PARENT:
            print("made elsewhere")  # noqa: T201
        return with_dropout()

    task = small_task(model)
    drawing = threading.Thread(target=draw)
    drawing.start()
    held.wait()
    try:
        trained(task, several_lanes(task), in_bundles(LOOPED, 2))
    finally:
        drawn.set()
        drawing.join()
    assert "made elsewhere" in capfd.readouterr().out


@needs_fork
def test_states_of_all_bundles_go_on_with_any_number_of_workers(monkeypatch):
    """What was saved of several bundles at once goes on in one, two or three processes as if nothing had happened."""
    monkeypatch.setattr("pacesetter.engine.saved.SECONDS_BETWEEN_STATES", 0.0)
    task = small_task(with_dropout)
    lanes = [lane for lane in several_lanes(task) if lane.lr < 1]
    whole = everything(task, lanes, in_bundles(LOOPED))
    kept: list = []
    for _ in engine.train(task, lanes, in_bundles(LOOPED, 3), on_states=kept.append):
        if kept and len(kept[-1]) == 3 and all(state.step for state in kept[-1]):
            break
    states = engine.unpack(engine.pack(kept[-1]))
    assert [(state.lanes, state.step, state.saved) for state in states] == [
        (state.lanes, state.step, state.saved) for state in kept[-1]
    ]
    for count in (1, 2, 3):
        parts = trained(task, lanes, in_bundles(LOOPED, count), states=states)
        for state in states:
            for lane in state.lanes:
                rest = joined(parts[lane]).train_loss
                assert len(rest) == task.total_steps - state.step
                assert rest.tobytes() == whole[lane][2][1][8 * state.step :]


def test_states_that_do_not_fit_are_left_out(monkeypatch):
    """No more is kept than a store can take: what is beyond it is left out and starts anew."""
    monkeypatch.setattr("pacesetter.engine.saved.SECONDS_BETWEEN_STATES", 0.0)
    task = small_task()
    lanes = lanes_of(task, [0.1], seed=0) + lanes_of(task, [0.1], seed=1)
    kept: list = []
    for _ in engine.train(task, lanes, LOOPED, on_states=kept.append):
        if kept:
            break
    (state,) = kept[-1]
    kept.clear()
    other = replace(state, lanes=(lanes[1],))
    monkeypatch.setattr("pacesetter.engine.saved.LARGEST_STATE", int(1.5 * len(state.saved)))
    for _ in engine.train(task, lanes, LOOPED, on_states=kept.append, states=[state, other]):
        if kept:
            break
    assert [found.lanes for found in kept[0]] == [(lanes[0],)]


def test_a_bundle_of_an_earlier_version_cannot_go_on():
    """One saved bundle by itself, as version 0.1.0 kept it, is read as nothing to go on from."""
    task = small_task()
    bundle = engine.start(task, lanes_of(task, [0.1]), LOOPED)
    assert engine.unpack(engine.save(bundle)) == []


@pytest.mark.parametrize("cut", [0, 5, -9])
def test_states_that_are_broken_cannot_go_on(cut):
    """What is left of saved states that were cut off is read as nothing to go on from, not as an error."""
    task = small_task()
    lanes = lanes_of(task, [0.1])
    bundle = engine.start(task, lanes, LOOPED)
    packed = engine.pack([engine.State(tuple(lanes), 0, engine.save(bundle))])
    assert len(engine.unpack(packed)) == 1
    assert engine.unpack(packed[:cut]) == []


def test_a_state_that_cannot_be_read_costs_time_alone(monkeypatch):
    """Lanes whose state is unreadable are trained from their start, and what was told is not told again."""
    monkeypatch.setattr("pacesetter.engine.saved.SECONDS_BETWEEN_STATES", 0.0)
    task = small_task(with_dropout)
    (lane,) = lanes_of(task, [0.1])
    whole = joined(trained(task, [lane], LOOPED)[lane])
    kept: list = []
    for _ in engine.train(task, [lane], LOOPED, on_states=kept.append):
        if kept and kept[-1][0].step:
            break
    ((state,),) = kept[-1:]
    rest = trained(task, [lane], LOOPED, states=[replace(state, saved=b"rubbish")])[lane]
    assert rest[-1].outcome is Outcome.FINISHED
    assert joined(rest).train_loss.tobytes() == whole.train_loss[state.step :].tobytes()


@needs_fork
def test_what_is_repeated_is_not_told_with_what_is_new(monkeypatch):
    """A replaced process that tells less often than the one before repeats updates, and none of them is told twice."""
    task = small_task(with_dropout, evaluations=12)
    lanes = lanes_of(task, [0.01, 0.03], seed=0) + lanes_of(task, [0.01, 0.03], seed=1)
    whole = everything(task, lanes, replace(LOOPED, workers=1))
    monkeypatch.setattr("pacesetter.engine.serving.SECONDS_BETWEEN_WORDS", 0.0)
    parts: dict = {lane: [] for lane in lanes}
    for count, told in enumerate(engine.train(task, lanes, replace(LOOPED, workers=2)), start=1):
        for part in told:
            parts[part.lane].append(part)
        if count == 6:
            # What is forked from here on tells all at once.
            monkeypatch.setattr("pacesetter.engine.serving.SECONDS_BETWEEN_WORDS", math.inf)
            for process in multiprocessing.active_children():
                process.kill()
    for lane in lanes:
        assert joined(parts[lane]).train_loss.tobytes() == whole[lane][2][1]
        assert joined(parts[lane]).eval_steps.tobytes() == whole[lane][2][3]


@needs_fork
def test_a_repetition_that_ends_otherwise_ends_the_lane_once():
    """Code that cannot be repeated may fail a lane the second time; what it had recorded before stays, once."""
    begun = multiprocessing.get_context("fork").Value("i", 0)

    def model():
        with begun:
            begun.value += os.getpid() != PARENT
            if begun.value == 3:
                raise RuntimeError("only twice")
        return with_dropout()

    task = small_task(model)
    lanes = [lane for seed in (0, 1) for lane in lanes_of(task, [0.01], seed=seed)]
    parts: dict = {lane: [] for lane in lanes}
    for count, told in enumerate(engine.train(task, lanes, replace(LOOPED, workers=2)), start=1):
        for part in told:
            parts[part.lane].append(part)
        if count == 3:
            for process in multiprocessing.active_children():
                process.kill()
    ends = [own[-1].outcome for own in parts.values()]
    assert sorted(ends) == [Outcome.FAILED, Outcome.FINISHED]
    assert all(sum(part.outcome.ended for part in own) == 1 for own in parts.values())
    failed = next(own for own in parts.values() if own[-1].outcome is Outcome.FAILED)
    assert failed[-1].message.startswith("failed: RuntimeError: only twice")
    assert failed[-1].curve.steps == 0


def test_one_process_trains_where_threads_decide_results():
    """A plan of several threads is trained in one process, which says so."""
    task = small_task()
    notes: list[str] = []
    trained(task, several_lanes(task), replace(in_bundles(VECTORISED, 2), threads=2), on_note=notes.append)
    (note,) = notes
    assert note.startswith("one process trains instead of 2: the plan has 2 threads")


def test_a_task_that_cannot_be_sent_is_trained_here(monkeypatch):
    """Where processes cannot be forked and the task cannot be sent, this process trains, and says why."""
    monkeypatch.setattr(processes, "_may_fork", lambda plan: False)
    task = small_task()
    notes: list[str] = []
    found = trained(task, several_lanes(task), in_bundles(LOOPED, 2), on_note=notes.append)
    assert all(parts[-1].outcome.ended for parts in found.values())
    (note,) = notes
    assert note.startswith("one process trains instead of 2: another could not be started: ")
    assert "lambda" in note


def test_a_task_that_can_be_sent_is_trained_in_spawned_processes(monkeypatch):
    """Where processes cannot be forked the task is sent, its tensors stay where they are, and results are the same."""
    monkeypatch.setattr(processes, "_may_fork", lambda plan: False)
    task = tasks.load("quadratic")
    lanes = [replace(lane, total_steps=20) for seed in (0, 1) for lane in lanes_of(task, [0.01, 0.05], seed=seed)]
    notes: list[str] = []
    one, two = (everything(task, lanes, replace(LOOPED, workers=count), on_note=notes.append) for count in (1, 2))
    assert one == two
    assert notes == []
    assert not any(tensor.is_shared() for tensor in task.train_source.tensors)
    assert no_processes_are_left()


def test_each_device_has_workers(monkeypatch):
    """With two GPUs workers take them in turn; held with a stand-in for the processes, as there are no two GPUs."""
    placed: list[str] = []

    class Stand:
        """Takes note of where it is asked to train."""

        def __init__(self, method, given) -> None:
            placed.append(given.plan.device)
            self.ready = Future()
            self.ready.set_result(None)

    monkeypatch.setattr(processes, "Beside", Stand)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found, note = workers(
        tasks.load("quadratic"), replace(LOOPED, device="cuda", workers=3), 4, with_weights=False, largest_state=0
    )
    assert (len(found), note) == (3, "")
    assert placed == ["cuda:0", "cuda:1", "cuda:0"]


def test_a_process_that_imports_a_script_anew_is_told_to_stop(monkeypatch):
    """In a process that is still importing the script it was started from, a study is refused with the way out."""
    refuse_while_spawning()
    monkeypatch.setattr(multiprocessing.current_process(), "_inheriting", True, raising=False)
    with pytest.raises(InputError, match="`workers` must be 1 in a script that trains as soon as it is imported"):
        refuse_while_spawning()
