"""Optuna's samplers: each full run is a trial, and the next rate is what the sampler makes of those before it."""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np

from pacesetter.errors import InputError
from pacesetter.findings._reading import trials_of
from pacesetter.packages import require
from pacesetter.records import Lane, LaneRecord, Problem, Trial
from pacesetter.search._lanes import fitting, full, lane, nearest, whole
from pacesetter.textform import format_call

__all__ = ["STRATEGY", "optuna"]

_SAMPLERS = {"tpe": "TPESampler", "gp": "GPSampler", "random": "RandomSampler"}
# How far above the worst value a diverged trial is told, as a share of what lies between the best and the worst.
_ABOVE = 0.1


@dataclass(frozen=True, slots=True)
class optuna:
    """One full run after the other, at the rates that a sampler of Optuna asks for.

    sampler: tpe (tree-structured Parzen estimator, Optuna's default), gp (Gaussian process; it needs torch) or random.
    trials: how many, at least 1. Both models begin with ten random ones.

    Optuna learns nothing from a trial without a finite value, and asks for the cliff again and again. So a diverged
    lane is told with a value just above the worst finite one (the untrained model's counts as one).
    The study is made anew from what is known whenever a rate is asked for, with a sampler whose seed follows from the
    problem's and the number of trials. Where only certain rates may be tried, the nearest to what the sampler says is;
    asked for again, it runs under the next seed, and where there is none, the nearest rate that is left is tried.
    The suggestion is that of Optuna: the rate of the best trial.

    Raises MissingPackage where Optuna is not installed.
    """

    sampler: Literal["tpe", "gp", "random"] = "tpe"
    trials: int = 16

    def __post_init__(self) -> None:
        """Refuse a search without trials, and samplers that search no rate."""
        whole("optuna", "trials", self.trials, 1)
        if self.sampler not in _SAMPLERS:
            raise InputError(f"`sampler` must be one of {', '.join(_SAMPLERS)}, got sampler={self.sampler!r}")

    def __str__(self) -> str:
        return format_call(self)

    def ask(self, problem: Problem, known: Sequence[LaneRecord]) -> tuple[Lane, ...]:
        """The one lane that the sampler asks for; none when all trials are made."""
        require("optuna")
        made = {record.lane for record in known if record.lane.strategy == (problem.optimizer, problem.schedule)}
        # Asking the sampler takes long: first, whether there is room for another run at all.
        if len(made) >= self.trials or not fitting(problem, known, [lane(problem, 0.0)]):
            return ()
        rate = nearest(problem, self._sampled(problem, trials_of(problem, known), len(made)))
        left = [one for one in _instead(problem, rate, len(made)) if one not in made]
        return fitting(problem, known, left[:1])

    def suggest(self, problem: Problem, known: Sequence[LaneRecord]) -> float | None:
        """The rate of the best trial."""
        return _best_single(trials_of(problem, known))

    def runs(self, problem: Problem) -> float:
        """One for each trial, as far as the budget and the permitted rates go."""
        one = full(problem) / problem.total_steps
        rates = len(problem.rates) * problem.seeds if problem.rates and problem.seeds else self.trials
        room = self.trials if problem.budget is None else int(problem.budget / one + 1e-9)
        return min(self.trials, rates, room) * one

    def _sampled(self, problem: Problem, trials: Sequence[Trial], made: int) -> float:
        """What a new study of the past trials asks for."""
        package: Any = import_module("optuna")
        low, high = (problem.rates[0], problem.rates[-1]) if problem.rates else (problem.low, problem.high)
        space = {"lr": package.distributions.FloatDistribution(low, high, log=True)}
        seed = int(np.random.SeedSequence([problem.seed, made]).generate_state(1)[0])
        with _quiet(package):
            study = package.create_study(sampler=getattr(package.samplers, _SAMPLERS[self.sampler])(seed=seed))
            for trial, value in zip(trials, _told(trials), strict=True):
                rate = min(max(trial.lr, low), high)  # rounding may have moved it over an end
                told = package.trial.create_trial(params={"lr": rate}, distributions=space, value=value)
                study.add_trial(told)
            return float(study.ask(space).params["lr"])


def _best_single(trials: Sequence[Trial]) -> float | None:
    """The rate of the lowest single value at the greatest length that any lane reached; None where all diverged."""
    longest = max((trial.steps for trial in trials), default=0)
    ended = [trial for trial in trials if trial.steps == longest and trial.value < float("inf")]
    return min(ended, key=lambda trial: trial.value).lr if ended else None


def _told(trials: Sequence[Trial]) -> list[float]:
    """The values that Optuna hears: finite, the diverged ones just above the worst."""
    finite = [trial.value for trial in trials if trial.value < math.inf]
    seen = finite + [trial.untrained for trial in trials if math.isfinite(trial.untrained)]
    worst, least = max(seen, default=1.0), min(seen, default=0.0)
    above = worst + (_ABOVE * (worst - least) or 1.0)
    return [trial.value if trial.value < math.inf else above for trial in trials]


def _instead(problem: Problem, rate: float, made: int) -> Iterator[Lane]:
    """The lane of `rate`, and what is tried instead when it was made: the next seed, and then the next rate."""
    seeds = range(problem.seeds or made + 1)
    rates = sorted(problem.rates, key=lambda other: abs(math.log(other / rate))) or [rate]
    return (lane(problem, other, seed) for other in rates for seed in seeds)


@contextmanager
def _quiet(package: Any) -> Iterator[None]:
    """Inside, Optuna neither tells of each study nor warns of what it calls experimental; then it is as it was."""
    level = package.logging.get_verbosity()
    package.logging.set_verbosity(package.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", package.exceptions.ExperimentalWarning)
            yield
    finally:
        package.logging.set_verbosity(level)


STRATEGY = optuna
