"""How many lanes train in the time of one: Pacesetter against a plain PyTorch loop, as ratios measured in one run.

    python benchmarks/engines.py [--row NAME ...] [--repeats 5] [--json FILE]

A lane-step is one update of one learning rate. The plain loop (`_plain.py`) trains one learning rate with fused Adam,
on as many threads as there are cores or on one, whichever is faster, and evaluates nothing. Pacesetter records loss,
gradient norm and rate of every step, and in the rows that say so evaluates as often as it does by default (every 22
steps of the digits); its plan is the one that `auto` picks for long work, so code is compiled where that is faster, and
the seconds that took are printed beside. Both are timed in turn, `--repeats` times over, and the median of the ratios
counts: the best times of two things need not be of the same quiet moment. What one process trains is timed in turn with
the plain loop, a tenth of the work at a time.

`benchmarks/_compare.py OLD.json NEW.json` prints two results side by side.
"""

import argparse
import ctypes
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from _models import MODELS
from _plain import plain_loop, seconds_per_step
from torch.utils.data import Dataset

from pacesetter import engine, tasks
from pacesetter.engine.plan import Plan
from pacesetter.records import Lane
from pacesetter.tasks import Task

SECONDS = 1.0
"""Aim of each timing of the plain loop: long enough to drown the clock."""
LONG = 10**7
"""Updates of the work that plans are made for: compiling pays, whatever it gains."""
LONG_ENOUGH = 6.0
"""Seconds of plain work after which the recording of a step, made once, is a trifle."""
PIECES = 10
"""Of the work, where it is timed in turn."""
WARMED, EVALUATED = 8, 3
"""Evaluations before timing, by which steps are recorded or their code loaded; and of each repeat."""
COLUMNS = "{:<52}{:>8}{:>9}   {}"


