"""The verb that searches: which rate for this optimizer and schedule, how sure is that, and where does it break?"""

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pacesetter import search
from pacesetter.api import defaults
from pacesetter.api.answer import Answer
from pacesetter.api.compare import refuse_lists_in_one
from pacesetter.api.grid import rates_from
from pacesetter.api.output import write_report
from pacesetter.api.progress import Listener, Progress
from pacesetter.api.question import Question, load_task
from pacesetter.api.study import Study
from pacesetter.api.work import Settings, measure
from pacesetter.errors import InputError, UnknownName
from pacesetter.files import check_folder
from pacesetter.packages import require
from pacesetter.records import Problem
from pacesetter.tasks import Command
from pacesetter.words import plural

if TYPE_CHECKING:
    from pacesetter.optimizers import Rule
    from pacesetter.schedules import Schedule
    from pacesetter.tasks._task import Task

__all__ = ["find"]

QUICK_BUDGET = 1.5
"""Full trainings that a first look may cost."""


def find(
    task: "str | Task | Command",
    *,
    optimizer: "str | Rule | None" = None,
    schedule: "str | Schedule | None" = None,
    lr: str | Iterable[float] | None = None,
    strategy: str = "pace",
    quick: bool = False,
    budget: float | None = None,
    seconds: float | None = None,
    metric: str | None = None,
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
) -> Answer:
    """Find the learning rate of lowest expected loss at the full length, at the price of a few runs, and verify it.

    Short runs at many rates, longer ones where they point, full ones around the best; every short run is a whole run of
    its schedule. The answer rests on all of them together.

    Arguments:
        task: a `Task`, or its text: a built-in name, `path/to/file.py:name` or `package.module:name`; or a `Command`.
        optimizer: text form or object. None is `adam`.
        schedule: text form or object. None is `constant`.
        lr: where to look first, as text `LOW:HIGH`; or the only rates to try, as numbers or a comma list. None is
            1e-5:10. Where the best lies at an end, the search goes up to three decades further.
        strategy: which search, see `pacesetter.search`: `pace` (ours), `grid`, `random`, `halving(factor=3)`,
            `optuna:tpe`, `range_test`.
        quick: a first look: short runs alone, nothing is verified, and the answer says so.
        budget: the most to spend, in full trainings (all runs' updates over the length); None is the strategy's own: 6
            for `pace`, 1.5 for a quick look.
        seconds: the most to spend in wall time; what is known then is the answer.
        metric: what is judged instead of the validation loss: one of the task's metrics, more or less of it as the
            task says.
        seed: the first seed, at least 0.
        steps: the length that the rate is for, in updates; None is the task's own.
        store: URL of the store, `sqlite:///file.db`; None keeps the study in this process only.
        study: its name in the store; None makes a new one, else the search goes on where it was. What a quick look has
            left may be gone on with by a search that verifies, and any with a larger budget.
        device: `cpu` or `cuda`.
        engine: `auto`, `vectorised`, `compiled` or `looped`.
        executor: `local`.
        precision: `float32` or `bfloat16`.
        workers: processes that train side by side, at least 1; None lets the plan decide.
        memory: how much training may take, as in `"4GB"`; None is half of what is free.
        out: a folder for `report.html` and pictures.
        progress: called with a `Progress` at the start, at every evaluation and at the end.

    Returns:
        the answer: `.lr` (None when there is none to give: a finding says why), `.interval`, `.equivalent`,
        `.safe_range`, `.stability_edge`, `.findings`, `.cost`, `.recipe`, and `.study`, which keeps it all.

    Raises:
        InputError: an argument is wrong, or `budget` is below what an answer needs.
        KeyboardInterrupt: Ctrl-C; with a `store`, everything measured is in it.

    Example:
        >>> answer = find("quadratic", optimizer="sgd", steps=54)
        >>> answer.lr is not None
        True
    """
    settings = Settings(store, study, device, engine, executor, precision, workers, memory, seconds)
    refuse_lists_in_one(optimizer=optimizer, schedule=schedule)
    asked = search.parse(strategy)
    rates, candidates = _range(lr)
    question = Question.read(task, rates, optimizer, schedule, (), 1, seed)
    if out is not None:
        require("report")
    loaded, total_steps = load_task(task, steps)
    ((own_optimizer, own_schedule),) = question.grid(total_steps).strategies
    is_program = isinstance(loaded, Command)
    problem = Problem(
        optimizer=own_optimizer,
        schedule=own_schedule,
        low=min(rates),
        high=max(rates),
        total_steps=total_steps,
        seed=seed,
        seeds=1 if isinstance(loaded, Command) and not loaded.takes("seed") else None,
        rates=tuple(sorted(rates)) if candidates else (),
        lengths=(total_steps,) if isinstance(loaded, Command) and not loaded.takes("steps") else (),
        metric=metric,
        maximize=_direction(loaded, metric),
        budget=_checked_budget(budget, quick),
        quick=quick,
    )
    searching = search.Search(problem, asked)
    _refuse_small_budget(searching)
    folder = None if out is None else check_folder(out, "out")
    tell = progress or (lambda progress: None)
    tell(Progress("", 0, note=_estimate(searching)))
    if study is None and engine == "auto" and not is_program:
        tell(Progress("", 0, note="measuring which engine is faster ..."))
    record = measure(loaded, searching, settings, progress)
    held = Study(record, store, () if folder is None else write_report(record, folder))
    return Answer.of(record.answers[0], record, held)


