"""The plain PyTorch runs that searches ask for, each made once and kept in a folder for temporary files.

Rates are rounded to a grid of 20 a decade, so that searches share runs. What a run took is kept with it, and each
search that asks for it pays as if it had made it. `PACESETTER_BENCH_CACHE` names another folder.
"""

import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path

import torch
from torch import Tensor
from truth import _run, lengths, validate

from pacesetter.tasks import Task

PER_DECADE = 20


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a run was at one of the lengths at which the truth is told.

    value: last validation loss, at most the untrained model's, which is also that of a run that diverged.
    steps, seconds: what it took until there.
    diverged: it made no more steps.
    """

    value: float
    steps: int
    seconds: float
    diverged: bool


def nearest(lr: float) -> float:
    """The rate of the grid next to `lr`."""
    return float(f"{10 ** (round(math.log10(lr) * PER_DECADE) / PER_DECADE):.6g}")


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch uses one thread inside, which is fastest for models as small as these."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class PlainEnds:
    """The runs of one task, optimizer, schedule and seed; `idle` is how long it kept its caller waiting."""

    def __init__(self, task: Task, optimizer: str, schedule: str, seed: int) -> None:
        self.task, self.optimizer, self.schedule, self.seed = task, optimizer, schedule, seed
        self.idle = 0.0
        self._kept = _folder() / f"{task.name} {optimizer} {schedule} {seed}.jsonl"
        lines = self._kept.read_text().splitlines() if self._kept.exists() else []
        self._known = {
            lr: tuple(Reached(**reached) for reached in run) for lr, run in (json.loads(line) for line in lines)
        }

    def run(self, lr: float) -> tuple[Reached, ...]:
        """A whole run with the rate next to `lr`, at each of the truth's lengths; it ends with one that diverged."""
        began = time.perf_counter()
        lr = nearest(lr)
        if lr not in self._known:
            self._known[lr] = tuple(self._made(lr))
            with self._kept.open("a") as file:
                file.write(json.dumps([lr, [asdict(reached) for reached in self._known[lr]]]) + "\n")
        self.idle += time.perf_counter() - began
        return self._known[lr]

    def _made(self, lr: float) -> Iterator[Reached]:
        torch.manual_seed(self.seed)
        start = validate(self.task, self.task.make_model())
        counted = _Counted(self.task)
        began = time.perf_counter()
        with one_thread():
            runs = _run(
                replace(self.task, loss=counted), self.optimizer, lr, self.seed, lengths(self.task),
                decays=self.schedule != "constant",
            )  # fmt: skip
            for step, value in runs:
                seconds = time.perf_counter() - began
                if value is None:
                    yield Reached(start, min(step, counted.updates), seconds, diverged=True)
                    return
                yield Reached(min(value, start), step, seconds, diverged=False)


class _Counted:
    """A task's loss that counts how often gradients were asked of it."""

    def __init__(self, task: Task) -> None:
        assert task.loss is not None
        self.loss, self.updates = task.loss, 0

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        self.updates += torch.is_grad_enabled()
        return self.loss(output, target)


@cache
def _folder() -> Path:
    """One for each state of what runs are made of."""
    made_of = [Path(__file__).with_name(name).read_bytes() for name in ("_tasks.py", "truth.py", "_plain_ends.py")]
    state = hashlib.sha256(b"".join([torch.__version__.encode(), *made_of])).hexdigest()[:12]
    root = Path(os.environ.get("PACESETTER_BENCH_CACHE") or Path(tempfile.gettempdir()) / "pacesetter-bench")
    (root / state).mkdir(parents=True, exist_ok=True)
    return root / state
