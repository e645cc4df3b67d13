"""How sure an answer is: the interval and the equivalent rates in words, or why there is no interval."""

import numpy as np

from pacesetter.findings._answer import MINIMUM_SEEDS, ends, first_unstable
from pacesetter.findings._group import Group
from pacesetter.findings._judge import AnswerJudge, Findings
from pacesetter.records import Answer, Finding, Level
from pacesetter.words import listing, plural, rate, rates, share

__all__ = ["FINDING"]

METHOD = "Dunnett's one-sided comparison with the best rate, paired by seed, at level"


def _open(answer: Answer, group: Group) -> Finding:
    """The equivalent rates reach an end of what was tried, or both. value: that end, the lower one of both."""
    beyond = ends(group, int(np.flatnonzero(group.equivalent)[0]))
    sides = ((0, "lowest", "lower"), (-1, "highest", "higher"))
    reached = [end for end, next_rate in zip(sides, beyond, strict=True) if next_rate is None]
    at = [answer.equivalent[place] for place, _, _ in reached]
    text = (
        f"No interval: even the {listing([name for _, name, _ in reached])} rate tried, {rates(at)}, cannot "
        "be told from the best, so how far the good rates reach is not known. "
        f"Try {listing([way for _, _, way in reached])} rates too."
    )
    return Finding("open-interval", Level.WARNING, text, at[0])


def _judge(answer: Answer, group: Group) -> Findings:
    """Seeds, equivalent rates and interval. value: number of seeds, or of equivalent rates."""
    if answer.best_tried is None:
        return ()
    seeds, level = len(group.seeds), share(answer.confidence)
    found: list[Finding] = []
    if seeds < MINIMUM_SEEDS:
        cannot = "so rates cannot be told apart and there is no interval" if seeds < 2 else "too few for an interval"
        text = f"{plural(seeds, 'seed').capitalize()} per rate, {cannot}. Use at least {MINIMUM_SEEDS} seeds."
        found.append(Finding("too-few-seeds", Level.WARNING, text, float(seeds)))
    if seeds > 1 and int(np.isfinite(group.means).sum()) > 1:  # one rate alone is not compared
        method = f"({METHOD} {level}, {seeds} seeds)"
        if len(answer.equivalent) > 1:
            text = f"Cannot be told apart from the best: {rates(answer.equivalent)} {method}."
        else:
            text = f"Every other rate that ended well for all seeds is worse than {rate(answer.best_tried)} {method}."
        found.append(Finding("equivalent", Level.INFO, text, float(len(answer.equivalent))))
    if answer.interval is not None:
        low, high = answer.interval
        bad = first_unstable(group)
        edge = ", the latter left out because training diverges there," if bad == group.index(high) else ""
        text = (
            f"The rate of lowest expected loss lies between {rate(low)} and {rate(high)}{edge} (level at least "
            f"{level}): these are the tried rates next "
            "to those that cannot be told apart, and it holds if the loss has one valley."
        )
        found.append(Finding("interval", Level.INFO, text, float(np.log10(high) - np.log10(low))))
    elif answer.lr is not None and seeds >= MINIMUM_SEEDS:
        found.append(_open(answer, group))
    return tuple(found)


FINDING = AnswerJudge(order=30, judge=_judge)
