"""The default search: many short runs, a few longer ones where they point, then the full length around the best.

1. *Look*: rates half a decade apart, each a whole run of a 27th of the length. Where the best lies at an end of the
   range, the range is widened; where nothing learned, the highest rates that did not diverge have longer runs.
2. *Narrow*: three rates around what is then expected to be best at a ninth of the length. Two lengths tell how far the
   best rate moves when runs get longer (`findings._basin` has the model).
3. *Verify*: full runs at the expected best rate and half a decade to each side. The search goes on to a side while the
   best full run lies at its end, though not close to what diverged, then to the bottom of the valley between full runs,
   and ends with a second seed of the best.

Where no run may be shorter than the full length, three rates over the range are followed by one run after the other of
the rate that is most likely to be the best, the runs that it has had already set against it: first that looks about,
then it repeats.

A quick search ends after the second step, which it makes at a third of the length and at one rate after two, as no full
run corrects it: it is a look, and nothing is verified. With a larger budget further seeds of the best rates follow.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pacesetter import schedules
from pacesetter.errors import InputError
from pacesetter.findings._basin import FINEST, NEAR_EDGE, basin
from pacesetter.findings._reading import trials_of
from pacesetter.findings._trials import gained, is_verified, learned, learned_at
from pacesetter.records import Lane, LaneRecord, Problem, Trial
from pacesetter.search._lanes import even, fitting, lane, nearest, permitted
from pacesetter.textform import format_call

__all__ = ["STRATEGY", "Pace"]

LOOK, NARROW, NARROW_OF_QUICK = 27, 9, 3
"""The short runs are these parts of the full length. The cheaper they are, the more full runs there are: with a third
there is none left to go on to a side with. Without full runs a third is near enough to the full length to tell how far
the best rate still moves."""
APART = 0.5
"""Decades between the rates of the first look and of the full runs: half the width of a usual valley."""
AGAIN, AGAIN_OF_QUICK = 4, 3
"""Rates of a further look where nothing learned: a decade and a half below the lowest that diverged. The best rate of
runs three times as long is among them, and there is room for full runs after two such looks; after one in a quick
search for two runs of a third."""
AROUND, AROUND_OF_QUICK = (-APART, 0.0, APART), (-APART, 0.0)
"""Decades from the expected best of the rates that are narrowed down to. In a quick search two, and a third follows
beyond the better: how far the best rate moves with the length is told by the first look alone, and often wrongly."""
EVERY = 5
"""Of the rates that the valley is looked at, one is a candidate for such a run: a quarter of a decade."""
REPEATED = 2
"""The power of the runs that a rate has had, by which it is asked for less, so that the best so far is not repeated too
soon. With 1 a search of the sweeps of `benchmarks/find` by full runs alone gives up 6 to 26 % more at 6 to 12 runs; on
HPOBench 11 % more at 4 runs, 5 % more at 12, and 5 to 8 % less at 6 to 10."""
WIDER = 3.0
"""Decades that the range is widened by at most, to each side."""
FEWEST_STEPS = 5
"""No run is shorter: fewer updates say nothing about a rate."""
RUNS = 6.0
CLOSE = 1.2
"""Decades from the best rate to one that diverges, up to which a warm-up is tried: beyond, it would not matter."""
WARM_UP = 0.2
"""Of the short run; long enough to be one, and no recommendation of a length."""
TINY = 1e-6
"""Decades and trainings that rounding may add up to."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Ours; `budget` is what it spends at most, in full trainings, when the problem does not say.

    Example:
        >>> problem = Problem("adam", "constant", 1e-5, 10, 540)
        >>> [len(Pace().ask(problem, ())), Pace().ask(problem, ())[0].total_steps]
        [13, 20]
    """

    budget: float = RUNS

    def __str__(self) -> str:
        """Its text form."""
        return format_call(self)

    def runs(self, problem: Problem) -> float:
        """What it is going to cost, in full trainings."""
        short = self._lengths(problem)
        look = len(_spread(problem)) * short[0] if short else 0
        narrow = len(AROUND) * short[1] if len(short) > 1 else 0
        budget = self._budget(problem)
        return min((look + narrow) / problem.total_steps, budget) if problem.quick else budget

    def suggest(self, problem: Problem, known: Sequence[LaneRecord]) -> float | None:
        """The full run expected to be best; as long as there is none, of the rates tried and the middles between."""
        return _best_rate(problem, trials_of(problem, known))

    def ask(self, problem: Problem, known: Sequence[LaneRecord]) -> tuple[Lane, ...]:
        """The lanes to train next; none when the search is done."""
        have = {record.lane for record in known}
        for wanted in self._steps(problem, trials_of(problem, known)):
            lanes = list(wanted)
            if not have.issuperset(lanes):
                return fitting(problem.within(self._budget(problem)), known, lanes)
        return ()

    def _budget(self, problem: Problem) -> float:
        return self.budget if problem.budget is None else problem.budget

    def _lengths(self, problem: Problem) -> list[int]:
        """The lengths of short runs, ascending, those that differ and are shorter than half a full run."""
        return _shorter(problem, LOOK, NARROW_OF_QUICK if problem.quick else NARROW)

    def _steps(self, problem: Problem, trials: Sequence[Trial]) -> Iterable[Iterable[Lane]]:
        """What to know, step by step: each follows from the trials of those before it."""
        short = self._lengths(problem)
        if short:
            yield from _look(problem, trials, short[0])
            yield from _look_longer(problem, trials, _shorter(problem, LOOK, NARROW, NARROW_OF_QUICK)[1:])
            before = [trial for trial in trials if trial.steps < short[-1]]
            if len(short) > 1 and gained(before):
                middle = basin(problem, before).bottom(short[1])
                around = AROUND_OF_QUICK if problem.quick else AROUND
                yield (_at(problem, middle, short[1], away) for away in around)
                if problem.quick:
                    yield _beyond_the_better(problem, trials, short[1])
        else:
            yield (lane(problem, rate) for rate in _middles(problem))
            if learned(trials):
                yield _likely(problem, trials)
            else:
                yield (lane(problem, rate) for rate in _spread(problem, 2 * APART))
        if short and not problem.quick:
            yield from self._verify(problem, trials)

    def _verify(self, problem: Problem, trials: Sequence[Trial]) -> Iterable[Iterable[Lane]]:
        """Full runs around the best, then seeds of those that may be it."""
        total = problem.total_steps
        before = [trial for trial in trials if trial.steps < total]
        if not gained(before):
            return
        middle = basin(problem, before).bottom()
        yield (_at(problem, middle, total, away) for away in (0.0, -APART, APART))
        full = [trial for trial in trials if trial.steps == total]
        if not learned(full):
            return
        enough = problem.budget is None and _is_sure(problem, trials)
        if not enough:
            left = self._budget(problem) - sum(trial.steps for trial in trials) / total
            yield _further(problem, trials, left)
        yield _warmed(problem, trials)
        if not enough:
            yield _more_seeds(problem, trials)


def _shorter(problem: Problem, *parts: int) -> list[int]:
    """The lengths of these parts of a full run, ascending, those that differ and are at most half of one."""
    wanted = (permitted(problem, max(1 / part, FEWEST_STEPS / problem.total_steps)) for part in parts)
    return [steps for steps in dict.fromkeys(wanted) if steps <= problem.total_steps / 2]


def _beyond_the_better(problem: Problem, trials: Sequence[Trial], steps: int) -> list[Lane]:
    """Of two runs of a length, beyond the better; between them where what lies beyond has diverged."""
    own = sorted((trial for trial in trials if trial.steps == steps), key=lambda trial: trial.lr)
    if len(own) != 2:
        return []
    low, high = (float(np.log10(trial.lr)) for trial in own)
    if not own[1].value < own[0].value:
        return [_at(problem, low, steps, -APART)]
    beyond = _at(problem, high, steps, APART)
    return [beyond if beyond.lr < _lost_above(trials, own[1].lr) else _at(problem, (low + high) / 2, steps)]


def _best_rate(problem: Problem, trials: Sequence[Trial]) -> float | None:
    """The full run expected to be best; where there is none, the model's best rate; None: nothing learned."""
    if not learned_at(trials, problem.total_steps):
        return None
    model = basin(problem, trials)
    best = model.best_run()
    return nearest(problem, model.best) if best is None else best