def _range(lr: str | Iterable[float] | None) -> tuple[tuple[float, ...], bool]:
    """The rates that were given, and whether they are the only ones to try (a range has its two ends)."""
    text = defaults.GRID if lr is None else lr
    if isinstance(text, str) and ":" in text:
        low, high, *_ = text.split(":")
        rates = rates_from(f"{low}:{high}:1" if text.count(":") < 2 else text)
        rates, candidates = (rates[0], rates[-1]), False
    else:
        rates, candidates = rates_from(text), True
    if len(set(rates)) < 2:
        raise InputError(
            f"`lr` must have at least two rates to choose from, got lr={lr!r}: give a range such as 1e-5:10, or train "
            "one rate with `train`"
        )
    return rates, candidates


def _direction(task: "Task | Command", metric: str | None) -> bool:
    """Whether more of the metric is better; UnknownName when the task has none of that name."""
    if metric is None:
        return False
    known = task.metric_directions
    if metric not in known and not isinstance(task, Command):
        raise UnknownName.of("metric", metric, known)
    return known.get(metric) == "max"


def _checked_budget(budget: Any, quick: bool) -> float | None:
    if budget is None:
        return QUICK_BUDGET if quick else None
    if not isinstance(budget, int | float) or isinstance(budget, bool) or not 0 < budget < math.inf:
        raise InputError(f"`budget` must be a number of full trainings above 0, got budget={budget!r}")
    return float(budget)


def _refuse_small_budget(searching: search.Search) -> None:
    """Refuse a budget that the first lanes of the search, without which it knows nothing, do not fit into.

    Some make their first lanes shorter where there is less to spend.
    """
    problem = searching.problem
    free = search.Search(problem.within(math.inf), searching.strategy).ask(())
    if not free:
        raise InputError(
            f"`lr` must be a range LOW:HIGH for strategy={searching.strategy}, which cannot try single rates, got "
            f"{plural(len(problem.rates), 'rate')}"
        )
    if problem.budget is None:
        return
    least = sum(lane.total_steps for lane in free) / problem.total_steps
    if least > problem.budget + 1e-9 and len(searching.ask(())) < len(free):
        raise InputError(
            f"`budget` must be at least {math.ceil(least * 100) / 100:g} full trainings, got budget={problem.budget:g}"
            f": the first look takes {plural(len(free), 'run')}; give more, or a narrower range"
        )


def _estimate(searching: search.Search) -> str:
    """What the search is going to cost, in a sentence."""
    problem, runs = searching.problem, searching.runs or 0.0
    updates = f"{runs * problem.total_steps:,.0f} updates"
    return f"searching with {searching.strategy}: about {runs:.2g} full trainings ({updates})"
