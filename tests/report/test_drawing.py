"""Thinning, contours, axes and colours: the numbers behind the pictures."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacesetter.report import _means, _theme
from pacesetter.report._charts import Axis, cut, loss_axis
from pacesetter.report._contours import contour
from pacesetter.report._picture import columnar
from pacesetter.report._thin import BUCKETS, thin


def test_a_short_curve_is_kept_as_it_is():
    """Up to twice the number of stretches every point is drawn."""
    values = np.random.default_rng(0).random(2 * BUCKETS)
    steps, kept = thin(values)
    assert np.array_equal(steps, np.arange(len(values)))
    assert np.array_equal(kept, values)


def test_a_long_curve_keeps_its_spikes_and_its_end():
    """A spike of one batch in 10,000 is drawn at its own step and height, and so are the last points asked for."""
    values = np.ones(10_000)
    values[4321], values[-3:] = 50.0, (3.0, 9.0, 27.0)
    steps, kept = thin(values, tail=12)
    assert dict(zip(steps, kept, strict=True))[4321] == 50.0
    assert list(steps[-3:]) == [9997, 9998, 9999]
    assert len(steps) < 3 * BUCKETS


@pytest.mark.parametrize("length", [81, 85, 200, 5000])
def test_a_lost_run_that_does_not_rise_to_its_end_stays_smooth(length):
    """The last points are drawn one by one only where they rise; noise before the end is a mean like all before."""
    values = np.random.default_rng(1).uniform(1, 2, length)
    values[-2:] = 2.0, 1.5
    assert np.array_equal(thin(values, tail=12)[0], thin(values)[0])
    risen = thin(np.append(values, [40.0, 90.0]), tail=12)[0]
    assert list(risen[-2:]) == [length, length + 1]


def test_what_is_not_finite_is_left_out():
    """A run that died is drawn up to its last finite loss."""
    steps, kept = thin(np.array([1.0, 2.0, math.inf, math.nan]))
    assert list(steps) == [0, 1]
    assert list(kept) == [1.0, 2.0]


@given(st.lists(st.floats(0.1, 10), min_size=1, max_size=2000))
def test_thinning_stays_within_the_curve(values):
    """No drawn point lies outside the curve's range or out of order, whatever the curve."""
    steps, kept = thin(np.array(values))
    assert (np.diff(steps) > 0).all()
    assert min(values) * (1 - 1e-9) <= kept.min()
    assert kept.max() <= max(values) * (1 + 1e-9)


def test_contours_of_a_cone_are_circles():
    """Every point of the line at height 1 of sqrt(x^2 + y^2) lies at distance 1, and the line is closed."""
    axis = np.linspace(-2, 2, 81)
    height = np.hypot(*np.meshgrid(axis, axis))
    (line,) = contour(axis, axis, height, 1.0)
    assert line[0] == line[-1]
    assert np.hypot(*np.array(line).T) == pytest.approx(1.0, abs=2e-3)


def test_contours_skip_what_is_not_finite():
    """A surface with a hole has lines around the hole, not errors."""
    axis = np.linspace(-2, 2, 21)
    height = np.hypot(*np.meshgrid(axis, axis))
    height[10, :5] = np.nan
    assert contour(axis, axis, height, 1.0)


def test_loss_axis_is_logarithmic_unless_a_loss_is_negative():
    """Positive losses are drawn on a log axis that holds the untrained loss; negative ones on a linear one."""
    axis = loss_axis([0.1, 1.0, 1e30], 2.3)
    assert axis.kind == "log"
    assert axis.domain[0] < 0.1
    assert 2.3 < axis.domain[1] < 5
    assert loss_axis([-1.0, 1.0], 2.0).kind == "linear"
    assert loss_axis([], None).domain == (0.0, 1.0)
    assert loss_axis([0.0, math.nan, 1.0], 1.0).domain[0] > 0


def test_the_best_runs_stay_on_the_axis():
    """Nothing is cut off at the bottom, however far the best run is below all others."""
    losses = [1.0] * 5000 + [1e-6]
    axis = loss_axis(losses, 2.3)
    assert axis.domain[0] < 1e-6
    assert axis.inside(0) == axis.domain[1]
    assert axis.inside(1) == pytest.approx(axis.domain[0])
    assert Axis("linear", (1.0, 3.0)).inside(0.25) == 2.5


