"""Loss against rate as a model: what trials of several lengths say about the rate that is best at the full one.

A trial is a whole run of its own length at one rate. Three things are known about how they hang together, and the model
has one part for each:

* Loss against log rate is a smooth valley. Around its bottom small differences count, and far from it none do, so
  what is modelled is w = log(1 + r / RESOLUTION), where r is the share of the improvement that a rate gives up at its
  length: 0 at the best rate tried there, 1 for an untrained model, and for whatever diverged.
* The valley moves with the length. Where only the distance travelled counts (rate times steps: too long a way is
  overfitting) the best rate falls tenfold when runs get ten times as long; where the limit is stability it stays. So
  with x = log10(rate) and t = log10(steps / total steps)

      w(x, t) = g(x + shift(t)) + e(x, t)

  where g is one valley for all lengths, the shift is a line that bends once, as what moves the best rate among very
  short runs says little of what moves it among longer ones, and e is what is special about a length. Which cause it
  is shows in what longer runs are good for: where they improve no more, only the way can count.
* Each run has its noise, a part of which is common to the runs of its seed. Where two seeds were run at two rates or
  more, what one is above the other by there is taken off beforehand, whatever its size.
* Under a schedule that does not look at its end a run has been a whole run of every length that it came by, so what it
  was there is a trial too, and costs nothing.

g and e are Gaussian processes (Matern 5/2), and the two slopes of the shift, the drifts, are not chosen but weighed:
each pair of a few values counts by how well the trials fit it. What comes out for t = 0 is a distribution over valleys,
and each question is put to it: where is the bottom, which rates may be it, how much does a rate lose.

The constants were chosen by replaying the search on the first eight tasks of `benchmarks/find`, mostly for those of
`TUNED_ON`, with the figures of the others in sight. Those of `FRESH` came later.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import pairwise, product

import numpy as np
from numpy.typing import NDArray

from pacesetter.findings._trials import gained, marks
from pacesetter.records import Problem, Trial

__all__ = ["Basin", "basin"]

Floats = NDArray[np.float64]

RESOLUTION = 0.03
"""Shares of the improvement well below this are alike, well above it count by their ratio."""
DRIFTS = np.linspace(-0.25, 1.25, 7)
PAIRS = np.array(list(product(DRIFTS, DRIFTS)))
BEND = -0.5
"""log10 of the share of the full length at which the shift bends: a third."""
USUAL_DRIFT, DRIFT_OF_THE_FULL, SPREAD_OF_DRIFT, LIKENESS = 0.45, 0.9, 0.35, 0.4
"""Of the drifts, of those where longer runs improve no more, and their correlation: between the two causes; either is
within a spread or two. Over the sweeps of `benchmarks/find` they are 0.5, 0.3 to 0.4 and 0.4 all together."""
STILL_GAINED = 0.02
"""Of the improvement, by runs three times as long: what is well below it is nothing more."""
LEAST_WEIGHT = 1e-3
"""Pairs of drifts that count for less are left out."""
HEIGHT, WIDTH = 1.5, 1.0
"""Of the valley g: its size in units of w, and the decades over which it bends."""
OWN_HEIGHT, OWN_WIDTH, OWN_LENGTHS = 0.6, 0.35, 0.7
"""Of e: its size, and over how many decades of rate and of length it is alike."""
NOISE, COMMON = 0.2, 0.2
"""Of one run by itself, and of what the runs of its seed have in common at a length: half of the variance each."""
FLAT = 2.0
"""What is expected of w where nothing is known."""
STEP = 0.05
"""Of the rates that the valley is looked at, in decades."""
FINEST = 0.15
"""Decades: rates closer than this are not told apart, nor by a full run each."""
NEAR_EDGE = 0.3
"""Decades from a rate that diverged up to which other seeds may diverge, although one or two of them did not."""
DIGITS = 6
"""Significant digits of a rate that is told."""
BEYOND = 0.5
"""Decades outside the rates tried that the bottom may lie in."""
SAMPLES = 2000
TINY = 1e-6
"""Added to variances of valleys at rates that nearly coincide, which rounding would make negative: 0.001 in w."""


def basin(problem: Problem, trials: Sequence[Trial]) -> "Basin":
    """The model of a problem's trials, and of the shorter runs within them; a step of a search asks for it repeatedly.

    Of runs too short for any rate to learn only those that diverged say something.
    """
    return _basin(problem, tuple(trials))


@lru_cache(maxsize=4)
def _basin(problem: Problem, trials: tuple[Trial, ...]) -> "Basin":
    have = {(trial.lr, trial.seed, trial.steps) for trial in trials}
    shortest = min((trial.steps for trial in trials), default=0)
    looked_at = {steps for steps in marks(problem) if steps >= shortest}
    within = [
        replace(trial, steps=steps, value=value, on_the_way=())
        for trial in trials
        for steps, value in trial.on_the_way
        if steps in looked_at and (trial.lr, trial.seed, steps) not in have
    ]
    every = [*trials, *within]
    told = {steps for steps in {trial.steps for trial in every} if gained([t for t in every if t.steps == steps])}
    kept = [trial for trial in every if trial.steps in told or not np.isfinite(trial.value)]
    return Basin(kept if told else every, problem.total_steps)


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """The valley under each pair of drifts that counts.

    drifts: [parts, 2]. weights: [parts], of sum 1. factors: [parts, trials, trials], Cholesky's, of the covariance of
    the trials. solutions: [parts, trials].
    """

    drifts: Floats
    weights: Floats
    factors: Floats
    solutions: Floats


@dataclass(frozen=True, eq=False)
class Basin:
    """What `trials` (at least one that is finite) say about runs of `total_steps`.

    Example:
        >>> trials = [Trial(10.0**x, 0, 100, (x + 2) ** 2, 4.0) for x in (-4, -3, -2, -1, 0)]
        >>> round(float(np.log10(Basin(trials, 100).best)), 1)
        -2.0
    """

    trials: Sequence[Trial]
    total_steps: int

    @cached_property
    def places(self) -> Floats:
        """[trials], log10 of the rates."""
        return np.log10([trial.lr for trial in self.trials])

    @cached_property
    def _lengths(self) -> Floats:
        return np.log10([trial.steps / self.total_steps for trial in self.trials])

    @cached_property
    def grid(self) -> Floats:
        """log10 of the rates at which the valley is looked at: those tried and a little beyond."""
        low, high = self.places.min() - BEYOND, self.places.max() + BEYOND
        return np.arange(low, high + STEP / 2, STEP)

    @cached_property
    def _untrained(self) -> float:
        """The mean value before training; NaN where it was never measured."""
        known = [trial.untrained for trial in self.trials if np.isfinite(trial.untrained)]
        return float(np.mean(known)) if known else float("nan")

    @cached_property
    def shares(self) -> Floats:
        """[trials], the share of its length's improvement that each gives up, from 0 to 1."""
        values = self._aligned
        shares = np.ones(len(values))
        for length in np.unique(self._lengths):
            own = np.isfinite(values) & (self._lengths == length)
            if own.any():
                best, worst = values[own].min(), values[own].max() if np.isnan(self._untrained) else self._untrained
                gain = max(worst - best, np.finfo(np.float64).tiny)
                shares[own] = np.clip((values[own] - best) / gain, 0.0, 1.0) if worst > best else values[own] > best
        return shares

    @cached_property
    def _aligned(self) -> Floats:
        """[trials], their values, those of other seeds moved to where the first seed's are at the rates of both.

        What a seed has in common at all rates says nothing of which rate is better. From one rate alone it cannot be
        told from what that rate is worse by under this seed: there the model weighs both.
        """
        values = np.array([trial.value for trial in self.trials])
        seeds = np.array([trial.seed for trial in self.trials])
        moved = values.copy()
        for length in np.unique(self._lengths):
            here = np.isfinite(values) & (self._lengths == length)
            first, *others = sorted(np.unique(seeds[here]), key=lambda seed: -(here & (seeds == seed)).sum()) or [0]
            known = dict(zip(self.places[here & (seeds == first)], values[here & (seeds == first)], strict=True))
            for seed in others:
                own = here & (seeds == seed)
                gaps = [v - known[x] for x, v in zip(self.places[own], values[own], strict=True) if x in known]
                moved[own] -= np.mean(gaps) if len(gaps) > 1 else 0.0
        return moved

    @cached_property
    def _usual_drift(self) -> float:
        """What the drift is expected to be: the less longer runs improve on shorter ones, the more it is the way."""
        lengths = np.unique(self._lengths)
        if np.isnan(self._untrained) or len(lengths) < 2:
            return USUAL_DRIFT
        gains = np.array([self._untrained - self._aligned[self._lengths == length].min() for length in lengths])
        if not np.isfinite(gains).all() or gains.min() <= 0:
            return USUAL_DRIFT
        thrice = np.diff(lengths) / np.log10(3)
        more = np.maximum(1 - gains[:-1] / gains[1:], 0.0) / thrice
        return USUAL_DRIFT + (DRIFT_OF_THE_FULL - USUAL_DRIFT) * float(np.exp(-more.min() / STILL_GAINED))

    @cached_property
    def _warped(self) -> Floats:
        return np.log1p(self.shares / RESOLUTION) - FLAT

    @cached_property
    def _parts(self) -> _Parts:
        count = len(self.trials)
        here = self.places, self._lengths
        # Runs of one length do not depend on the drift.
        drifts = PAIRS if len(np.unique(self._lengths)) > 1 else PAIRS[[len(PAIRS) // 2]]
        seeds = np.array([trial.seed for trial in self.trials])
        alike = (seeds[:, None] == seeds) & (self._lengths[:, None] == self._lengths)
        noise = NOISE**2 * np.eye(count) + COMMON**2 * alike
        factors = np.linalg.cholesky(_covariance(drifts, *here, *here) + noise)
        warped = np.broadcast_to(self._warped[:, None], (len(drifts), count, 1))
        whitened = np.linalg.solve(factors, warped)
        solutions = np.linalg.solve(factors.transpose(0, 2, 1), whitened)[..., 0]
        fits = -0.5 * (whitened**2).sum((1, 2)) - np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(1)
        weights = fits + _usual(drifts, self._usual_drift)
        weights = np.exp(weights - weights.max())
        kept = weights > LEAST_WEIGHT
        return _Parts(drifts[kept], weights[kept] / weights[kept].sum(), factors[kept], solutions[kept])

    @property
    def drift(self) -> float:
        """Decades by which the best rate falls when runs get ten times as long, towards the full length."""
        return float(self._parts.weights @ self._parts.drifts[:, 1])

    def valley(self, places: Floats, steps: int | None = None) -> Floats:
        """[places], the expected w at log10 of rates, for runs of `steps` (the full length)."""
        lengths = np.full(len(places), 0.0 if steps is None else np.log10(steps / self.total_steps))
        parts = self._parts
        across = _covariance(parts.drifts, places, lengths, self.places, self._lengths)
        found: Floats = parts.weights @ (across @ parts.solutions[..., None])[..., 0]
        return found + FLAT

    def bottom(self, steps: int | None = None, low: float = -np.inf, high: float = np.inf) -> float:
        """log10 of the rate expected to be best for runs of `steps` (the full length), from `low` to `high`."""
        inside = self.grid[(self.grid >= low - 1e-9) & (self.grid <= high + 1e-9)]
        return float(inside[np.argmin(self.valley(inside, steps))])

    @property
    def best(self) -> float:
        """The rate that is expected to be best at the full length, of those that a longer search would train."""
        return self.told_apart[int(self.valley(np.log10(self.told_apart)).argmin())]

    @cached_property
    def told_apart(self) -> tuple[float, ...]:
        """The rates tried and the middles between them, ascending: the model cannot tell closer ones apart."""
        tried = sorted({trial.lr for trial in self.trials})
        gaps = pairwise(tried)
        middles = [float(f"{(a * b) ** 0.5:.{DIGITS}g}") for a, b in gaps if np.log10(b / a) > 2 * FINEST]
        return tuple(sorted([*tried, *middles]))

    @cached_property
    def _sites(self) -> Floats:
        """log10 of the rates at which valleys are drawn: those of the grid and those tried."""
        return np.unique(np.concatenate([self.grid, self.places]))

    @cached_property
    def _drawn(self) -> Floats:
        """[SAMPLES, sites]."""
        return self._draw(self._sites)

    def _draw(self, places: Floats) -> Floats:
        """[SAMPLES, places], valleys of the full length as they may be at log10 of rates; the same at each call."""
        from threadpoolctl import threadpool_limits

        # Matrices this small gain nothing from several threads, which on a busy machine wait for each other: 3 seconds
        # instead of a tenth of one.
        with threadpool_limits(1, user_api="blas"):
            return self._draw_alone(places)

    def _draw_alone(self, places: Floats) -> Floats:
        chance = np.random.default_rng(0)
        lengths = np.zeros(len(places))
        counts = chance.multinomial(SAMPLES, self._parts.weights)
        drawn = []
        for k in np.flatnonzero(counts):
            parts, drifts = self._parts, self._parts.drifts[[k]]
            across = _covariance(drifts, places, lengths, self.places, self._lengths)[0]
            inner = np.linalg.solve(parts.factors[k], across.T)
            own = _covariance(drifts, places, lengths, places, lengths)[0] - inner.T @ inner
            spread = np.linalg.cholesky(own + TINY * np.eye(len(places)))
            drawn.append(across @ parts.solutions[k] + chance.standard_normal((counts[k], len(places))) @ spread.T)
        return np.concatenate(drawn) + FLAT

    def samples(self, places: Floats) -> Floats:
        """[SAMPLES, places], the drawn valleys at log10 of rates; straight between the sites."""
        sites = self._sites
        after = np.clip(np.searchsorted(sites, places), 1, len(sites) - 1)
        share = np.clip((places - sites[after - 1]) / (sites[after] - sites[after - 1]), 0.0, 1.0)
        found: Floats = (1 - share) * self._drawn[:, after - 1] + share * self._drawn[:, after]
        return found

    def as_good(self, place: float, places: Floats, level: float) -> NDArray[np.bool_]:
        """[places]: which log10 of rates are as good as `place` or better in more than 1 - level of the valleys."""
        drawn = self.samples(np.append(places, place))
        found: NDArray[np.bool_] = (drawn[:, :-1] <= drawn[:, [-1]] + 1e-12).mean(axis=0) > 1 - level
        return found

    def chances(self, places: Floats) -> Floats:
        """[places], of each of some log10 of rates to be the best of them."""
        drawn = self._draw(places)
        return np.bincount(drawn.argmin(axis=1), minlength=len(places)) / len(drawn)

    def likely(self, places: Floats, share: float) -> NDArray[np.bool_]:
        """[places]: the fewest log10 of rates among which the best of them is with a chance of `share`."""
        chances = self.chances(places)
        order = np.argsort(-chances, kind="stable")
        found = np.zeros(len(places), dtype=np.bool_)
        found[order[: 1 + int(np.searchsorted(chances[order].cumsum(), share - 1e-9))]] = True
        return found

    def best_run(self) -> float | None:
        """The rate, of those trained to the full length without loss, that is expected to be best; None without one.

        One that is close to a rate that diverged is the best only where there is no other.
        """
        full = [trial for trial in self.trials if trial.steps == self.total_steps]
        lost = {trial.lr for trial in full if not np.isfinite(trial.value)}
        good = sorted({trial.lr for trial in full} - lost)
        good = [rate for rate in good if not self._near_edge(rate)] or good
        return good[int(np.argmin(self.valley(np.log10(good))))] if good else None

    def _near_edge(self, rate: float) -> bool:
        """Whether a rate a quarter of a decade above, or closer, diverged at any length: other seeds may here."""
        lost = [trial.lr for trial in self.trials if not np.isfinite(trial.value) and trial.lr > rate]
        return bool(lost) and float(np.log10(min(lost) / rate)) < NEAR_EDGE


def _usual(drifts: Floats, mean: float) -> Floats:
    """[parts], log of how usual pairs of drifts are."""
    early, late = ((drifts - mean) / SPREAD_OF_DRIFT).T
    found: Floats = -0.5 * (early**2 + late**2 - 2 * LIKENESS * early * late) / (1 - LIKENESS**2)
    return found


def _shift(drifts: Floats, t: Floats) -> Floats:
    """[parts, t], decades between the best rate at lengths and the one at the full length."""
    early, late = drifts.T[..., None]
    found: Floats = late * np.maximum(t, BEND) + early * np.minimum(t - BEND, 0.0)
    return found


def _covariance(drifts: Floats, x: Floats, t: Floats, other_x: Floats, other_t: Floats) -> Floats:
    """[parts, x, other_x], of w between rates and lengths."""
    here, there = x + _shift(drifts, t), other_x + _shift(drifts, other_t)
    valley = _matern(here[:, :, None] - there[:, None, :], WIDTH)
    own = _matern(x[:, None] - other_x, OWN_WIDTH) * np.exp(-np.abs(t[:, None] - other_t) / OWN_LENGTHS)
    return HEIGHT**2 * valley + OWN_HEIGHT**2 * own


def _matern(distance: Floats, width: float) -> Floats:
    """Matern's covariance of smoothness 5/2."""
    scaled = np.sqrt(5.0) * np.abs(distance) / width
    covariance: Floats = (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
    return covariance
