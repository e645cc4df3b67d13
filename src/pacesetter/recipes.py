"""Recipes (rule + lr + schedule) and strategies (a recipe without its rate): pure data with a text form."""

import importlib
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from pacesetter import optimizers, schedules
from pacesetter.errors import InputError, ParseError
from pacesetter.optimizers import Rule
from pacesetter.records import Lane
from pacesetter.schedules import Schedule

__all__ = ["Recipe", "Strategy"]

_RATE = re.compile(r"lr\s*=\s*([^\s()]*)")
_RULE = re.compile(r"[\w.]+(:[\w.]+)?")


@dataclass(frozen=True)
class Strategy:
    """A rule and a schedule without a rate: what is compared at its own best rate.

    >>> str(Strategy.parse("sgd(momentum=0.9) cosine"))
    'sgd(momentum=0.9) cosine'
    """

    rule: Rule
    schedule: Schedule

    @classmethod
    def parse(cls, text: "str | Strategy") -> "Strategy":
        """Read "rule schedule"; the schedule may be left out and is then constant. A strategy comes back as it is.

        Raises UnknownName or ParseError.
        """
        if isinstance(text, Strategy):
            return text
        text = _one_line(text, "strategy")
        end = _end_of_call(text, "strategy")
        rest = text[end:].strip()
        if _RATE.match(rest):
            raise ParseError.at(text, text.index("lr", end), "`strategy` must not have a rate, got one: leave lr= out")
        return cls(optimizers.parse(text[:end].strip()), schedules.parse(rest or "constant"))

    @property
    def key(self) -> tuple[str, str]:
        """(optimizer, schedule) in canonical text, as lanes and answers carry them."""
        return (str(self.rule), str(self.schedule))

    def at(self, lr: float) -> "Recipe":
        """The recipe with this rate."""
        return Recipe(self.rule, lr, self.schedule)

    def __str__(self) -> str:
        return f"{self.rule} {self.schedule}"


@dataclass(frozen=True)
class Recipe:
    """How to train: a rule, its peak learning rate and a schedule; `lr(step) = lr * schedule(step, total_steps)`.

    lr: finite and above 0, in the rule's unit (`rule.unit`).

    Raises InputError for another rate.

    >>> str(Recipe.parse("adam(beta2=0.95) lr=3e-3 warmup(0.05) >> cosine()"))
    'adam(beta2=0.95) lr=0.003 warmup(0.05) >> cosine'
    """

    rule: Rule
    lr: float
    schedule: Schedule

    def __post_init__(self) -> None:
        """Refuse a rate that is none, and make it a plain float so that equal recipes have one text form."""
        lr: Any = self.lr
        if isinstance(lr, bool) or not isinstance(lr, Real) or not 0.0 < float(lr) < math.inf:
            raise InputError(f"`lr` must be a finite number above 0, got lr={lr!r}")
        object.__setattr__(self, "lr", float(lr))

    @classmethod
    def parse(cls, text: "str | Recipe") -> "Recipe":
        """Read "rule lr=rate schedule"; a schedule left out is constant. A recipe comes back as it is.

        Raises UnknownName, ParseError (with a caret) or InputError (the rate).
        """
        if isinstance(text, Recipe):
            return text
        text = _one_line(text, "recipe")
        end = _end_of_call(text, "recipe")
        start = end + len(text[end:]) - len(text[end:].lstrip())
        rate = _RATE.match(text, start)
        if rate is None:
            raise ParseError.at(
                text,
                start,
                '`recipe` must have its rate after the optimizer, as in "adam lr=3e-3 cosine", got none here:',
            )
        try:
            lr = float(rate[1])
        except ValueError:
            raise ParseError.at(text, rate.start(1), f"`lr` must be a number, got lr={rate[1]!r}") from None
        rest = text[rate.end() :].strip()
        return cls(optimizers.parse(text[:end].strip()), lr, schedules.parse(rest or "constant"))

    @classmethod
    def of(cls, lane: Lane) -> "Recipe":
        """The recipe that a lane trains."""
        return cls(optimizers.parse(lane.optimizer), lane.lr, schedules.parse(lane.schedule))

    @property
    def strategy(self) -> Strategy:
        """The rule and schedule alone."""
        return Strategy(self.rule, self.schedule)

    def lane(self, seed: int, total_steps: int) -> Lane:
        """The lane that trains this recipe under `seed` for `total_steps` updates."""
        return Lane(str(self.rule), str(self.schedule), self.lr, seed, total_steps)

    def to_torch(self, params: Iterable[Any], total_steps: int) -> tuple[Any, Any]:
        """The same recipe in PyTorch: (optimizer over `params`, scheduler), to be stepped once per update.

        `params` are what a `torch.optim` optimizer takes: tensors or parameter groups, of which one that brings an `lr`
        has that as its peak, so that ratios are kept. `total_steps` is the length of your own training, in updates.
        """
        # By name at run time: connectors stand above this module, and torch is only needed here.
        connector = importlib.import_module("pacesetter.connect.torch")
        made: tuple[Any, Any] = connector.to_torch(self, params, total_steps)
        return made

    def __str__(self) -> str:
        return f"{self.rule} lr={self.lr!r} {self.schedule}"


def _one_line(text: Any, kind: str) -> str:
    """The text on one line, so that a caret stands under its place."""
    if not isinstance(text, str):
        raise InputError(f"`{kind}` must be text or a {kind}, got {kind}={text!r}")
    line = " ".join(text.split())
    if not line:
        raise ParseError(f"`{kind}` must begin with an optimizer's name, got an empty text")
    return line


def _end_of_call(text: str, kind: str) -> int:
    """Where the leading `name` or `name(...)` of `text` ends; parentheses may be nested."""
    name = _RULE.match(text)
    if name is None or _RATE.match(text):
        raise ParseError.at(text, 0, f"`{kind}` must begin with an optimizer's name, got this instead:")
    end = name.end()
    opening = len(text) - len(text[end:].lstrip())
    if not text[opening:].startswith("("):
        return end
    depth = 0
    for place in range(opening, len(text)):
        depth += {"(": 1, ")": -1}.get(text[place], 0)
        if depth == 0:
            return place + 1
    raise ParseError.at(text, opening, "`(` must be closed, got no matching `)`")
