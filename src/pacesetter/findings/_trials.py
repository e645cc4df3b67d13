"""What the runs of a search say by themselves, before any model, and when they are to be looked at."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pacesetter import schedules
from pacesetter.errors import InputError
from pacesetter.findings._reading import HELD, TAIL
from pacesetter.records import Problem, Trial

__all__ = ["factors", "gained", "is_verified", "learned", "learned_at", "looks", "marks"]

Floats = NDArray[np.float64]

SHARES = (1 / 27, 1 / 9, 1 / 3)
"""Of the full length, at which a run is looked at on its way: the lengths of the short runs of `search.pace`."""
LEARNED_SHARE = 0.01
"""Less improvement than this share of the untrained value is none; see `_group`."""
BEYOND_CHANCE = 4.0
"""Nor is one of fewer standard deviations of what a run jumps about by: the best of a few runs is two by chance."""


def gained(trials: Sequence[Trial]) -> bool:
    """Whether any of the trials improved on the untrained model; where that was not measured, whether any ended."""
    ended = [trial for trial in trials if np.isfinite(trial.value)]
    known = [trial for trial in ended if np.isfinite(trial.untrained)]
    return any(t.untrained - t.value > LEARNED_SHARE * abs(t.untrained) for t in known) if known else bool(ended)


def learned(trials: Sequence[Trial]) -> bool:
    """Whether any of the trials gained clearly more than it jumps about by; where that is unknown, than others do."""
    unrest = [trial.unrest for trial in trials if np.isfinite(trial.value) and np.isfinite(trial.unrest)]
    usual = float(np.median(unrest)) if unrest else 0.0

    def clearly(trial: Trial) -> bool:
        chance = BEYOND_CHANCE * (trial.unrest if np.isfinite(trial.unrest) else usual)
        return gained([trial]) and not trial.untrained - trial.value <= chance

    return any(clearly(trial) for trial in trials)


def learned_at(trials: Sequence[Trial], total_steps: int) -> bool:
    """Whether anything was learned as far as is known.

    Full runs have the last word, as longer training may undo it, and of those the rates that have several seeds and
    lost none: what chance gives under one seed it takes under the next, so every seed of a rate must have learned. What
    a rate jumps about by is that of its calmest seed: one spike says nothing of chance.
    """
    rates: dict[float, list[Trial]] = {}
    for trial in trials:
        if trial.steps == total_steps:
            rates.setdefault(trial.lr, []).append(trial)
    again = [own for own in rates.values() if len(own) > 1 and all(np.isfinite(trial.value) for trial in own)]
    if again:
        return any(all(learned([trial]) for trial in _calmed(own)) for own in again)
    return learned([trial for own in rates.values() for trial in own] or trials)


def _calmed(trials: Sequence[Trial]) -> list[Trial]:
    calmest = min(trials, key=lambda trial: trial.unrest if np.isfinite(trial.unrest) else np.inf)
    return [replace(trial, unrest=calmest.unrest) for trial in trials]


def is_verified(problem: Problem, trials: Sequence[Trial], best: float, breaks_above: bool) -> bool:
    """Whether `best` has two full runs, and a lower and a higher rate has one (or training breaks above)."""
    full = [trial.lr for trial in trials if trial.steps == problem.total_steps]
    seeds = 2 if problem.seeds is None else min(2, problem.seeds)
    return full.count(best) >= seeds and min(full) < best and (max(full) > best or breaks_above)


def marks(problem: Problem) -> tuple[int, ...]:
    """The lengths of shorter runs that a run of the problem has within it: thirds of thirds of the full one.

    None where the schedule looks at its end, or reacts.
    """
    lengths = (round(problem.total_steps * share) for share in SHARES)
    return _within(problem.schedule, problem.total_steps, tuple(n for n in lengths if n > 0))


def looks(problem: Problem, steps: int) -> tuple[int, ...]:
    """Updates after which a run of `steps` is to be evaluated: at its end, and at those of each run within it.

    From a third of the full length on, where the rate is still high at the end, three times over the last part, as the
    run is judged by their mean; but for rounding they are among the usual twenty evaluations of a full run anyway.
    """
    ends = [end for end in (*marks(problem), steps) if end <= steps]
    if steps >= max(SHARES) * problem.total_steps - 1 and _held(problem.schedule, steps):
        ends += [max(1, round(steps * share)) for share in (1 - TAIL, 1 - TAIL / 2)]
    return tuple(sorted(set(ends)))


@cache
def _held(schedule: str, steps: int) -> bool:
    """Whether the rate is still high at the end, as far as that is known beforehand."""
    own = factors(schedule, steps)
    return own is not None and bool(own[-1] >= HELD * own.max())


@cache
def _within(schedule: str, total_steps: int, lengths: tuple[int, ...]) -> tuple[int, ...]:
    whole = factors(schedule, total_steps)
    if whole is None:
        return ()
    return tuple(n for n in lengths if _starts(whole, factors(schedule, n)))


def _starts(whole: Floats, part: Floats | None) -> bool:
    return part is not None and np.array_equal(whole[: len(part)], part)


def factors(schedule: str, steps: int) -> Floats | None:
    """[steps], of a run of so many; None for a schedule that reacts, or that of a recording or a program."""
    try:
        parsed = schedules.parse(schedule)
    except InputError:
        return None
    return parsed(np.arange(steps), steps) if parsed.pure else None
