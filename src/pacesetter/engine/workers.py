"""Who trains bundles: this process, or processes beside it, each of which holds one bundle at a time.

A process is forked where that is safe: tasks may be closures, which cannot be sent, and nothing is imported again.
Elsewhere it is spawned and the task sent as bytes; where that cannot be done either, this process trains alone.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import torch
from safetensors.torch import load as tensors_of_bytes
from safetensors.torch import save as bytes_of_tensors

from pacesetter.engine.batches import DataError
from pacesetter.engine.blame import in_one_line
from pacesetter.engine.bundle import Bundle, Part, advance, keep, start
from pacesetter.engine.memory import peak_bytes
from pacesetter.engine.plan import Plan
from pacesetter.engine.program import Tensors
from pacesetter.engine.saved import State, load, save, size
from pacesetter.errors import InputError, PacesetterError, WorkFailed
from pacesetter.records import Curve, Lane, Outcome
from pacesetter.tasks._task import Task

__all__ = ["Job", "Segment", "Worker", "WorkerDied", "refuse_while_spawning", "workers"]

SECONDS_BETWEEN_LOOKS = 0.5
"""How often a process looks whether the one that it works for, or that works for it, is still there."""
SECONDS_TO_END = 5
"""How long a process that speaks no more may take to end, to tell how it did."""


@dataclass(frozen=True, slots=True)
class Job:
    """Lanes to train together, from a state of theirs if there is one (which may hold others, that are left out)."""

    lanes: tuple[Lane, ...]
    state: State | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """What a bundle did up to its next evaluation, after `step` updates.

    state: the bundle's, when it was due and not `too_large`. peak_bytes: the most that another process has taken.
    """

    parts: list[Part]
    step: int
    state: State | None = None
    too_large: bool = False
    peak_bytes: int = 0


class Worker(Protocol):
    """Trains one bundle at a time."""

    def ask(self, job: Job | None, save_after: float) -> "Future[Any]":
        """Train up to the next evaluation, of `job` when it is given, else of the bundle at hand.

        The bundle's state comes with the answer, if lanes are left, when finding it took `save_after` seconds or more.
        """
        ...

    def answer(self, asked: "Future[Any]") -> Segment:
        """What came out of it; WorkerDied when the worker did not live to say."""
        ...

    def close(self) -> None:
        """End at once, whatever is in training."""
        ...


class WorkerDied(Exception):
    """A worker ended before it answered; says how. Asked for a new job it is started again."""


class _Trainer:
    """Holds one bundle, and trains it from evaluation to evaluation."""

    def __init__(self, task: Task, plan: Plan, with_weights: bool, largest_state: int) -> None:
        self._task, self._plan = task, plan
        self._with_weights, self._largest_state = with_weights, largest_state
        self._job: Job | None = None
        self._bundle: Bundle | None = None

    def go_on(self, job: Job | None, save_after: float) -> Segment:
        """As `Worker.go_on`. Only the user's code is guarded: what it raises fails the lanes of its bundle."""
        began = time.monotonic()
        if job is not None:
            self._job, self._bundle = job, None
        try:
            bundle = self._bundle = self._bundle or self._begin()
            due = next(s for s in bundle.task.evaluation_steps(bundle.total_steps) if s > bundle.step)
            parts = advance(bundle, due - bundle.step if bundle.untrained else 0)
        except (Exception, SystemExit) as error:  # the user's code may raise anything; the others go on
            if isinstance(error, PacesetterError) and not isinstance(error, DataError):
                raise
            message = f"failed: {in_one_line(error)}"
            left = self._bundle.lanes if self._bundle is not None else self._job.lanes if self._job is not None else ()
            segment = Segment([Part(lane, Curve(), Outcome.FAILED, message) for lane in left], step=-1)
            self._bundle = None
            return segment
        if not bundle.lanes or time.monotonic() - began < save_after:
            return Segment(parts, bundle.step)
        if size(bundle) > self._largest_state:
            return Segment(parts, bundle.step, too_large=True)
        return Segment(parts, bundle.step, State(tuple(bundle.lanes), bundle.step, save(bundle)))

    def _begin(self) -> Bundle:
        assert self._job is not None
        if self._job.state is None:
            return start(self._task, self._job.lanes, self._plan, self._with_weights)
        bundle = load(self._task, self._plan, self._job.state.saved, self._with_weights)
        wanted = set(self._job.lanes)
        rows = [i for i, lane in enumerate(bundle.lanes) if lane in wanted]
        if len(rows) < len(bundle.lanes):
            keep(bundle, rows)
        return bundle


