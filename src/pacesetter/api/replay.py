"""The verb that scores search strategies on sweeps that were recorded before: nothing is trained."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pacesetter import search
from pacesetter.api.grid import check_rate
from pacesetter.api.recordings import read_recordings
from pacesetter.packages import require
from pacesetter.records import LaneRecord, Problem
from pacesetter.search import Strategy
from pacesetter.search._replay import Recording, Replayed, run

__all__ = ["Interval", "Replay", "Score", "Summary", "claimed_interval", "replay"]

Interval = Callable[[Problem, Sequence[LaneRecord]], tuple[float, float] | None]
# Making an interval takes a tenth of a second. From so many sweeps a coverage of 90 % is known to within 2 %.
CLAIMS = 200
# The best rate of a recording may be an end of the interval, and is written as text in between.
_ROUNDING = 1e-6


@dataclass(frozen=True, slots=True)
class Summary:
    """Of one number over all sweeps: its mean, its median, and the worst of it."""

    mean: float
    median: float
    worst: float


@dataclass(frozen=True, slots=True)
class Score:
    """How one strategy fared.

    strategy: its text. sweeps: on how many. unanswered: in how many of these it had no rate to suggest.
    regret: the share of the achievable improvement that its suggestion gives up, all of it where there is none; None
        where no untrained value is known.
    difference: the same in units of the value; without a suggestion, that of the sweep's worst rate.
    runs: the mean cost of a sweep, in full trainings.
    intervals: in how many of the sweeps that were asked for one there was one. coverage: the share of these that hold
        the rate of the best truth. width: their median width in decades. None where nobody asked for intervals.
    """

    strategy: str
    sweeps: int
    unanswered: int
    regret: Summary | None
    difference: Summary
    runs: float
    intervals: int | None = None
    coverage: float | None = None
    width: float | None = None


@dataclass(frozen=True, slots=True)
class Replay:
    """What `replay` found: a score for each strategy, in the order in which they were named.

    data: the file. sweeps: how many could be judged. skipped: how many could not, as every run of them diverged.
    claims: how many sweeps were asked for an interval, evenly spaced among all.
    """

    data: str
    sweeps: int
    skipped: int
    claims: int
    scores: tuple[Score, ...]

    @property
    def answered(self) -> bool:
        """Whether any strategy suggested a rate for any sweep."""
        return any(score.unanswered < score.sweeps for score in self.scores)

    def to_json(self) -> str:
        """The document that programs read: strict JSON."""
        document: dict[str, Any] = {
            "data": self.data,
            "sweeps": self.sweeps,
            "skipped": self.skipped,
            "claims": self.claims,
            "strategies": [asdict(score) for score in self.scores],
        }
        return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def replay(
    data: str | Path,
    strategy: str | Strategy | Iterable[str | Strategy] = "grid",
    *,
    budget: str | float | None = None,
    quick: bool = False,
    interval: Interval | None = None,
) -> Replay:
    """Run strategies on recorded sweeps, and score what they suggest against all that was recorded.

    regret = (truth(suggested) - truth(best)) / (untrained - truth(best)),  truth = mean over all seeds at the end

    Arguments:
        data: a CSV file, `.gz` too, with the columns `sweep,lr,seed,step,value`: the value that a run of `step` updates
            ended with, lower is better, empty or NaN where it diverged. Rows of step 0 have the untrained value. Each
            run stands for a whole run of its length; with one length, only full runs can be replayed.
        strategy: texts or objects, one or many; see `pacesetter.search`.
        budget: the most that a sweep may cost, in full trainings; None leaves it to the strategy.
        quick: a first look, as of `find`.
        interval: gives the interval for the best rate from a problem and what is known of it; None scores none. Of
            many sweeps, 200 are asked for one.

    A strategy sees the seeds in their order, the first of a recording first. What it draws at random differs from
    sweep to sweep and not from call to call. In the truth a diverged run counts as untrained, or where that is not
    known as the worst of its sweep. A sweep of which every full run diverged is left out.

    Returns:
        a score for each strategy: regret, cost, and with `interval` its coverage.

    Raises:
        InputError: the file is no such table, a strategy does not read, or `budget` is no number above 0.

    Example:
        found = replay("sweeps.csv", ["grid", "random(trials=4)"])
        found.scores[0].regret
    """
    asked = [strategy] if isinstance(strategy, str) or not isinstance(strategy, Iterable) else list(strategy)
    strategies = [search.parse(one) if isinstance(one, str) else one for one in asked]
    most = None if budget is None else check_rate(budget, "budget")
    found = read_recordings(data)
    judged = [recording for recording in found if recording.judged]
    claims = 0 if interval is None else min(CLAIMS, len(judged))
    claiming = frozenset(place * len(judged) // claims for place in range(claims))
    scores = tuple(_score(one, judged, most, quick, interval, claiming) for one in strategies)
    return Replay(str(data), len(judged), len(found) - len(judged), claims, scores)


def claimed_interval(problem: Problem, known: Sequence[LaneRecord]) -> tuple[float, float] | None:
    """The interval that `find` would answer with."""
    require("store")
    from pacesetter.findings._found import found

    return found(problem, known)[0].interval


def _score(
    strategy: Strategy,
    recordings: Sequence[Recording],
    budget: float | None,
    quick: bool,
    interval: Interval | None,
    claiming: frozenset[int],
) -> Score:
    ends: list[Replayed] = []
    held: list[bool] = []
    widths: list[float] = []
    for seed, recording in enumerate(recordings):
        problem = recording.problem(seed, budget, quick)
        end = run(problem, strategy, recording)
        claimed = interval(problem, end.known) if interval is not None and seed in claiming else None
        if claimed is not None:
            low, high = claimed
            held.append(low * (1 - _ROUNDING) <= recording.best <= high * (1 + _ROUNDING))
            widths.append(math.log10(high / low))
        ends.append(end)
    regrets = [end.regret for end in ends if not math.isnan(end.regret)]
    return Score(
        strategy=str(strategy),
        sweeps=len(ends),
        unanswered=sum(end.suggested is None for end in ends),
        regret=_summary(regrets) if regrets else None,
        difference=_summary([end.difference for end in ends]),
        runs=float(np.mean([end.runs for end in ends])),
        intervals=None if interval is None else len(held),
        coverage=float(np.mean(held)) if held else None,
        width=float(np.median(widths)) if widths else None,
    )


def _summary(values: Sequence[float]) -> Summary:
    return Summary(float(np.mean(values)), float(np.median(values)), float(np.max(values)))
