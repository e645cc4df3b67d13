"""The verdict on a lane's learning rate: too low, good, high but stable, too high, or diverged.

It rests on the share of the achievable improvement that the rate gives up, (final - best) / (untrained - best), each
a mean over the compared seeds within the lane's own strategy: so the seeds of one rate share a verdict, except where
a lane spiked or diverged.
"""

from enum import StrEnum

import numpy as np

from pacesetter.findings._curve import LATE_SHARE, late_gain
from pacesetter.findings._group import Comparison, Group
from pacesetter.findings._judge import Findings, LaneJudge
from pacesetter.findings.stability import spikes
from pacesetter.records import Finding, LaneRecord, Level, Outcome
from pacesetter.words import after, loss, plural, rate, share

__all__ = ["FINDING", "Verdict", "reason_of", "verdict_of"]

GOOD_SHARE = 0.05
"""Up to this loss a rate is good: a twentieth of the improvement, hardly seen in use."""

DOUBT_SHARE = 0.2
"""A rate that few seeds cannot tell from the best is called good up to this loss; beyond a fifth, doubt is no
praise."""

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


def _lost(record: LaneRecord, group: Group) -> float:
    """The rate's lost share; where it has none (a seed is missing or diverged) the lane's own; NaN if unknown."""
    if group.best is None:
        return float("nan")
    at = group.index(record.lane.lr)
    if np.isfinite(group.lost[at]):
        return float(group.lost[at])
    best = float(group.means[group.best])
    column = np.flatnonzero(group.seeds == record.lane.seed)
    if len(column):
        best = float(group.losses[group.best, column[0]])
    start = record.curve.untrained_loss
    return (record.curve.final_valid_loss - best) / (start - best) if start > best else float("nan")


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
    return ""


def _classify(record: LaneRecord, group: Group, best: int, lost: float) -> Verdict:
    """The verdict on a finished lane of a strategy that learned."""
    at = group.index(record.lane.lr)
    if at == best:
        return Verdict.GOOD
    above = at > best
    if above and group.diverged[at]:
        return Verdict.TOO_HIGH
    if group.equivalent[at] and not lost > DOUBT_SHARE:
        return Verdict.GOOD
    if np.isnan(lost):
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
        edge = (
            ""
            if group.informative[:best].any() and group.informative[best + 1 :].any()
            else ", but at the edge of the range"
        )
        return f"the lowest mean validation loss of the rates tried, {loss(group.means[best])} over {seeds}{edge}."
    if verdict is Verdict.TOO_HIGH and group.diverged[at]:
        count, all_lanes = group.outcomes[at][Outcome.DIVERGED], sum(group.outcomes[at].values())
        advice = f"Use {rate(group.rates[best])} or less."
        return f"this seed got through, but {count} of {all_lanes} at this rate diverged. {advice}"
    part = "all" if lost >= 1 else share(max(lost, 0.0))
    amount = f"it gives up {part} of the improvement that {champion} reaches"
    if np.isnan(lost):
        amount = f"it ends at {loss(record.curve.final_valid_loss)}, against {champion}"
    if verdict is Verdict.GOOD:
        alike = f", which {seeds} cannot tell apart" if group.equivalent[at] else ""
        return f"{amount}{alike}."
    doubt = f" {seeds.capitalize()} cannot rule out chance." if group.equivalent[at] else ""
    if verdict is Verdict.TOO_LOW:
        late = late_gain(record.curve)
        moving = (
            f" It was still improving: {share(late)} of its gain came in the last {share(LATE_SHARE)} of the steps."
        )
        more = f"{moving} Raise the rate, or train longer." if late > IMPROVING_SHARE else " Raise the rate."
        return f"{amount}.{doubt}{more}"
    peaks = len(spikes(record.curve))
    restless = f" Its training loss has {plural(peaks, 'spike')}." if peaks else ""
    return f"{amount}.{restless}{doubt} Lower the rate, or let it decay."


def _judge(record: LaneRecord, comparison: Comparison) -> Findings:
    """One finding whose text starts with the verdict. value: the share of the improvement given up."""
    group = comparison.group(record)
    if record.outcome is Outcome.DIVERGED:
        total = record.lane.total_steps
        end = (
            f"after {record.curve.steps} of {total} steps"
            if record.curve.steps < total
            else "at its end, worse than untrained"
        )
        advice = f" Use {rate(group.rates[group.best])} or less." if group.best is not None else " Lower the rate."
        higher = group.best is None or group.index(record.lane.lr) > group.best
        text = f"{Verdict.DIVERGED}: {end}.{advice if higher else after(record.message)}"
        return (Finding("verdict", _LEVELS[Verdict.DIVERGED], text),)
    why = _unjudged(record, group)
    if why or group.best is None:
        return (Finding("verdict", _LEVELS[Verdict.NONE], f"{Verdict.NONE}: {why}"),)
    lost = _lost(record, group)
    verdict = _classify(record, group, group.best, lost)
    text = f"{verdict}: {_reason(record, group, group.best, lost, verdict)}"
    return (Finding("verdict", _LEVELS[verdict], text, None if np.isnan(lost) else lost),)


FINDING = LaneJudge(order=10, judge=_judge)
