"""Today's tools, each as a function from a task, an optimizer, a schedule and a seed to a suggestion.

Needs `pip install torch-lr-finder optuna greenlet lightning` beside what the tests need. Searches train every rate to
the whole length, under the one seed that they were given, and take the rate of the lowest validation loss. A rate with
which training diverged counts as one that changed nothing, which is kinder to a search than a loss without a bound.
"""

import math
import time
import warnings
from functools import lru_cache, partial

import numpy as np
from _finders import FINDERS, Method
from _plain_ends import PlainEnds, nearest, one_thread
from _suggestion import Suggestion

from pacesetter.tasks import Task

LOW, HIGH = 1e-5, 10.0
"""The rates that searches are given: those that `pacesetter compare` takes by default."""
COUNTS = (4, 8, 16, 32)
HYPERBAND_TRIALS = 40


def optuna_study(sampler: str, count: int, task: Task, optimizer: str, schedule: str, seed: int) -> Suggestion:
    """Optuna's sampler, with its own settings, after `count` full runs."""
    return _study(sampler, task, optimizer, schedule, seed)[count]


@lru_cache(maxsize=4)
def _study(sampler: str, task: Task, optimizer: str, schedule: str, seed: int) -> dict[int, Suggestion]:
    """What it says after each of `COUNTS`: a shorter study is the beginning of a longer one."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ends = PlainEnds(task, optimizer, schedule, seed)
    kind = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}[sampler]
    found: dict[int, Suggestion] = {}
    steps, charged = 0, 0.0

    def objective(trial: optuna.Trial) -> float:
        nonlocal steps, charged
        last = ends.run(trial.suggest_float("lr", LOW, HIGH, log=True))[-1]
        steps += last.steps
        charged += last.seconds
        return last.value

    began = time.perf_counter()
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")
        study = optuna.create_study(sampler=kind(seed=seed))
        for count in COUNTS:
            study.optimize(objective, n_trials=count - len(study.trials))
            seconds = time.perf_counter() - began - ends.idle + charged
            found[count] = Suggestion(nearest(study.best_params["lr"]), steps, seconds)
    return found


def optuna_hyperband(task: Task, optimizer: str, schedule: str, seed: int) -> Suggestion:
    """Optuna's TPE with its Hyperband, which stops trials at a 27th, a 9th and a third of the length."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    ends = PlainEnds(task, optimizer, schedule, seed)
    steps, charged = 0, 0.0

    def objective(trial: optuna.Trial) -> float:
        nonlocal steps, charged
        run = ends.run(trial.suggest_float("lr", LOW, HIGH, log=True))
        reached = run[0]
        try:
            for power, reached in enumerate(run):
                trial.report(reached.value, step=3**power)
                if trial.should_prune() or (reached.diverged and power < 3):
                    raise optuna.TrialPruned
        finally:
            steps += reached.steps
            charged += reached.seconds
        return reached.value

    began = time.perf_counter()
    with warnings.catch_warnings(), one_thread():
        warnings.simplefilter("ignore")
        study = optuna.create_study(
            study_name=f"seed {seed}",  # Hyperband deals trials out by it
            sampler=optuna.samplers.TPESampler(seed=seed),
            pruner=optuna.pruners.HyperbandPruner(min_resource=1, max_resource=27, reduction_factor=3),
        )
        study.optimize(objective, n_trials=HYPERBAND_TRIALS)
    seconds = time.perf_counter() - began - ends.idle + charged
    whole = study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.COMPLETE])
    return Suggestion(nearest(study.best_params["lr"]) if whole else None, steps, seconds)


def random_search(count: int, task: Task, optimizer: str, schedule: str, seed: int) -> Suggestion:
    """The best of rates drawn evenly in log lr."""
    drawn = np.random.default_rng(seed).uniform(math.log10(LOW), math.log10(HIGH), count)
    return _best_of([float(10**log) for log in drawn], PlainEnds(task, optimizer, schedule, seed))


def grid(task: Task, optimizer: str, schedule: str, seed: int) -> Suggestion:
    """The best of two rates a decade."""
    rates = [10 ** (k / 2) for k in range(round(2 * math.log10(LOW)), round(2 * math.log10(HIGH)) + 1)]
    return _best_of(rates, PlainEnds(task, optimizer, schedule, seed))


def _best_of(rates: list[float], ends: PlainEnds) -> Suggestion:
    lasts = [ends.run(lr)[-1] for lr in rates]
    best = min(range(len(rates)), key=lambda k: lasts[k].value)
    return Suggestion(nearest(rates[best]), sum(last.steps for last in lasts), sum(last.seconds for last in lasts))


PEERS: dict[str, Method] = {
    **FINDERS,
    "grid": grid,
    "random-16": partial(random_search, 16),
    **{f"optuna-{name}-{count}": partial(optuna_study, name, count) for name in ("tpe", "gp") for count in COUNTS},
    "optuna-hyperband": optuna_hyperband,
}
