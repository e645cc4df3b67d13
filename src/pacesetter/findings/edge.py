"""The best rate tried lies at the edge of the range (or is the only one): no claim, and how to widen the range."""

from pacesetter.findings._answer import neighbours
from pacesetter.findings._group import Group
from pacesetter.findings._judge import AnswerJudge, Findings
from pacesetter.records import Answer, Finding, Level
from pacesetter.words import loss, rate

__all__ = ["FINDING"]

WIDEN = 100.0
"""How far a range is widened: two decades, about what separates a far too low rate from the best."""


def _judge(answer: Answer, group: Group) -> Findings:
    """Which side is open. value: the new end of the range."""
    if answer.best_tried is None or group.best is None:
        return ()
    best = answer.best_tried
    below, above = neighbours(group, group.best, group.best)
    if below is not None and above is not None:
        return ()
    if below is None and above is None:
        text = (
            f"Only the rate {rate(best)} was tried (validation loss {loss(group.means[group.best])}), and "
            "one rate is no comparison. "
            f"Try {rate(best / WIDEN)} to {rate(best * WIDEN)}."
        )
        return (Finding("one-rate", Level.WARNING, text),)
    low, high = float(group.rates[0]), float(group.rates[-1])
    side, end = ("lowest", low / WIDEN) if below is None else ("highest", high * WIDEN)
    new = f"{rate(end)} to {rate(high)}" if below is None else f"{rate(low)} to {rate(end)}"
    beyond = "lower" if below is None else "higher"
    text = (
        f"The best rate tried, {rate(best)}, is at the edge of the range: the {side} that gave a result. A "
        f"{beyond} one may be better, so "
        f"none is recommended. Widen the range to {new}."
    )
    return (Finding("edge-of-range", Level.WARNING, text, end),)


FINDING = AnswerJudge(order=20, judge=_judge)
