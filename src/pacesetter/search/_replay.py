"""Recorded sweeps in the place of training: what a strategy asks for is answered from them, and what it says is scored.

The value that a rate ended with under every seed is the truth, so a strategy that saw some of it can be told how much
of the achievable improvement its suggestion gives up.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from pacesetter.records import Curve, Floats, Lane, LaneRecord, Outcome, Problem
from pacesetter.search._strategy import Strategy
from pacesetter.words import OWN

__all__ = ["Recording", "Replayed", "run"]

NOT_RECORDED = "the recording has no run of this rate, seed and length"


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """What every rate of one sweep ended with, under every seed, at every length that was recorded.

    rates: ascending. seeds: as they were recorded. lengths: in updates, ascending; each is a whole run.
    values: [rates, seeds, lengths], lower is better; what is not finite has diverged.
    recorded: of the same shape; what is False was never run, and nothing is known of it.
    untrained: [seeds], the value before training; NaN where it is not known.
    """

    name: str
    rates: tuple[float, ...]
    seeds: tuple[int, ...]
    lengths: tuple[int, ...]
    values: Floats
    recorded: NDArray[np.bool_]
    untrained: Floats

    def problem(self, seed: int = 0, budget: float | None = None, quick: bool = False) -> Problem:
        """What a search on this recording is to find: the best of its rates at its greatest length.

        `seed` stands for the first recorded seed, `seed + 1` for the second; what a strategy draws follows from it.
        """
        return Problem(
            optimizer=OWN,
            schedule=OWN,
            low=self.rates[0],
            high=self.rates[-1],
            total_steps=self.lengths[-1],
            seed=seed,
            seeds=len(self.seeds),
            rates=self.rates,
            lengths=self.lengths,
            budget=budget,
            quick=quick,
        )

    def answer(self, problem: Problem, lanes: Sequence[Lane]) -> list[LaneRecord]:
        """The lanes as if they had been trained; a diverged one as if it had gone on to its end."""
        rates, lengths = ({value: k for k, value in enumerate(values)} for values in (self.rates, self.lengths))
        records = []
        for lane in lanes:
            seed = lane.seed - problem.seed
            place = (rates[lane.lr], seed, lengths[lane.total_steps])
            if not self.recorded[place]:
                records.append(LaneRecord(lane, Outcome.FAILED, Curve(), NOT_RECORDED))
                continue
            value = float(self.values[place])
            curve = replace(_flat(lane.total_steps), valid_loss=np.array([self.untrained[seed], value]))
            outcome = Outcome.FINISHED if np.isfinite(value) else Outcome.DIVERGED
            records.append(LaneRecord(lane, outcome, curve))
        return records

    @property
    def start(self) -> float:
        """The mean over seeds of the value before training; NaN where none is known."""
        known = self.untrained[np.isfinite(self.untrained)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def truth(self) -> Floats:
        """[rates]: the mean over all seeds at the greatest length, NaN where a rate never ran to it.

        A diverged run counts as the untrained model, or where that is not known as the worst of the sweep.
        """
        ended, ran = self.values[:, :, -1], self.recorded[:, :, -1]
        finite = ended[np.isfinite(ended) & ran]
        worst = finite.max() if len(finite) else np.nan
        instead = np.where(np.isfinite(self.untrained), self.untrained, worst)
        counted = np.where(np.isfinite(ended), ended, instead)
        runs = ran.sum(axis=1)
        means: Floats = np.where(ran, counted, 0.0).sum(axis=1) / np.where(runs > 0, runs, np.nan)
        return means

    @property
    def judged(self) -> bool:
        """Whether there is a truth: some run ended with a number."""
        return bool(np.isfinite(self.values[:, :, -1][self.recorded[:, :, -1]]).any())

    @property
    def best(self) -> float:
        """The rate of the lowest truth."""
        return self.rates[int(np.nanargmin(self.truth))]


@dataclass(frozen=True, slots=True, eq=False)
class Replayed:
    """How a strategy fared on one recording.

    suggested: its rate, None where it had none.
    regret: (truth(suggested) - truth(best)) / (untrained - truth(best)), 1 without a rate; NaN where the untrained
        value is not known, or no rate improved on it. The truth between two rates is linear in log.
    difference: truth(suggested) - truth(best), in units of the value; without a rate, that of the worst rate.
    runs: what it asked for, in full trainings.
    """

    suggested: float | None
    regret: float
    difference: float
    runs: float
    known: tuple[LaneRecord, ...]


def run(problem: Problem, strategy: Strategy, recording: Recording) -> Replayed:
    """Ask and answer until the strategy asks for nothing, and score what it suggests."""
    known: list[LaneRecord] = []
    while lanes := strategy.ask(problem, known):
        known += recording.answer(problem, lanes)
    suggested = strategy.suggest(problem, known)
    truth = recording.truth
    least, start = float(np.nanmin(truth)), recording.start
    if suggested is None:
        difference, share = float(np.nanmax(truth)) - least, 1.0
    else:
        ran = np.isfinite(truth)
        found = np.interp(np.log(suggested), np.log(np.array(recording.rates)[ran]), truth[ran])
        difference = float(found) - least
        share = difference / (start - least) if start > least else 0.0
    regret = share if start > least else float("nan")
    cost = sum(record.lane.total_steps for record in known if record.outcome is not Outcome.FAILED)
    return Replayed(suggested, regret, difference, cost / problem.total_steps, tuple(known))


@cache
def _flat(steps: int) -> Curve:
    """A curve of so many updates of which nothing is known but that they were made: they cost, and take no memory."""
    nothing = np.broadcast_to(np.float64("nan"), steps)
    return Curve(lr=nothing, train_loss=nothing, grad_norm=nothing, eval_steps=np.array([0, steps], dtype=np.int64))
