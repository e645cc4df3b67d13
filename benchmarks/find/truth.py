"""What each learning rate really leads to: every task, optimizer and schedule at 29 rates under 8 seeds or more.

    python benchmarks/find/truth.py [--task NAME ...] [--out truth.csv.gz]

Plain PyTorch loops, without Pacesetter's engine. Each row is one run's end: `sweep, lr, seed, step, value`, where
`value` is the last validation loss, empty where the run diverged, and step 0 is the untrained model. Runs are made at a
27th, a 9th, a third and the whole of the length, each a whole run of its schedule. With a constant rate the short ones
are the beginning of the long one. A task that the file has is left alone: delete its rows to make them anew.
"""

import argparse
import csv
import gzip
import io
import math
import sys
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import torch
from _tasks import OPTIMIZERS, SCHEDULES, TASKS, load

from pacesetter.tasks import Task

RATES = [float(f"{10 ** (-6 + k / 4):.6g}") for k in range(29)]
SEEDS = range(8)
MORE_SEEDS = {
    "friedman": range(24),
    "spirals": range(24),
    "friedman sgd(momentum=0.9) constant": range(96),
    "spirals sgd(momentum=0.9) constant": range(96),
}
"""Of tasks and of sweeps where single seeds break: with fewer the difference between the best rate and those beside it
is uncertain by more than 4 % of the improvement."""
SHARES = (27, 9, 3, 1)
TRUTH = Path(__file__).parent / "truth.csv.gz"
COLUMNS = ("sweep", "lr", "seed", "step", "value")
Row = tuple[str, float, int, int, float | None]


def lengths(task: Task) -> list[int]:
    """The lengths at which runs are made, ascending."""
    return [max(1, round(task.total_steps / share)) for share in SHARES]


def runs(task: Task, optimizer: str, schedule: str, lr: float, seed: int) -> Iterator[tuple[int, float | None]]:
    """(updates, last validation loss) at each length, None where it diverged."""
    known = lengths(task)
    if schedule == "constant":
        yield from _run(task, optimizer, lr, seed, known, decays=False)
    else:
        for length in known:
            yield from _run(task, optimizer, lr, seed, [length], decays=True)


def _run(
    task: Task, optimizer: str, lr: float, seed: int, stops: list[int], decays: bool
) -> Iterator[tuple[int, float | None]]:
    torch.manual_seed(seed)
    model = task.make_model()
    made = {
        "sgd(momentum=0.9)": lambda: torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9, fused=True),
        "adam": lambda: torch.optim.Adam(model.parameters(), lr=lr, fused=True),
    }[optimizer]()
    total = stops[-1]
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(made, total) if decays else None
    generator = torch.Generator().manual_seed(seed)
    x, y = task.train
    size = task.batch_size or 1
    step = 0
    while True:
        order = torch.randperm(len(x), generator=generator)
        for first in range(0, len(order) - size + 1, size):
            rows = order[first : first + size]
            made.zero_grad()
            loss = task.loss(model(x[rows]), y[rows])
            if not math.isfinite(float(loss.detach())):
                yield from ((stop, None) for stop in stops if stop > step)
                return
            loss.backward()
            made.step()
            if scheduler is not None:
                scheduler.step()
            step += 1
            if step in stops:
                value = validate(task, model)
                yield step, value if math.isfinite(value) else None
            if step == total:
                return


def validate(task: Task, model: torch.nn.Module) -> float:
    """Mean loss over all validation data."""
    model.eval()
    x, y = task.valid
    with torch.no_grad():
        value = float(task.loss(model(x), y))
    model.train()
    return value


def rows_of(name: str) -> Iterator[Row]:
    """All rows of one task."""
    task = load(name)
    for optimizer, schedule in product(OPTIMIZERS, SCHEDULES):
        sweep = f"{name} {optimizer} {schedule}"
        for seed in MORE_SEEDS.get(sweep, MORE_SEEDS.get(name, SEEDS)):
            torch.manual_seed(seed)
            untrained = validate(task, task.make_model())
            for lr in RATES:
                yield sweep, lr, seed, 0, untrained
                for step, value in runs(task, optimizer, schedule, lr, seed):
                    yield sweep, lr, seed, step, value


def read(path: Path = TRUTH) -> list[Row]:
    """The rows that a file has; none if it is not there."""
    if not path.exists():
        return []
    with gzip.open(path, "rt", newline="") as file:
        return [
            (row["sweep"], float(row["lr"]), int(row["seed"]), int(row["step"]), float(row["value"] or "nan"))
            for row in csv.DictReader(file)
        ]


def write(rows: list[Row], path: Path) -> None:
    """Write all rows; the same rows make the same bytes."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for sweep, lr, seed, step, value in rows:
        writer.writerow([sweep, f"{lr:g}", seed, step, "" if value is None or math.isnan(value) else f"{value:.6g}"])
    path.write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


def main() -> None:
    """Make what is missing, task by task."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=list(TASKS), action="append", dest="tasks")
    parser.add_argument("--out", type=Path, default=TRUTH)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = read(options.out)
    have = {row[0].split()[0] for row in rows}
    for name in options.tasks or TASKS:
        if name not in have:
            began = time.perf_counter()
            rows += rows_of(name)
            write(rows, options.out)
            print(f"{name}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
