"""Small measurements on one curve, shared by several findings."""

import numpy as np
from numpy.typing import NDArray

from pacesetter.findings._group import seen
from pacesetter.records import Curve

__all__ = ["checked_every", "gain", "late_gain", "stretches"]

Floats = NDArray[np.float64]

LATE_SHARE = 0.2
"""The end of training that "still improving" looks at: a fifth of the run, four of twenty evaluations."""


def gain(curve: Curve) -> float:
    """What the lane gained at its best: untrained minus lowest validation loss; NaN without either."""
    trained = seen(curve.valid_loss[curve.eval_steps > 0])
    return curve.untrained_loss - float(trained.min()) if len(trained) else float("nan")


def late_gain(curve: Curve) -> float:
    """Share of the whole gain that came in the last fifth of the run; NaN with few evaluations or no gain."""
    whole = curve.untrained_loss - curve.final_valid_loss
    if len(curve.valid_loss) < 6 or not np.isfinite(whole) or whole <= 0:
        return float("nan")
    before = np.flatnonzero(curve.eval_steps <= (1 - LATE_SHARE) * curve.eval_steps[-1])
    return (float(curve.valid_loss[before[-1]]) - curve.final_valid_loss) / whole


def stretches(curve: Curve) -> Floats:
    """Mean training loss of each stretch between evaluations; the window of the final training loss."""
    cuts = [int(step) for step in curve.eval_steps if step < curve.steps] or ([0] if curve.steps else [])
    ends = [*cuts[1:], curve.steps] if cuts else []
    with np.errstate(all="ignore"):
        return np.array([curve.train_loss[a:b].mean() for a, b in zip(cuts, ends, strict=True)], dtype=np.float64)


def checked_every(curve: Curve) -> int:
    """Usual number of steps between two evaluations, at least 1."""
    return max(int(np.median(np.diff(curve.eval_steps))), 1) if len(curve.eval_steps) > 1 else 1
