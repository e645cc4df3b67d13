"""Schedules: the learning rate as a pure function of the step.

    from pacesetter import schedules

    schedule = schedules.warmup(500) >> schedules.cosine(final=0.1)
    schedule = schedules.parse("warmup(500) >> cosine(final=0.1)")     # the same
    lr = peak_lr * schedule(step, total_steps)

A span is an int (steps), a float in (0, 1] (a share of the run), or left out (the rest). `a >> b` is "then", `a * b`
multiplies. Inside a span of n steps the k-th step has u = k/n; the end value is reached at u = 1, the first step after
the span, and held. One family lives in each file; what is in a family's `__all__` is found by `parse` and `names`.
"""

# ruff: noqa: F403 (a family's `__all__` is the one place where its names are listed)
from pacesetter import textform
from pacesetter.schedules import (
    budgets,
    controllers,
    cosines,
    cycles,
    exponentials,
    flat,
    functions,
    inverses,
    phases,
    polynomials,
    ramps,
    stairs,
    tangents,
)
from pacesetter.schedules._base import Schedule
from pacesetter.schedules._pieces import Controller, Piece
from pacesetter.schedules.budgets import *
from pacesetter.schedules.controllers import *
from pacesetter.schedules.cosines import *
from pacesetter.schedules.cycles import *
from pacesetter.schedules.exponentials import *
from pacesetter.schedules.flat import *
from pacesetter.schedules.functions import *
from pacesetter.schedules.inverses import *
from pacesetter.schedules.phases import *
from pacesetter.schedules.polynomials import *
from pacesetter.schedules.ramps import *
from pacesetter.schedules.stairs import *
from pacesetter.schedules.tangents import *

__all__ = ["Controller", "Piece", "Schedule", "names", "parse"]
__all__ += budgets.__all__
__all__ += controllers.__all__
__all__ += cosines.__all__
__all__ += cycles.__all__
__all__ += exponentials.__all__
__all__ += flat.__all__
__all__ += functions.__all__
__all__ += inverses.__all__
__all__ += phases.__all__
__all__ += polynomials.__all__
__all__ += ramps.__all__
__all__ += stairs.__all__
__all__ += tangents.__all__

# In the order in which people look: flat, down, down for ever, up and down, whole trainings, what reacts, your own.
_FAMILIES = (
    flat, ramps, polynomials, cosines, exponentials, stairs, inverses, tangents, budgets,
    cycles, phases, controllers, functions,
)  # fmt: skip
_REGISTRY: dict[str, type[Schedule]] = {name: getattr(family, name) for family in _FAMILIES for name in family.__all__}


def names() -> list[str]:
    """The names that `parse` knows, in the order of their families."""
    return list(_REGISTRY)


def parse(text: str | Schedule) -> Schedule:
    """The schedule that `text` describes; a schedule is returned as it is.

    Raises UnknownName (with "did you mean"), ParseError (with a caret), or InputError for a value out of range.

    >>> parse("warmup(0.05) >> cosine()") == warmup(0.05) >> cosine()
    True
    """
    if isinstance(text, Schedule):
        return text
    operators = {">>": Schedule.__rshift__, "*": Schedule.__mul__}
    return textform.parse_expression(text, "schedule", _REGISTRY, operators)
