"""The way of a program's lanes: found, planned, run side by side, and described."""

import hashlib
import os
import platform
import shutil
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

from pacesetter.errors import InputError, TaskError
from pacesetter.programs._process import Guard, Process
from pacesetter.programs._reports import Reader, Report, joined
from pacesetter.records import Lane, Outcome, StudyRecord
from pacesetter.tasks._command import SCRIPTS, Command

__all__ = ["Plan", "check", "make_plan", "provenance", "surface", "train"]

HASHED_BYTES = 2**26
"""Files up to this size count by what they hold, larger ones (data, more likely than code) by their size: 64 MiB take
a tenth of a second."""

Heard = SimpleQueue["Report | Future[None]"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How programs are run: `workers` side by side. reason: why, in a sentence."""

    workers: int
    reason: str
    engine: str = "command"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Plan":
        """The plan that `to_json` gave."""
        return cls(**values)


def check(task: Command) -> None:
    """Find the program and its script without running them; TaskError when either cannot be found or run."""
    if not hasattr(os, "killpg"):
        raise InputError("`command` must run where programs have process groups (Linux, macOS), got another system")
    program = task.words[0]
    if shutil.which(program) is None:
        why = "which is not a file that can be run" if Path(program).exists() else "which is not there"
        raise TaskError(
            f"`command` must start with a program, got {program!r}, {why}: check its spelling, and start a script "
            "with its interpreter, as in 'python train.py --lr {lr}'"
        )
    script = next((word for word in task.words[1:] if not word.startswith("-")), "")
    if script.endswith(SCRIPTS) and not Path(script).is_file():
        raise TaskError(f"`command` must name a script that is there, got {script!r}: paths begin in this folder")


def make_plan(workers: int | None) -> Plan:
    """One program at a time unless `workers`, at least 1, says how many: a program may use all devices itself."""
    if workers is None:
        return Plan(1, "one program at a time; --workers runs more side by side")
    return Plan(workers, f"{workers} programs side by side" if workers > 1 else "one program at a time")


def provenance(task: Command) -> dict[str, Any]:
    """Plain values: the command, the hash of each file among its arguments and of all of them, version and machine.

    The program itself counts as one of the files only where there is no other: an interpreter may be renewed while a
    study runs, its script may not.
    """
    files = {word: hashed for word in task.words[1:] if (hashed := _hash(Path(word)))}
    if not files:
        files = {task.words[0]: _hash(Path(shutil.which(task.words[0]) or ""))}
    whole = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()[:16]
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "program": task.name,
        "program_files": files,
        "program_sha256": whole,
    }


def train(
    task: Command,
    lanes: Sequence[Lane],
    plan: Plan,
) -> Iterator[list[Report]]:
    """Run a program for each lane, `plan.workers` side by side; yields what they reported, soon after they did.

    A program that fails, hangs or breaks the rules fails its own lane, and the others go on. When the caller stops
    (Ctrl-C included) every program is ended, with all that it has started.
    """
    heard: Heard = SimpleQueue()
    stop = threading.Event()
    with Guard() as guard:
        pool = ThreadPoolExecutor(plan.workers, thread_name_prefix="program")
        try:
            left = {pool.submit(_run, task, lane, guard, heard, stop) for lane in lanes}
            for future in left:
                future.add_done_callback(heard.put)
            while left:
                said = [heard.get()]
                while not heard.empty():
                    said.append(heard.get())
                if reports := joined(one for one in said if isinstance(one, Report)):
                    yield reports
                done = [one for one in said if isinstance(one, Future)]
                left.difference_update(done)
                for future in done:
                    future.result()  # an error of ours, not of the program's
        finally:
            stop.set()
            pool.shutdown(cancel_futures=True)


def surface(task: Command, study: StudyRecord) -> None:
    """A program's weights are its own: there is no surface to draw."""


def _run(task: Command, lane: Lane, guard: Guard, heard: Heard, stop: threading.Event) -> None:
    """Run one lane's program to its end, and put what it reports where it is heard."""
    reader = Reader(lane)
    if stop.is_set():
        return
    try:
        program = Process(task.arguments(lane), guard)
    except (OSError, ValueError) as error:
        heard.put(reader.failed(f"the program could not be started: {error}"))
        return
    with program:
        for line in program.lines(task.timeout, stop):
            report = reader.read(line)
            if report is not None:
                heard.put(report)
                if report.outcome is not Outcome.RUNNING:
                    return
    if program.hangs:
        heard.put(reader.silent(task.timeout))
    elif not stop.is_set():
        heard.put(reader.end(program.status, program.last_error))


def _hash(path: Path) -> str:
    """The beginning of a file's SHA-256, or its size where it is large; empty where there is no such file."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            return ""
        if size > HASHED_BYTES:
            return f"{size} bytes"
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()[:16]
    except (OSError, ValueError):
        return ""
