"""The answer of a search, as numbers: what trials of several lengths say about the best rate at the full one.

*Claim*: of the rates trained to the full length, the one whose loss is expected to be lowest by the model of `_basin`,
none close below a rate that diverged where there is another; where none was (a first look), that of the rates tried and
the middles between them, and of fewer than three rates the best of these. It is made only where rates on both sides
were tried, by runs of their own or by a sweep over them.

*Interval*: of the rates tried in the valley and the middles between them the fewest among which the best of them is in
SURE of the valleys drawn from the model, from the lowest to the highest, and at least half the way to the next of the
longest runs: between two may be a cliff, which the smooth model does not know. It is wide where the valley is flat or
little is known of it. How often it holds the truth is measured by `benchmarks/find`; that it does for valleys of the
model's own kind is simulated in the tests. (All rates that may be as good as the best, one by one, are a wider interval
that holds the truth no more often: such a rate need not be the best of all.)

*Equivalent*: rates tried in the interval that are as good as the best or better in more than 1 - LEVEL of the valleys.

*Safe range*: rates around the best that give up at most SAFE_SHARE of the improvement in the mean of the valleys.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pacesetter.findings._answer import SAFE_SHARE
from pacesetter.findings._basin import DIGITS, RESOLUTION, Basin, basin
from pacesetter.findings._ending import overfitted
from pacesetter.findings._reading import trials_of
from pacesetter.findings._statistics import LEVEL
from pacesetter.findings._trials import is_verified, learned_at
from pacesetter.records import Answer, Lane, LaneRecord, Outcome, Problem, Trial

__all__ = ["Found", "found"]

Floats = NDArray[np.float64]

FAR = 1.5
"""Of w, see `_basin`: a tenth of the improvement given up."""
SURE = 0.98
"""The share of the valleys drawn whose best rate is in the interval. The model is surer than it should be: over 416
replayed searches of `benchmarks/find` the truth's best rate is in 91 % of these intervals, and with 0.95 in 89 %."""
FEWEST = 3
"""Rates that a valley can be made of: fewer have no interval, and are no model where none was trained in full."""
LEARNING_SHARE = 0.2
"""Of the full length: a run as long as that has learned, or there is nothing to learn."""
SWEEP = "sweep"
"""How the schedule of a range test's runs begins."""


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """What a search found, for the sentences about it.

    trials: those of its optimizer and schedule. basin: None where nothing learned, or too few rates were tried for one.
    best: the best rate so far. swept: the rates that a range test went over.
    unstable: the lowest rate above the best at which a lane diverged by instability. steady: the highest below that.
    """

    problem: Problem
    trials: Sequence[Trial]
    basin: Basin | None
    best: float | None
    unstable: float | None
    steady: float | None
    swept: tuple[float, float] | None = None

    @property
    def verified(self) -> bool:
        """Whether the best rate has two full runs, and a lower and a higher one has one (or diverges above)."""
        if self.best is None:
            return False
        return is_verified(self.problem, self.trials, self.best, self.unstable is not None)

    def given_up(self, rates: Sequence[float]) -> list[float]:
        """The share of the improvement that each rate is expected to give up in a full run; 1 where it diverges."""
        if self.basin is None or self.best is None:
            return [float("nan") for _ in rates]
        places = np.log10([self.best, *rates])
        shares = _shares(self.basin.samples(places))
        lost = np.clip((shares[:, 1:] - shares[:, :1]).mean(axis=0), 0.0, 1.0)
        return [
            1.0 if self.unstable is not None and rate >= self.unstable else float(share)
            for rate, share in zip(rates, lost, strict=True)
        ]


