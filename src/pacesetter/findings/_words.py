"""How findings write numbers for people: rates, losses, shares and lists, always the same way."""

from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["after", "listing", "loss", "plural", "rate", "rates", "share", "strategy"]


def rate(lr: float) -> str:
    """A learning rate, as short as it can be typed back: `0.003`, `1e-05`."""
    return f"{lr:.4g}"


def rates(values: Iterable[float]) -> str:
    """Several learning rates; long lists show their ends."""
    texts = [rate(value) for value in values]
    return f"{texts[0]} to {texts[-1]} ({len(texts)} rates)" if len(texts) > 5 else listing(texts)


def loss(value: float) -> str:
    """A loss or metric with four significant digits; `not a number` where there is none."""
    return "not a number" if np.isnan(value) else "infinite" if np.isinf(value) else f"{value:.4g}"


def share(value: float) -> str:
    """A share as per cent, two digits where they matter: `0.4 %`, `6.8 %`, `23 %`."""
    percent = 100 * value
    if 0 < percent < 0.1:
        return "less than 0.1 %"
    return f"{percent:.0f} %" if abs(percent) >= 10 else f"{percent:.2g} %"


def plural(count: int, noun: str) -> str:
    """`1 seed`, `3 seeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def listing(texts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else "none"


def after(message: str) -> str:
    """A message of another layer, fit to follow one's own sentence; empty stays empty."""
    text = message.strip()
    return f" {text}" + ("" if not text or text.endswith((".", "!", "?")) else ".") if text else ""


def strategy(optimizer: str, schedule: str) -> str:
    """An optimizer and its schedule; the constant one goes without saying."""
    return optimizer if schedule == "constant" else f"{optimizer} with {schedule}"
