"""The answer for one strategy, as numbers; the findings beside it say in words why each is there or not.

The claim `lr` is the rate tried with the lowest mean validation loss. It is made only when rates on both sides of it
were tried (a rate that diverged counts: the optimum then lies below it).

The interval runs from the next lower to the next higher tried rate around the rates that cannot be told from the
best. Why: that set holds the best of the tried rates with probability 0.95 or more, and where the expected loss
falls to one minimum and rises again, the minimum over *all* rates lies between the neighbours of the best tried one.
So the interval holds it at the same level. It is None with fewer than MINIMUM_SEEDS seeds, and None when the set
reaches the lowest or highest rate tried: an end cut off there would claim what was not measured.

The interval never reaches beyond the lowest rate above the best at which a seed was unstable: the expected loss of
such a rate is beyond all bounds, and in one valley so is that of every higher one. That rate itself may be the upper
end, and is not part of the interval then. The end is not drawn in further, to the last rate that trained: the optimum
may lie anywhere between the two, often just below the edge, and the interval would hold it less often than it says.

A rate whose lanes only overfitted (see `_ending`) bounds the optimum as any worse rate does, but is no stability edge.
"""

import numpy as np
from numpy.typing import NDArray

from pacesetter.findings._group import Group
from pacesetter.findings._statistics import LEVEL
from pacesetter.records import Answer, Lane

__all__ = ["MINIMUM_SEEDS", "SAFE_SHARE", "answer", "ends", "first_unstable", "neighbours"]

MINIMUM_SEEDS = 3
"""Seeds needed for an interval: with two, the noise rests on one difference per rate."""

SAFE_SHARE = 0.05
"""A rate is safe when it gives up at most this share of the achievable improvement: a twentieth, hardly seen in
use."""


def neighbours(group: Group, low: int, high: int) -> tuple[float | None, float | None]:
    """The next informative rates below index `low` and above index `high`; None where none was tried."""
    telling = np.flatnonzero(group.informative)
    below, above = telling[telling < low], telling[telling > high]
    return (
        float(group.rates[below[-1]]) if len(below) else None,
        float(group.rates[above[0]]) if len(above) else None,
    )


def first_unstable(group: Group) -> int | None:
    """Index of the lowest rate above the best at which a seed was unstable; a stray one below is no edge."""
    bad: NDArray[np.intp] = np.flatnonzero(group.unstable)
    bad = bad[bad > (group.best if group.best is not None else -1)]
    return int(bad[0]) if len(bad) else None


def ends(group: Group, best: int) -> tuple[float | None, float | None]:
    """Ends of the interval around the rates that cannot be told from the best; None for an open end."""
    alike = [best, *np.flatnonzero(group.equivalent).tolist()]
    low, high = neighbours(group, min(alike), max(alike))
    bad = first_unstable(group)
    if bad is None:
        return (low, high)
    edge = float(group.rates[bad])
    return (low, edge if high is None else min(high, edge))


def _interval(group: Group, best: int) -> tuple[float, float] | None:
    if len(group.seeds) < MINIMUM_SEEDS:
        return None
    low, high = ends(group, best)
    return None if low is None or high is None else (low, high)


def _safe_range(group: Group, best: int) -> tuple[float, float] | None:
    if np.isnan(group.lost[best]) or int(group.informative.sum()) < 2:
        return None  # one rate alone gives no range
    low = high = best
    while low > 0 and group.lost[low - 1] <= SAFE_SHARE:
        low -= 1
    while high + 1 < len(group.rates) and group.lost[high + 1] <= SAFE_SHARE:
        high += 1
    return (float(group.rates[low]), float(group.rates[high]))


def _stability_edge(group: Group) -> tuple[float, float] | None:
    """Largest rate known not to diverge and smallest known to; lanes that only overfitted did not, in this sense."""
    bad = first_unstable(group)
    if bad is None:
        return None
    steady: NDArray[np.intp] = np.flatnonzero(np.isfinite(group.means) | (group.overfitted > 0) & (group.unstable == 0))
    good = steady[steady < bad]
    return (float(group.rates[good[-1]]), float(group.rates[bad])) if len(good) else None


def answer(group: Group) -> Answer:
    """The answer of one strategy, without its findings."""
    best = group.best
    claim = best is not None and None not in neighbours(group, best, best)
    lr = None if best is None else float(group.rates[best])
    lane = None if lr is None or not claim else Lane(group.optimizer, group.schedule, lr, 0, group.total_steps)
    return Answer(
        optimizer=group.optimizer,
        schedule=group.schedule,
        best_tried=lr,
        lr=lr if claim else None,
        interval=_interval(group, best) if best is not None and claim else None,
        equivalent=tuple(float(rate) for rate in group.rates[group.equivalent]),
        safe_range=None if best is None else _safe_range(group, best),
        stability_edge=_stability_edge(group),
        valid_loss=None if best is None else float(group.means[best]),
        confidence=LEVEL,
        findings=(),
        recipe=None if lane is None else lane.recipe,
    )
