"""Successive halving: many rates on short runs, the best of them on longer ones; ASHA and Hyperband are forms of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from pacesetter.errors import InputError
from pacesetter.findings._reading import trials_of
from pacesetter.records import Lane, LaneRecord, Problem
from pacesetter.search._lanes import best, even, fitting, lane, nearest, permitted, spent, whole
from pacesetter.textform import format_call

__all__ = ["STRATEGY", "halving"]

# Beyond these a ladder of rungs costs more than any grid.
MOST_RUNGS = 12


@dataclass(frozen=True, slots=True)
class halving:
    """Rungs of `rates / factor**i` rates at lengths of `factor**(i + 1 - rungs)` of a full run; the best climb.

    factor: what the rates are divided by and the lengths multiplied with from rung to rung, at least 2.
    rates: how many the lowest rung has, at least 1.
    rungs: how many there are, 1 to 12, the last of full length: 4 rungs of factor 3 begin at 1/27.
    brackets: 1 is successive halving. Each one more begins a rung higher with fewer rates,
        ceil(rungs / (s + 1) * rates / factor**(rungs - 1 - s)) of them for s + 1 rungs: all brackets are Hyperband.
    asynchronous: ASHA. A rate climbs as soon as it is among the top floor(n / factor) of the n that its rung has seen;
        `factor` lanes are asked for at a time, climbers first, new rates after them.

    Every rung trains anew: a run of a third of the length is a whole run with a whole schedule. A diverged lane never
    climbs. At least one rate climbs to the top, if any lived. All lanes have the first seed. Where a budget has no
    room for all of it, there are fewer rates; where two rungs would have the same permitted length, they are one.

    Jamieson and Talwalkar, 2016; Li et al., "Hyperband", 2018; Li et al., "A System for Massively Parallel
    Hyperparameter Tuning" (ASHA), 2020.

    >>> halving().runs(Problem("adam", "constant", 1e-4, 1, 2700))
    4.0
    """

    factor: int = 3
    rates: int = 27
    rungs: int = 4
    brackets: int = 1
    asynchronous: bool = False

    def __post_init__(self) -> None:
        """Refuse ladders that lead nowhere."""
        whole("halving", "factor", self.factor, 2)
        whole("halving", "rates", self.rates, 1)
        whole("halving", "rungs", self.rungs, 1)
        whole("halving", "brackets", self.brackets, 1)
        if self.rungs > MOST_RUNGS:
            raise InputError(f"`rungs` of `halving` must be at most {MOST_RUNGS}, got rungs={self.rungs}")
        if self.brackets > self.rungs:
            got = f"got brackets={self.brackets} rungs={self.rungs}"
            raise InputError(f"`brackets` of `halving` must not be more than its rungs, {got}: each begins one higher")
        if self.asynchronous and self.brackets > 1:
            raise InputError(f"`brackets` of `halving` must be 1 with asynchronous=True, got brackets={self.brackets}")

    def __str__(self) -> str:
        return format_call(self)

    def ask(self, problem: Problem, known: Sequence[LaneRecord]) -> tuple[Lane, ...]:
        """The next rung of every bracket; with `asynchronous`, the next few lanes."""
        values = self._values(problem, known)
        brackets = self._brackets(problem)
        if self.asynchronous:
            asked = self._next(problem, brackets[0], values, known)
            return fitting(problem, known, asked)
        return fitting(problem, known, [one for bracket in brackets for one in _rung(problem, bracket, values)])

    def suggest(self, problem: Problem, known: Sequence[LaneRecord]) -> float | None:
        """The best rate of the highest rung that any rate survived."""
        return best(trials_of(problem, known))

    def runs(self, problem: Problem) -> float:
        """What all rungs cost when nothing diverges; asynchronous halving lets a few more climb."""
        lanes: dict[Lane, None] = {}
        for bracket in self._brackets(problem):
            # As if the first rates were the best; which ones are does not change the cost.
            for count, length in bracket.sizes:
                lanes |= dict.fromkeys(lane(problem, rate, length=length) for rate in bracket.rates[:count])
        return spent(problem, fitting(problem, (), lanes))

    def ladders(self, problem: Problem) -> tuple[tuple[tuple[int, int], ...], ...]:
        """For each bracket, the number of rates and the length in updates of each of its rungs."""
        return tuple(bracket.sizes for bracket in self._brackets(problem))

    def _brackets(self, problem: Problem) -> "list[_Bracket]":
        """As many rates as the budget has room for, when every rung is filled."""
        rates = self.rates
        brackets = [self._bracket(problem, number, rates) for number in range(self.brackets)]
        while problem.budget is not None and rates > 1 and sum(b.steps for b in brackets) > _room(problem):
            rates -= 1
            brackets = [self._bracket(problem, number, rates) for number in range(self.brackets)]
        return brackets

    def _bracket(self, problem: Problem, number: int, rates: int) -> "_Bracket":
        """Bracket `number` (from 0, the one with all rungs) when the first begins with `rates`."""
        above = self.rungs - 1 - number
        # Rounded up in whole numbers: in floats 15 becomes 16.
        count = rates if number == 0 else -(-self.rungs * rates // ((above + 1) * self.factor**number))
        lengths = dict.fromkeys(permitted(problem, float(self.factor) ** -rung) for rung in range(above, -1, -1))
        tried = even(problem, count) if number == 0 else _drawn(problem, count, number)
        sizes = tuple((max(1, len(tried) // self.factor**rung), length) for rung, length in enumerate(sorted(lengths)))
        return _Bracket(tried, sizes)

    def _values(self, problem: Problem, known: Sequence[LaneRecord]) -> dict[tuple[float, int], float]:
        key = (problem.optimizer, problem.schedule, problem.seed)
        mine = [record for record in known if (*record.lane.strategy, record.lane.seed) == key]
        # What failed or was stopped has no value, and must not be waited for.
        values = {(record.lane.lr, record.lane.total_steps): float("inf") for record in mine}
        return values | {(t.lr, t.steps): t.value for t in trials_of(problem, mine)}

    def _next(
        self,
        problem: Problem,
        bracket: "_Bracket",
        values: dict[tuple[float, int], float],
        known: Sequence[LaneRecord],
    ) -> list[Lane]:
        """ASHA: who may climb, from the highest rung down, then new rates; at the end, one to the top in any case."""
        have = {record.lane for record in known}
        lengths = [length for _, length in bracket.sizes]
        asked = [one for one in _climbers(problem, lengths, values, self.factor) if one not in have]
        order = np.random.default_rng(problem.seed).permutation(bracket.rates).tolist()
        asked += [one for rate in order if (one := lane(problem, rate, length=lengths[0])) not in have]
        if asked:
            return asked[: self.factor]
        # A rung of fewer than `factor` promotes nobody; without this, the full length would never be trained.
        for below, above in reversed(list(pairwise(lengths))):
            ranked = _ranked(values, below)
            if any(length == above for _, length in values):
                return []
            if ranked:
                return [lane(problem, ranked[0], length=above)]
        return []


@dataclass(frozen=True, slots=True)
class _Bracket:
    """The rates that its lowest rung tries, and (how many, length) of each rung from the lowest to the highest."""

    rates: tuple[float, ...]
    sizes: tuple[tuple[int, int], ...]

    @property
    def steps(self) -> int:
        return sum(count * length for count, length in self.sizes)


def _room(problem: Problem) -> float:
    return (problem.budget or 0.0) * problem.total_steps * (1 + 1e-9)


def _drawn(problem: Problem, count: int, number: int) -> tuple[float, ...]:
    """One rate from each of `count` equal parts of the range, so that brackets do not try the same."""
    shares = (np.arange(count) + np.random.default_rng([problem.seed, number]).random(count)) / count
    ratio = problem.high / problem.low
    return tuple(sorted({nearest(problem, problem.low * ratio**share) for share in shares.tolist()}))


def _rung(problem: Problem, bracket: _Bracket, values: dict[tuple[float, int], float]) -> list[Lane]:
    """The lanes of the first rung that are not all known yet: successive halving waits for a whole rung."""
    tried: Sequence[float] = bracket.rates
    for place, (_, length) in enumerate(bracket.sizes):
        missing = [rate for rate in tried if (rate, length) not in values]
        if missing:
            return [lane(problem, rate, length=length) for rate in missing]
        if place + 1 < len(bracket.sizes):
            tried = _ranked({key: value for key, value in values.items() if key[0] in tried}, length)
            tried = tried[: bracket.sizes[place + 1][0]]
    return []


def _climbers(
    problem: Problem, lengths: Sequence[int], values: dict[tuple[float, int], float], factor: int
) -> Iterator[Lane]:
    """Whoever is in the top floor(n / factor) of the n lanes of a rung, as a lane of the next."""
    for below, above in reversed(list(pairwise(lengths))):
        seen = sum(length == below for _, length in values)
        for rate in _ranked(values, below)[: seen // factor]:
            yield lane(problem, rate, length=above)


def _ranked(values: dict[tuple[float, int], float], length: int) -> list[float]:
    """The rates that lived to `length`, the best first."""
    alive = [(value, rate) for (rate, steps), value in values.items() if steps == length and value < float("inf")]
    return [rate for _, rate in sorted(alive)]


STRATEGY = halving
