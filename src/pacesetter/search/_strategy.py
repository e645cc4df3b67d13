"""What a strategy is, and how it is found: each public file of this folder has one, called STRATEGY."""

import importlib
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Protocol

from pacesetter.errors import UnknownName
from pacesetter.records import Lane, LaneRecord, Problem
from pacesetter.textform import parse_call

__all__ = ["Strategy", "names", "parse"]


class Strategy(Protocol):
    """Which lanes next: a frozen dataclass of settings, whose text, `str()`, is the call that makes it.

    All that it knows comes with the call, so a search goes on after a crash from what lies in the store, and runs on
    recorded curves as on an engine. What it draws at random follows from `problem.seed` and the number of lanes that
    are known.
    """

    def ask(self, problem: Problem, known: Sequence[LaneRecord]) -> tuple[Lane, ...]:
        """The lanes to train next, side by side; none when the search is done.

        known: all lanes that were asked for before, ended every one. Asked for twice with the same `known`, it answers
        the same. Lanes have rates of `problem.rates` and lengths of `problem.lengths` where these are given, and cost
        no more together than `problem.budget`.
        """
        ...

    def suggest(self, problem: Problem, known: Sequence[LaneRecord]) -> float | None:
        """The best rate as far as the strategy knows; None where nothing learned."""
        ...

    def runs(self, problem: Problem) -> float:
        """What it is going to cost, in full trainings."""
        ...


@cache
def names() -> list[str]:
    """The names of the strategies, those of the files that hold them."""
    path = importlib.import_module("pacesetter.search").__path__
    return sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))


def parse(text: str) -> Strategy:
    """The strategy that `text` calls: `pace`, `halving(factor=3)`, `optuna(sampler=gp)`; also `optuna:gp`.

    Raises UnknownName (an InputError) with "did you mean", and ParseError for what does not read.

    >>> str(parse("grid(per_decade=4)"))
    'grid(per_decade=4)'
    """
    head, colon, rest = text.partition(":")
    name = head.split("(", maxsplit=1)[0].strip()
    if name not in names():
        raise UnknownName.of("strategy", name, names())
    kind = importlib.import_module(f"pacesetter.search.{name}").STRATEGY
    if colon:
        text = f"{head}({rest})"
    made: Strategy = parse_call(text, "strategy", {name: kind})
    return made
