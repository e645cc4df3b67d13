"""The shape of loss against rate around the best: flat, a coarse grid, next to a cliff, still improving, seeds lost."""

import numpy as np

from pacesetter.findings._answer import SAFE_SHARE, neighbours
from pacesetter.findings._curve import LATE_SHARE, late_gain
from pacesetter.findings._group import Group
from pacesetter.findings._judge import AnswerJudge, Findings
from pacesetter.findings.generalization import overfitting_start
from pacesetter.findings.verdict import IMPROVING_SHARE, TOO_HIGH_SHARE
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
        f"The choice is forgiving: every rate tried from {rate(low)} to {rate(high)} gives up at most "
        f"{share(SAFE_SHARE)} of the improvement."
    )
    return (Finding("flat", Level.GOOD, text, width),)


def _coarse(answer: Answer, group: Group) -> Findings:
    """The safe range is one rate of the grid: no range, and which rates would give one. value: the lower of them."""
    if answer.lr is None or group.best is None:
        return ()  # at the edge of the range a wider one comes first
    if answer.safe_range is None or answer.safe_range[0] != answer.safe_range[1]:
        return ()
    best = answer.safe_range[0]
    finer = [float(np.sqrt(best * near)) for near in neighbours(group, group.best, group.best) if near is not None]
    text = (
        f"Of the rates tried only {rate(best)} gives up at most {share(SAFE_SHARE)} of the improvement, so the grid is "
        f"too coarse to give a range of safe rates. Try {rates(finer)} too."
    )
    return (Finding("coarse-grid", Level.INFO, text, finer[0]),)


def _useful(group: Group, good: float) -> str:
    """That not diverging is no praise, with the largest useful rate below the edge; empty where that is the last."""
    useful = group.rates[(group.lost <= TOO_HIGH_SHARE) & (group.rates <= good)]
    if not len(useful) or useful[-1] == good:
        return ""
    return (
        f" Not to diverge is not to train well: the largest rate that is still useful, giving up at most "
        f"{share(TOO_HIGH_SHARE)} of the improvement, is {rate(useful[-1])}."
    )


def _cliff(answer: Answer, group: Group) -> Findings:
    if answer.stability_edge is None or answer.best_tried is None:
        return ()
    good, bad = answer.stability_edge
    distance = float(np.log10(bad) - np.log10(answer.best_tried))
    at = group.index(bad)
    lost, lanes = int(group.unstable[at]), sum(group.outcomes[at].values())
    seeds = f" for {lost} of {plural(lanes, 'seed')}" if lost < lanes else ""
    aside = " (overfitting aside)" if group.overfitted[:at].any() else ""
    text = (
        f"Training does not diverge up to {rate(good)}{aside}, and does at {rate(bad)}{seeds}, "
        f"{bad / answer.best_tried:.3g} times the best rate."
    )
    if distance > CLIFF_DECADES + 1e-9:
        return (Finding("stability-edge", Level.INFO, text + _useful(group, good), bad),)
    text += (
        " That is close: the best rate is limited by stability. Warm-up or gradient clipping may allow a "
        "higher and better one; else go lower for safety."
    )
    return (Finding("stability-limited", Level.WARNING, text + _useful(group, good), bad),)


def _best_curves(group: Group) -> Findings:
    """What the curves at the best rate say: still improving, or past their best."""
    curves = [r.curve for r in group.records if group.best is not None and r.lane.lr == group.rates[group.best]]
    late = [late_gain(curve) for curve in curves]
    if late and min(late) > IMPROVING_SHARE:  # NaN compares false: what cannot be said is not said
        amount = float(np.mean(late))
        text = (
            f"Training at the best rate was still improving at its end ({share(min(amount, 1.0))} of the gain came "
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
    stray = (group.unstable > 0) & (np.arange(len(group.rates)) < (group.best if group.best is not None else 0))
    if stray.any():
        text = (
            f"Diverged below the best rate, which is unusual: {rates(group.rates[stray])}. Look at those lanes "
            "before trusting the choice."
        )
        found.append(Finding("stray-divergence", Level.WARNING, text, float(group.rates[stray][0])))
    overfit = group.overfitted > 0
    if overfit.any() and group.best is not None:
        lanes = int(group.overfitted.sum())
        text = (
            f"Training longer than the model can generalize: {plural(lanes, 'lane')} at {rates(group.rates[overfit])} "
            "ended worse than untrained on validation data although the training loss fell. No instability: stop "
            "earlier, or regularize."
        )
        found.append(Finding("overfitted", Level.WARNING, text, float(lanes)))
    lacking = np.array(
        [c.get(Outcome.FAILED, 0) + c.get(Outcome.RUNNING, 0) > 0 for c in group.outcomes], dtype=np.bool_
    )
    if lacking.any() and group.best is not None:
        text = f"Left out of the choice, because not every seed was trained: {rates(group.rates[lacking])}."
        found.append(Finding("incomplete", Level.WARNING, text, float(lacking.sum())))
    return tuple(found)


def _judge(answer: Answer, group: Group) -> Findings:
    """Findings on the neighbourhood of the best rate; only what applies."""
    return (*_cliff(answer, group), *_flat(answer), *_coarse(answer, group), *_best_curves(group), *_spoilt(group))


FINDING = AnswerJudge(order=40, judge=_judge)
