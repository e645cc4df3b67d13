"""What connectors check of what they are given."""

import math
from typing import Any

from pacesetter.errors import InputError

__all__ = ["checked_peak"]


def checked_peak(peak_lr: Any) -> float:
    """`peak_lr` as a float; InputError unless it is a finite number above 0."""
    try:
        peak = float(peak_lr)
    except (TypeError, ValueError):
        peak = math.nan
    if isinstance(peak_lr, bool | str) or not 0.0 < peak < math.inf:
        raise InputError(f"`peak_lr` must be a finite number above 0, got peak_lr={peak_lr!r}")
    return peak
