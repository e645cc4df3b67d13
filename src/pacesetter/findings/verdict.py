"""The verdict on a lane's learning rate: too low, good, high but stable, too high, or diverged.

It rests on the share of the achievable improvement that the rate gives up, (final - best) / (untrained - best), each
a mean over the compared seeds within the lane's own strategy: so the seeds of one rate share a verdict, except where
a lane spiked or diverged. *Good* is a rate that gives up at most the share that the safe range does. One that gives up
more is not good because few seeds cannot prove it: its verdict says that they cannot tell it from the best.
"""

from enum import StrEnum

import numpy as np

from pacesetter.findings._answer import SAFE_SHARE
from pacesetter.findings._curve import LATE_SHARE, late_gain
from pacesetter.findings._ending import cause, memorized, overfitted, worse_than_untrained
from pacesetter.findings._group import Comparison, Group
from pacesetter.findings._judge import Findings, LaneJudge
from pacesetter.findings._share import barely_learned, lost_share
from pacesetter.findings.generalization import overfitting_start
from pacesetter.findings.stability import spikes
from pacesetter.records import Curve, Finding, LaneRecord, Level, Outcome
from pacesetter.words import after, loss, plural, rate, share

__all__ = ["FINDING", "Verdict", "reason_of", "verdict_of"]

GOOD_SHARE = SAFE_SHARE
"""Up to this loss a rate is good: what the safe range allows."""

TOO_HIGH_SHARE = 0.5
"""Above the best rate, a loss of more than half of the improvement is too high: the rate undoes more than it does."""

IMPROVING_SHARE = 0.05
"""A lane still improves when this share of its gain came in the last fifth; at a constant pace it would be a fifth."""


class Verdict(StrEnum):
    """The words of a verdict; its text starts with one of them."""

    TOO_LOW = "too low"
    GOOD = "good"
    HIGH = "high but stable"
    TOO_HIGH = "too high"
    DIVERGED = "diverged"
    NONE = "no verdict"


_LEVELS = {
    Verdict.TOO_LOW: Level.WARNING,
    Verdict.GOOD: Level.GOOD,
    Verdict.HIGH: Level.WARNING,
    Verdict.TOO_HIGH: Level.BAD,
    Verdict.DIVERGED: Level.BAD,
    Verdict.NONE: Level.INFO,
}


def verdict_of(record: LaneRecord) -> Verdict:
    """The verdict among a judged lane's findings; NONE when it is not judged."""
    text = _text(record)
    return next((verdict for verdict in Verdict if text.startswith(f"{verdict}:")), Verdict.NONE)


def reason_of(record: LaneRecord) -> str:
    """The sentences behind the verdict of a judged lane, without its word; empty when it is not judged."""
    reason = _text(record).removeprefix(f"{verdict_of(record)}:").strip()
    return reason[:1].upper() + reason[1:]


def _text(record: LaneRecord) -> str:
    return next((finding.text for finding in record.findings if finding.name == "verdict"), "")


def _unjudged(record: LaneRecord, group: Group) -> str:
    """Why there is no verdict; empty when there is one to give."""
    reasons = {
        Outcome.FAILED: "it could not be trained." + after(record.message),
        Outcome.RUNNING: "it has not reached its last step yet.",
        Outcome.STOPPED: "it was stopped early, because others were better.",
    }
    if record.outcome in reasons:
        return reasons[record.outcome]
    if not np.isfinite(record.curve.final_valid_loss):
        return "it ended without a validation loss."
    if int(group.informative.sum()) < 2:
        return "one rate alone cannot be compared; train a lower and a higher one beside it."
    if group.best is None:
        return "no rate of this strategy learned for every seed, so there is none to compare with."
    unknown = np.isnan(group.untrained_mean) and record.curve.eval_steps[0] > 0
    if unknown and group.index(record.lane.lr) != group.best:
        best = f"the best rate tried, {rate(group.rates[group.best])} (loss {loss(group.means[group.best])})"
        return (
            f"it ends at {loss(record.curve.final_valid_loss)}, against {best}; without the untrained model's loss "
            "nobody can say how much of the improvement that is."
        )
    return ""


def _classify(record: LaneRecord, group: Group, best: int, lost: float) -> Verdict:
    """The verdict on a finished lane of a strategy that learned."""
    at = group.index(record.lane.lr)
    if at == best:
        return Verdict.GOOD
    above = at > best
    if above and group.unstable[at]:
        return Verdict.TOO_HIGH
    if np.isnan(lost) or group.overfitted[at]:
        return Verdict.HIGH if above else Verdict.TOO_LOW
    if lost <= GOOD_SHARE:
        return Verdict.HIGH if above and spikes(record.curve) else Verdict.GOOD
    if not above:
        return Verdict.TOO_LOW
    return Verdict.TOO_HIGH if lost > TOO_HIGH_SHARE else Verdict.HIGH


