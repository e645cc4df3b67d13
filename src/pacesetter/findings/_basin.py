"""Loss against rate as a model: what trials of several lengths say about the rate that is best at the full one.

A trial is a whole run of its own length at one rate. Three things are known about how they hang together, and the model
has one part for each:

* Loss against log rate is a smooth valley. Around its bottom small differences count, and far from it none do, so
  what is modelled is w = log(1 + r / RESOLUTION), where r is the share of the improvement that a rate gives up at its
  length: 0 at the best rate tried there, 1 for an untrained model, and for whatever diverged.
* The valley moves with the length. Where only the distance travelled counts (rate times steps: too long a way is
  overfitting) the best rate falls tenfold when runs get ten times as long; where the limit is stability it stays. So
  with x = log10(rate) and t = log10(steps / total steps)

      w(x, t) = g(x + drift * t) + e(x, t)

  where g is one valley for all lengths, the drift lies between 0 and 1, and e is what is special about a length.
* Each run has its noise, part of it shared by the runs of a seed.

g and e are Gaussian processes (Matern 5/2), and the drift is not chosen but weighed: each of a few values counts by
how well the trials fit it. What comes out for t = 0 is a distribution over valleys, and each question is put to it:
where is the bottom, which rates may be it, how much does a rate lose.

The constants were chosen by replaying the search on the tasks of `benchmarks/find`, first for those of `TUNED_ON`, but
with the figures of the others in sight: neither half is clean evidence of how it does elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pacesetter.records import Trial

__all__ = ["Basin", "learned", "learned_at"]

Floats = NDArray[np.float64]

RESOLUTION = 0.03
"""Shares of the improvement well below this are alike, well above it count by their ratio."""
DRIFTS = np.linspace(0.0, 1.0, 6)
USUAL_DRIFT, SPREAD_OF_DRIFT = 0.5, 0.35
"""Between the two causes of a drift; either is within a spread or two."""
HEIGHT, WIDTH = 1.5, 1.0
"""Of the valley g: its size in units of w, and the decades over which it bends."""
OWN_HEIGHT, OWN_WIDTH, OWN_LENGTHS = 0.5, 0.35, 0.7
"""Of e: its size, and over how many decades of rate and of length it is alike."""
NOISE, NOISE_OF_SEED = 0.2, 0.05
"""Of one run, and the part that the runs of a seed and length have in common."""
FLAT = 2.0
"""What is expected of w where nothing is known."""
STEP = 0.05
"""Of the rates that the valley is looked at, in decades."""
BEYOND = 0.5
"""Decades outside the rates tried that the bottom may lie in."""
SAMPLES = 2000
LEARNED_SHARE = 0.01
"""Less improvement than this share of the untrained value is none; see `_group`."""


def learned(trials: Sequence[Trial]) -> bool:
    """Whether any of the trials improved on the untrained model; where that was not measured, whether any ended."""
    ended = [trial for trial in trials if np.isfinite(trial.value)]
    gains = [
        trial.untrained - trial.value > LEARNED_SHARE * abs(trial.untrained)
        for trial in ended
        if np.isfinite(trial.untrained)
    ]
    return any(gains) if gains else bool(ended)


def learned_at(trials: Sequence[Trial], total_steps: int) -> bool:
    """Whether anything was learned as far as is known: full runs have the last word, as longer training may undo it."""
    return learned([trial for trial in trials if trial.steps == total_steps] or trials)


@dataclass(frozen=True, slots=True)
class _Part:
    """The valley under one drift: [trials] of its solution, and how much it counts."""

    drift: float
    weight: float
    factor: Floats
    solution: Floats


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
    def shares(self) -> Floats:
        """[trials], the share of its length's improvement that each gives up, from 0 to 1."""
        values = np.array([trial.value for trial in self.trials])
        before = np.array([trial.untrained for trial in self.trials])
        known = before[np.isfinite(before)]
        shares = np.ones(len(values))
        for length in np.unique(self._lengths):
            own = np.isfinite(values) & (self._lengths == length)
            if own.any():
                best, worst = values[own].min(), float(known.mean()) if len(known) else values[own].max()
                gain = max(worst - best, np.finfo(np.float64).tiny)
                shares[own] = np.clip((values[own] - best) / gain, 0.0, 1.0) if worst > best else values[own] > best
        return shares

    @cached_property
    def _warped(self) -> Floats:
        return np.log1p(self.shares / RESOLUTION) - FLAT

    @cached_property
    def _parts(self) -> list[_Part]:
        seeds = np.array([trial.seed for trial in self.trials])
        alike = (seeds[:, None] == seeds) & (self._lengths[:, None] == self._lengths)
        found = []
        own = (NOISE**2 + 1e-9) * np.eye(len(seeds)) + NOISE_OF_SEED**2 * alike
        for drift in DRIFTS:
            covariance = _covariance(drift, self.places, self._lengths, self.places, self._lengths)
            factor = np.linalg.cholesky(covariance + own)
            solution = np.linalg.solve(factor.T, np.linalg.solve(factor, self._warped))
            fits = -0.5 * self._warped @ solution - np.log(np.diag(factor)).sum()
            usual = -0.5 * ((drift - USUAL_DRIFT) / SPREAD_OF_DRIFT) ** 2
            found.append((drift, fits + usual, factor, solution))
        top = max(weight for _, weight, _, _ in found)
        total = sum(np.exp(weight - top) for _, weight, _, _ in found)
        return [_Part(drift, float(np.exp(weight - top) / total), *rest) for drift, weight, *rest in found]

    @property
    def drift(self) -> float:
        """Decades by which the best rate falls when runs get ten times as long."""
        return sum(part.weight * part.drift for part in self._parts)

    def valley(self, places: Floats, steps: int | None = None) -> Floats:
        """[places], the expected w at log10 of rates, for runs of `steps` (the full length)."""
        lengths = np.full(len(places), 0.0 if steps is None else np.log10(steps / self.total_steps))
        found = np.zeros(len(places))
        for part in self._parts:
            found += part.weight * (
                _covariance(part.drift, places, lengths, self.places, self._lengths) @ part.solution
            )
        return found + FLAT

    def bottom(self, steps: int | None = None, low: float = -np.inf, high: float = np.inf) -> float:
        """log10 of the rate expected to be best for runs of `steps` (the full length), from `low` to `high`."""
        inside = self.grid[(self.grid >= low - 1e-9) & (self.grid <= high + 1e-9)]
        return float(inside[np.argmin(self.valley(inside, steps))])

    @property
    def best(self) -> float:
        """The rate that is expected to be best at the full length."""
        return float(10 ** self.bottom())

    def samples(self, places: Floats, count: int = SAMPLES) -> Floats:
        """[count, places], valleys of the full length as they may be; the same at each call."""
        chance = np.random.default_rng(0)
        lengths = np.zeros(len(places))
        counts = chance.multinomial(count, [part.weight for part in self._parts])
        drawn = []
        for part, number in zip(self._parts, counts, strict=True):
            if number:
                across = _covariance(part.drift, places, lengths, self.places, self._lengths)
                inner = np.linalg.solve(part.factor, across.T)
                own = _covariance(part.drift, places, lengths, places, lengths) - inner.T @ inner
                values, vectors = np.linalg.eigh(own)
                spread = vectors * np.sqrt(np.clip(values, 0.0, None))
                drawn.append(across @ part.solution + chance.standard_normal((number, len(places))) @ spread.T)
        return np.concatenate(drawn) + FLAT

    def bottoms(self, low: float, high: float) -> Floats:
        """[SAMPLES], log10 of where the bottom may be, from `low` to `high`."""
        inside = self.grid[(self.grid >= low - 1e-9) & (self.grid <= high + 1e-9)]
        found: Floats = inside[np.argmin(self.samples(inside), axis=1)]
        return found

    def best_run(self) -> float | None:
        """The rate, of those trained to the full length without loss, that is expected to be best; None without one."""
        full = [trial for trial in self.trials if trial.steps == self.total_steps]
        lost = {trial.lr for trial in full if not np.isfinite(trial.value)}
        good = sorted({trial.lr for trial in full} - lost)
        return good[int(np.argmin(self.valley(np.log10(good))))] if good else None


def _covariance(drift: float, x: Floats, t: Floats, other_x: Floats, other_t: Floats) -> Floats:
    """[x, other_x], of w between rates and lengths."""
    valley = _matern((x + drift * t)[:, None] - (other_x + drift * other_t), WIDTH)
    own = _matern(x[:, None] - other_x, OWN_WIDTH) * np.exp(-np.abs(t[:, None] - other_t) / OWN_LENGTHS)
    return HEIGHT**2 * valley + OWN_HEIGHT**2 * own


def _matern(distance: Floats, width: float) -> Floats:
    """Matern's covariance of smoothness 5/2."""
    scaled = np.sqrt(5.0) * np.abs(distance) / width
    covariance: Floats = (1 + scaled + scaled**2 / 3) * np.exp(-scaled)
    return covariance
