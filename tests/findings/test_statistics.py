"""The levels that findings claim hold, by simulation over thousands of studies."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from pacesetter.findings._statistics import dunnett, not_worse, one_sided_t
from pacesetter.findings.ranking import TWO_SIDED

Floats = NDArray[np.float64]
STUDIES = 3000
ERROR = 0.015  # three standard errors of a share of 0.95 over 3,000 studies are 0.012


def sweeps(
    seeds: int, rates: int, width: float, noise: Callable[[Floats, Floats], Floats], flat: bool
) -> tuple[Floats, Floats]:
    """Losses [studies, rates, seeds] and their expectation [studies, rates]: a skewed parabola in log rate."""
    rng = np.random.default_rng(7)
    x = np.arange(rates)[None, :, None] / 2  # two rates per decade
    away = x - rng.uniform(1, rates / 2 - 1.5, size=(STUDIES, 1, 1))
    expected = np.minimum(np.where(away < 0, 1, 2) * (away / width) ** 2, 1.0) * (not flat)
    own = rng.normal(size=(STUDIES, rates, seeds)) * noise(expected, away)
    shared = 0.1 * rng.normal(size=(STUDIES, 1, seeds))
    return expected + own + shared, np.broadcast_to(expected, own.shape)[..., 0]


NOISES: dict[str, Callable[[Floats, Floats], Floats]] = {
    "even": lambda loss, away: 0.03 + 0 * loss,
    "grows with the loss": lambda loss, away: 0.03 * (1 + 5 * loss),
    "grows with the rate": lambda loss, away: 0.03 * 10.0**away,
}


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_the_best_rate_is_kept_at_the_stated_level(seeds: int, noise: str) -> None:
    """The rate of lowest expected loss is kept in at least 95 % of studies, whatever the noise follows."""
    losses, expected = sweeps(seeds, 9, 2.0, NOISES[noise], flat=False)
    kept = not_worse(losses)[np.arange(STUDIES), expected.argmin(axis=1)]
    assert kept.mean() >= 0.95 - ERROR


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_level_holds_where_all_rates_are_equal(seeds: int) -> None:
    """On a flat curve, the hardest case, any given rate is kept in at least 95 % of studies."""
    losses, _ = sweeps(seeds, 9, 2.0, NOISES["even"], flat=True)
    assert not_worse(losses)[:, 4].mean() >= 0.95 - ERROR


def test_far_worse_rates_are_dropped() -> None:
    """With little noise and three seeds hardly more than one rate in nine is kept: the set is not wide for nothing."""
    losses, _ = sweeps(3, 9, 1.5, lambda loss, away: 0.02 + 0 * loss, flat=False)
    assert not_worse(losses).sum(axis=1).mean() < 2.5


@pytest.mark.parametrize("seeds", [3, 5])
def test_the_interval_holds_the_optimum(seeds: int) -> None:
    """The tried rates next to those kept enclose the optimum of one valley in at least 95 % of studies."""
    rng = np.random.default_rng(3)
    rates = 13
    optimum = rng.uniform(2, 4, size=STUDIES)
    away = np.arange(rates)[None, :, None] / 2 - optimum[:, None, None]
    expected = np.where(away < 0, 1, 2) * (away / 2) ** 2
    own = rng.normal(size=(STUDIES, rates, seeds)) * 0.05 * (1 + 3 * np.minimum(expected, 1))
    kept = not_worse(expected + own + 0.1 * rng.normal(size=(STUDIES, 1, seeds)))
    low = (kept.argmax(axis=1) - 1) / 2
    high = (rates - kept[:, ::-1].argmax(axis=1)) / 2
    assert ((low <= optimum) & (optimum <= high)).mean() >= 0.95 - ERROR


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_two_equal_strategies_are_rarely_called_different(seeds: int) -> None:
    """Of two equal strategies, each at its own best of nine rates, one is called worse in at most 5 % of studies."""
    picks = []
    for strategy in range(2):
        rng = np.random.default_rng(strategy)
        away = (np.arange(9)[None, :] - rng.integers(3, 6, size=(STUDIES, 1))) / 2  # the grid holds the optimum
        expected = np.where(away < 0, 1, 2) * (away / 2) ** 2
        losses = expected[..., None] + 0.03 * rng.normal(size=(STUDIES, 9, seeds))
        picks.append(losses[np.arange(STUDIES), losses.mean(axis=-1).argmin(axis=1)])
    assert (~not_worse(np.stack(picks, axis=1), TWO_SIDED)).any(axis=1).mean() <= 0.05 + ERROR


@pytest.mark.parametrize(("comparisons", "df", "table"), [(1, 10, 1.812), (2, 10, 2.15), (5, 10, 2.56), (9, 20, 2.60)])
def test_critical_values_are_those_of_the_published_table(comparisons: int, df: int, table: float) -> None:
    """One-sided 5 % points agree with Dunnett's table of 1955 to its own digits."""
    assert dunnett(comparisons, df) == pytest.approx(table, abs=0.006)


def test_critical_values_agree_with_simulation() -> None:
    """The quantile has the level it is computed for, also at one degree of freedom."""
    rng = np.random.default_rng(0)
    for comparisons, df in ((10, 1), (8, 2), (4, 6)):
        common, own = rng.normal(size=(60000, 1)), rng.normal(size=(60000, comparisons))
        spread = np.sqrt(rng.chisquare(df, size=(60000, 1)) / df)
        largest = ((own - common) / np.sqrt(2) / spread).max(axis=1)
        assert (largest <= dunnett(comparisons, df)).mean() == pytest.approx(0.95, abs=0.004)


def test_the_lowest_mean_is_always_kept() -> None:
    """Without any noise exactly the best rate is kept, and equal rates with it."""
    losses = np.array([[0.3, 0.3], [0.2, 0.2], [0.2, 0.2], [0.9, 0.9]])
    assert not_worse(losses).tolist() == [False, True, True, False]


def test_student_quantile() -> None:
    """The one-sided 5 % point of t with two degrees of freedom is 2.92."""
    assert one_sided_t(2) == pytest.approx(2.92, abs=0.001)


def test_losses_beyond_all_bounds_are_worse() -> None:
    """A rate whose losses have squares that overflow, as where a program blows up, is told from the best."""
    losses = np.array([[0.5, 0.6, 0.55], [8.2e256, 9.1e256, 8.9e256], [0.51, 0.6, 0.56]])
    with np.errstate(all="ignore"):
        assert not_worse(losses).tolist() == [True, False, True]
