"""How rates, numbers, durations and strategies are said to people: the one place where what they read is rounded."""

import math
from collections.abc import Iterable, Sequence

__all__ = [
    "DASH",
    "OWN",
    "after",
    "count",
    "duration",
    "label",
    "listing",
    "loss",
    "number",
    "out_of",
    "plural",
    "rate",
    "rates",
    "sentence",
    "share",
    "size",
    "span",
    "spread",
    "strategy",
]

DASH = "–"
"""What is said of a number that does not exist."""

OWN = "own"
"""Stands for an optimizer or a schedule that a program chooses itself."""

MINUTE, HOUR = 60, 3600  # seconds


def rate(value: float | None) -> str:
    """A learning rate: three significant digits, no padding, as it would be typed.

    >>> rate(0.001), rate(3.16228e-5)
    ('0.001', '3.16e-5')
    """
    if value is None:
        return DASH
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    mantissa, exponent = text.split("e")
    return f"{mantissa}e{int(exponent)}"


def rates(values: Iterable[float]) -> str:
    """Several learning rates; long lists show their ends.

    >>> rates([0.001, 0.01, 0.1])
    '0.001, 0.01 and 0.1'
    """
    texts = [rate(value) for value in values]
    return f"{texts[0]} to {texts[-1]} ({len(texts)} rates)" if len(texts) > 5 else listing(texts)


def span(ends: tuple[float, float] | None) -> str:
    """An interval of learning rates, a single one where its ends are the same; a dash for none.

    >>> span((0.001, 0.01)), span((0.01, 0.01))
    ('0.001 to 0.01', '0.01')
    """
    if ends is None or ends[0] == ends[1]:
        return rate(ends and ends[0])
    return f"{rate(ends[0])} to {rate(ends[1])}"


def number(value: float | None, digits: int = 3) -> str:
    """Any measured number to `digits` significant digits; a dash for what does not exist.

    >>> number(0.09397), number(3.76e-9)
    ('0.0940', '3.76e-9')
    """
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    if 1e-4 <= abs(value) < 1e5:
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        return f"{value:,.{decimals}f}"
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def loss(value: float) -> str:
    """A loss or metric inside a sentence, where a dash would not be understood.

    >>> loss(2.302585), loss(float("inf"))
    ('2.30', 'infinite')
    """
    return "not a number" if math.isnan(value) else "infinite" if math.isinf(value) else number(value)


def spread(mean: float | None, deviation: float | None) -> str:
    """A mean and its deviation to the same decimal place; without a deviation, the mean alone.

    >>> spread(0.0831, 0.0042)
    '0.0831 ± 0.0042'
    """
    text = number(mean)
    if mean is None or deviation is None or not math.isfinite(deviation) or text == DASH:
        return text
    decimals = len(text.partition(".")[2])
    if "e" in text or round(deviation, decimals) == 0 < deviation:
        return f"{text} ± {number(deviation, 1)}"
    return f"{text} ± {deviation:.{decimals}f}"


def count(value: float | None) -> str:
    """A whole number with thousands separated.

    >>> count(137280)
    '137,280'
    """
    return DASH if value is None or not math.isfinite(value) else f"{round(value):,}"


def share(value: float) -> str:
    """A share as per cent, two digits where they matter.

    >>> share(0.004), share(0.23)
    ('0.4 %', '23 %')
    """
    percent = 100 * value
    if 0 < percent < 0.1:
        return "less than 0.1 %"
    return f"{percent:.0f} %" if abs(percent) >= 10 else f"{percent:.2g} %"


def size(count: float) -> str:
    """Bytes in the largest unit of a thousand that leaves at least one; two digits where they matter.

    >>> size(512), size(1.23e9), size(64e6)
    ('512 bytes', '1.2 GB', '64 MB')
    """
    units = ("bytes", "kB", "MB", "GB", "TB")
    power = 0
    while power + 1 < len(units) and count >= 999.5 * 1000**power:
        power += 1
    value = count / 1000**power
    return f"{value:.1f} {units[power]}" if power and value < 9.95 else f"{value:.0f} {units[power]}"


def duration(seconds: float) -> str:
    """Seconds as people say them; tenths where there are only a few.

    >>> duration(0.4), duration(75), duration(3700)
    ('0.4 s', '1 min 15 s', '1 h 1 min')
    """
    if 0.05 <= seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min {whole % MINUTE} s"
    return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"


def strategy(optimizer: str, schedule: str) -> str:
    """An optimizer and its schedule inside a sentence; the constant one goes without saying.

    >>> strategy("adam", "cosine"), strategy("own", "own")
    ('adam with cosine', 'the program')
    """
    if optimizer == schedule == OWN:
        return "the program"
    if OWN in (optimizer, schedule):
        return f"{optimizer} with the program's schedule" if schedule == OWN else f"the program with {schedule}"
    return optimizer if schedule == "constant" else f"{optimizer} with {schedule}"


def label(optimizer: str, schedule: str) -> str:
    """The same in a table or over a chart.

    >>> label("adam", "cosine"), label("adam", "own")
    ('adam · cosine', 'adam · own')
    """
    if optimizer == schedule == OWN:
        return "the program"
    return optimizer if schedule == "constant" else f"{optimizer} · {schedule}"


def plural(many: int, noun: str) -> str:
    """A count and what is counted.

    >>> plural(1, "seed"), plural(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{many:,} {noun}" if many == 1 else f"{many:,} {noun}s"


def out_of(some: int, many: int, noun: str) -> str:
    """How many of a whole, at least one, as the beginning of a sentence goes on.

    >>> out_of(2, 3, "lane"), out_of(3, 3, "lane"), out_of(1, 1, "lane")
    ('2 of 3 lanes', 'all 3 lanes', 'the only lane')
    """
    if many == 1:
        return f"the only {noun}"
    return f"all {plural(many, noun)}" if some == many else f"{some:,} of {plural(many, noun)}"


def sentence(text: str) -> str:
    """A text that begins as a sentence does; the rest is left as it is.

    >>> sentence("all 3 lanes of AdamW")
    'All 3 lanes of AdamW'
    """
    return text[:1].upper() + text[1:]


def listing(texts: Sequence[str]) -> str:
    """Texts in a row, as a sentence has them.

    >>> listing(["a", "b", "c"])
    'a, b and c'
    """
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else "none"


def after(message: str) -> str:
    """A message of another layer, fit to follow one's own sentence; empty stays empty.

    >>> after("the cable came out")
    ' the cable came out.'
    """
    text = message.strip()
    return f" {text}" + ("" if not text or text.endswith((".", "!", "?")) else ".") if text else ""
