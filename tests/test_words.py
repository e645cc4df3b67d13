"""How rates, numbers and durations are said."""

import math

import pytest

from pacesetter import words


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.001, "0.001"), (1e-5, "1e-5"), (0.0316228, "0.0316"), (10.0, "10"), (3.16228e-5, "3.16e-5"), (None, "–")],
)
def test_rate(value, text):
    """A rate is written as it is typed, to three digits."""
    assert words.rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.09397, "0.0940"), (2.5, "2.50"), (1234.5, "1,234"), (3.76e-9, "3.76e-9"), (math.nan, "–"), (0.0, "0")],
)
def test_number(value, text):
    """A number has three significant digits, and what is no number is a dash."""
    assert words.number(value) == text


def test_spread_has_the_decimals_of_its_mean():
    """Mean and spread are written to the same decimal place, unless the spread is too small for that."""
    assert words.spread(0.0831, 0.0042) == "0.0831 ± 0.0042"
    assert words.spread(0.951, 0.00048) == "0.951 ± 0.0005"
    assert words.spread(0.951, None) == "0.951"
    assert words.spread(None, None) == "–"


def test_losses_in_sentences_are_never_a_dash():
    """What is no number is called so in words."""
    assert [words.loss(value) for value in (math.nan, math.inf, 2.302585)] == ["not a number", "infinite", "2.30"]


def test_many_rates_are_told_by_their_ends():
    """Up to five rates are named, more are told by the lowest and the highest."""
    assert words.rates([1e-5, 1e-4]) == "1e-5 and 0.0001"
    assert words.rates([10.0**k for k in range(-5, 1)]) == "1e-5 to 1 (6 rates)"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.4, "0.4 s"), (41.3, "41 s"), (59.6, "1 min 0 s"), (210, "3 min 30 s"), (7560, "2 h 6 min")],
)
def test_duration(seconds, text):
    """Time is told in the units a person would choose."""
    assert words.duration(seconds) == text


def test_one_thing_is_not_counted():
    """Parts of a whole are told as people do: one is the only one, and a whole is all of it."""
    assert [words.out_of(*pair, "lane") for pair in ((1, 1), (2, 2), (1, 2))] == [
        "the only lane",
        "all 2 lanes",
        "1 of 2 lanes",
    ]
    assert words.sentence("all 2 lanes") == "All 2 lanes"


def test_a_span_of_one_rate_is_that_rate():
    """An interval whose ends are the same is told as one rate, and none as a dash."""
    assert [words.span(ends) for ends in ((0.1, 0.1), (0.01, 0.1), None)] == ["0.1", "0.01 to 0.1", "–"]
