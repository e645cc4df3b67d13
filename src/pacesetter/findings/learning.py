"""No rate of a strategy learned: no answer, and what the lanes say about why."""

import numpy as np

from pacesetter.findings._group import LEARNED_SHARE, Group
from pacesetter.findings._judge import AnswerJudge, Findings
from pacesetter.records import Answer, Finding, Level, Outcome
from pacesetter.words import after, loss, out_of, plural, rate, share

__all__ = ["FINDING"]


def _other(group: Group) -> str:
    """What to try when no rate that ended well is better than untrained."""
    if not group.overfitted.any():
        return "Try other rates or more steps, and check the loss and the data."
    lanes = out_of(int(group.overfitted.sum()), len(group.records), "lane")
    return (
        f"But training works: {lanes} overfitted, ending worse than untrained on validation data although the training "
        "loss fell. Train shorter, or regularize."
    )


def _lower(group: Group) -> str:
    """What to try when no rate ended well: lower ones, unless already the lowest one only overfitted."""
    if group.overfitted[0] and not group.unstable[0]:
        return (
            f"At {rate(group.rates[0])} the training loss fell and the model overfitted: stop earlier, or regularize."
        )
    return f"Try rates below {rate(group.rates[0])}, and check the loss and the data."


def _judge(answer: Answer, group: Group) -> Findings:
    """Why there is no best rate: nothing trained, all diverged, or no improvement over the untrained model."""
    if answer.best_tried is not None:
        return ()
    counts = {kind: sum(each.get(kind, 0) for each in group.outcomes) for kind in Outcome}
    lanes, low = len(group.records), rate(group.rates[0])
    where = f"at the only rate tried, {low}" if len(group.rates) == 1 else f"down to the lowest rate, {low}"
    finite = np.isfinite(group.means)
    if finite.any():
        at = int(np.nanargmin(group.means))
        text = (
            f"Nothing learned: the lowest mean validation loss, {loss(group.means[at])} at rate "
            f"{rate(group.rates[at])}, is not below the untrained "
            f"model's {loss(group.untrained_mean)} by more than {share(LEARNED_SHARE)} and by more than chance. "
            f"{_other(group)}"
        )
        return (Finding("nothing-learned", Level.BAD, text),)
    if counts[Outcome.DIVERGED] == lanes and not any(np.isfinite(r.curve.untrained_loss) for r in group.records):
        text = (
            f"Nothing learned: all {plural(lanes, 'lane')} diverged, and already the untrained model's validation loss "
            "is not a finite number. No rate can help: look at the model, the loss and the data for NaN, infinities "
            "and overflow."
        )
    elif counts[Outcome.DIVERGED] == lanes and int(group.overfitted.sum()) == lanes:
        text = (
            f"Nothing learned: {out_of(lanes, lanes, 'lane')} ended worse than untrained on validation data although "
            "the training loss fell: overfitting. Train shorter or regularize, and check that training and validation "
            "data are alike."
        )
    elif counts[Outcome.DIVERGED] == lanes:
        text = f"Nothing learned: {out_of(lanes, lanes, 'lane')} diverged, {where}. {_lower(group)}"
    elif counts[Outcome.FAILED] == lanes:
        none = "the only lane could not" if lanes == 1 else f"none of {lanes} lanes could"
        text = f"Nothing learned: {none} be trained." + after(group.records[0].message)
    elif counts[Outcome.RUNNING]:
        text = f"No answer yet: {out_of(counts[Outcome.RUNNING], lanes, 'lane')} still to be trained."
        return (Finding("unfinished", Level.INFO, text),)
    else:
        parts = [f"{count} {kind}" for kind, count in counts.items() if count]
        text = f"No rate ended well for every seed ({', '.join(parts)} of {plural(lanes, 'lane')}). {_lower(group)}"
    return (Finding("nothing-learned", Level.BAD, text),)


FINDING = AnswerJudge(order=10, judge=_judge)
