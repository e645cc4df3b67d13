"""Grid search: rates at equal ratios, each to the full length."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pacesetter.findings._reading import trials_of
from pacesetter.records import Lane, LaneRecord, Problem
from pacesetter.search._lanes import best, even, fitting, full, lane, spent, thinned, whole
from pacesetter.textform import format_call

__all__ = ["STRATEGY", "grid"]

# A range that is a whole number of intervals up to rounding must not get one more.
_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class grid:
    """Every rate of a logarithmic grid to the full length, all side by side.

    per_decade: rates per factor of ten, at least 1; 2 (a ratio of about 3) finds the decade of the best rate.
    seeds: runs of each rate, at least 1; one is what people do, and picks the true best of ten rates in a third of
        all cases.

    Where only certain rates may be tried, it tries them all. A budget that has no room for the grid thins it evenly:
    fewer rates from the lowest to the highest, and fewer seeds only where not even one rate has room for all of them.

    >>> grid(per_decade=4).runs(Problem("adam", "constant", 1e-4, 1, 440))
    17.0
    """

    per_decade: int = 2
    seeds: int = 1

    def __post_init__(self) -> None:
        """Refuse a grid without rates or seeds."""
        whole("grid", "per_decade", self.per_decade, 1)
        whole("grid", "seeds", self.seeds, 1)

    def __str__(self) -> str:
        return format_call(self)

    def ask(self, problem: Problem, known: Sequence[LaneRecord]) -> tuple[Lane, ...]:
        """All of it, less what is known."""
        return fitting(problem, known, self._plan(problem))

    def suggest(self, problem: Problem, known: Sequence[LaneRecord]) -> float | None:
        """The rate of the lowest mean over seeds."""
        return best(trials_of(problem, known))

    def runs(self, problem: Problem) -> float:
        """Rates times seeds."""
        return spent(problem, fitting(problem, (), self._plan(problem)))

    def _plan(self, problem: Problem) -> list[Lane]:
        seeds = min(self.seeds, problem.seeds or self.seeds)
        rates = problem.rates or even(problem, _count(problem, self.per_decade))
        if problem.budget is not None:
            room = int((problem.budget + _ROUNDING) * problem.total_steps / full(problem) / seeds)
            rates = thinned(rates, max(1, room))
        return [lane(problem, rate, seed) for seed in range(seeds) for rate in rates]


def _count(problem: Problem, per_decade: int) -> int:
    return 1 + math.ceil(math.log10(problem.high / problem.low) * per_decade - _ROUNDING)


STRATEGY = grid
