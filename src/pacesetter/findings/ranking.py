"""Which strategy is best, each at its own best rate, and which ones cannot be told apart from it."""

import numpy as np

from pacesetter.findings._group import Comparison, Group
from pacesetter.findings._judge import Findings, StudyJudge
from pacesetter.findings._statistics import not_worse
from pacesetter.records import Answer, Finding, Level
from pacesetter.words import listing, loss, plural, rate, share, strategy

__all__ = ["FINDING", "TWO_SIDED"]

TWO_SIDED = 0.975
"""Which of two strategies leads is not known beforehand, so each side gets half of the usual 5 %. Simulated at 0.95
with valleys of 1 to 13 rates and 2 to 8 seeds, one of two equal strategies, each at its own best rate, was called worse
in 7 to 11 % of studies; at this level it is 5 %."""


def _label(group: Group) -> str:
    best = group.best if group.best is not None else 0
    return f"{strategy(group.optimizer, group.schedule)} at {rate(group.rates[best])} ({loss(group.means[best])})"


def _identical(one: Group, other: Group) -> bool:
    """Whether two strategies have the same best rate and there the same curves, seed by seed.

    So it is where a schedule never acts, such as a plateau that waits for a loss that always falls.
    """
    if one.best is None or other.best is None or one.rates[one.best] != other.rates[other.best]:
        return False
    pair = [
        {r.lane.seed: r.curve for r in group.records if r.lane.lr == group.rates[group.best or 0]}
        for group in (one, other)
    ]
    return pair[0].keys() == pair[1].keys() and all(
        np.array_equal(curve.train_loss, pair[1][seed].train_loss, equal_nan=True)
        and np.array_equal(curve.valid_loss, pair[1][seed].valid_loss, equal_nan=True)
        for seed, curve in pair[0].items()
    )


def _judge(comparison: Comparison, answers: tuple[Answer, ...]) -> Findings:
    """The best strategy, and whether seeds can tell it from the others. value: how many are as good, itself too."""
    groups = [group for group in comparison.asked if group.best is not None]
    if len(groups) < 2:
        return ()
    groups.sort(key=lambda g: float(np.nanmin(g.means)))
    first, twins = groups[0], [group for group in groups[1:] if _identical(groups[0], group)]
    others = [group for group in groups[1:] if group not in twins]
    text = f"Lowest validation loss, each strategy at its own best rate: {_label(first)}."
    if twins:
        text += f" Identical to it, run for run: {listing([_label(group) for group in twins])}."
    shared = sorted(set.intersection(*({int(seed) for seed in g.seeds} for g in groups)))
    if not others:
        return (Finding("best-strategy", Level.INFO, text, float(len(groups)) if len(shared) > 1 else None),)
    if len(shared) < 2:
        text += (
            f" With {plural(len(shared), 'seed')} in common this is no proof that it is better than "
            f"{_label(others[0])}."
        )
        return (Finding("best-strategy", Level.WARNING, text),)
    table = np.array([g.losses[g.best, np.searchsorted(g.seeds, shared)] for g in (first, *others)], dtype=np.float64)
    kept = not_worse(table, TWO_SIDED)
    kept[0] = True
    alike = [_label(group) for group, keep in zip(others, kept[1:], strict=True) if keep]
    worse = [_label(group) for group, keep in zip(others, kept[1:], strict=True) if not keep]
    level = share(2 * TWO_SIDED - 1)
    method = f"{len(shared)} seeds, Dunnett's comparison with the best, paired by seed, level {level}"
    if alike:
        text += f" Not distinguishable from it: {listing(alike)} ({method})."
        text += f" Worse: {listing(worse)}." if worse else ""
    else:
        text += f" All {'the ' if twins else ''}others are worse ({method}): {listing(worse)}."
    same = len(alike) + len(twins)
    return (Finding("best-strategy", Level.INFO if same else Level.GOOD, text, float(1 + same)),)


FINDING = StudyJudge(order=10, judge=_judge)
