"""Random search: rates drawn from the whole range, each to the full length."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pacesetter.findings._reading import trials_of
from pacesetter.records import Lane, LaneRecord, Problem
from pacesetter.search._lanes import best, fitting, lane, nearest, spent, whole
from pacesetter.textform import format_call

__all__ = ["STRATEGY", "random"]


@dataclass(frozen=True, slots=True)
class random:
    """Rates drawn uniformly in log from the range, each to the full length under one seed, all side by side.

    trials: how many, at least 1; 16 over six decades leave gaps of a third of a decade.

    Where only certain rates may be tried, it draws among them without putting back. A budget lets it draw fewer.
    The rates follow from the problem's seed alone, so a larger number of trials begins with those of a smaller one.

    Bergstra and Bengio, "Random Search for Hyper-Parameter Optimization", 2012.

    >>> len(random(trials=3).ask(Problem("adam", "constant", 1e-4, 1, 440), ()))
    3
    """

    trials: int = 16

    def __post_init__(self) -> None:
        """Refuse a search without trials."""
        whole("random", "trials", self.trials, 1)

    def __str__(self) -> str:
        return format_call(self)

    def ask(self, problem: Problem, known: Sequence[LaneRecord]) -> tuple[Lane, ...]:
        """All of it, less what is known."""
        return fitting(problem, known, self._plan(problem))

    def suggest(self, problem: Problem, known: Sequence[LaneRecord]) -> float | None:
        """The rate of the lowest value."""
        return best(trials_of(problem, known))

    def runs(self, problem: Problem) -> float:
        """One for each trial, as far as the budget goes."""
        return spent(problem, fitting(problem, (), self._plan(problem)))

    def _plan(self, problem: Problem) -> list[Lane]:
        chance = np.random.default_rng(problem.seed)
        if problem.rates:
            drawn = chance.permutation(problem.rates)[: self.trials].tolist()
        else:
            shares = chance.random(self.trials)
            drawn = [nearest(problem, problem.low * (problem.high / problem.low) ** share) for share in shares]
        return [lane(problem, rate) for rate in drawn]


STRATEGY = random
