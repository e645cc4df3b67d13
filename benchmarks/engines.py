"""Lane-steps per second of both engines against a plain PyTorch loop with fused Adam, as ratios measured in one run.

    python benchmarks/engines.py [--repeats 3] [--json FILE] [--task digits-mlp ...]

A lane-step is one update of one learning rate. The plain loop is what a good engineer writes for one learning rate:
tensors in memory, `torch.optim.Adam(fused=True)`, `zero_grad`, `backward`, `step`, and the loss kept as a tensor. The
engines do more: they record loss, gradient norm and rate of every step. Evaluations are left out on both sides. The
three are timed in turn, `--repeats` times over, and the best time of each counts.
"""

import argparse
import ctypes
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pacesetter import engine, tasks
from pacesetter.engine.batches import Batches
from pacesetter.records import Lane
from pacesetter.tasks import Task

TASKS = ("digits-mlp", "digits-cnn", "docs-gpt")
LANES = (1, 8, 32)
SECONDS = 0.6
"""Aim of each timing: long enough to drown the clock, short enough that the whole table takes minutes."""


def plain_loop(task: Task) -> Callable[[int], None]:
    """A function that makes so many updates of one plain loop."""
    torch.manual_seed(0)
    model = task.make_model()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    batches = Batches(task.train_source, 0, torch.device("cpu"))
    losses: list[torch.Tensor] = []

    def run(steps: int) -> None:
        model.train()
        for _ in range(steps):
            source, target = next(batches)
            optimizer.zero_grad()
            loss = task.loss(model(source), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())

    return run


def lanes_of(task: Task, which: str, lanes: int) -> Callable[[int], None]:
    """A function that makes so many updates of `lanes` lanes of one bundle."""
    total = 10**6  # one segment without evaluations
    plan = engine.Plan(which, lanes, torch.get_num_threads(), "cpu", "a benchmark")
    keys = [Lane("adam", "constant", 1e-3 * (1 + i / lanes), 0, total) for i in range(lanes)]
    bundle = engine.start(task, keys, plan)

    def run(steps: int) -> None:
        engine.advance(bundle, steps)

    return run


def seconds_per_step(run: Callable[[int], None], steps: int) -> float:
    """Wall time of one update (of all lanes together)."""
    started = time.perf_counter()
    run(steps)
    return (time.perf_counter() - started) / steps


def measure(name: str, repeats: int) -> dict[str, dict[str, float]]:
    """{"plain" | "vectorised" | "looped": {lanes: microseconds per lane and step}}."""
    task = tasks.load(name)
    runs: dict[tuple[str, int], Callable[[int], None]] = {("plain", 1): plain_loop(task)}
    for lanes in LANES:
        for which in ("vectorised", "looped"):
            runs[which, lanes] = lanes_of(task, which, lanes)
    counts = {}
    for key, run in runs.items():
        run(2)  # warm
        counts[key] = max(3, min(400, int(SECONDS / seconds_per_step(run, 2))))
    best = dict.fromkeys(runs, float("inf"))
    for _ in range(repeats):
        for key, run in runs.items():
            best[key] = min(best[key], seconds_per_step(run, counts[key]))
    table: dict[str, dict[str, float]] = {}
    for (which, lanes), seconds in best.items():
        table.setdefault(which, {})[str(lanes)] = 1e6 * seconds / lanes
    return table


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--task", choices=TASKS, action="append")
    options = parser.parse_args()
    keep_freed_memory()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {platform.machine()}")
    print(f"{'task':<12}{'plain loop':>16}{'lanes':>8}{'vectorised':>13}{'looped':>9}   (plain loop's lane-steps = 1)")
    results = {}
    for name in options.task or TASKS:
        results[name] = table = measure(name, options.repeats)
        plain = table["plain"]["1"]
        for lanes in map(str, LANES):
            ratios = "".join(f"{plain / table[w][lanes]:>{n}.2f}" for w, n in (("vectorised", 13), ("looped", 9)))
            print(f"{name:<12}{plain:>13.0f} us{lanes:>8}{ratios}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1))


def keep_freed_memory() -> None:
    """What the command line does in its own process: large temporaries are kept instead of given back at each step."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        for setting in (-1, -3):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD
            libc.mallopt(setting, 1 << 30)


if __name__ == "__main__":
    main()