def workers(task: Task, plan: Plan, bundles: int, with_weights: bool, largest_state: int) -> tuple[list[Worker], str]:
    """As many workers as the plan has and the bundles need, and a note for people where they are fewer than planned."""
    count = min(plan.workers, bundles)
    note = ""
    if count > 1:
        try:
            return _processes(count, plan, _Given(task, plan, with_weights, largest_state)), ""
        except _OneProcess as obstacle:
            note = f"one process trains instead of {count}: {obstacle}"
    return [_Here(_Trainer(task, plan, with_weights, largest_state))], note


def refuse_while_spawning() -> None:
    """Raise InputError in a process that a worker's start is importing the user's script in: it would train again."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself finds out
        raise InputError(
            "`workers` must be 1 in a script that trains as soon as it is imported: put what it does below "
            '`if __name__ == "__main__":`'
        )


class _OneProcess(Exception):
    """Why there can be no processes beside this one."""


class _Here:
    """This process as a worker, which trains while its answer is waited for."""

    def __init__(self, trainer: _Trainer) -> None:
        self._trainer = trainer
        self._asked: tuple[Job | None, float] = (None, 0.0)

    def ask(self, job: Job | None, save_after: float) -> "Future[Any]":
        self._asked = (job, save_after)
        at_once: Future[Any] = Future()
        at_once.set_result(None)
        return at_once

    def answer(self, asked: "Future[Any]") -> Segment:
        return self._trainer.go_on(*self._asked)

    def close(self) -> None:
        """Nothing is in training between two answers."""


class _Beside:
    """Another process as a worker, with a thread here that talks to it.

    Not an executor's own process: that one would wait for ever for the rest of what a process was saying when it was
    killed. Here nobody else holds the pipe open that it speaks into.
    """

    def __init__(self, method: str, given: "_Given") -> None:
        self._context, self._given = multiprocessing.get_context(method), given
        self._thread = ThreadPoolExecutor(1)
        self._start()

    def _start(self) -> None:
        hears, self._tell = self._context.Pipe(duplex=False)
        self._hear, tells = self._context.Pipe(duplex=False)
        # mypy does not know that every context has processes.
        self._process: BaseProcess = self._context.Process(  # type: ignore[attr-defined]
            target=_serve, args=(hears, tells, self._given, os.getpid())
        )
        # Also when starting it is interrupted, and at the end of this program, which would wait for the process.
        self._end = weakref.finalize(self, _kill, self._process)
        try:
            with _undisturbed():
                self._process.start()
        finally:
            hears.close()
            tells.close()
        self._died = False
        self.ready = self._talk(None)

    def ask(self, job: Job | None, save_after: float) -> "Future[Any]":
        try:
            if self._died:
                self._start()
        except OSError as error:
            failed: Future[Any] = Future()
            failed.set_exception(_Gone(in_one_line(error)))
            return failed
        return self._talk((job, save_after))

    def answer(self, asked: "Future[Any]") -> Segment:
        segment: Segment
        try:
            segment, weights = asked.result()
        except _Gone as gone:
            how = str(gone) or _how_it_ended(self._process)
            self._let_go()
            raise WorkerDied(how) from None
        parts = [
            part if own is None else replace(part, weights=tensors_of_bytes(own))
            for part, own in zip(segment.parts, weights, strict=True)
        ]
        return replace(segment, parts=parts)

    def close(self) -> None:
        self._let_go()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._hear.close()
        self._tell.close()

    def _talk(self, asked: "tuple[Job | None, float] | None") -> "Future[Any]":
        return self._thread.submit(_talk, self._tell, self._hear, self._process, asked)

    def _let_go(self) -> None:
        # Killed, because a process that is asked to end waits for whatever threads the user's code has left.
        self._end()
        if self._process.pid is not None:
            self._process.join()
        self._died = True


class _Gone(Exception):
    """The other process has ended, or could not be started."""


def _talk(tell: Connection, hear: Connection, process: BaseProcess, asked: Any) -> Any:
    """What the other process answers; what it raised is raised here."""
    try:
        tell.send(asked)
        while not hear.poll(SECONDS_BETWEEN_LOOKS):
            # What it has started may outlive it, and keep the pipe open.
            if not process.is_alive() and not hear.poll():
                raise _Gone
        answer = hear.recv()
    except (EOFError, OSError) as error:
        raise _Gone from error
    if isinstance(answer, BaseException):
        raise answer
    return answer


def _processes(count: int, plan: Plan, given: "_Given") -> list[Worker]:
    """Processes that are ready; _OneProcess says why there can be none."""
    if plan.threads > 1:
        raise _OneProcess(f"the plan has {plan.threads} threads, and their number decides the last bits of results")
    if multiprocessing.current_process().daemon:
        raise _OneProcess("this process is a daemon, which may have none of its own")
    method = "fork" if _may_fork(plan) else "spawn"
    made: list[_Beside] = []
    try:
        if method == "spawn":
            # Not left to the executor: torch would move the user's tensors into shared memory on the way.
            given = replace(given, task=pickle.dumps(given.task))
        devices = torch.cuda.device_count() if plan.device == "cuda" else 0
        for number in range(count):
            device = f"cuda:{number % devices}" if devices > 1 else plan.device
            made.append(_Beside(method, replace(given, plan=replace(plan, device=device))))
        for worker in made:
            worker.ready.result()
    except BaseException as error:
        for worker in made:
            worker.close()
        if isinstance(error, Exception):
            why = "it ended at once" if isinstance(error, _Gone) else f"{type(error).__name__}: {error}"
            raise _OneProcess(f"another could not be started: {why}") from error
        raise
    return list(made)


def _may_fork(plan: Plan) -> bool:
    """Whether a copy of this process can train. Beside an accelerator, torch refuses gradients in one."""
    has_fork = "fork" in multiprocessing.get_all_start_methods() and sys.platform != "darwin"  # whose libraries break
    return has_fork and plan.device == "cpu" and not torch.accelerator.is_available()


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Start a process that Ctrl-C does not reach before it has said that it is not to."""
    held = {signal.SIGINT} if hasattr(signal, "pthread_sigmask") else set()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, held) if held else set()
    try:
        with warnings.catch_warnings():
            # Python 3.12 and later: other threads may hold locks at a fork. Those of ours and of Python's own library
            # are made anew in the child or not used there.
            warnings.filterwarnings("ignore", ".*multi-threaded, use of fork", DeprecationWarning)
            yield
    finally:
        if held:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _kill(process: BaseProcess) -> None:
    """End a process, and what its data loaders have started, if it has come so far as to lead a group of its own."""
    if not process.is_alive():
        return
    with suppress(ProcessLookupError):
        if hasattr(os, "killpg") and process.pid is not None:
            os.killpg(process.pid, signal.SIGKILL)
            return
    process.kill()