def _spread(problem: Problem, apart: float = APART) -> tuple[float, ...]:
    """Rates over the range, evenly and at most so many decades apart."""
    return even(problem, 1 + max(1, math.ceil(math.log10(problem.high / problem.low) / apart - 1e-9)))


def _middles(problem: Problem) -> tuple[float, ...]:
    """The middles of the three thirds of the range, in log: its ends are hardly ever best, and cost a full run each."""
    ratio = problem.high / problem.low
    return tuple(dict.fromkeys(nearest(problem, problem.low * ratio**share) for share in (1 / 6, 1 / 2, 5 / 6)))


def _look(problem: Problem, trials: Sequence[Trial], steps: int) -> Iterable[Iterable[Lane]]:
    """The whole range at one length, then wider as long as the best lies at an end."""
    yield (lane(problem, rate, length=steps) for rate in _spread(problem))
    own = [trial for trial in trials if trial.steps == steps]
    if not own or problem.rates:
        return
    low, high = np.log10(problem.low), np.log10(problem.high)
    places = sorted({float(np.log10(trial.lr)) for trial in own})
    ended = [trial for trial in own if np.isfinite(trial.value)]
    best = float(np.log10(min(ended, key=lambda trial: trial.value).lr)) if ended else -np.inf
    if best <= places[0] + TINY and places[0] > low - WIDER + TINY:
        yield (_at(problem, places[0] - APART * k, steps) for k in (1, 2))
    elif best >= places[-1] - TINY and places[-1] < high + WIDER - TINY:
        yield (_at(problem, places[-1] + APART * k, steps) for k in (1, 2))


