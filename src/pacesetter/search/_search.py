"""What is asked of whatever trains: lanes, as far as they are not known yet."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pacesetter.findings._trials import looks
from pacesetter.records import Lane, LaneRecord, Problem
from pacesetter.search._strategy import Strategy

__all__ = ["Asks", "Search"]


class Asks(Protocol):
    """Says which lanes to train next, until it asks for none. `total_steps` is the length that is asked about."""

    @property
    def total_steps(self) -> int: ...

    @property
    def question(self) -> dict[str, Any]:
        """What is kept of it with the study, as plain values: empty for a comparison."""
        ...

    def looks(self, steps: int) -> tuple[int, ...]:
        """Updates after which runs of `steps` are evaluated too."""
        ...

    @property
    def runs(self) -> float | None:
        """What all of it is going to cost, in full trainings; None where the first lanes are all."""
        ...

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

    @property
    def question(self) -> dict[str, Any]:
        """The problem and the strategy, as a judge of the study needs them."""
        return {"problem": self.problem.to_json(), "strategy": str(self.strategy)}

    def looks(self, steps: int) -> tuple[int, ...]:
        """Over the ends of a run and of the shorter ones within it."""
        return looks(self.problem, steps)

    @property
    def runs(self) -> float | None:
        """What it is going to cost, in full trainings."""
        return self.strategy.runs(self.problem)

    def ask(self, known: Sequence[LaneRecord]) -> tuple[Lane, ...]:
        """The lanes to train next; none when the search is done, or has to wait for lanes that have not ended."""
        return self.strategy.ask(self.problem, known) if all(record.outcome.ended for record in known) else ()
