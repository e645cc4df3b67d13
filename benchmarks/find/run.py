"""How good the rates are that `pacesetter find` and today's tools suggest, on real tasks whose truth is known.

    python benchmarks/find/run.py [--task NAME ...] [--method NAME ...] [--peers] [--repeats 3] [--json FILE]

Each method is asked on every sweep (task x optimizer x schedule) that `truth.csv.gz` has, under `--repeats` seeds that
the truth did not use. `truth.py` makes that file: the loss at 29 rates under 8 to 96 seeds. Columns:

    runs                  updates made, as trainings of the whole length
    wall                  median wall time, as that of one plain PyTorch loop over the whole length, timed beside it
    lost %, median, worst share of the achievable improvement given up: mean, median, and the worst sweep's mean
    >1 %, >5 %            of suggestions, the percentage that loses more than this
    dec off               median distance from the best rate, in decades
    spread                from the least to the greatest answer over repetitions, in decades: median over sweeps
    edge, none            suggestions with which training breaks; questions without an answer, which lose everything
    held %                percentage of intervals that hold the truth's best rate
    width, flat, sharp    median decades of the interval: of all sweeps, of the flattest and of the sharpest third

A line for all tasks is followed by those for the tasks that the search was tuned on, those that were in sight then, the
fresh and the unseen ones (`_tasks.py` has what that means). `--each` adds the means of every sweep.
`benchmarks/_compare.py OLD.json NEW.json` prints two results side by side.

`--peers` needs `pip install torch-lr-finder optuna greenlet lightning`. It takes an hour a repetition the first time:
the full runs that searches ask for are kept in a folder for temporary files, and every search that asks for one pays
for it all the same. Without `--method`, `find`, `find --quick` and the range test are asked; `--method grid --peers`
asks the grid and the peers.
"""

import argparse
import json
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from _finders import Method
from _peers import PEERS
from _plain_ends import one_thread
from _score import COLUMNS, Scored, by_origin, figures, worst_sweep
from _suggestion import Suggestion
from _tasks import TASKS, load
from _truth_table import Truth, truths
from truth import TRUTH, _run, read

import pacesetter
from pacesetter.cli.session import keep_freed_memory
from pacesetter.tasks import Task

SEEDS_APART = 100
"""Repetition k has the seeds from 100 k on; the truth has 0 to 95 at most."""
PLAIN_LR = 1e-3
"""A rate with which every task trains; what it is does not matter to the time."""
PLAIN_TIMINGS = 3


def found_by(**options: object) -> Method:
    """`pacesetter.find` with these options, timed from outside."""

    def method(task: Task, optimizer: str, schedule: str, seed: int) -> Suggestion:
        began = time.perf_counter()
        answer = pacesetter.find(task, optimizer=optimizer, schedule=schedule, seed=seed, **options)
        seconds = time.perf_counter() - began
        return Suggestion(answer.lr, answer.cost.lane_steps, seconds, answer.interval)

    return method


OURS: dict[str, Method] = {
    "find": found_by(),
    "find-quick": found_by(quick=True),
    "range-test": found_by(quick=True, strategy="range_test"),
}
METHODS = OURS | PEERS
DEFAULT = ("find", "find-quick", "range-test")


def plain_seconds(task: Task, optimizer: str, schedule: str) -> float:
    """A plain loop over the whole length, at its best of a few timings."""
    timings = []
    with one_thread():
        for _ in range(PLAIN_TIMINGS):
            began = time.perf_counter()
            list(_run(task, optimizer, PLAIN_LR, 0, [task.total_steps], decays=schedule != "constant"))
            timings.append(time.perf_counter() - began)
    return min(timings)


def ask(truth: Truth, methods: Sequence[str], repeats: int) -> list[Scored]:
    """Every method on one sweep, in turn, under each seed."""
    task = load(truth.task)
    scored = []
    for k in range(1, repeats + 1):
        seed = SEEDS_APART * k
        plain = plain_seconds(task, truth.optimizer, truth.schedule)
        for name in methods:
            found = METHODS[name](task, truth.optimizer, truth.schedule, seed)
            scored.append(Scored.of(name, truth, seed, found, task.total_steps, plain))
    return scored


