"""What the strategies share: permitted rates and lengths, what a budget has room for, and who is best so far."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from pacesetter.errors import InputError
from pacesetter.records import Lane, LaneRecord, Problem, Trial

__all__ = ["best", "even", "fitting", "full", "lane", "nearest", "permitted", "spent", "thinned", "whole"]

# Rates with more digits print long, and say nothing that a neighbouring rate does not.
SIGNIFICANT_DIGITS = 6
# Lengths add up to a budget in floats; a run that fits exactly must not fall out by rounding.
_ROUNDING = 1e-9


def nearest(problem: Problem, rate: float) -> float:
    """`rate` to six significant digits, or the nearest that may be tried, in log."""
    if not problem.rates:
        return float(f"{rate:.{SIGNIFICANT_DIGITS}g}")
    return min(problem.rates, key=lambda permitted: abs(math.log(permitted / rate)))


def even(problem: Problem, count: int) -> tuple[float, ...]:
    """`count` rates at equal ratios over the range, ends included; fewer where only certain rates may be tried."""
    if problem.low == problem.high:
        return (nearest(problem, problem.low),)
    if count == 1:
        return (nearest(problem, math.sqrt(problem.low * problem.high)),)
    ratio = problem.high / problem.low
    return tuple(sorted({nearest(problem, problem.low * ratio ** (place / (count - 1))) for place in range(count)}))


def permitted(problem: Problem, share: float) -> int:
    """The length of `share` of a full run in updates: at least one, and the nearest in log that can be trained."""
    wanted = max(1, round(problem.total_steps * share))
    if not problem.lengths:
        return wanted
    return min(problem.lengths, key=lambda length: abs(math.log(length / wanted)))


def full(problem: Problem) -> int:
    """The length that the rate is for, or the nearest that can be trained."""
    return permitted(problem, 1.0)


def lane(problem: Problem, rate: float, seed: int = 0, length: int | None = None) -> Lane:
    """A lane of the problem's optimizer and schedule; `seed` counts from the problem's first."""
    return Lane(problem.optimizer, problem.schedule, rate, problem.seed + seed, length or full(problem))


def spent(problem: Problem, lanes: Iterable[Lane]) -> float:
    """What the lanes cost to their ends, in full trainings."""
    return sum(one.total_steps for one in lanes) / problem.total_steps


def fitting(problem: Problem, known: Sequence[LaneRecord], asked: Iterable[Lane]) -> tuple[Lane, ...]:
    """Those of `asked` that are not known yet, from the first on for as long as the budget has room."""
    have = {record.lane for record in known}
    new = [one for one in dict.fromkeys(asked) if one not in have]
    if problem.budget is None:
        return tuple(new)
    left = (problem.budget + _ROUNDING) * problem.total_steps - sum(one.total_steps for one in have)
    for place, one in enumerate(new):
        left -= one.total_steps
        if left < 0:
            return tuple(new[:place])
    return tuple(new)


def thinned(items: Sequence[float], count: int) -> tuple[float, ...]:
    """`count` of the items at even distances, the first and the last among them; of one, the middle one."""
    if count >= len(items):
        return tuple(items)
    if count == 1:
        return (items[len(items) // 2],)
    return tuple(items[round(place * (len(items) - 1) / (count - 1))] for place in range(count))


def best(trials: Iterable[Trial]) -> float | None:
    """The rate of the lowest mean over seeds at the greatest length that any rate survived; None where none learned.

    A rate that diverged under any seed, at any length, is out, and so is one that ended no lower than untrained.
    """
    trials = list(trials)
    out = {trial.lr for trial in trials if not trial.value < math.inf}
    alive = [trial for trial in trials if trial.lr not in out]
    longest = max((trial.steps for trial in alive), default=0)
    values: dict[float, list[Trial]] = defaultdict(list)
    for trial in alive:
        if trial.steps == longest:
            values[trial.lr].append(trial)
    means = {lr: sum(trial.value for trial in group) / len(group) for lr, group in values.items()}
    learned = {lr: mean for lr, mean in means.items() if not mean >= _untrained(values[lr])}
    return min(learned, key=lambda lr: (learned[lr], lr), default=None)


def _untrained(trials: Sequence[Trial]) -> float:
    """The mean before training; NaN, which nothing compares with, where it was not measured."""
    return sum(trial.untrained for trial in trials) / len(trials)


def whole(strategy: str, name: str, value: int, least: int) -> None:
    """Raises InputError unless the setting `name` is a whole number of at least `least`."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"`{name}` of `{strategy}` must be a whole number of at least {least}, got {name}={value!r}")
