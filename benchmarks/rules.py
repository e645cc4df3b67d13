"""A fair comparison of the rules of update: each at its default rate and at its own best, found at equal cost.

    python benchmarks/rules.py [--task NAME ...] [--rule TEXT ...] [--seeds N] [--steps N] [--page FILE] [--json FILE]

Every rule is trained at the same 15 rates, half a decade apart from 1e-5 to 100, under the same five seeds, for the
whole length of the task, with a constant schedule: 15 trainings for each seed, whatever the rule. `docs-gpt` is trained
for a third of its length under three seeds, which takes as long as the others. Columns:

    default       the rate that its authors or torch give it, and the mean validation loss there with its 95 % interval
    best          the rate with the lowest mean validation loss, and that loss likewise
    forgiving     decades of rates, within the range, that give up at most 5 % of the improvement
    breaks at     the lowest rate at which training diverged

The interval is Student's, of the mean over seeds; that the best of 15 rates was chosen is not counted. `--page` puts
the table of each task into a page of Markdown, `docs/rules.md`, in the place of that task's own.
"""

import argparse
import json
import math
import platform
from pathlib import Path

import numpy as np
from scipy import stats

import pacesetter
from pacesetter import optimizers
from pacesetter.records import Outcome

RATES = [float(f"{10 ** (k / 2):.4g}") for k in range(-10, 5)]
DEFAULT_RATES = {
    "sgd": 1e-3, "sgd(momentum=0.9)": 1e-3, "adagrad": 1e-2, "rmsprop": 1e-2, "adadelta": 1.0, "adam": 1e-3,
    "adamw": 1e-3, "adamax": 2e-3, "nadam": 2e-3, "radam": 1e-3, "lion": 1e-4, "lamb": 1e-3, "lars": 1.0,
    "adafactor": 1e-2, "muon": 1e-3, "dadapt_sgd": 1.0, "dadapt_adam": 1.0, "prodigy": 1.0, "dog": 1.0, "ldog": 1.0,
    "mechanic": 1e-3, "momo": 1.0, "momo_adam": 1e-2, "schedule_free_sgd": 1.0, "schedule_free_adamw": 2.5e-3,
}  # fmt: skip
"""Of torch's classes, or of the authors' packages; trained at the nearest rate of the grid."""
SEEDS, STEPS = {"digits-mlp": 5, "digits-cnn": 5, "docs-gpt": 3}, {"docs-gpt": 100}
"""Of each task, where nothing else is asked for."""
SAFE = 0.05
MARK = "## `"
"""How the part of a task begins in a page."""
LINE = "{:<22}{:>9}{:>16}{:>10}{:>16}{:>11}{:>11}"
COLUMNS = ("rule", "default", "loss there", "best", "loss there", "forgiving", "breaks at")


def rows(task: str, rules: list[str], seeds: int, steps: int | None) -> list[dict[str, object]]:
    """One row for each rule, the lowest loss first."""
    study = pacesetter.compare(task, optimizers=rules, lr=RATES, seeds=seeds, steps=steps)
    found = []
    for rule in rules:
        text = str(optimizers.parse(rule))
        ends = {lr: [one for one in study.lanes if one.lane.optimizer == text and one.lane.lr == lr] for lr in RATES}
        losses = {
            lr: [one.curve.final_valid_loss if one.outcome is Outcome.FINISHED else math.inf for one in own]
            for lr, own in ends.items()
        }
        means = {lr: float(np.mean(own)) for lr, own in losses.items()}
        best = min(means, key=lambda lr: means[lr])
        default = min(RATES, key=lambda lr: abs(math.log(lr / DEFAULT_RATES.get(rule, 1e-3))))
        untrained = float(np.mean([own.curve.untrained_loss for own in ends[best]]))
        good = [lr for lr in RATES if means[lr] <= means[best] + SAFE * (untrained - means[best])]
        broken = [lr for lr in RATES if math.inf in losses[lr]]
        found.append(
            {
                "rule": rule,
                "default": default,
                "default_loss": means[default],
                "default_half_width": half_width(losses[default]),
                "best": best,
                "best_loss": means[best],
                "best_half_width": half_width(losses[best]),
                "decades": math.log10(good[-1] / good[0]),
                "breaks": broken[0] if broken else None,
                "untrained": untrained,
            }
        )
    return sorted(found, key=lambda row: float(str(row["best_loss"])))


def half_width(losses: list[float]) -> float:
    """Of the 95 % interval of the mean; NaN of one seed, or where one diverged."""
    if len(losses) < 2 or not all(map(math.isfinite, losses)):
        return math.nan
    return float(stats.t.ppf(0.975, len(losses) - 1) * np.std(losses, ddof=1) / math.sqrt(len(losses)))


def cells(row: dict[str, object]) -> list[str]:
    """A row as text."""
    default = float(str(row["default_loss"]))
    breaks = row["breaks"]
    told = f"{default:.3f} ± {row['default_half_width']:.3f}"
    return [
        f"{row['rule']}",
        f"{row['default']:g}",
        told if math.isfinite(default) else "diverged",
        f"{row['best']:g}",
        f"{row['best_loss']:.3f} ± {row['best_half_width']:.3f}",
        f"{row['decades']:.1f}",
        "-" if breaks is None else f"{breaks:g}",
    ]


def main() -> None:
    """Print the tables, and write what was asked for."""
    parser = argparse.ArgumentParser(description="Rules of update, each at its own best rate.")
    parser.add_argument("--task", action="append", choices=list(SEEDS))
    parser.add_argument("--rule", action="append")
    parser.add_argument("--seeds", type=int)
    parser.add_argument("--steps", type=int, help="the length of training")
    parser.add_argument("--page", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    every: dict[str, list[dict[str, object]]] = {}
    for task in options.task or list(SEEDS):
        seeds, steps = options.seeds or SEEDS[task], options.steps or STEPS.get(task)
        every[task] = rows(task, options.rule or list(DEFAULT_RATES), seeds, steps)
        length = "" if steps is None else f"{steps} updates, "
        about = f"{length}{seeds} seeds, untrained {every[task][0]['untrained']:.3f}"
        print(f"\n{task}, {about}")
        print(LINE.format(*COLUMNS))
        for row in every[task]:
            print(LINE.format(*cells(row)), flush=True)
        if options.page:
            put(options.page, task, about, every[task])
    if options.json:
        machine = {"python": platform.python_version()}
        options.json.write_text(json.dumps({"machine": machine, "tasks": every}, indent=1) + "\n", encoding="utf-8")


def put(page: Path, task: str, about: str, rows: list[dict[str, object]]) -> None:
    """Put the table of a task into a page, where its own was or at the end."""
    lines = [f"{MARK}{task}`", "", f"{about[0].upper()}{about[1:]}.", ""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "| --- |" + " ---: |" * (len(COLUMNS) - 1)]
    for row in rows:
        name, *others = cells(row)
        lines.append("| " + " | ".join([f"`{name}`", *others]) + " |")
    before, *tables = page.read_text(encoding="utf-8").split(MARK)
    others = {table.partition("`")[0]: MARK + table.rstrip() for table in tables}
    others[task] = "\n".join(lines)
    page.write_text(before + "\n\n".join(others.values()) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
