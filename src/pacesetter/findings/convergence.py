"""How fast a lane converges: steps until its validation loss reaches the study's target loss."""

import numpy as np

from pacesetter.findings._curve import checked_every
from pacesetter.findings._group import TARGET_SHARE, Comparison, seen
from pacesetter.findings._judge import Findings, LaneJudge
from pacesetter.records import Finding, LaneRecord, Level, Outcome
from pacesetter.words import loss, share

__all__ = ["FINDING"]


def _judge(record: LaneRecord, comparison: Comparison) -> Findings:
    """Steps to the target loss, or that it was not reached. value: the steps."""
    curve, target = record.curve, comparison.target
    trained = seen(curve.valid_loss[curve.eval_steps > 0])
    if np.isnan(target) or not len(trained):
        return ()
    goal = f"a validation loss of {loss(target)} ({share(TARGET_SHARE)} of the way from untrained to the study's best)"
    hits = np.flatnonzero(curve.valid_loss <= target)
    total = record.lane.total_steps
    if len(hits):
        step = int(curve.eval_steps[hits[0]])
        every = checked_every(curve)
        often = "every step" if every == 1 else f"every {every} steps"
        text = f"Reached {goal} by step {step} of {total}, checked {often}."
        if curve.final_valid_loss > target or record.outcome is Outcome.DIVERGED:
            return (Finding("convergence", Level.WARNING, f"{text} It did not keep it until the end.", float(step)),)
        return (Finding("convergence", Level.GOOD if step <= total / 2 else Level.INFO, text, float(step)),)
    text = f"Did not reach {goal} in {curve.steps} of {total} steps; its lowest was {loss(float(trained.min()))}."
    return (Finding("convergence", Level.INFO if record.outcome is Outcome.RUNNING else Level.WARNING, text),)


FINDING = LaneJudge(order=20, judge=_judge)
