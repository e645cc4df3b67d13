"""What the comparison covers: nothing learned, diverged, failed and unfinished lanes, other lengths."""

import math

from pacesetter.findings._ending import overfitted
from pacesetter.findings._group import Comparison
from pacesetter.findings._judge import Findings, StudyJudge
from pacesetter.records import Answer, Finding, LaneRecord, Level, Outcome
from pacesetter.words import after, out_of, plural, sentence, share

__all__ = ["FINDING"]

MANY_DIVERGED = 0.5
"""When half of the lanes or more diverged, most of the range is out of use and its good part is thinly covered."""


def _diverged(diverged: list[LaneRecord], ended: int) -> Finding:
    """How many lanes diverged, and how many of them only overfitted; these ask for other advice."""
    part, overfit = len(diverged) / ended, sum(overfitted(record) for record in diverged)
    text = f"{sentence(out_of(len(diverged), ended, 'lane'))} diverged"
    text += f" ({share(part)})." if part < 1 else "."
    if overfit:
        only = "It" if len(diverged) == 1 else "All of them" if overfit == len(diverged) else f"{overfit} of them"
        text += (
            f" {only} overfitted and trained stably: worse than untrained on validation data although the training "
            "loss fell. Stop earlier, or regularize."
        )
    # Where the untrained loss is not finite no range is to blame.
    blamed = any(math.isfinite(record.curve.untrained_loss) for record in diverged)
    if blamed and (len(diverged) - overfit) / ended >= MANY_DIVERGED:
        text += " That is much of the range: move it down to spend the steps where training works."
    level = Level.WARNING if part >= MANY_DIVERGED else Level.INFO
    return Finding("diverged-share", level, text, part)


def _judge(comparison: Comparison, answers: tuple[Answer, ...]) -> Findings:
    """Only what applies. value: lanes, or for divergence the share of ended lanes."""
    lanes = comparison.study.lanes
    of = {kind: [record for record in lanes if record.outcome is kind] for kind in Outcome}
    ended = len(lanes) - len(of[Outcome.RUNNING])
    found: list[Finding] = []
    if lanes and ended == len(lanes) and all(answer.best_tried is None for answer in answers):
        text = (
            "No lane learned: no strategy has a rate that ends below the untrained loss for every seed. Each "
            "answer says why."
        )
        found.append(Finding("nothing-learned", Level.BAD, text))
    if of[Outcome.DIVERGED]:
        found.append(_diverged(of[Outcome.DIVERGED], ended))
    elif ended:
        none = "The only lane did not diverge" if ended == 1 else f"None of {ended} lanes diverged"
        text = f"{none}, so no stability edge was found."
        found.append(Finding("diverged-share", Level.INFO, text, 0.0))
    if of[Outcome.FAILED]:
        failed = of[Outcome.FAILED]
        says = "says nothing about its" if len(failed) == 1 else "say nothing about their"
        text = f"{plural(len(failed), 'lane')} could not be trained and {says} rate." + after(failed[0].message)
        found.append(Finding("failed-lanes", Level.BAD, text, float(len(failed))))
    if of[Outcome.RUNNING]:
        text = (
            f"{sentence(out_of(len(of[Outcome.RUNNING]), len(lanes), 'lane'))} still to be trained: everything here "
            "may change."
        )
        found.append(Finding("unfinished", Level.WARNING, text, float(len(of[Outcome.RUNNING]))))
    evaluated = [record.curve for record in lanes if len(record.curve.eval_steps)]
    if evaluated and all(curve.eval_steps[0] > 0 for curve in evaluated):
        text = (
            "The loss of the untrained model is not known, so nobody can say what share of the improvement a rate "
            "gives up, which rates are safe, or which runs diverged with finite numbers. Let the program print a line "
            "of step 0."
        )
        found.append(Finding("no-untrained-loss", Level.WARNING, text))
    other = sum(record.lane.total_steps != comparison.study.total_steps for record in lanes)
    if other:
        text = (
            f"{plural(other, 'lane')} of another length than {comparison.study.total_steps} steps "
            f"{'stays' if other == 1 else 'stay'} out of the answers: rates compare only at one length."
        )
        found.append(Finding("other-lengths", Level.WARNING, text, float(other)))
    return tuple(found)


FINDING = StudyJudge(order=20, judge=_judge)
