"""What is asked of whatever trains: lanes, as far as they are not known yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from pacesetter.records import Lane, LaneRecord, Problem
from pacesetter.search._strategy import Strategy

__all__ = ["Asks", "Search"]


class Asks(Protocol):
    """Says which lanes to train next, until it asks for none. `total_steps` is the length that is asked about."""

    @property
    def total_steps(self) -> int: ...

    def ask(self, known: Sequence[LaneRecord]) -> tuple[Lane, ...]:
        """The lanes to train next, those of `known` left out."""
        ...


@dataclass(frozen=True, slots=True)
class Search:
    """A strategy at work on a problem."""

    problem: Problem
    strategy: Strategy

    @property
    def total_steps(self) -> int:
        """The length that the rate is for."""
        return self.problem.total_steps

    def ask(self, known: Sequence[LaneRecord]) -> tuple[Lane, ...]:
        """The lanes to train next; none when the search is done."""
        return self.strategy.ask(self.problem, known)
