"""Where a lane ends: its last validation loss and metrics, and the best it had on the way."""

import numpy as np

from pacesetter.findings._group import Comparison
from pacesetter.findings._judge import Findings, LaneJudge
from pacesetter.records import Finding, LaneRecord, Level, Outcome
from pacesetter.words import loss

__all__ = ["FINDING"]


def _judge(record: LaneRecord, comparison: Comparison) -> Findings:
    """The last value of the first metric, or of the validation loss when there are no metrics. value: that number."""
    curve = record.curve
    end = curve.final_valid_loss
    if np.isnan(end):
        return ()
    parts: list[str] = []
    numbers: list[float] = []
    for name, way in comparison.study.metrics.items():
        values = curve.metrics.get(name, np.empty(0))
        known = np.flatnonzero(np.isfinite(values))
        if not len(known) or not np.isfinite(values[-1]):
            continue
        numbers.append(float(values[-1]))
        best = known[np.argmax(values[known]) if way == "max" else np.argmin(values[known])]
        more = (
            "" if best == len(values) - 1 else f" (best {loss(float(values[best]))} at step {curve.eval_steps[best]})"
        )
        parts.append(f"{name} {loss(numbers[-1])}{more}")
    start = curve.untrained_loss
    against = f" (untrained {loss(start)})" if np.isfinite(start) else ""
    text = ", ".join([*parts, f"validation loss {loss(end)}{against}"])
    verb = "So far" if record.outcome is Outcome.RUNNING else "Ended with"
    worse = not end < start if np.isfinite(start) else not np.isfinite(end)
    return (Finding("accuracy", Level.WARNING if worse else Level.INFO, f"{verb} {text}.", [*numbers, end][0]),)


FINDING = LaneJudge(order=40, judge=_judge)