def found(problem: Problem, records: Sequence[LaneRecord]) -> tuple[Answer, Found]:
    """The answer of a search without its findings, and what they are made of."""
    trials = trials_of(problem, records)
    known = _found(problem, trials, records)
    best = known.best
    claim = best is not None and _inside(known)
    lr = best if claim else None
    interval = _interval(known)
    lane = None if lr is None else Lane(problem.optimizer, problem.schedule, lr, 0, problem.total_steps)
    answer = Answer(
        optimizer=problem.optimizer,
        schedule=problem.schedule,
        best_tried=best,
        lr=lr,
        interval=interval if claim else None,
        equivalent=_equivalent(known, interval),
        safe_range=_safe_range(known),
        stability_edge=None if None in (known.steady, known.unstable) else (known.steady, known.unstable),  # type: ignore[arg-type]  # neither is None
        valid_loss=_valid_loss(problem, records, best),
        confidence=LEVEL,
        findings=(),
        recipe=None if lane is None else lane.recipe,
    )
    return answer, known


def _found(problem: Problem, trials: Sequence[Trial], records: Sequence[LaneRecord]) -> Found:
    swept = _swept(problem, records)
    whole = any(trial.steps == problem.total_steps for trial in trials)
    few = not whole and len({trial.lr for trial in trials}) < FEWEST
    ended = [trial for trial in trials if np.isfinite(trial.value)]
    # That a rate trains is what its sweep has shown, and a run too short to learn that it does not diverge.
    learned = learned_at(trials, problem.total_steps)
    fell = any((r.curve.train_loss < r.curve.train_loss[:1]).any() for r in _sweeps(problem, records))
    shown = fell and all(trial.steps < LEARNING_SHARE * problem.total_steps for trial in trials)
    if few and ended and (shown or learned):
        tried = min(ended, key=lambda trial: trial.value).lr
        return Found(problem, trials, None, tried, *_edge(problem, records, tried), swept)
    if not learned:
        return Found(problem, trials, None, None, *_edge(problem, records, None))
    model = basin(problem, trials)
    best = model.best_run()
    if best is None:
        best = bottom = model.best
        if problem.rates:
            best = min(problem.rates, key=lambda rate: abs(np.log(rate / bottom)))
    return Found(problem, trials, model, best, *_edge(problem, records, best), swept)


def _swept(problem: Problem, records: Sequence[LaneRecord]) -> tuple[float, float] | None:
    """From the lowest to the highest rate that sweeps went over; None without a sweep."""
    own = _sweeps(problem, records)
    rates = [rate for r in own for rate in (r.curve.lr.min(initial=np.inf), r.curve.lr.max(initial=0.0))]
    return (float(min(rates)), float(max(rates))) if rates else None


def _sweeps(problem: Problem, records: Sequence[LaneRecord]) -> list[LaneRecord]:
    return [r for r in records if r.lane.optimizer == problem.optimizer and r.lane.schedule.startswith(SWEEP)]


def _edge(problem: Problem, records: Sequence[LaneRecord], best: float | None) -> tuple[float | None, float | None]:
    """(lowest unstable rate above the best, highest rate below it that no lane was unstable at)."""
    own = [record for record in records if record.lane.strategy == (problem.optimizer, problem.schedule)]
    unstable = {r.lane.lr for r in own if r.outcome is Outcome.DIVERGED and not overfitted(r)}
    steady = {r.lane.lr for r in own if r.outcome is Outcome.FINISHED or overfitted(r)} - unstable
    bad = min((lr for lr in unstable if best is None or lr > best), default=None)
    if bad is None:
        return None, None
    return bad, max((lr for lr in steady if lr < bad), default=None)


def _inside(known: Found) -> bool:
    """Whether rates on both sides of the best were tried, at any length."""
    assert known.best is not None
    if known.swept is not None and known.swept[0] < known.best < known.swept[1]:
        return True
    return any(t.lr < known.best for t in known.trials) and any(t.lr > known.best for t in known.trials)


def _limits(known: Found) -> tuple[float, float]:
    """log10 of the lowest rate tried, and of the highest or the first that is unstable."""
    rates = [trial.lr for trial in known.trials]
    high = max(rates) if known.unstable is None else known.unstable
    return float(np.log10(min(rates))), float(np.log10(high))


