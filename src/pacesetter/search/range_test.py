"""The LR range test: short runs whose rate rises from low to high, and a rule that reads a rate off their losses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from pacesetter.errors import InputError
from pacesetter.findings._reading import trials_of
from pacesetter.findings._trials import factors
from pacesetter.records import Lane, LaneRecord, Problem
from pacesetter.schedules import sweep
from pacesetter.search._lanes import best, fitting, lane, nearest, permitted, spent, whole
from pacesetter.search._range_rules import BELOW, RULES, blow_up
from pacesetter.textform import format_call

__all__ = ["STRATEGY", "range_test"]

RuleName = Literal["ours", "fastai_valley", "fastai_slide", "fastai_minimum", "fastai_steep", "steepest", "lightning"]
# A whole run of this share shows whether the rate that was read off trains at all.
SHORT = 1 / 27
LONG = 1 / 3
"""Where the sweeps did not show that anything is learned at all, a run has to, and it needs the time."""
MOST_RAISED = 0.5
"""Decades: as much is left to the rate at which the loss blows up."""
FEWEST_STEPS = 16


@dataclass(frozen=True, slots=True)
class range_test:
    """`repeats` sweeps from the lowest rate to the highest, a rate from each, and their median in log.

    rule: ours, or that of another tool as it is: fastai_valley, fastai_slide, fastai_minimum, fastai_steep, steepest
        (torch-lr-finder), lightning.
    steps: updates of a sweep, at least 16; it is never longer than a full run, and shorter where the budget asks it.
    repeats: seeds, at least 1; other tools make one sweep.

    A sweep is a cheap first look, and never the final word: it trains a few updates at each rate. So the suggestion is
    trained: in one run of a 27th of the length, and unless the search is quick in full under two seeds, with half and
    twice of it beside it under one, as far as the budget goes. It is not moved by these, but a rate that was seen to
    diverge is not suggested; then the best of the others is. Where half or more of the sweeps have no rate to give,
    neither has the test.

    Ours stays a decade below the lowest rate at which the loss of any sweep blew up. That is also what it suggests
    where the sweeps were too short for the loss to fall at all: then the run that shows whether the rate trains takes a
    third of the length. Sweeps know nothing of the schedule; where that lowers the rate, ours is higher by as much as
    the mean rate is lower than its peak, up to half a decade: twice as high for a cosine.

    Where only certain rates may be tried, as in a recording, there is no sweep: it asks for nothing and suggests none.

    >>> range_test().ask(Problem("adam", "constant", 1e-5, 10, 440), ())[0].schedule
    'sweep'
    """

    rule: RuleName = "ours"
    steps: int = 100
    repeats: int = 3

    def __post_init__(self) -> None:
        """Refuse sweeps that tell nothing, and rules that there are not."""
        whole("range_test", "steps", self.steps, FEWEST_STEPS)
        whole("range_test", "repeats", self.repeats, 1)
        if self.rule not in RULES:
            raise InputError(f"`rule` must be one of {', '.join(RULES)}, got rule={self.rule!r}")

    def __str__(self) -> str:
        return format_call(self)

    def ask(self, problem: Problem, known: Sequence[LaneRecord]) -> tuple[Lane, ...]:
        """The sweeps; then runs at what they suggest."""
        if problem.rates:
            return ()
        have = {record.lane for record in known}
        sweeps = self._sweeps(problem)
        if not have.issuperset(sweeps):
            return fitting(problem, known, sweeps)
        suggested = self._read(problem, known)
        if suggested is None:
            return ()
        fell = bool(self._rates(problem, known))
        short = lane(problem, suggested, length=permitted(problem, SHORT if fell else LONG))
        if short not in have:
            return fitting(problem, known, [short])
        return () if problem.quick else fitting(problem, known, _full(problem, suggested))

    def suggest(self, problem: Problem, known: Sequence[LaneRecord]) -> float | None:
        """What the rule says, as long as it was not seen to diverge."""
        suggested = self._read(problem, known)
        trials = trials_of(problem, known)
        if any(trial.lr == suggested and not trial.value < float("inf") for trial in trials):
            return best(trials)
        return suggested

    def spread(self, problem: Problem, known: Sequence[LaneRecord]) -> tuple[float, float] | None:
        """The lowest and the highest rate that any sweep suggests; None where the test suggests none."""
        rates = self._rates(problem, known)
        return (min(rates), max(rates)) if rates else None

    def runs(self, problem: Problem) -> float:
        """The sweeps, a short run and four full ones, as far as the budget goes."""
        if problem.rates:
            return 0.0
        rate = nearest(problem, problem.low)
        lanes = [*self._sweeps(problem), lane(problem, rate, length=permitted(problem, SHORT))]
        return spent(problem, fitting(problem, (), [*lanes, *([] if problem.quick else _full(problem, rate))]))

    def _sweeps(self, problem: Problem) -> list[Lane]:
        low = float(f"{problem.low / problem.high:.6g}")
        seeds = range(min(self.repeats, problem.seeds or self.repeats))
        # Sweeps leave room for the run that shows whether the rate trains, and for rounding to whole updates.
        room = np.inf if problem.budget is None else max(0.0, problem.budget - 1.5 * SHORT) / len(seeds)
        least = FEWEST_STEPS / problem.total_steps
        # The nearest length in log of those that can be trained, or its own.
        length = permitted(problem, min(1.0, self.steps / problem.total_steps, max(room, least)))
        text = str(sweep(low=low))
        return [Lane(problem.optimizer, text, problem.high, problem.seed + seed, length) for seed in seeds]

    def _read(self, problem: Problem, known: Sequence[LaneRecord]) -> float | None:
        """The median of what the sweeps suggest; ours below where any of them blew up."""
        rates = self._rates(problem, known)
        if self.rule == "ours":
            curves = [record.curve for record in self._swept(problem, known)]
            edges = [edge * 10**-BELOW for c in curves if (edge := blow_up(c.lr, c.train_loss)) is not None]
            if not rates and len(edges) <= len(curves) / 2:
                return None
            raised = _raised(problem.schedule, problem.total_steps)
            return nearest(problem, raised * min([_median(rates or edges), *edges]))
        return nearest(problem, _median(rates)) if rates else None

    def _rates(self, problem: Problem, known: Sequence[LaneRecord]) -> list[float]:
        """What each sweep suggests that suggests a rate; none where half of them or more do not."""
        swept = list(self._swept(problem, known))
        said = [RULES[self.rule](r.curve.lr, r.curve.train_loss, r.lane.total_steps) for r in swept]
        rates = [rate for rate in said if rate is not None]
        return rates if len(rates) > len(swept) / 2 else []

    def _swept(self, problem: Problem, known: Sequence[LaneRecord]) -> Iterator[LaneRecord]:
        """The sweeps that are known. The last loss of one that diverged is the first that is not finite."""
        if problem.rates:
            return
        asked = set(self._sweeps(problem))
        yield from (record for record in known if record.lane in asked and record.curve.steps)


def _median(rates: Sequence[float]) -> float:
    return float(np.exp(np.median(np.log(rates))))


def _raised(schedule: str, total_steps: int) -> float:
    """The peak of a schedule over its mean, within the limit; 1 where its rates are not known beforehand."""
    rates = factors(schedule, total_steps)
    if rates is None or not rates.mean() > 0:
        return 1.0
    return float(min(rates.max() / rates.mean(), 10**MOST_RAISED))


def _full(problem: Problem, rate: float) -> list[Lane]:
    """The rate under two seeds, and half and twice of it under one, in the order of what they are worth."""
    beside = (lane(problem, nearest(problem, rate * ratio)) for ratio in (0.5, 2.0))
    seeds = range(min(2, problem.seeds or 2))
    return [*(lane(problem, rate, seed) for seed in seeds), *beside]


STRATEGY = range_test
