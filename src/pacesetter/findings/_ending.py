"""How a lane that counts as diverged really ended: lost to instability, or trained well and only worse on new data.

The engine calls a lane diverged when its numbers stop being finite, and also when its last validation loss lies
clearly above the untrained model's. The second has two causes. Where the training loss rose too, the rate is too
high. Where all losses stayed finite and the training loss *fell*, the optimizer did its work: the model overfitted,
and neither a lower rate, warm-up nor clipping is the cure. Only the first kind tells where training stops to be
stable.
"""

import numpy as np

from pacesetter.records import Curve, LaneRecord, Outcome
from pacesetter.words import loss

__all__ = ["cause", "memorized", "overfitted", "worse_than_untrained"]

FELL_SHARE = 0.1
"""The training loss fell when its end lies this share below its beginning: as clear as the rise of the validation loss
that makes the engine call a lane diverged."""

SETTLED_STEPS = 50
"""Steps after which worse validation with falling training loss is put down to overfitting alone. Before, running
averages of batch normalization may not have settled: with the usual momentum of 0.1 they still hold 0.9^50, half a per
cent, of their initial values by then."""


def overfitted(record: LaneRecord) -> bool:
    """Whether the lane counts as diverged only because of its validation loss: it is finite, and training worked.

    Where training began is the lower one of the first batch loss and the untrained validation loss: a hard first batch
    alone then makes no fall.
    """
    curve = record.curve
    if record.outcome is not Outcome.DIVERGED or not curve.steps or curve.steps < record.lane.total_steps:
        return False
    if not (np.isfinite(curve.train_loss).all() and np.isfinite(curve.valid_loss).all()):
        return False
    start, end = min(float(curve.train_loss[0]), curve.untrained_loss), curve.final_train_loss
    return curve.final_valid_loss > curve.untrained_loss and start - end > FELL_SHARE * abs(start)


def memorized(curve: Curve) -> bool:
    """Whether a validation loss above the untrained one can only be overfitting: it first fell, or rises on.

    A short run, and a validation loss that jumped at once and is coming down again, may also be one whose batch
    normalization has not settled.
    """
    trained = curve.valid_loss[curve.eval_steps > 0]
    half = len(trained) // 2
    if curve.steps < SETTLED_STEPS or not len(trained):
        return False
    rises = half > 0 and trained[half:].mean() >= trained[:half].mean()
    return bool(trained.min() < curve.untrained_loss or rises)


def worse_than_untrained(curve: Curve) -> str:
    """What happened to an overfitted lane, as a clause with its numbers, and what it is."""
    fell = f"its training loss fell from {loss(float(curve.train_loss[0]))} to {loss(curve.final_train_loss)}"
    ends = f"({loss(curve.final_valid_loss)} against {loss(curve.untrained_loss)})"
    if memorized(curve):
        return f"it ended worse than untrained on validation data {ends} while {fell}: overfitting, not instability"
    return (
        f"its validation loss is worse than untrained {ends} although {fell}: overfitting, or batch normalization "
        "whose averages have not settled, but not instability"
    )


def cause(message: str) -> str:
    """The engine's message on a divergence without its first words, which the sentence around it has already said.

    >>> cause("diverged at step 43: the loss was not finite")
    'the loss was not finite'
    """
    head, _, rest = message.strip().partition(": ")
    return (rest if head.startswith("diverged") else message).strip().rstrip(".")
