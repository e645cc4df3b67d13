"""Spans: how long a piece of a schedule lasts. An int is steps, a float in (0, 1] a share, None the rest."""

import math
from collections.abc import Sequence
from typing import Any

from pacesetter.errors import InputError

__all__ = ["Span", "checked_span", "lengths", "steps_of"]

Span = int | float | None

# Sums of shares such as 0.1 + 0.2 + 0.7 miss 1 by a few units in the last place.
_SLACK = 1e-9


def checked_span(name: str, value: Any, least: int = 1, shares: bool = True) -> int | float:
    """`value` as whole steps (at least `least`) or, where `shares` may be, as a share; else raises InputError."""
    # A numpy number prints differently from Python's.
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if type(value) is int and value >= least:
        return value
    if shares and type(value) is float and 0 < value <= 1:
        return value
    rule = f"a whole number of steps from {least}" + ", or a share with a point in (0, 1]" * shares
    raise InputError(f"`{name}` must be {rule}, got {name}={value!r}")


def steps_of(span: int | float, whole: int) -> int:
    """Steps of a span within `whole` steps: a share is rounded half up, and is at least one step."""
    if isinstance(span, int):
        return span
    # Shares are meant as decimals: 0.145 of 100 is 14.5 although the nearest float is below; hence the tiny push.
    return max(1, math.floor(span * whole * (1 + 1e-12) + 0.5))


def check_spans(spans: Sequence[Span], text: str) -> None:
    """Refuses spans that can fit no length: two rests, or shares that leave nothing. `text` is the chain's."""
    if spans.count(None) > 1:
        rule = "`span` may be left out by one piece of a chain only, which takes the rest"
        raise InputError(f"{rule}, got {text}: give a span to the others, as in linear(0.3)")
    shares = math.fsum(span for span in spans if isinstance(span, float))
    if shares > 1 + _SLACK:
        raise InputError(f"the shares of a chain must add up to at most 1, got {shares:.6g} in {text}")
    if None in spans and shares > 1 - _SLACK:
        rule = "the shares of a chain must leave something for the piece without a span"
        raise InputError(f"{rule}, got {shares:.6g} in {text}: lower them or give every piece a span")


def lengths(spans: Sequence[Span], whole: int, text: object) -> list[int]:
    """Steps of each span of a chain within `whole` steps; their sum never exceeds `whole`.

    Where rounding shares up asks for more than there is, the last shares give way.
    """
    found = [0 if span is None else steps_of(span, whole) for span in spans]
    spare = whole - sum(found)
    if spare < 0:
        fixed = sum(span for span in spans if isinstance(span, int))
        asked = fixed + math.fsum(span for span in spans if isinstance(span, float)) * whole
        if asked > whole * (1 + _SLACK):
            raise InputError(
                f"the spans of a chain must fit into `total_steps`, got spans of {asked:.6g} steps and "
                f"total_steps={whole} in {text}: shorten them or train longer"
            )
    for place in reversed(range(len(found))):
        if spare < 0 and isinstance(spans[place], float):
            cut = min(found[place], -spare)
            found[place] -= cut
            spare += cut
    return [max(spare, 0) if span is None else length for span, length in zip(spans, found, strict=True)]
