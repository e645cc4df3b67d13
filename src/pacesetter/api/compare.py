"""The main verb: what do these learning rates, schedules and optimizers do to my training?"""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pacesetter.api.output import write_report
from pacesetter.api.progress import Listener, Progress
from pacesetter.api.question import Question, load_task
from pacesetter.api.study import Study
from pacesetter.api.work import Settings, measure
from pacesetter.errors import InputError
from pacesetter.files import check_folder
from pacesetter.packages import require
from pacesetter.tasks import Command

if TYPE_CHECKING:
    from pacesetter.optimizers import Rule
    from pacesetter.recipes import Strategy
    from pacesetter.schedules import Schedule
    from pacesetter.tasks._task import Task

__all__ = ["compare", "refuse_lists_in_one"]


def compare(
    task: "str | Task | Command",
    *,
    lr: str | float | Iterable[float] | None = None,
    optimizers: "str | Rule | Iterable[str | Rule] | None" = None,
    schedules: "str | Schedule | Iterable[str | Schedule] | None" = None,
    strategies: "str | Strategy | Iterable[str | Strategy]" = (),
    seeds: int = 3,
    seed: int = 0,
    steps: int | None = None,
    store: str | None = None,
    study: str | None = None,
    device: str = "cpu",
    engine: str = "auto",
    executor: str = "local",
    precision: str = "float32",
    workers: int | None = None,
    memory: str | None = None,
    out: str | Path | None = None,
    progress: Listener | None = None,
) -> Study:
    """Train every strategy at every learning rate under every seed, side by side, and judge what came out.

    lanes = (optimizers x schedules + strategies) x lr x seeds;  lr(step) = lr * schedule(step, total_steps)

    Arguments:
        task: a `Task`, or its text: a built-in name, `path/to/file.py:name` or `package.module:name`; or a `Command`,
            a program that trains itself (then `steps` is needed).
        lr: learning rates, finite and above 0, in the unit of each rule's update: numbers, `log_grid(...)`, or text
            (`"1e-4:1:4"`, `"1e-3,3e-3"`). None is 1e-5:10:2, from far too low to divergent for every rule that ships.
        optimizers: text forms or objects, one or many. None is `adam`; with `strategies` given and neither this nor
            `schedules`, only the strategies are compared.
        schedules: text forms or objects, one or many; each is combined with each optimizer. None is `constant`.
        strategies: pairs beside the product, as in `["sgd(momentum=0.9) cosine"]`.
        seeds: how many seeds, at least 1; an interval needs 3.
        seed: the first of them, at least 0. All lanes of a seed see the same initial weights and the same batches.
        steps: length of training in updates, at least 1; None is the task's own.
        store: URL of the store, `sqlite:///file.db`; None keeps the study in this process only.
        study: its name in the store; None makes a new one. The same question under the name of an unfinished study
            trains the lanes that are left, of a finished one nothing; lanes that are new to it are added.
        device: `cpu` or `cuda`.
        engine: `auto`, `vectorised`, `compiled` or `looped`; auto measures which is faster.
        executor: `local`.
        precision: `float32`, as the model and the data are; `bfloat16` computes matrix products in bfloat16 (autocast).
        workers: processes that train side by side, at least 1; None lets the plan decide. They change no result.
        memory: how much training may take, as in `"4GB"`; None is half of what is free.
        out: a folder for `report.html` and pictures; found unwritable before training.
        progress: called with a `Progress` at the start, at every evaluation and at the end.

    Returns:
        the study, judged: `.answers`, `.findings`, `.lanes`, `.report(path)`, `.to_frame()`.

    Raises:
        InputError: an argument is wrong (UnknownName, ParseError, TaskError and StoreError among them).
        KeyboardInterrupt: Ctrl-C; with a `store`, everything measured is in it.

    Example:
        >>> study = compare("quadratic", lr=[0.01, 0.05], optimizers="sgd", seeds=1, steps=20)
        >>> len(study.lanes)
        2
    """
    settings = Settings(store, study, device, engine, executor, precision, workers, memory)
    refuse_lists_in_one(optimizers=optimizers, schedules=schedules, strategies=strategies)
    question = Question.read(task, lr, optimizers, schedules, strategies, seeds, seed)
    if out is not None:
        require("report")
    loaded, total_steps = load_task(task, steps)
    grid = question.grid(total_steps)
    folder = None if out is None else check_folder(out, "out")
    tell = _Teller(progress)
    if study is None and engine == "auto" and not isinstance(loaded, Command):  # a study that goes on has its engine
        tell.note("measuring which engine is faster ...")
    record = measure(loaded, grid, settings, tell)
    if folder is None:
        return Study(record, store)
    tell.note("writing the report ...")
    return Study(record, store, write_report(record, folder))


class _Teller:
    """Passes on what `measure` tells, and tells what goes on before and after it."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener
        self._last = Progress("", 0)

    def __call__(self, progress: Progress) -> None:
        self._last = progress
        if self._listener is not None:
            self._listener(progress)

    def note(self, text: str) -> None:
        """Tell `text`; the numbers stay as they are."""
        if self._listener is not None:
            self._listener(replace(self._last, note=text))


def refuse_lists_in_one(**given: object) -> None:
    """Several texts in one, joined by commas, are refused with how to give them."""
    for name, value in given.items():
        for text in [value] if isinstance(value, str) else value if isinstance(value, tuple | list) else []:
            parts = _outside_brackets(text) if isinstance(text, str) else []
            if len(parts) > 1 and all(parts):
                raise InputError(
                    f"`{name}` must have one text for each, got {text!r}: write {name}={parts!r} in Python, and the "
                    "option once for each on the command line"
                )


def _outside_brackets(text: str) -> list[str]:
    """The parts of `text` between commas that stand in no brackets."""
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == "," and not depth:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]