def lines(method: str, scored: Sequence[Scored], sweeps: Sequence[Truth]) -> list[dict[str, object]]:
    """The lines of one method: all tasks, and each group of them."""
    found: list[dict[str, object]] = []
    for origin, mine in by_origin(sweeps).items():
        names = {truth.sweep for truth in mine}
        own = [one for one in scored if one.method == method and one.sweep in names]
        title = f"  {origin}" if origin else method
        found.append({"title": title, "origin": origin, "worst": worst_sweep(own), **figures(own, mine)})
    return found


def print_table(scored: Sequence[Scored], sweeps: Sequence[Truth], methods: Sequence[str]) -> None:
    """All methods, a line for all tasks and one for each group of them."""
    print(f"{'':<18}" + "".join(f"{title:>8}" for title, _ in COLUMNS.values()) + "   worst sweep")
    for method in methods:
        for line in lines(method, scored, sweeps):
            cells = "".join(
                f"{'-' if line[name] is None else format(line[name], shape):>8}" for name, (_, shape) in COLUMNS.items()
            )
            print(f"{line['title']:<18}{cells}   {line['worst']}")


def print_each(scored: Sequence[Scored], sweeps: Sequence[Truth], methods: Sequence[str]) -> None:
    """Every sweep and method: what was lost on average, the truth's best rate, and the answers."""
    print(f"\n{'':<48}{'lost %':>16}{'best':>10}   answers")
    for truth in sweeps:
        for method in methods:
            own = [one for one in scored if one.method == method and one.sweep == truth.sweep]
            told = ", ".join("none" if one.lr is None else f"{one.lr:.3g}" for one in own)
            lost = 100 * statistics.fmean(one.lost for one in own)
            print(f"{truth.sweep + ', ' + method:<56}{lost:>8.2f}{truth.best:>10.3g}   {told}")


def as_json(scored: Sequence[Scored], sweeps: Sequence[Truth], methods: Sequence[str]) -> str:
    """The machine, a row for each figure, and every suggestion."""
    rows = [
        {"row": f"{method}{', ' * bool(line['origin'])}{line['origin']}: {title}", "value": line[name]}
        for method in methods
        for line in lines(method, scored, sweeps)
        for name, (title, _) in COLUMNS.items()
    ]
    machine = {"torch": torch.__version__, "threads": torch.get_num_threads(), "machine": platform.machine()}
    document = {"machine": machine, "rows": rows, "suggestions": [one.as_record() for one in scored]}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(TASKS), action="append", dest="tasks")
    parser.add_argument("--method", choices=list(METHODS), action="append", dest="methods")
    parser.add_argument("--peers", action="store_true", help="today's other tools too")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--each", action="store_true", help="every sweep too")
    parser.add_argument("--truth", type=Path, default=TRUTH)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    methods = list(dict.fromkeys([*(options.methods or DEFAULT), *(PEERS if options.peers else ())]))
    sweeps = truths(read(options.truth), options.tasks)
    if not sweeps:
        parser.error(f"{options.truth} has none of these tasks: make them with benchmarks/find/truth.py")
    keep_freed_memory()
    scored: list[Scored] = []
    for k, truth in enumerate(sweeps):
        began = time.perf_counter()
        scored += ask(truth, methods, options.repeats)
        told = f"{k + 1} of {len(sweeps)}: {truth.sweep}, {time.perf_counter() - began:.0f} s"
        print(told, file=sys.stderr, flush=True)
        if options.json:
            options.json.write_text(as_json(scored, sweeps[: k + 1], methods))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {len(sweeps)} sweeps x {options.repeats}")
    print_table(scored, sweeps, methods)
    if options.each:
        print_each(scored, sweeps, methods)


if __name__ == "__main__":
    main()
