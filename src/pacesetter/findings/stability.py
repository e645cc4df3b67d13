"""How steady a lane's training is: spikes, rises and swings of its training loss, and its divergence."""

import numpy as np
from numpy.typing import NDArray

from pacesetter.findings._curve import stretches
from pacesetter.findings._ending import cause, overfitted, worse_than_untrained
from pacesetter.findings._group import Comparison
from pacesetter.findings._judge import Findings, LaneJudge
from pacesetter.findings._share import barely_learned
from pacesetter.records import Curve, Finding, LaneRecord, Level, Outcome
from pacesetter.words import loss, plural, share

__all__ = ["FINDING", "spikes"]

Floats = NDArray[np.float64]

SPIKE_SHARE = 0.25
"""A spike lifts the batch loss over its level by more than this share of all that was gained: more than a hard batch
does."""

SPIKE_NOISE = 8.0
"""... and by more than this many times the usual swing of the batches before. Batch losses are skewed: with gamma noise
of a third of the mean, six swings were passed 12 times in 400,000 simulated steps, eight 3 times."""

RISE_SHARE = 0.02
"""A stretch between evaluations counts as a rise when its mean loss is higher than the last one's by this share of
the gain."""

SWING_SHARE = 0.1
"""Late swings above this share of the gain are worth a word: the final loss then depends on the batch one stops at."""


def _blocks(values: Floats) -> tuple[Floats, Floats, int]:
    """Level (median) and usual swing of each block, and the length of a block.

    The swing is 1.4826 median distances from the level: the standard deviation, were the noise normal.
    """
    width = max(min(50, len(values) // 10), 5)
    blocks = values[: len(values) // width * width].reshape(-1, width)
    levels = np.median(blocks, axis=1)
    return levels, 1.4826 * np.median(np.abs(blocks - levels[:, None]), axis=1), width


def _gained(values: Floats, levels: Floats) -> float:
    """The scale of judgement: the fall of the training loss, at least a tenth of where it started."""
    return max(float(values[0] - levels.min()), 0.1 * abs(float(values[0])), float(np.finfo(np.float64).tiny))


def spikes(curve: Curve) -> list[int]:
    """The step at which each spike of the training loss begins.

    A step is part of a spike when its loss lies over the level of the block of steps before its own by more than
    SPIKE_SHARE of the gain and by more than SPIKE_NOISE times the swing in that block; neighbouring steps make one
    spike.
    """
    values = curve.train_loss[: _finite_steps(curve)]
    if len(values) < 10:
        return []
    levels, noise, width = _blocks(values)
    block = np.minimum(np.arange(len(values)) // width, len(levels) - 1)
    level = np.concatenate([[max(float(values[0]), float(levels[0]))], levels])[block]
    swing = np.concatenate([noise[:1], noise])[block]
    high = np.flatnonzero(values - level > np.maximum(SPIKE_SHARE * _gained(values, levels), SPIKE_NOISE * swing))
    near = max(len(values) // 100, 2)
    return [int(step) for k, step in enumerate(high) if k == 0 or step - high[k - 1] > near]


def _finite_steps(curve: Curve) -> int:
    """Steps before the first training loss that is not finite."""
    bad = np.flatnonzero(~np.isfinite(curve.train_loss))
    return int(bad[0]) if len(bad) else curve.steps


def _divergence(record: LaneRecord) -> Finding:
    """When the lane was lost, and by which sign; or that it only overfitted."""
    curve, total = record.curve, record.lane.total_steps
    # What a program did not print is NaN from the first update on, and says nothing of when it was lost.
    told = [v for v in (curve.train_loss, curve.grad_norm) if len(v) == 1 or np.isfinite(v).any()]
    lost = [np.flatnonzero(~np.isfinite(values)) for values in told]
    first = min((int(steps[0]) for steps in lost if len(steps)), default=curve.steps)
    if overfitted(record):
        text = f"Diverged on validation data only: {worse_than_untrained(curve)}."
    elif curve.steps >= total and first == curve.steps and np.isfinite(curve.final_valid_loss):
        end, start = loss(curve.final_valid_loss), loss(curve.untrained_loss)
        text = f"Diverged: after all {total} steps its validation loss is {end}, and untrained it was {start}."
    else:
        why = cause(record.message) or "from there the numbers are no longer finite"
        when = f"at step {first} of {total}" if first < total else f"after all {total} steps"
        text = f"Diverged {when}: {why}."
    return Finding("divergence", Level.BAD, text, float(first))


def _judge(record: LaneRecord, comparison: Comparison) -> Findings:
    """Spikes and rises (value: spikes), late swing (value: share of the gain), divergence (value: its step)."""
    found: Findings = (_divergence(record),) if record.outcome is Outcome.DIVERGED else ()
    unstable = bool(found) and not overfitted(record)
    values = record.curve.train_loss[: _finite_steps(record.curve)]
    if len(values) < 10:
        return found
    levels, noise, _ = _blocks(values)
    gained = _gained(values, levels)
    peaks, means = spikes(record.curve), stretches(record.curve)
    means = means[np.isfinite(means)]
    rises = int((np.diff(means) > RISE_SHARE * gained).sum())
    text = f"The training loss has {plural(len(peaks), 'spike')}" if peaks else "The training loss has no spikes"
    text += f" (the first at step {peaks[0]})" if peaks else ""
    if len(means) > 1:
        text += f". Averaged from one evaluation to the next, it rose {rises} of {plural(len(means) - 1, 'time')}"
    text += "."
    restless = bool(peaks) or rises > len(means) / 3
    level = Level.WARNING if restless else Level.GOOD if rises <= 1 and not unstable else Level.INFO
    found = (*found, Finding("stability", level, text, float(len(peaks))))
    if record.outcome is Outcome.DIVERGED:
        return found
    late = noise[-max(len(noise) // 4, 1) :]
    if not late.any():
        return found  # one number for many batches, as a program prints it, says nothing of their swings
    swing = float(late.mean()) / gained
    text = f"In the last quarter the loss swings from batch to batch by {share(swing)} of what training gained."
    group = comparison.group(record)
    low = group.best is not None and group.index(record.lane.lr) < group.best
    loud = swing > SWING_SHARE and not low and not barely_learned(record, group)
    if loud:  # below the best rate, or where little was learned, a still lower rate is the wrong advice
        text += " A lower rate at the end (a decaying schedule) would calm it."
    return (*found, Finding("oscillation", Level.WARNING if loud else Level.INFO, text, swing))


FINDING = LaneJudge(order=30, judge=_judge)
