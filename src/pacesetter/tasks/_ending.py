"""How a lane ends that was trained to its last step; the one rule for whatever trained it."""

import math

from pacesetter.records import Outcome, is_worse

__all__ = ["ended"]


def ended(final: float, untrained: float, spread: float = 0.0) -> tuple[Outcome, str]:
    """The outcome and what explains it, from the last validation loss and that of the untrained model.

    untrained: NaN where it was not measured; then only a loss that is not finite is divergence.
    spread: standard deviation of the untrained loss over validation batches.
    """
    if not math.isfinite(final):
        return Outcome.DIVERGED, "diverged: the last validation loss was not finite"
    if is_worse(final, untrained, spread):
        message = f"diverged: it ended at validation loss {final:.4g}, above the untrained {untrained:.4g}"
        return Outcome.DIVERGED, message
    return Outcome.FINISHED, ""
