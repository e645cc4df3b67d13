"""A comparison: every strategy at every rate under every seed, to the full length; nothing is stopped early."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pacesetter.records import Lane, LaneRecord

__all__ = ["Product"]


@dataclass(frozen=True, slots=True)
class Product:
    """Asks for all of it at once, less what is known already.

    strategies: (optimizer, schedule) pairs in their text forms; rates: learning rates; seeds: first to last;
    total_steps: the length of every lane, in updates.

    Example:
        >>> grid = Product(strategies=(("adam", "constant"),), rates=(1e-3, 1e-2), seeds=(0, 1), total_steps=440)
        >>> len(grid.ask(known=()))
        4
    """

    strategies: tuple[tuple[str, str], ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    total_steps: int

    @property
    def question(self) -> dict[str, Any]:
        """Nothing that the lanes do not say."""
        return {}

    def looks(self, steps: int) -> tuple[int, ...]:
        """None: evaluations at equal shares are all."""
        return ()

    @property
    def runs(self) -> float | None:
        """The first lanes are all."""
        return None

    def ask(self, known: Iterable[LaneRecord]) -> tuple[Lane, ...]:
        """The lanes of the grid that are not among `known`, strategy by strategy, rate by rate, seed by seed."""
        have = {record.lane for record in known}
        asked = (
            Lane(optimizer, schedule, rate, seed, self.total_steps)
            for optimizer, schedule in self.strategies
            for rate in self.rates
            for seed in self.seeds
        )
        return tuple(lane for lane in asked if lane not in have)
