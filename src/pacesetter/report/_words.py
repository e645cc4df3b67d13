"""Numbers and names as a person reads them: the one place where the report rounds."""

import math
from collections.abc import Iterable

DASH = "–"


def rate(value: float | None) -> str:
    """A learning rate: three significant digits, no padding (`0.001`, `3.16e-5`)."""
    if value is None:
        return DASH
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"


def number(value: float | None, digits: int = 3) -> str:
    """Any measured number to `digits` significant digits; a dash for what does not exist."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e5:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:,.{decimals}f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def spread(mean: float | None, deviation: float | None) -> str:
    """`0.0831 ± 0.0042`: the deviation has as many decimals as the mean; without one, the mean alone."""
    text = number(mean)
    if mean is None or deviation is None or not math.isfinite(deviation) or text == DASH:
        return text
    decimals = len(text.partition(".")[2])
    if "e" in text or round(deviation, decimals) == 0 < deviation:
        return f"{text} ± {number(deviation, 1)}"
    return f"{text} ± {deviation:.{decimals}f}"


def span(ends: tuple[float, float] | None) -> str:
    """An interval of learning rates: `0.001 to 0.01`."""
    return DASH if ends is None else f"{rate(ends[0])} to {rate(ends[1])}"


def count(value: float | None) -> str:
    """A whole number with thousands separated: `137,280`."""
    return DASH if value is None or not math.isfinite(value) else f"{round(value):,}"


def duration(seconds: float) -> str:
    """Wall time in the unit a person would choose: `41 s`, `3.5 min`, `2.1 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def strategy(optimizer: str, schedule: str) -> str:
    """A strategy's short label: the schedule is named only when there is one."""
    return optimizer if schedule == "constant" else f"{optimizer} · {schedule}"


def sentence(optimizer: str, schedule: str) -> str:
    """A strategy inside a sentence."""
    return optimizer if schedule == "constant" else f"{optimizer} with {schedule}"


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
