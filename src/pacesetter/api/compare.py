"""The main verb: what do these learning rates, schedules and optimizers do to my training?"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pacesetter.api.output import write_report
from pacesetter.api.progress import Listener
from pacesetter.api.question import Question, load_task
from pacesetter.api.study import Study
from pacesetter.api.work import Settings, measure
from pacesetter.files import check_folder
from pacesetter.packages import require

if TYPE_CHECKING:
    from pacesetter.optimizers import Rule
    from pacesetter.recipes import Strategy
    from pacesetter.schedules import Schedule
    from pacesetter.tasks._task import Task

__all__ = ["compare"]


def compare(
    task: "str | Task",
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
    out: str | Path | None = None,
    progress: Listener | None = None,
) -> Study:
    """Train every strategy at every learning rate under every seed, side by side, and judge what came out.

    lanes = (optimizers x schedules + strategies) x lr x seeds;  lr(step) = lr * schedule(step, total_steps)

    Arguments:
        task: a `Task`, or its text: a built-in name, `path/to/file.py:name` or `package.module:name`.
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
        engine: `auto`, `vectorised` or `looped`; auto measures which is faster.
        executor: `local`.
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
    settings = Settings(store, study, device, engine, executor)
    question = Question.read(lr, optimizers, schedules, strategies, seeds, seed)
    if out is not None:
        require("report")
    loaded, total_steps = load_task(task, steps)
    grid = question.grid(total_steps)
    folder = None if out is None else check_folder(out, "out")
    record = measure(loaded, grid, settings, progress)
    return Study(record, store, () if folder is None else write_report(record, folder))
