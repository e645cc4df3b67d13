"""The shape of loss against rate around the best: flat, next to a cliff, still improving, seeds lost."""

import numpy as np

from pacesetter.findings._answer import SAFE_SHARE
from pacesetter.findings._curve import LATE_SHARE, late_gain
from pacesetter.findings._group import Group
from pacesetter.findings._judge import AnswerJudge, Findings
from pacesetter.findings.generalization import overfitting_start
from pacesetter.findings.verdict import IMPROVING_SHARE
from pacesetter.records import Answer, Finding, Level, Outcome
from pacesetter.words import plural, rate, rates, share

__all__ = ["FINDING"]

FLAT_DECADES = 1.0
"""Safe rates that span this many decades make a flat valley: a guess within a factor of three then costs next to
nothing."""

CLIFF_DECADES = 0.5
"""Half a decade or less from the best rate to one that diverges is close: a harder batch or a longer run may fall
over it."""


def _flat(answer: Answer) -> Findings:
    if answer.safe_range is None:
        return ()
    low, high = answer.safe_range
    width = float(np.log10(high) - np.log10(low))
    if width < FLAT_DECADES:
        return ()
    text = (
        f"The choice is forgiving: every rate tried from {rate(low)} to {rate(high)} gives up less than "
        f"{share(SAFE_SHARE)} of the improvement."
    )
    return (Finding("flat", Level.GOOD, text, width),)


def _cliff(answer: Answer) -> Findings:
    if answer.stability_edge is None or answer.best_tried is None:
        return ()
    good, bad = answer.stability_edge
    distance = float(np.log10(bad) - np.log10(answer.best_tried))
    text = (
        f"Training is stable up to {rate(good)} and diverges at {rate(bad)}, {bad / answer.best_tried:.3g} "
        "times the best rate."
    )
    if distance > CLIFF_DECADES + 1e-9:
        return (Finding("stability-edge", Level.INFO, text, bad),)
    text += (
        " That is close: the best rate is limited by stability. Warm-up or gradient clipping may allow a "
        "higher and better one; else go lower for safety."
    )
    return (Finding("stability-limited", Level.WARNING, text, bad),)


def _best_curves(group: Group) -> Findings:
    """What the curves at the best rate say: still improving, or past their best."""
    curves = [r.curve for r in group.records if group.best is not None and r.lane.lr == group.rates[group.best]]
    late = [late_gain(curve) for curve in curves]
    if late and min(late) > IMPROVING_SHARE:  # NaN compares false: what cannot be said is not said
        amount = float(np.mean(late))
        text = (
            f"Training at the best rate was still improving at its end ({share(amount)} of the gain came "
            f"in the last {share(LATE_SHARE)} of the steps): "
            "more steps would help, and a longer run may prefer another rate."
        )
        return (Finding("still-improving", Level.INFO, text, amount),)
    starts = [start for curve in curves if (start := overfitting_start(curve)) is not None]
    if curves and len(starts) > len(curves) / 2:
        steps = [int(curve.eval_steps[start]) for curve in curves if (start := overfitting_start(curve)) is not None]
        step = int(np.median(steps))
        text = (
            f"Even the best rate overfits from about step {step}: stop earlier, or regularize, before "
            "comparing rates more finely."
        )
        return (Finding("overfitting", Level.WARNING, text, float(step)),)
    return ()


def _spoilt(group: Group) -> Findings:
    """Rates that could not take part although a seed of theirs ended well, and strays that diverged below the best."""
    found: list[Finding] = []
    stray = group.diverged & (np.arange(len(group.rates)) < (group.best if group.best is not None else 0))
    if stray.any():
        text = (
            f"Diverged below the best rate, which is unusual: {rates(group.rates[stray])}. Look at those lanes "
            "before trusting the choice."
        )
        found.append(Finding("stray-divergence", Level.WARNING, text, float(group.rates[stray][0])))
    lacking = np.array(
        [c.get(Outcome.FAILED, 0) + c.get(Outcome.RUNNING, 0) > 0 for c in group.outcomes], dtype=np.bool_
    )
    if lacking.any() and group.best is not None:
        text = (
            f"Left out of the choice, because not every seed was trained: {plural(int(lacking.sum()), 'rate')} "
            f"({rates(group.rates[lacking])})."
        )
        found.append(Finding("incomplete", Level.WARNING, text, float(lacking.sum())))
    return tuple(found)


def _judge(answer: Answer, group: Group) -> Findings:
    """Findings on the neighbourhood of the best rate; only what applies."""
    return (*_cliff(answer), *_flat(answer), *_best_curves(group), *_spoilt(group))


FINDING = AnswerJudge(order=40, judge=_judge)