class Bench:
    """Rows of the table, and what they are made of."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.rows: list[dict[str, object]] = []
        self.threads = torch.get_num_threads()

    def tell(self, name: str, value: float, goal: float, more: bool = True, note: str = "") -> None:
        """One row: a ratio, what it should reach, and whether more is better."""
        self.rows.append({"row": name, "value": value, "goal": goal, "more_is_better": more, "note": note})
        good = value >= goal if more else value <= goal
        print(
            COLUMNS.format(
                name, f"{value:.2f}", f"{'>=' if more else '<='} {goal:.3g}", f"{'' if good else 'NOT '}reached  {note}"
            ),
            flush=True,
        )

    def against_plain(self, task: Task, lanes: int, length: int, evaluated: bool = False) -> tuple[float, str]:
        """(lane-steps in the time of a plain one, how), for runs of so many updates, `evaluated` as by default."""
        cadence = max(1, length * task.evaluations // task.total_steps)
        long = replace(task, steps=length, evaluations=cadence if evaluated else 1)
        keys = [Lane("adam", "constant", 1e-4 * (1 + i / lanes), 0, length) for i in range(lanes)]
        began = time.perf_counter()
        plan = engine.make_plan(long, [replace(key, total_steps=LONG) for key in keys])
        planned = time.perf_counter() - began
        pairs = self.in_turn(long, keys, plan) if plan.workers == 1 else self.whole(long, keys, plan)
        ratio = statistics.median(plain / ours for plain, ours in pairs)
        how = f"{plan.engine}{' and compiled' * plan.compiled}, {plan.threads} threads, {plan.workers} processes"
        return ratio, f"{1e6 * min(plain for plain, _ in pairs):.0f} us plain; {how}; planned in {planned:.0f} s"

    def whole(self, task: Task, keys: list[Lane], plan: Plan) -> list[tuple[float, float]]:
        """Seconds of an update, plain and ours, of which processes train all of it."""
        return [(min(self.plain_seconds(task)), lane_step_seconds(task, keys, plan)) for _ in range(self.repeats)]

    def in_turn(self, task: Task, keys: list[Lane], plan: Plan) -> list[tuple[float, float]]:
        """The same in one process, a tenth of the work at a time: the two see the same moments of the machine."""
        each = self.plain_seconds(task)
        count = min(range(len(each)), key=each.__getitem__)
        bundles = [keys[first : first + plan.lanes_per_bundle] for first in range(0, len(keys), plan.lanes_per_bundle)]
        some = keys[0].total_steps // PIECES
        pairs = []
        for _ in range(self.repeats):
            run = plain_loop(task)
            going = [engine.start(task, bundle, plan) for bundle in bundles]
            for _ in range(PIECES):
                began = time.perf_counter()
                for bundle in going:
                    engine.advance(bundle, some)
                middle = time.perf_counter()
                torch.set_num_threads(sorted({1, self.threads})[count])
                run(some)
                torch.set_num_threads(self.threads)
                pairs.append(((time.perf_counter() - middle) / some, (middle - began) / some / len(keys)))
        return pairs

    def plain_seconds(self, task: Task) -> list[float]:
        """One update of the plain loop, on one thread and on all."""
        found = []
        for count in sorted({1, self.threads}):
            torch.set_num_threads(count)
            found.append(seconds_per_step(plain_loop(task), SECONDS))
        torch.set_num_threads(self.threads)
        return found


def lane_step_seconds(task: Task, keys: list[Lane], plan: Plan) -> float:
    """Wall time of one update of one lane, the start of processes and the recording of steps included."""
    began = time.perf_counter()
    steps = sum(part.curve.steps for parts in engine.train(task, keys, plan) for part in parts)
    return (time.perf_counter() - began) / steps


# ------------------------------------------------------------------------------------------------------------- rows


def digits_mlp(bench: Bench) -> None:
    """32 lanes of the fully connected network."""
    bench.tell(
        "digits-mlp, 32 lanes, evaluated",
        *_goal(bench.against_plain(tasks.load("digits-mlp"), 32, 4400, evaluated=True), 4.5),
    )


def digits_cnn(bench: Bench) -> None:
    """32 lanes of the convolutional network."""
    bench.tell("digits-cnn, 32 lanes", *_goal(bench.against_plain(tasks.load("digits-cnn"), 32, 1760), 2.0))


def docs_gpt(bench: Bench) -> None:
    """8 lanes of the transformer."""
    bench.tell("docs-gpt, 8 lanes", *_goal(bench.against_plain(tasks.load("docs-gpt"), 8, 300), 1.3))


def any_model(bench: Bench) -> None:
    """One and few lanes, and models that cannot be stacked or gain nothing by it."""
    named = {name: tasks.load(name) for name in ("digits-mlp", "digits-cnn", "docs-gpt")}
    others = {name: replace(named["digits-mlp"], model=make, name=name) for name, make in MODELS.items()}
    for name, task in (named | others).items():
        each = min(bench.plain_seconds(task))
        for lanes in (1, 3) if name in named else (1, 8):
            length = max(60, int(LONG_ENOUGH / each / lanes))
            title = f"{name}, {lanes} lane{'s' * (lanes > 1)}"
            bench.tell(title, *_goal(bench.against_plain(task, lanes, length), 0.95))


def end_to_end(bench: Bench) -> None:
    """One command that trains 96 lanes, against one process that trains 96 plain runs one after the other."""
    folder = Path(tempfile.mkdtemp())
    environment = {**os.environ, "PACESETTER_CACHE": str(folder / "cache")}
    rates = ",".join(f"{rate:.6g}" for rate in np.geomspace(1e-4, 0.5, 32))

    def ours(*options: str) -> float:
        return _wall(
            [sys.executable, "-m", "pacesetter", "compare", "digits-mlp", "--lr", rates, "--seeds", "3",
             "--store", f"sqlite:///{folder}/{time.monotonic_ns()}.db", *options], environment
        )  # fmt: skip

    plain = [sys.executable, str(Path(__file__).parent / "_plain_runs.py"), rates, "3"]
    cold, slow, warm = [], [], []
    for _ in range(bench.repeats):
        environment["PACESETTER_CACHE"] = tempfile.mkdtemp(dir=folder)
        slow.append(_wall(plain, environment))
        cold.append(ours())
    environment["PACESETTER_CACHE"] = tempfile.mkdtemp(dir=folder)
    compiling = ours("--engine", "compiled")
    for _ in range(bench.repeats):
        slow.append(_wall(plain, environment))
        warm.append(ours())
    note = f"{min(slow):.1f} s plain"
    bench.tell("end to end, cold: share of the plain runs' time", min(cold) / min(slow), 1 / 2, more=False, note=note)
    note += f"; {compiling:.0f} s when it compiles first"
    bench.tell("end to end, warm: share of the plain runs' time", min(warm) / min(slow), 1 / 3, more=False, note=note)


def pipeline(bench: Bench) -> None:
    """Data that costs as much as the step: lanes of a bundle read it once."""
    task = tasks.load("digits-cnn")
    images, targets = task.train
    step = min(bench.plain_seconds(task))
    rows = Augmented(images, targets, seconds=step / task.batch_size)
    slow = replace(task, train=rows, valid=task.valid)
    ratio, note = bench.against_plain(task, 32, 880)
    shared, _ = bench.against_plain(slow, 32, 880)
    bench.tell(
        "data as dear as the step: gain over the same",
        shared / ratio,
        1.6,
        note=f"{ratio:.2f} becomes {shared:.2f}; {note}",
    )


class Augmented(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Images that are shifted at random, and decoded for so many seconds each."""

    def __init__(self, images: torch.Tensor, targets: torch.Tensor, seconds: float) -> None:
        self.images, self.targets, self.seconds = images, targets, seconds

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        until = time.perf_counter() + self.seconds
        image = self.images[index].roll(int(torch.randint(-1, 2, ())), -1)
        while time.perf_counter() < until:
            pass
        return image, self.targets[index]


