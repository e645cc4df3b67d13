"""Means and deviations over seeds, of what is a number."""

import math
from collections.abc import Iterable


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the finite values, None when there are none."""
    known = finite(values)
    return sum(known) / len(known) if known else None


def deviation(values: Iterable[float | None]) -> float | None:
    """Sample standard deviation of the finite values, None for fewer than two."""
    known = finite(values)
    if len(known) < 2:
        return None
    centre = sum(known) / len(known)
    return math.sqrt(sum((value - centre) ** 2 for value in known) / (len(known) - 1))


def finite(values: Iterable[float | None]) -> list[float]:
    """The values that are numbers."""
    return [value for value in values if value is not None and math.isfinite(value)]