@pytest.mark.parametrize("theme", [_theme.LIGHT, _theme.DARK])
def test_neighbouring_rates_have_colours_that_differ(theme):
    """Of thirteen rates each is 7 or more from the next in CIE L*a*b*, three times what is just seen."""
    colours = [_lab(theme.colour(10 ** (-5 + k / 2), 1e-5, 10)) for k in range(13)]
    apart = [math.dist(a, b) for a, b in pairwise(colours)]
    assert min(apart) > 7
    assert np.mean(apart) > 14


def _lab(colour: str) -> tuple[float, float, float]:
    """CIE L*a*b* of an sRGB colour, under D65."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    weights = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.9505, 1.0, 1.089)
    parts = [sum(w * c for w, c in zip(row, linear, strict=True)) / n for row, n in zip(weights, white, strict=True)]
    x, y, z = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in parts)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("theme", [_theme.LIGHT, _theme.DARK])
def test_colours_are_ordered_in_lightness(theme):
    """From the lowest rate to the highest every colour is lighter than the last: the order survives any vision."""

    def lightness(colour):
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2

    ramp = [lightness(theme.colour(10**k, 1e-5, 10)) for k in range(-5, 2)]
    assert all(a < b for a, b in pairwise(ramp))


def test_ticks_are_decades_or_finer():
    """A wide range is labelled at powers of ten, a narrow one at 1, 2 and 5."""
    assert _theme.ticks(1e-5, 10, 8) == [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1, 10]
    assert _theme.ticks(0.08, 3) == [0.1, 0.2, 0.5, 1, 2]
    assert len(_theme.ticks(1e-12, 10, 6)) <= 6


def test_columns_hold_what_the_rows_held():
    """Rows become columns, repeated values become runs, and a number that JSON cannot write is refused."""
    rows = [{"lane": 0, "step": k} for k in range(5)] + [{"lane": 1, "value": 2.0}]
    assert columnar(rows) == {
        "lane": {"runs": [0, 5, 1, 1]},
        "step": [0, 1, 2, 3, 4, None],
        "value": {"runs": [None, 5, 2.0, 1]},
    }
    with pytest.raises(ValueError, match="must be finite"):
        columnar([{"x": math.nan}])


def test_mean_and_deviation_leave_out_what_is_not_finite():
    """NaN and None take no part in a mean, and one number has no deviation."""
    assert _means.mean([1.0, None, math.nan, 3.0]) == 2.0
    assert _means.mean([]) is None
    assert _means.deviation([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert _means.deviation([1.0, math.inf]) is None


def test_rates_at_the_ends_of_the_numbers_have_an_axis_and_colours():
    """Rates hundreds of decades apart are drawn: their axis stays finite, its ticks lie on it, colours are colours."""
    rates = (1e-310, 1e-300, 1.0, 1e300)
    low, high = _theme.widened(rates)
    assert 0 < low <= rates[0] * 1e3
    assert high < math.inf
    assert all(low <= tick <= high for tick in _theme.ticks(low, high))
    assert len({_theme.LIGHT.colour(rate, rates[0], rates[-1]) for rate in rates}) >= 3


def test_a_line_is_cut_where_it_leaves_the_axis():
    """A line ends exactly on the edge, begins again where it comes back, and is not joined along the edge."""
    axis = Axis("log", (0.1, 10.0))
    points = cut(axis, [0.0, 1.0, 2.0, 3.0, 4.0], [1.0, 100.0, 1.0, 0.01, 0.01])
    steps, values = zip(*points, strict=True)
    assert steps == pytest.approx([0, 0.5, 1.5, 1.5, 2, 2.5])
    assert values[3:] == pytest.approx([10, 1, 0.1])
    assert (values[0], values[1], values[2]) == (1.0, pytest.approx(10), None)
    assert cut(axis, [0.0, 1.0], [0.0, 0.0]) == cut(axis, [7.0], [20.0]) == cut(axis, [], []) == []
    assert cut(axis, [7.0], [2.0]) == [(7.0, 2.0)]


@given(st.lists(st.floats(-3, 3), min_size=2, max_size=50))
def test_what_is_cut_lies_on_the_axis(values):
    """No drawn value lies outside the axis, whatever the line, and a line that stays inside is as it was."""
    steps = [float(k) for k in range(len(values))]
    points = cut(Axis("linear", (-1.0, 1.0)), steps, values)
    assert all(value is None or abs(value) <= 1 + 1e-9 for _, value in points)
    assert [step for step, _ in points] == sorted(step for step, _ in points)
    inside = cut(Axis("linear", (-3.0, 3.0)), steps, values)
    assert [step for step, _ in inside] == pytest.approx(steps)
    assert [value for _, value in inside] == pytest.approx(values, abs=1e-12)