def _reason(record: LaneRecord, group: Group, best: int, lost: float, verdict: Verdict) -> str:
    """The sentence behind a verdict, with its numbers and what to do."""
    at, seeds = group.index(record.lane.lr), plural(len(group.seeds), "seed")
    champion = f"the best rate tried, {rate(group.rates[best])} (loss {loss(group.means[best])})"
    if at == best:
        inside = group.informative[:best].any() and group.informative[best + 1 :].any()
        edge = "" if inside else ", but at the edge of the range"
        return f"the lowest mean validation loss of the rates tried, {loss(group.means[best])} over {seeds}{edge}."
    lanes = sum(group.outcomes[at].values())
    if verdict is Verdict.TOO_HIGH and group.unstable[at]:
        advice = f"Use {rate(group.rates[best])} or less."
        return f"this seed got through, but {group.unstable[at]} of {lanes} at this rate diverged. {advice}"
    part = "all" if lost >= 1 or share(lost) == share(1) else share(max(lost, 0.0))
    amount = f"it gives up {part} of the improvement that {champion} reaches"
    if np.isnan(lost):
        amount = f"it ends at {loss(record.curve.final_valid_loss)}, against {champion}"
    if group.equivalent[at]:
        amount += f", but {seeds} cannot tell it apart from the best" if lost > GOOD_SHARE else ""
        amount += "" if lost > GOOD_SHARE else f", which {seeds} cannot tell apart"
    if group.overfitted[at]:
        amount += f", and {group.overfitted[at]} of {lanes} at this rate overfitted until worse than untrained"
    if verdict is Verdict.GOOD:
        return f"{amount}."
    return f"{amount}.{_advice(record, group, verdict)}"


def _advice(record: LaneRecord, group: Group, verdict: Verdict) -> str:
    """What to do about a rate that is not good."""
    start = overfitting_start(record.curve)
    step = 0 if start is None else int(record.curve.eval_steps[start])
    if verdict is Verdict.TOO_LOW:
        if start is not None and not barely_learned(record, group):
            return f" It had been as good by step {step} and overfits from there: stop near it, or regularize."
        late = late_gain(record.curve)
        if late > IMPROVING_SHARE:
            part = f"{share(min(late, 1.0))} of its gain came in the last {share(LATE_SHARE)} of the steps"
            return f" It was still improving: {part}. Raise the rate, or train longer."
        return " Raise the rate."
    peaks = len(spikes(record.curve))
    restless = f" Its training loss has {plural(peaks, 'spike')}." if peaks else ""
    if start is not None:
        return f"{restless} It overfits from step {step}: stop near there, or lower the rate."
    return f"{restless} Lower the rate, or let it decay."


def _stop(curve: Curve) -> str:
    """What to do about a lane that overfitted until it was worse than untrained."""
    if not memorized(curve):
        return "A longer run tells which; against overfitting, regularize."
    trained = np.flatnonzero(curve.eval_steps > 0)
    low = int(trained[np.argmin(curve.valid_loss[trained])])
    if not curve.valid_loss[low] < curve.untrained_loss:
        return "Its validation loss was never below the untrained one: train shorter, or regularize."
    best = f"its validation loss was lowest there, {loss(float(curve.valid_loss[low]))}"
    return f"Stop near step {curve.eval_steps[low]} ({best}), or regularize."


def _diverged(record: LaneRecord, group: Group) -> str:
    """The sentences on a lane that diverged: by instability, or only on validation data."""
    curve, total = record.curve, record.lane.total_steps
    if overfitted(record):
        return f"{worse_than_untrained(curve)}. {_stop(curve)}"
    why = cause(record.message)
    if curve.steps < total:
        end = f"lost after {curve.steps} of {total} steps" + (f", because {why}" if why else "")
    elif np.isfinite(curve.final_valid_loss):
        end = f"it ended at validation loss {loss(curve.final_valid_loss)}, untrained {loss(curve.untrained_loss)}"
    else:
        end = why or "its numbers were not finite at its end"
    if group.best is None:
        return f"{end}. Lower the rate."
    higher = group.index(record.lane.lr) > group.best
    return f"{end}. Use {rate(group.rates[group.best])} or less." if higher else f"{end}."


def _judge(record: LaneRecord, comparison: Comparison) -> Findings:
    """One finding whose text starts with the verdict. value: the share of the improvement given up."""
    group = comparison.group(record)
    if record.outcome is Outcome.DIVERGED:
        text = f"{Verdict.DIVERGED}: {_diverged(record, group)}"
        return (Finding("verdict", _LEVELS[Verdict.DIVERGED], text),)
    why = _unjudged(record, group)
    if why or group.best is None:
        return (Finding("verdict", _LEVELS[Verdict.NONE], f"{Verdict.NONE}: {why}"),)
    lost = lost_share(record, group)
    verdict = _classify(record, group, group.best, lost)
    text = f"{verdict}: {_reason(record, group, group.best, lost, verdict)}"
    return (Finding("verdict", _LEVELS[verdict], text, None if np.isnan(lost) else lost),)


FINDING = LaneJudge(order=10, judge=_judge)