def _look_longer(problem: Problem, trials: Sequence[Trial], lengths: Sequence[int]) -> Iterable[Iterable[Lane]]:
    """Where runs were too short for any rate to learn: the highest rates that did not diverge, in ever longer runs."""
    for steps in lengths:
        before = [trial for trial in trials if trial.steps < steps]
        if not before or gained(before):
            return
        lost = min((trial.lr for trial in before if not np.isfinite(trial.value)), default=np.inf)
        count = AGAIN_OF_QUICK if problem.quick else AGAIN
        yield (lane(problem, rate, length=steps) for rate in [r for r in _spread(problem) if r < lost][-count:])


def _is_sure(problem: Problem, trials: Sequence[Trial]) -> bool:
    """Whether the best full run is verified."""
    best = _best_rate(problem, trials)
    return best is not None and is_verified(problem, trials, best, _lost_above(trials, best) < np.inf)


def _lost_above(trials: Sequence[Trial], best: float) -> float:
    """The lowest rate above `best` that diverged; infinite where none did."""
    return min((trial.lr for trial in trials if not np.isfinite(trial.value) and trial.lr > best), default=np.inf)


def _likely(problem: Problem, trials: Sequence[Trial]) -> list[Lane]:
    """The next seed of the rate that is most likely to be the best, for the runs that it has already."""
    model = basin(problem, trials)
    tried = [trial.lr for trial in trials]
    low, high = np.log10(problem.low) - WIDER, np.log10(problem.high) + WIDER
    new = [x for x in model.grid[::EVERY] if low <= x <= high and np.abs(model.places - x).min() > FINEST]
    lost = _lost_above(trials, _best_rate(problem, trials) or 0.0)
    # Beyond what diverged above the best there is nothing to be found.
    rates = [rate for rate in problem.rates or sorted({*tried, *(nearest(problem, 10**x) for x in new)}) if rate < lost]
    if not rates:
        return []
    seeds = np.array([tried.count(rate) for rate in rates])
    worth = model.chances(np.log10(rates)) / (1 + seeds) ** REPEATED
    if problem.seeds is not None:
        worth[seeds >= problem.seeds] = 0.0
    most = int(worth.argmax())
    return [lane(problem, rates[most], int(seeds[most]))] if worth[most] > 0 else []


def _further(problem: Problem, trials: Sequence[Trial], left: float) -> list[Lane]:
    """A full run of a better rate, if there may be one, with `left` full trainings to spend.

    At the low end it comes before a second seed; not so at the high end, where the next seed may diverge.
    """
    full = [trial for trial in trials if trial.steps == problem.total_steps]
    room = 1 if _best_rate(problem, trials) == min(trial.lr for trial in full) else 2
    better = _better(problem, trials)
    if better is None or (left < room - TINY and len({trial.seed for trial in full}) == 1):
        return []
    return [lane(problem, better)]


