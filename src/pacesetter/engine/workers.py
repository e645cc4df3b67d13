"""Who trains bundles: this process, or processes beside it, each of which holds one bundle at a time."""

import multiprocessing
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from pacesetter.engine.plan import Plan
from pacesetter.engine.processes import NoProcesses, WorkerDied, processes
from pacesetter.engine.serving import Given
from pacesetter.engine.trainer import Job, Segment, Trainer
from pacesetter.errors import InputError
from pacesetter.tasks._task import Task

__all__ = ["Worker", "WorkerDied", "refuse_while_spawning", "workers"]


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


def workers(
    task: Task, plan: Plan, bundles: int, with_weights: bool, largest_state: int
) -> tuple[Sequence[Worker], str]:
    """As many workers as the plan has and the bundles need, and a note for people where they are fewer than planned."""
    count = min(plan.workers, bundles)
    note = ""
    if count > 1:
        try:
            return processes(count, plan, Given(task, plan, with_weights, largest_state)), ""
        except NoProcesses as obstacle:
            note = f"one process trains instead of {count}: {obstacle}"
    return [_Here(Trainer(task, plan, with_weights, largest_state))], note


def refuse_while_spawning() -> None:
    """Raise InputError in a process that a worker's start is importing the user's script in: it would train again."""
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself finds out
        raise InputError(
            "`workers` must be 1 in a script that trains as soon as it is imported: put what it does below "
            '`if __name__ == "__main__":`'
        )


class _Here:
    """This process as a worker, which trains while its answer is waited for."""

    def __init__(self, trainer: Trainer) -> None:
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
