"""Processes beside this one that train bundles.

A process is forked where that is safe: tasks may be closures, which cannot be sent, and nothing is imported again.
Elsewhere it is spawned, and the task is sent as bytes.
"""

import multiprocessing
import os
import pickle
import signal
import sys
import warnings
import weakref
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch
from safetensors.torch import load as tensors_of_bytes

from pacesetter.engine.blame import in_one_line
from pacesetter.engine.plan import Plan
from pacesetter.engine.serving import SECONDS_BETWEEN_LOOKS, Given, serve
from pacesetter.engine.trainer import Job, Segment

__all__ = ["Beside", "NoProcesses", "WorkerDied", "processes"]

SECONDS_TO_END = 5
"""How long a process that speaks no more may take to end, to tell how it did."""


class NoProcesses(Exception):
    """Why there can be no processes beside this one."""


class WorkerDied(Exception):
    """A worker ended before it answered; says how. Asked for a new job it is started again."""


class Beside:
    """Another process as a worker, with a thread here that talks to it.

    Not an executor's own process: that one would wait for ever for the rest of what a process was saying when it was
    killed. Here nobody else holds the pipe open that it speaks into.
    """

    def __init__(self, method: str, given: Given) -> None:
        self._context, self._given = multiprocessing.get_context(method), given
        self._thread = ThreadPoolExecutor(1)
        self._start()

    def _start(self) -> None:
        hears, self._tell = self._context.Pipe(duplex=False)
        self._hear, tells = self._context.Pipe(duplex=False)
        # mypy does not know that every context has processes.
        self._process: BaseProcess = self._context.Process(  # type: ignore[attr-defined]
            target=serve, args=(hears, tells, self._given, os.getpid())
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
        """As `Worker.ask`; a process that has ended is started again."""
        try:
            if self._died:
                self._start()
        except OSError as error:
            failed: Future[Any] = Future()
            failed.set_exception(_Gone(in_one_line(error)))
            return failed
        return self._talk((job, save_after))

    def answer(self, asked: "Future[Any]") -> Segment:
        """As `Worker.answer`."""
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
        """End the process and the thread."""
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


def processes(count: int, plan: Plan, given: Given) -> list[Beside]:
    """Processes that are ready; NoProcesses says why there can be none."""
    if plan.threads > 1:
        raise NoProcesses(f"the plan has {plan.threads} threads, and their number decides the last bits of results")
    if multiprocessing.current_process().daemon:
        raise NoProcesses("this process is a daemon, which may have none of its own")
    method = "fork" if _may_fork(plan) else "spawn"
    made: list[Beside] = []
    try:
        if method == "spawn":
            # Not left to the executor: torch would move the user's tensors into shared memory on the way.
            given = replace(given, task=pickle.dumps(given.task))
        devices = torch.cuda.device_count() if plan.device == "cuda" else 0
        for number in range(count):
            device = f"cuda:{number % devices}" if devices > 1 else plan.device
            made.append(Beside(method, replace(given, plan=replace(plan, device=device))))
        for worker in made:
            worker.ready.result()
    except BaseException as error:
        for worker in made:
            worker.close()
        if isinstance(error, Exception):
            why = "it ended at once" if isinstance(error, _Gone) else f"{type(error).__name__}: {error}"
            raise NoProcesses(f"another could not be started: {why}") from error
        raise
    return made


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