def _valley(known: Found) -> tuple[float, float]:
    """log10 of the rates around the best, within the limits, up to one that is expected to be bad.

    Loss against rate is one valley: a bottom beyond a rate that is bad is noise.
    """
    assert known.basin is not None
    assert known.best is not None
    low, high = _limits(known)
    best = float(np.log10(known.best))
    grid = known.basin.grid
    bad = grid[known.basin.valley(grid) > FAR]
    return float(max([low, *bad[bad < best]])), float(min([high, *bad[bad > best]]))


def _interval(known: Found) -> tuple[float, float] | None:
    best = known.best
    if best is None or known.basin is None or len({trial.lr for trial in known.trials}) < FEWEST:
        return None
    low, high = _valley(known)
    inside = [rate for rate in known.basin.told_apart if low - 1e-9 <= np.log10(rate) <= high + 1e-9]
    rates = np.array(sorted({*inside, best}))
    good = [*rates[known.basin.likely(np.log10(rates), SURE)].tolist(), best, *_between_runs(known)]
    return min(good), max(good)


def _between_runs(known: Found) -> list[float]:
    """The rates half way from the best to the next of the longest runs to each side, or to what diverged."""
    best = known.best
    assert best is not None
    longest = max(trial.steps for trial in known.trials)
    tried = {trial.lr for trial in known.trials if trial.steps == longest or not np.isfinite(trial.value)}
    below = max((rate for rate in tried if rate < best), default=best)
    above = min((rate for rate in tried if rate > best), default=best)
    return [float(f"{(best * rate) ** 0.5:.{DIGITS}g}") for rate in (below, above) if rate != best]


def _equivalent(known: Found, interval: tuple[float, float] | None) -> tuple[float, ...]:
    """The best, and what was tried in the valley, or in the interval where there is one, and is as good."""
    if known.basin is None or known.best is None:
        return ()
    low, high = interval or 10 ** np.array(_valley(known))
    lost = {trial.lr for trial in known.trials if not np.isfinite(trial.value)}
    rates = sorted({*({trial.lr for trial in known.trials} - lost), known.best})
    rates = [rate for rate in rates if low <= rate <= high]
    if known.unstable is not None:
        rates = [rate for rate in rates if rate < known.unstable]
    alike = known.basin.as_good(float(np.log10(known.best)), np.log10(rates), LEVEL)
    return tuple(rate for rate, same in zip(rates, alike, strict=True) if same)


def _safe_range(known: Found) -> tuple[float, float] | None:
    """From the rates of the valley's grid around the best, whose mean share given up is small."""
    if known.basin is None or known.best is None:
        return None
    low, high = _limits(known)
    grid = known.basin.grid
    best = float(np.log10(known.best))
    places = np.unique([*grid[(grid >= low - 1e-9) & (grid <= high - 1e-9)], best])
    at = first = last = int(np.searchsorted(places, best))
    shares = _shares(known.basin.samples(places))
    safe = (shares - shares[:, [at]]).mean(axis=0) <= SAFE_SHARE
    while first > 0 and safe[first - 1]:
        first -= 1
    while last + 1 < len(places) and safe[last + 1]:
        last += 1
    return float(f"{10 ** places[first]:.{DIGITS}g}"), float(f"{10 ** places[last]:.{DIGITS}g}")


def _valid_loss(problem: Problem, records: Sequence[LaneRecord], best: float | None) -> float | None:
    losses = [
        record.curve.final_valid_loss
        for record in records
        if record.lane.strategy == (problem.optimizer, problem.schedule)
        and record.lane.lr == best
        and record.lane.total_steps == problem.total_steps
        and record.outcome is Outcome.FINISHED
    ]
    return float(np.mean(losses)) if losses and np.isfinite(losses).all() else None


def _shares(warped: Floats) -> Floats:
    """The share of the improvement given up, from what the model holds."""
    shares: Floats = RESOLUTION * np.expm1(np.clip(warped, 0.0, None))
    return shares
