"""Learning rates to try: grids and their text form."""

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pacesetter.api.grid import log_grid, parse_rates, rates_from
from pacesetter.errors import InputError


@given(low=st.floats(1e-12, 1e6), factor=st.floats(1, 1e9), per_decade=st.integers(1, 12))
def test_a_grid_is_sorted_has_both_ends_and_is_as_fine_as_asked(low, factor, per_decade):
    """Rates rise from exactly `low` to exactly `high`, and no neighbours are farther apart than asked."""
    rates = log_grid(low, low * factor, per_decade)
    assert rates[0] == low
    assert rates[-1] == low * factor
    assert all(a < b for a, b in pairwise(rates))
    widest = max((b / a for a, b in pairwise(rates)), default=1.0)
    assert widest <= 10 ** (1 / per_decade) * (1 + 1e-5)


@pytest.mark.parametrize(
    ("text", "rates"),
    [
        ("1e-4:1:1", (1e-4, 1e-3, 1e-2, 1e-1, 1.0)),
        ("1e-1:1:2", (0.1, 0.316228, 1.0)),
        ("0.5:0.5:4", (0.5,)),
        ("1e-3,3e-3, 0.1", (1e-3, 3e-3, 0.1)),
        ("2", (2.0,)),
    ],
)
def test_text_forms(text, rates):
    """LOW:HIGH:PER_DECADE and comma lists read as the rates they name."""
    assert parse_rates(text) == rates


def test_the_default_grid_has_two_rates_per_decade_over_six_decades():
    """None is 1e-5:10:2."""
    assert rates_from(None) == log_grid(1e-5, 10, 2)
    assert len(rates_from(None)) == 13


def test_rates_print_short_and_read_back_exactly():
    """A grid's rates have at most six digits, so that text holds them exactly."""
    rates = log_grid(1e-5, 10, per_decade=7)
    assert parse_rates(",".join(f"{rate:.6g}" for rate in rates)) == rates


def test_arrays_and_single_numbers_are_rates_too():
    """A numpy array, a range of ints and one number, of whatever library, give plain floats."""
    assert rates_from(np.array([0.5, 0.25])) == (0.5, 0.25)
    assert rates_from([1, 2]) == (1.0, 2.0)
    for one in (0.5, np.float32(0.5), np.float64(0.5), Fraction(1, 2), np.array(0.5), torch.tensor(0.5)):
        assert rates_from(one) == (0.5,)
        assert type(rates_from(one)[0]) is float
    assert rates_from(np.int64(2)) == (2.0,)
    assert log_grid(np.float32(0.5), np.float64(0.5)) == (0.5,)
    assert rates_from(torch.tensor([0.5, 0.25])) == (0.5, 0.25)
    assert all(type(rate) is float for rate in rates_from(np.array([1, 2])))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("0", "finite and above 0"),
        ("-1", "finite and above 0"),
        ("nan", "finite and above 0"),
        ("1,inf", "finite and above 0"),
        ("0:1:2", "`low` must be finite and above 0"),
        ("1:0.1:2", "`low` must not be above `high`"),
        ("1:nan:2", "`high` must be finite and above 0"),
        ("1:10:0", "`per_decade` must be a whole number from 1"),
        ("1:10:-3", "`per_decade` must be a whole number from 1"),
        ("1:10:1.5", "`per_decade` must be a whole number from 1"),
        ("1:10:nan", "`per_decade` must be a whole number from 1"),
        ("1:10:inf", "`per_decade` must be a whole number from 1"),
        ("1:10:1e9", "`per_decade` must be a whole number from 1"),
        ("1:10", "two colons"),
        ("1:2:3:4", "two colons"),
        ("", "made of numbers"),
        ("a,b", "made of numbers"),
        ("1,", "made of numbers"),
        ("0.1,0.1", "each rate once"),
    ],
)
def test_what_is_no_rate_is_refused_with_its_rule(text, rule):
    """Each wrong text is an InputError that states the rule it breaks."""
    with pytest.raises(InputError, match=rule):
        parse_rates(text)


@pytest.mark.parametrize("rates", [[], [True], ["x"], [None], [math.nan], True, object(), 1j, np.float32(math.nan)])
def test_sequences_without_rates_are_refused(rates):
    """An empty sequence and what is no number, alone or in a sequence, are InputErrors."""
    with pytest.raises(InputError, match="`lr` must"):
        rates_from(rates)
