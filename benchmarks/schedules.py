"""What a schedule costs: beside torch's schedulers, beside optax, and in memory; measured side by side in one run.

    python benchmarks/schedules.py [--row NAME ...] [--repeats 5] [--json FILE]

`step` is what a scheduler adds to each update. The optimizer is one whose `step` does nothing, hooks and wrappers
included, and both sides call `optimizer.step()` and `scheduler.step()`. `many` has a million steps computed at once,
in milliseconds; where optax and jax are installed, the same also beside optax's functions under `jit`, compiled before.
`memory` has what a run of 1e9 steps takes more than one of 1,000.

Ratios are medians over `--repeats` pairs, timed in turn. `benchmarks/_compare.py OLD.json NEW.json` prints two results
side by side.
"""

import argparse
import gc
import importlib.util
import json
import math
import pickle
import platform
import statistics
import time
import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler

from pacesetter import schedules
from pacesetter.connect.torch import Scheduler
from pacesetter.schedules import Schedule

SECONDS = 0.2
"""Aim of each timing: long enough to drown the clock."""
LENGTH = 10**8
"""Updates of the run whose steps are timed: more than are made."""
MILLION = 10**6
SLACK = 200
"""Bytes by which memory may differ with the length: larger numbers are a little larger themselves."""
COLUMNS = "{:<78}{:>9}{:>9}   {}"


class Table:
    """Rows of the table, each printed when it is known."""

    def __init__(self, repeats: int) -> None:
        self.repeats = repeats
        self.rows: list[dict[str, object]] = []

    def tell(self, name: str, value: float, goal: float | None, note: str = "") -> None:
        """One row: less is better, and should be at most `goal`, if there is one."""
        self.rows.append({"row": name, "value": value, "goal": goal, "more_is_better": False, "note": note})
        verdict = "" if goal is None else "reached" if value <= goal else "NOT reached"
        said = "" if goal is None else f"<= {goal:g}"
        print(COLUMNS.format(name, f"{value:.2f}", said, f"{verdict}  {note}".strip()), flush=True)

    def pairs(self, ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float, float]:
        """(median ratio of the times, the shortest of ours, the shortest of theirs), in seconds for one call."""
        count = max(1, round(SECONDS / max(seconds(ours, 3), seconds(theirs, 3))))
        timed = [(seconds(ours, count), seconds(theirs, count)) for _ in range(self.repeats)]
        ratio = statistics.median(mine / other for mine, other in timed)
        return ratio, *(min(column) for column in zip(*timed, strict=True))


def seconds(call: Callable[[], object], count: int) -> float:
    """Wall time of one call, the mean of `count`."""
    gc.collect()
    began = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - began) / count


# -------------------------------------------------------------------------------------------------------- one by one


class Still(torch.optim.SGD):
    """An optimizer whose step does nothing: what is left is what schedulers do."""

    def step(self, closure: object = None) -> None:
        """An update without arithmetic."""


THEIRS: dict[str, tuple[str, Callable[[torch.optim.Optimizer], lr_scheduler.LRScheduler]]] = {
    "LambdaLR": (
        "cosine",
        lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda k: 0.5 + 0.5 * math.cos(math.pi * k / LENGTH)),
    ),
    "CosineAnnealingLR": ("cosine", lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, LENGTH)),
    "OneCycleLR": (
        "one_cycle(ends=last, momentum=[0.85, 0.95])",
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=LENGTH),
    ),
}


def step(table: Table) -> None:
    """`Scheduler.step()` beside torch's own, with few parameter groups and with many."""
    for name, (text, make) in THEIRS.items():
        for groups in (1, 10, 1000):
            ours = updates(partial(Scheduler, schedule=text, total_steps=LENGTH), groups)
            ratio, mine, other = table.pairs(ours, updates(make, groups))
            note = f"{1e6 * mine:.1f} us, torch {1e6 * other:.1f} us"
            table.tell(f"step: {text} beside {name}, {groups:,} group{'s' * (groups > 1)}", ratio, 1.0, note)


def updates(make: Callable[[torch.optim.Optimizer], Any], groups: int) -> Callable[[], None]:
    """One update and one step of a new scheduler, on an optimizer of so many groups."""
    weights = [{"params": [torch.nn.Parameter(torch.zeros(1))]} for _ in range(groups)]
    optimizer = Still(weights, lr=0.1, momentum=0.9)
    scheduler = make(optimizer)

    def update() -> None:
        optimizer.step()
        scheduler.step()

    return update


# ------------------------------------------------------------------------------------------------------- all at once


def every() -> dict[str, Schedule]:
    """Each registered schedule with its defaults, where it has them, and some chains and products."""
    needed = {"warmup": "warmup(0.05)", "function": 'function("operator:truediv")'}
    texts = [needed.get(name, name) for name in schedules.names()]
    texts += ["warmup(0.05) >> cosine", "warmup(0.05) >> cosine * plateau", "warmup(0.05) >> constant >> cooldown(0.2)"]
    return {text: schedules.parse(text) for text in texts}


def many(table: Table) -> None:
    """A million steps computed at once, of every schedule."""
    steps = np.arange(MILLION)
    for text, schedule in every().items():
        state = schedule.init()
        taken = min(
            seconds(lambda: schedule.factor(state, steps, MILLION), 1)  # noqa: B023 (called at once)
            for _ in range(2 + table.repeats)
        )
        python = text.startswith("function")
        table.tell(f"many: {text}, ms", 1e3 * taken, None if python else 50, "a Python call each" if python else "")
    if all(importlib.util.find_spec(name) for name in ("jax", "optax")):
        beside_optax(table)
    else:
        print("many: beside optax: not measured, pip install optax")


