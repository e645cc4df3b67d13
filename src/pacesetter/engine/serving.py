"""What a process that works for another does: it trains what it is asked for, and ends when the other one ends."""

import os
import pickle
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import Any

import torch
from safetensors.torch import save as bytes_of_tensors

from pacesetter.engine.blame import in_one_line
from pacesetter.engine.memory import peak_bytes
from pacesetter.engine.plan import Plan
from pacesetter.engine.program import Tensors
from pacesetter.engine.trainer import Job, Segment, Trainer, joined
from pacesetter.errors import PacesetterError, WorkFailed
from pacesetter.tasks._task import Task

__all__ = ["SECONDS_BETWEEN_LOOKS", "Given", "serve"]

SECONDS_BETWEEN_LOOKS = 0.5
"""How often a process looks whether the one that it works for, or that works for it, is still there."""
SECONDS_BETWEEN_WORDS = 0.2
"""What is told more often costs more to tell than to train, where a whole run takes a second."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a process trains with; `task` is bytes where it has to be sent."""

    task: Task | bytes
    plan: Plan
    with_weights: bool
    largest_state: int


def serve(hear: Connection, tell: Connection, given: Given, parent: int) -> None:
    """Train what is asked for, until this process is ended."""
    _work_for(parent)
    trainer: Trainer | None = None
    failed: BaseException | None = None
    while True:
        try:
            asked = hear.recv()
        except (EOFError, OSError):
            return
        answer: Any = None if failed is None else _for_the_parent(failed)
        if failed is None and asked is not None:
            try:
                trainer = trainer or _trainer(given)
                segments, failed = _worth_telling(trainer, *asked)
                answer = _plain(joined(segments))
            except BaseException as error:  # noqa: BLE001  # whatever it is, the parent is to raise it
                answer = _for_the_parent(error)
        # What the user's code has printed is lost with a process that is killed.
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):
                stream.flush()
        tell.send(answer)


def _for_the_parent(error: BaseException) -> BaseException:
    return error if isinstance(error, PacesetterError | KeyboardInterrupt) else WorkFailed(in_one_line(error))


def _worth_telling(trainer: Trainer, job: Job | None, save_after: float) -> tuple[list[Segment], BaseException | None]:
    """Segments until there is enough to tell, and an error that came after the first of them.

    What is a repetition and what is new are told apart: the one is to be left out, the other not.
    """
    began = time.monotonic()
    segments = [trainer.go_on(job, save_after)]
    while trainer.going and not trainer.is_at_told and segments[-1].state is None and not segments[-1].too_large:
        elapsed = time.monotonic() - began
        if elapsed >= SECONDS_BETWEEN_WORDS:
            break
        try:
            segments.append(trainer.go_on(None, max(0.0, save_after - elapsed)))
        except BaseException as error:  # noqa: BLE001  # told when what came before it has been
            return segments, error
    return segments, None


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


def _trainer(given: Given) -> Trainer:
    task = pickle.loads(given.task) if isinstance(given.task, bytes) else given.task  # noqa: S301  # our parent's own
    return Trainer(task, given.plan, given.with_weights, given.largest_state)


def _plain(segment: Segment) -> tuple[Segment, list[bytes | None]]:
    """A segment as plain data, with the parts' weights beside it: tensors would be shared through open files."""
    weights = [None if part.weights is None else _as_bytes(part.weights) for part in segment.parts]
    parts = [replace(part, weights=None) for part in segment.parts]
    return replace(segment, parts=parts, peak_bytes=peak_bytes() or 0), weights


def _as_bytes(weights: Tensors) -> bytes:
    return bytes_of_tensors({name: t.detach().cpu().contiguous().clone() for name, t in weights.items()})
