"""Shares of the achievable improvement: what a lane gives up of it, and whether it got far enough for fine advice."""

import numpy as np

from pacesetter.findings._answer import SAFE_SHARE
from pacesetter.findings._curve import gain
from pacesetter.findings._group import Group
from pacesetter.records import LaneRecord

__all__ = ["barely_learned", "lost_share"]

BARELY_SHARE = 0.2
"""A lane that never gained this share of the achievable improvement has barely learned: how it overfits or swings says
nothing that helps, until the rate is right."""


def lost_share(record: LaneRecord, group: Group) -> float:
    """The rate's lost share; where it has none (a seed is missing or diverged) the lane's own; NaN if unknown."""
    if group.best is None:
        return float("nan")
    at = group.index(record.lane.lr)
    if np.isfinite(group.lost[at]):
        return float(group.lost[at])
    best = float(group.means[group.best])
    column = np.flatnonzero(group.seeds == record.lane.seed)
    if len(column):
        best = float(group.losses[group.best, column[0]])
    start = record.curve.untrained_loss
    return (record.curve.final_valid_loss - best) / (start - best) if start > best else float("nan")


def barely_learned(record: LaneRecord, group: Group) -> bool:
    """Whether advice on overfitting and swings is out of place, because the rate comes first.

    So it is for a lane that gained less than BARELY_SHARE of the achievable improvement, or of its own untrained loss
    where no rate learned; and below the best rate for one that is too low, unless it had been as good on its way.
    """
    gained, whole = gain(record.curve), group.improvement
    if group.best is None:
        return not gained > BARELY_SHARE * abs(record.curve.untrained_loss)
    if not whole > 0:
        return False
    low = group.index(record.lane.lr) < group.best and lost_share(record, group) > SAFE_SHARE
    return not gained > BARELY_SHARE * whole or (low and gained < (1 - SAFE_SHARE) * whole)