def beside_optax(table: Table) -> None:
    """The same of optax's functions under `jit`, and of ours, with numpy and under `jit`."""
    import jax
    import optax

    from pacesetter.connect.optax import schedule as to_optax

    theirs = {
        "linear": optax.linear_schedule(1.0, 0.0, MILLION),
        "cosine": optax.cosine_decay_schedule(1.0, MILLION),
        "warmup(0.05, counts=from_zero) >> cosine": optax.warmup_cosine_decay_schedule(0, 1.0, MILLION // 20, MILLION),
        "exponential": optax.exponential_decay(1.0, MILLION // 50, 0.95),
        "polynomial": optax.polynomial_schedule(1.0, 0.0, 2, MILLION),
        "multistep": optax.piecewise_constant_schedule(1.0, {MILLION // 2: 0.1, 3 * MILLION // 4: 0.1}),
        "one_cycle": optax.cosine_onecycle_schedule(MILLION, 1.0),
    }
    steps = np.arange(MILLION)
    on_device = jax.numpy.arange(MILLION)
    for text, function in theirs.items():
        schedule = schedules.parse(text)
        compiled, ours = (jax.jit(jax.vmap(one)) for one in (function, to_optax(text, 1.0, MILLION)))
        apart = float(np.abs(np.asarray(compiled(on_device)) - schedule(steps, MILLION)).max())
        in_numpy, mine, other = table.pairs(
            lambda: schedule(steps, MILLION),  # noqa: B023 (called at once)
            lambda: compiled(on_device).block_until_ready(),  # noqa: B023
        )
        note = f"{1e3 * mine:.1f} ms, optax {1e3 * other:.1f} ms in single precision, apart by {apart:.0e} at most"
        table.tell(f"many: {text}, numpy beside optax under jit", in_numpy, None, note)
        in_jax, mine, other = table.pairs(
            lambda: ours(on_device).block_until_ready(),  # noqa: B023
            lambda: compiled(on_device).block_until_ready(),  # noqa: B023
        )
        note = f"{1e3 * mine:.1f} ms in double precision"
        table.tell(f"many: {text}, connect.optax beside optax, under jit", in_jax, None, note)


# ------------------------------------------------------------------------------------------------------------ memory


def memory(table: Table) -> None:
    """What one value, a thousand values and a state take more in a run of 1e9 steps than in one of 1,000."""
    measures: dict[str, Callable[[Schedule, int], int]] = {
        "peak of one value": peak_of_a_value,
        "peak of 1,000 values": peak_of_a_block,
        "state of a Scheduler": state_bytes,
    }
    for what, taken in measures.items():
        found = {text: (taken(schedule, 1000), taken(schedule, 10**9)) for text, schedule in every().items()}
        worst = max(found, key=lambda text: found[text][1] - found[text][0])
        few, many = found[worst]
        note = f"{few:,} and {many:,}; most of all: {worst}"
        table.tell(f"memory: {what}, bytes more in 1e9 steps than in 1,000", many - few, SLACK, note)
    for text in ("plateau", "greedy"):
        few, many = (controller_bytes(schedules.parse(text), told) for told in (10, 10_000))
        table.tell(f"memory: state of {text}, bytes more told 10,000 times than 10", many - few, SLACK, f"{many}")


def peak_of_a_value(schedule: Schedule, total_steps: int) -> int:
    """Bytes that are allocated at once on the way to the factor of a step in the middle."""
    return _peak(lambda: schedule.factor(schedule.init(), total_steps // 2, total_steps))


def peak_of_a_block(schedule: Schedule, total_steps: int) -> int:
    """The same of a thousand steps in the middle."""
    steps = np.arange(1000) + (total_steps // 2 - 500)
    return _peak(lambda: schedule.factor(schedule.init(), steps, total_steps))


def _peak(call: Callable[[], object]) -> int:
    call()  # what is made once, such as the lengths of a chain's pieces, is made here
    gc.collect()
    tracemalloc.start()
    call()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def state_bytes(schedule: Schedule, total_steps: int) -> int:
    """The state of a scheduler after three updates, as bytes."""
    optimizer = Still([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler = Scheduler(optimizer, schedule, total_steps)
    for _ in range(3):
        optimizer.step()
        scheduler.step()
    return len(pickle.dumps(scheduler.state_dict()))


def controller_bytes(schedule: Schedule, told: int) -> int:
    """The state of a controller after so many metrics, as bytes."""
    state = schedule.init()
    for k in range(told):
        state = schedule.update(state, 1.0 / (1 + k % 7), k, 10**9)
    return len(pickle.dumps(state))


ROWS: dict[str, Callable[[Table], None]] = {row.__name__: row for row in (step, many, memory)}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", choices=list(ROWS), action="append", dest="rows")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    table = Table(options.repeats)
    print(f"torch {torch.__version__}, numpy {np.__version__}, {platform.machine()}")
    print(COLUMNS.format("", "value", "goal", ""))
    for name in options.rows or ROWS:
        ROWS[name](table)
    if options.json:
        machine = {"torch": torch.__version__, "numpy": np.__version__, "machine": platform.machine()}
        options.json.write_text(json.dumps({"machine": machine, "rows": table.rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
