"""No rate of a strategy learned: no answer, and what the lanes say about why."""

import numpy as np

from pacesetter.findings._group import LEARNED_SHARE, Group
from pacesetter.findings._judge import AnswerJudge, Findings
from pacesetter.records import Answer, Finding, Level, Outcome
from pacesetter.words import after, loss, plural, rate, share

__all__ = ["FINDING"]


def _judge(answer: Answer, group: Group) -> Findings:
    """Why there is no best rate: nothing trained, all diverged, or no improvement over the untrained model."""
    if answer.best_tried is not None:
        return ()
    counts = {kind: sum(each.get(kind, 0) for each in group.outcomes) for kind in Outcome}
    lanes, low = len(group.records), rate(group.rates[0])
    finite = np.isfinite(group.means)
    if finite.any():
        at = int(np.nanargmin(group.means))
        text = (
            f"Nothing learned: the lowest mean validation loss, {loss(group.means[at])} at rate "
            f"{rate(group.rates[at])}, is not below the untrained "
            f"model's {loss(group.untrained_mean)} by more than {share(LEARNED_SHARE)} and by more than chance. "
            "Try other rates or more steps, and check the loss and the data."
        )
        return (Finding("nothing-learned", Level.BAD, text),)
    if counts[Outcome.DIVERGED] == lanes and not any(np.isfinite(r.curve.untrained_loss) for r in group.records):
        text = (
            f"Nothing learned: all {plural(lanes, 'lane')} diverged, and already the untrained model's validation loss "
            "is not a finite number. No rate can help: look at the model, the loss and the data for NaN, infinities "
            "and overflow."
        )
    elif counts[Outcome.DIVERGED] == lanes:
        text = (
            f"Nothing learned: all {plural(lanes, 'lane')} diverged, down to the lowest rate, {low}. Try rates "
            f"below {low}, and check the loss and the data."
        )
    elif counts[Outcome.FAILED] == lanes:
        text = f"Nothing learned: none of {plural(lanes, 'lane')} could be trained." + after(group.records[0].message)
    elif counts[Outcome.RUNNING]:
        text = f"No answer yet: {counts[Outcome.RUNNING]} of {plural(lanes, 'lane')} still to be trained."
        return (Finding("unfinished", Level.INFO, text),)
    else:
        parts = [f"{count} {kind}" for kind, count in counts.items() if count]
        text = (
            f"No rate ended well for every seed ({', '.join(parts)} of {plural(lanes, 'lane')}). Try rates below {low}."
        )
    return (Finding("nothing-learned", Level.BAD, text),)


FINDING = AnswerJudge(order=10, judge=_judge)
