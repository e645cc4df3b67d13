"""Which learning rates to try: logarithmic grids, and the text form of the command line."""

import math
from collections.abc import Iterable
from typing import Any

from pacesetter.api import defaults
from pacesetter.errors import InputError

__all__ = ["log_grid", "parse_rates", "rates_from"]

# Finer than this, neighbours differ by less than 0.3 %: no training run tells them apart.
MOST_PER_DECADE = 1000
# Rates with more digits print long, and say nothing that a neighbouring rate does not.
SIGNIFICANT_DIGITS = 6
# A range that is a whole number of intervals up to rounding must not get one more.
_ROUNDING = 1e-9

_FORM = "write LOW:HIGH:PER_DECADE, as in 1e-4:1:4, or a list, as in 1e-3,3e-3,1e-2"


def log_grid(low: float, high: float, per_decade: int = 2) -> tuple[float, ...]:
    """Learning rates at equal ratios from `low` to `high`, both included.

    n = ceil(log10(high / low) * per_decade) intervals, lr_i = low * (high / low) ** (i / n)

    Arguments:
        low: smallest rate, finite and above 0.
        high: largest rate, at least `low`; equal to it, the grid is one rate.
        per_decade: rates per factor of ten, 1 to 1000; at least this many. 2 (a ratio of about 3) finds the decade of
            the best rate; 4 resolves its neighbourhood.

    Rates are rounded to 6 significant digits, so that they print short and read back exactly.

    Raises:
        InputError: a rate is not finite and above 0, `low` is above `high`, or `per_decade` is out of range.

    >>> log_grid(1e-3, 1, per_decade=1)
    (0.001, 0.01, 0.1, 1.0)
    """
    check_rate(low, "low")
    check_rate(high, "high")
    if low > high:
        raise InputError(f"`low` must not be above `high`, got low={low!r} high={high!r}: swap them")
    if isinstance(per_decade, bool) or per_decade not in range(1, MOST_PER_DECADE + 1):
        raise InputError(
            f"`per_decade` must be a whole number from 1 to {MOST_PER_DECADE}, got per_decade={per_decade!r}"
        )
    if low == high:
        return (float(low),)
    decades = math.log10(high) - math.log10(low)
    intervals = max(1, math.ceil(decades * per_decade - _ROUNDING))
    inner = (10 ** (math.log10(low) + decades * i / intervals) for i in range(1, intervals))
    # A narrow range rounds neighbours onto each other, or onto an end: each rate is tried once.
    return tuple(sorted({float(low), *(float(f"{rate:.{SIGNIFICANT_DIGITS}g}") for rate in inner), float(high)}))


def check_rate(value: Any, name: str = "lr") -> float:
    """`value` as a float, when it can be a learning rate.

    Raises:
        InputError: it is no number, not finite, zero or negative.
    """
    try:
        number = float("no number" if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"`{name}` must be a number, got {name}={value!r}") from error
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"`{name}` must be finite and above 0, got {name}={value!r}")
    return number


def parse_rates(text: str) -> tuple[float, ...]:
    """Learning rates from text: `LOW:HIGH:PER_DECADE`, or a comma list.

    Raises:
        InputError: the text has another form, or a rate in it is not finite and above 0.

    >>> parse_rates("1e-2:1:1")
    (0.01, 0.1, 1.0)
    >>> parse_rates("3e-3, 0.1")
    (0.003, 0.1)
    """
    if ":" not in text:
        return rates_from([_number(part, text) for part in text.split(",")])
    parts = text.split(":")
    if len(parts) != 3:
        raise InputError(f"`lr` must have two colons in a range, got lr={text!r}: {_FORM}")
    low, high, per_decade = (_number(part, text) for part in parts)
    try:
        return log_grid(low, high, per_decade=int(per_decade) if per_decade.is_integer() else per_decade)  # type: ignore[arg-type]  # a fraction is refused there, by its own name
    except InputError as error:
        raise InputError(f"{error}, in lr={text!r}: {_FORM}") from error


def rates_from(rates: str | float | Iterable[float] | None) -> tuple[float, ...]:
    """The rates to try, checked: from text, one number, a sequence (an array too), or None for the default grid.

    Raises:
        InputError: there is none, one is not finite and above 0, or one is given twice.
    """
    if rates is None:
        return parse_rates(defaults.GRID)
    if isinstance(rates, str):
        return parse_rates(rates)
    # A single one: a number of Python's, of numpy's, or a tensor without axes.
    if not isinstance(rates, Iterable) or getattr(rates, "ndim", 1) == 0:
        return (check_rate(rates),)
    checked = tuple(check_rate(rate) for rate in rates)
    if not checked:
        raise InputError(f"`lr` must have at least one rate, got lr={list(checked)!r}: {_FORM}")
    repeated = sorted({rate for rate in checked if checked.count(rate) > 1})
    if repeated:
        raise InputError(f"`lr` must have each rate once, got {repeated[0]!r} twice: `seeds` repeats a rate")
    return checked


def _number(part: str, text: str) -> float:
    try:
        return float(part)
    except ValueError as error:
        raise InputError(f"`lr` must be made of numbers, got {part.strip()!r} in lr={text!r}: {_FORM}") from error