def _better(problem: Problem, trials: Sequence[Trial]) -> float | None:
    """The rate that a further full run is for: beyond the end where the best lies, or the valley's bottom."""
    total = problem.total_steps
    best = _best_rate(problem, trials)
    if best is None:
        return None
    places = sorted({float(np.log10(t.lr)) for t in trials if t.steps == total})
    at = int(np.argmin(np.abs(np.array(places) - np.log10(best))))
    if at == 0:
        return _meeting(problem, places[0], -APART)
    if at == len(places) - 1:
        # What diverged in a short run needs no full one, nor does what is close to it and so not the answer.
        lost = _lost_above(trials, best)
        further = (_meeting(problem, places[-1], away) for away in (APART, APART / 2))
        return next((rate for rate in further if rate > best and np.log10(lost / rate) >= NEAR_EDGE), None)
    bottom = _meeting(problem, basin(problem, trials).bottom(None, places[at - 1], places[at + 1]))
    return bottom if np.abs(np.array(places) - np.log10(bottom)).min() > FINEST else None


def _more_seeds(problem: Problem, trials: Sequence[Trial]) -> list[Lane]:
    """The next seed of the best full run, and with a larger budget of its neighbours."""
    total = problem.total_steps
    best = _best_rate(problem, trials)
    full = [trial for trial in trials if trial.steps == total]
    if best is None or not full:
        return []
    rates = sorted({trial.lr for trial in full}, key=lambda lr: abs(np.log(lr / best)))[:3]
    seeds = {lr: sum(trial.lr == lr for trial in full) for lr in rates}
    # The best is one seed ahead of its neighbours.
    lr = min(rates, key=lambda lr: (seeds[lr] - (lr == best), rates.index(lr)))
    if problem.seeds is not None and seeds[lr] >= problem.seeds:
        return []
    return [lane(problem, lr, seeds[lr], total)]


def _warmed(problem: Problem, trials: Sequence[Trial]) -> list[Lane]:
    """The lowest rate that diverges close above the best, with a warm-up, in a run of the same shortest length.

    Whether the schedule warms up by itself is seen by its factor: nothing is asked where it does, or is unknown.
    """
    best = _best_rate(problem, trials)
    shortest = min((trial.steps for trial in trials), default=problem.total_steps)
    if best is None or problem.rates or shortest == problem.total_steps:
        return []
    lost = [t.lr for t in trials if t.steps == shortest and not np.isfinite(t.value) and t.lr > best]
    if not lost or np.log10(min(lost) / best) > CLOSE:
        return []
    try:
        schedule = schedules.parse(problem.schedule)
    except InputError:
        return []
    if not schedule.pure or schedule(0, shortest) < 1:
        return []
    warmed = str(schedules.warmup(WARM_UP) >> schedule)
    return [Lane(problem.optimizer, warmed, min(lost), problem.seed, shortest)]


def _at(problem: Problem, place: float, steps: int, away: float = 0.0) -> Lane:
    """The lane of the rate so many decades from a log10, of a length."""
    return lane(problem, _meeting(problem, place, away), length=steps)


def _meeting(problem: Problem, place: float, away: float = 0.0) -> float:
    """Of the rates of the first look and the middles between them the nearest to so many decades from a log10.

    Runs of several lengths and seeds meet there, and so do searches: rates closer than that are not told apart anyway.
    Of rates that were given the nearest, or where that is the one at `place` the next to that side.
    """
    rates = problem.rates
    if rates:
        here, there = (rates.index(nearest(problem, 10**x)) for x in (place, place + away))
        if away and there == here:
            there = min(max(here + (1 if away > 0 else -1), 0), len(rates) - 1)
        return rates[there]
    gaps, ratio = 2 * (len(_spread(problem)) - 1), problem.high / problem.low
    if not gaps:
        return nearest(problem, 10 ** (place + away))
    steps = round((place + away - math.log10(problem.low)) / math.log10(ratio) * gaps)
    return nearest(problem, problem.low * ratio ** (steps / gaps))


STRATEGY = Pace
