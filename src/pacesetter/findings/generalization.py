"""How well a lane generalizes: its gap between validation and training loss, and where overfitting starts."""

import numpy as np

from pacesetter.findings._curve import gain, stretches
from pacesetter.findings._ending import overfitted
from pacesetter.findings._group import Comparison
from pacesetter.findings._judge import Findings, LaneJudge
from pacesetter.findings._share import barely_learned
from pacesetter.records import Curve, Finding, LaneRecord, Level, Outcome
from pacesetter.words import loss, share

__all__ = ["FINDING", "overfitting_start"]

OVERFIT_SHARE = 0.02
"""The validation loss must end this share of the gain above its lowest: less is not worth stopping earlier for."""

OVERFIT_NOISE = 3.0
"""... and this many times the usual wobble between evaluations, so that a noisy plateau is no overfitting."""

OVERFIT_AFTER = 4
"""... with at least this many evaluations after the lowest: a rise "for good", not the last wobble."""


def overfitting_start(curve: Curve) -> int | None:
    """Index of the evaluation after which validation loss rises for good while training loss falls; or None.

    It is the evaluation of the lowest validation loss, when the loss ends clearly above it (OVERFIT_SHARE,
    OVERFIT_NOISE), the second half of what follows lies above the first half, and the training loss of the last
    stretch is below that of the stretch right after the lowest.
    """
    values = curve.valid_loss
    if len(values) < OVERFIT_AFTER + 2 or not np.isfinite(values).all():
        return None
    low = int(np.argmin(values))
    tail, batches = values[low + 1 :], stretches(curve)
    if low == 0 or len(tail) < OVERFIT_AFTER or len(batches) <= low:
        return None
    half = len(tail) // 2
    # A straight line has no second difference; its usual size over sqrt(6) is the noise of one evaluation.
    bends = np.abs(np.diff(values[min(low, len(values) // 2) :], n=2))
    wobble = 1.4826 * float(np.median(bends)) / np.sqrt(6)
    rise = float(values[-1] - values[low])
    clear = rise > max(OVERFIT_SHARE * gain(curve), OVERFIT_NOISE * wobble)
    return low if clear and tail[half:].mean() > tail[:half].mean() and batches[-1] < batches[low] else None


def _judge(record: LaneRecord, comparison: Comparison) -> Findings:
    """The gap at the end (value: validation minus training loss) and the start of overfitting (value: its step).

    Overfitting of a lane that barely learned is not told: its rate comes first.
    """
    curve = record.curve
    train, valid = curve.final_train_loss, curve.final_valid_loss
    lost = record.outcome is Outcome.DIVERGED and not overfitted(record)
    if lost or record.outcome is Outcome.FAILED or not np.isfinite(valid - train):
        return ()
    gap, whole = valid - train, gain(curve)
    part = f", {share(abs(gap) / whole)} of what training gained" if whole > 0 else ""
    if abs(gap) > whole > 0:
        part = ", more than training gained"
    side = "above" if gap >= 0 else "below"
    text = (
        f"At the end the validation loss ({loss(valid)}) lies {loss(abs(gap))} {side} the training loss "
        f"({loss(train)}){part}."
    )
    found = (Finding("generalization", Level.INFO, text, gap),)
    start = overfitting_start(curve)
    if start is None or (record.outcome is not Outcome.DIVERGED and barely_learned(record, comparison.group(record))):
        return found
    step, low = int(curve.eval_steps[start]), float(curve.valid_loss[start])
    text = (
        f"Overfitting from step {step}: the validation loss rose from {loss(low)} to {loss(valid)} while "
        "the training loss fell on. "
        f"Stop near step {step}, or regularize."
    )
    return (*found, Finding("overfitting", Level.WARNING, text, float(step)))


FINDING = LaneJudge(order=50, judge=_judge)