def growth(bench: Bench) -> None:
    """Time per lane from few lanes to 512."""
    for name, length in (("digits-mlp", 220), ("digits-cnn", 66)):
        task = replace(tasks.load(name), steps=length, evaluations=max(1, length // 22))
        times: dict[int, float] = {}
        for lanes in (8, 16, 32, 64, 128, 256, 512):
            keys = [Lane("adam", "constant", 1e-4 * (1 + i / lanes), 0, length) for i in range(lanes)]
            plan = engine.make_plan(task, [replace(key, total_steps=LONG) for key in keys], workers=1)
            times[lanes] = min(lane_step_seconds(task, keys, plan) for _ in range(bench.repeats))
        best = min(times, key=times.__getitem__)
        worst = max(seconds / times[best] for lanes, seconds in times.items() if lanes >= best)
        note = ", ".join(f"{lanes}: {1e6 * seconds:.0f} us" for lanes, seconds in times.items())
        bench.tell(f"{name}: time per lane beyond the best, to 512", worst, 1.1, more=False, note=note)


def evaluation(bench: Bench) -> None:
    """What the default evaluations cost beside the training, timed in turn within one process."""
    for name, lanes in (("digits-mlp", 32), ("digits-cnn", 32), ("docs-gpt", 8)):
        task = tasks.load(name)
        between = math.ceil(task.total_steps / task.evaluations)
        rounds = WARMED + EVALUATED * bench.repeats
        keys = [Lane("adam", "constant", 1e-4 * (1 + i / lanes), 0, (rounds + 1) * between) for i in range(lanes)]
        plan = engine.make_plan(task, [replace(key, total_steps=LONG) for key in keys])
        often, seldom = (
            engine.start(replace(task, evaluations=count), keys[: plan.lanes_per_bundle], plan)
            for count in (rounds + 1, 1)
        )
        pairs = []
        for _ in range(rounds):
            began = time.perf_counter()
            engine.advance(often, between)
            middle = time.perf_counter()
            engine.advance(seldom, between)
            pairs.append((middle - began, time.perf_counter() - middle))
        share = statistics.median(one / other for one, other in pairs[WARMED:]) - 1
        bench.tell(f"{name}: evaluation beside training", share, 0.15, more=False, note=f"every {between} steps")


ROWS: dict[str, Callable[[Bench], None]] = {
    row.__name__.replace("_", "-"): row
    for row in (digits_mlp, digits_cnn, docs_gpt, any_model, end_to_end, pipeline, growth, evaluation)
}


def _goal(found: tuple[float, str], goal: float) -> tuple[float, float, bool, str]:
    return found[0], goal, True, found[1]


def _wall(command: list[str], environment: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, env=environment, check=True, capture_output=True)
    return time.perf_counter() - began


def keep_freed_memory() -> None:
    """What the command line does in its own process: large temporaries are kept instead of given back at each step."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for setting in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            libc.mallopt(setting, 1 << 25)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", choices=list(ROWS), action="append", dest="rows")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    keep_freed_memory()
    bench = Bench(options.repeats)
    processor = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    print(f"torch {torch.__version__}, {bench.threads} threads, {processor}")
    print(COLUMNS.format("", "ratio", "goal", ""))
    for name in options.rows or ROWS:
        ROWS[name](bench)
    if options.json:
        machine = {"torch": torch.__version__, "threads": bench.threads, "machine": platform.machine()}
        options.json.write_text(json.dumps({"machine": machine, "rows": bench.rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
