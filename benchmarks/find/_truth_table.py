"""What the truth says of a rate: the share of the achievable improvement that it loses, and where training breaks."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from truth import Row

FLAT = 0.02
"""A sweep is as flat as the range of rates that lose at most this share is wide."""
RISE = 0.1
"""A run diverged if it ended above the untrained loss by more than this share of it, or not at all."""
FINE = 0.001
"""Decades between the rates at which a width is measured: far below the truth's own quarter of a decade."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One sweep: the mean loss over seeds at the whole length, linear in log lr between the rates.

    sweep: "task optimizer schedule".
    logs: log10 of the rates, ascending.
    losses: mean over seeds, a run that diverged or ended above the untrained loss counted as untrained.
    diverged: share of seeds that diverged.
    untrained: mean loss over seeds before training.
    """

    sweep: str
    logs: NDArray[np.float64]
    losses: NDArray[np.float64]
    diverged: NDArray[np.float64]
    untrained: float

    @property
    def task(self) -> str:
        """The task's name."""
        return self.sweep.split()[0]

    @property
    def optimizer(self) -> str:
        """The rule's text form."""
        return self.sweep.split()[1]

    @property
    def schedule(self) -> str:
        """The schedule's text form."""
        return self.sweep.split()[2]

    @property
    def best(self) -> float:
        """The rate of the lowest mean loss."""
        return float(10 ** self.logs[self.losses.argmin()])

    def lost(self, lr: float | None) -> float:
        """Share of the achievable improvement that `lr` gives up, 0 to 1; all of it without a rate."""
        return 1.0 if lr is None else float(self._lost(np.array([np.log10(lr)]))[0])

    def _lost(self, logs: NDArray[np.float64]) -> NDArray[np.float64]:
        least = self.losses.min()
        return np.clip((np.interp(logs, self.logs, self.losses) - least) / (self.untrained - least), 0, 1)

    def decades_off(self, lr: float) -> float:
        """How far `lr` is from the best rate, in decades."""
        return abs(float(np.log10(lr / self.best)))

    @property
    def edge(self) -> tuple[float, float] | None:
        """(the last rate above the best with which most seeds train, the first with which half diverge)."""
        broken = np.flatnonzero(self.diverged >= 0.5)
        broken = broken[broken > self.losses.argmin()]
        return None if not len(broken) else (float(10 ** self.logs[broken[0] - 1]), float(10 ** self.logs[broken[0]]))

    def is_over_edge(self, lr: float) -> bool:
        """Whether `lr` is nearer, in decades, to the rates with which training breaks than to those with which not."""
        return self.edge is not None and lr > float(np.sqrt(self.edge[0] * self.edge[1]))

    @property
    def flatness(self) -> float:
        """Decades of rates that lose at most `FLAT`."""
        logs = np.arange(self.logs[0], self.logs[-1], FINE)
        return float((self._lost(logs) <= FLAT).sum() * FINE)


def truths(rows: Sequence[Row], tasks: Sequence[str] | None = None) -> list[Truth]:
    """The truth of each sweep in `rows`, of these tasks alone if any are named."""
    sweeps: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        if tasks is None or row[0].split()[0] in tasks:
            sweeps[row[0]].append(row)
    return [_truth(sweep, mine) for sweep, mine in sweeps.items()]


def _truth(sweep: str, rows: list[Row]) -> Truth:
    whole = max(step for _, _, _, step, _ in rows)
    untrained = {seed: value for _, _, seed, step, value in rows if step == 0 and value is not None}
    ends: dict[float, list[tuple[float, bool]]] = defaultdict(list)
    for _, lr, seed, step, value in rows:
        if step == whole:
            start = untrained[seed]
            end = np.inf if value is None or np.isnan(value) else value
            ends[lr].append((min(end, start), end > start + RISE * abs(start)))
    rates = sorted(ends)
    return Truth(
        sweep=sweep,
        logs=np.log10(rates),
        losses=np.array([np.mean([loss for loss, _ in ends[lr]]) for lr in rates]),
        diverged=np.array([np.mean([broken for _, broken in ends[lr]]) for lr in rates]),
        untrained=float(np.mean(list(untrained.values()))),
    )
