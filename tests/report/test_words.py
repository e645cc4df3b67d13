"""How the report writes numbers."""

import math

import pytest

from pacesetter.report import _words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.001, "0.001"), (1e-5, "1e-5"), (0.0316228, "0.0316"), (10.0, "10"), (3.16228e-5, "3.16e-5"), (None, "–")],
)
def test_rate(value, text):
    """A rate is written as it is typed, to three digits."""
    assert _words.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.09397, "0.0940"), (2.5, "2.50"), (1234.5, "1,234"), (3.76e-9, "3.76e-9"), (math.nan, "–"), (0.0, "0")],
)
def test_number(value, text):
    """A number has three significant digits, and what is no number is a dash."""
    assert _words.number(value) == text


def test_spread_has_the_decimals_of_its_mean():
    """Mean and spread are written to the same decimal place, unless the spread is too small for that."""
    assert _words.spread(0.0831, 0.0042) == "0.0831 ± 0.0042"
    assert _words.spread(0.951, 0.00048) == "0.951 ± 0.0005"
    assert _words.spread(0.951, None) == "0.951"
    assert _words.spread(None, None) == "–"


def test_mean_and_deviation_leave_out_what_is_not_finite():
    """NaN and None take no part in a mean, and one number has no deviation."""
    assert _words.mean([1.0, None, math.nan, 3.0]) == 2.0
    assert _words.mean([]) is None
    assert _words.deviation([1.0, 3.0]) == pytest.approx(math.sqrt(2))
    assert _words.deviation([1.0, math.inf]) is None


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0.4 s"), (41.3, "41 s"), (210, "3.5 min"), (7560, "2.1 h")])
def test_duration(seconds, text):
    """Time is told in the unit a person would choose."""
    assert _words.duration(seconds) == text