def _how_it_ended(process: BaseProcess) -> str:
    process.join(SECONDS_TO_END)
    code = process.exitcode
    if code is None or code >= 0:
        return f"exit code {code}"
    return f"signal {-code}" + (", as when memory runs out" if -code == signal.SIGKILL else "")


# ------------------------------------------------------------------------------------------------ in the other process


@dataclass(frozen=True, slots=True)
class _Given:
    """What a process trains with; `task` is bytes where it has to be sent."""

    task: Task | bytes
    plan: Plan
    with_weights: bool
    largest_state: int


def _serve(hear: Connection, tell: Connection, given: _Given, parent: int) -> None:
    """Train what is asked for, until this process is ended."""
    _work_for(parent)
    trainer: _Trainer | None = None
    while True:
        try:
            asked = hear.recv()
        except (EOFError, OSError):
            return
        answer: Any = None
        try:
            trainer = trainer or _trainer(given)
            answer = None if asked is None else _plain(trainer.go_on(*asked))
        except BaseException as error:  # noqa: BLE001  # whatever it is, the parent is to raise it
            answer = error if isinstance(error, PacesetterError | KeyboardInterrupt) else WorkFailed(in_one_line(error))
        # What the user's code has printed is lost with a process that is killed.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        tell.send(answer)


def _work_for(parent: int) -> None:
    """Make this process one that works for `parent` alone and ends with it."""
    # Ctrl-C is the parent's to hear, which then ends this process; what it has set for other signals is not for here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    # What is printed beside a bar waits for a lock that whoever draws it may have held at the fork.
    for name in ("stdout", "stderr"):
        setattr(sys, name, getattr(getattr(sys, name), "rich_proxied_file", getattr(sys, name)))
    # A pool of threads does not survive a fork: beside one thread torch starts no other.
    torch.set_num_threads(1)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _trainer(given: _Given) -> _Trainer:
    task = pickle.loads(given.task) if isinstance(given.task, bytes) else given.task  # noqa: S301  # our parent's own
    return _Trainer(task, given.plan, given.with_weights, given.largest_state)


def _plain(segment: Segment) -> tuple[Segment, list[bytes | None]]:
    """A segment as plain data, with the parts' weights beside it: tensors would be shared through open files."""
    weights = [None if part.weights is None else _as_bytes(part.weights) for part in segment.parts]
    parts = [replace(part, weights=None) for part in segment.parts]
    return replace(segment, parts=parts, peak_bytes=peak_bytes() or 0), weights


def _as_bytes(weights: Tensors) -> bytes:
    return bytes_of_tensors({name: t.detach().cpu().contiguous().clone() for name, t in weights.items()})
