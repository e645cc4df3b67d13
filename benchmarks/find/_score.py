"""Suggestions against the truth, as figures for each method."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from _suggestion import Suggestion
from _tasks import FRESH, TUNED_ON, UNSEEN
from _truth_table import Truth

Figures = dict[str, float | None]
COLUMNS: dict[str, tuple[str, str]] = {
    "runs": ("runs", ".2f"),
    "plain_runs": ("wall", ".2f"),
    "lost_mean": ("lost %", ".2f"),
    "lost_median": ("median", ".2f"),
    "lost_worst": ("worst", ".1f"),
    "over_1": (">1 %", ".0f"),
    "over_5": (">5 %", ".0f"),
    "decades": ("dec off", ".2f"),
    "spread": ("spread", ".2f"),
    "over_edge": ("edge", ".0f"),
    "without": ("none", ".0f"),
    "held": ("held %", ".0f"),
    "width": ("width", ".2f"),
    "width_flat": ("flat", ".2f"),
    "width_sharp": ("sharp", ".2f"),
}
"""Figure -> its column's title and format."""


@dataclass(frozen=True, slots=True)
class Scored:
    """One suggestion and what the truth says of it.

    runs, plain_runs: its price as updates of the whole length, and as wall time of a plain loop over it.
    lost: share of the achievable improvement given up.
    decades: from the best rate; None without a rate.
    held, width: whether the interval has the truth's best rate, and its decades; None without an interval.
    """

    method: str
    sweep: str
    seed: int
    lr: float | None
    interval: tuple[float, float] | None
    runs: float
    plain_runs: float
    lost: float
    decades: float | None
    over_edge: bool
    held: bool | None
    width: float | None

    @classmethod
    def of(
        cls, method: str, truth: Truth, seed: int, found: Suggestion, total_steps: int, plain_seconds: float
    ) -> "Scored":
        """Judge one suggestion."""
        between = found.interval
        return cls(
            method=method,
            sweep=truth.sweep,
            seed=seed,
            lr=found.lr,
            interval=between,
            runs=found.lane_steps / total_steps,
            plain_runs=found.seconds / plain_seconds,
            lost=truth.lost(found.lr),
            decades=None if found.lr is None else truth.decades_off(found.lr),
            over_edge=found.lr is not None and truth.is_over_edge(found.lr),
            held=None if between is None else between[0] <= truth.best <= between[1],
            width=None if between is None else float(np.log10(between[1] / between[0])),
        )

    def as_record(self) -> dict[str, object]:
        """Plain values."""
        return asdict(self)


def figures(scored: Sequence[Scored], sweeps: Sequence[Truth]) -> Figures:
    """All columns of one method; what there is nothing to make of is None."""
    by_sweep: dict[str, list[Scored]] = defaultdict(list)
    for one in scored:
        by_sweep[one.sweep].append(one)
    by_flatness = sorted(sweeps, key=lambda truth: truth.flatness)
    third = max(1, len(by_flatness) // 3)
    return {
        "runs": _mean(one.runs for one in scored),
        "plain_runs": _median(one.plain_runs for one in scored),
        "lost_mean": _percent(_mean(one.lost for one in scored)),
        "lost_median": _percent(_median(one.lost for one in scored)),
        "lost_worst": _percent(max(statistics.fmean(one.lost for one in mine) for mine in by_sweep.values())),
        "over_1": _percent(_mean(one.lost > 0.01 for one in scored)),
        "over_5": _percent(_mean(one.lost > 0.05 for one in scored)),
        "decades": _median(one.decades for one in scored),
        "spread": _median(_spread(mine) for mine in by_sweep.values()),
        "over_edge": float(sum(one.over_edge for one in scored)),
        "without": float(sum(one.lr is None for one in scored)),
        "held": _percent(_mean(one.held for one in scored)),
        "width": _median(one.width for one in scored),
        "width_flat": _width(by_sweep, by_flatness[-third:]),
        "width_sharp": _width(by_sweep, by_flatness[:third]),
    }


def worst_sweep(scored: Sequence[Scored]) -> str:
    """The sweep with the most lost, as a mean over repetitions."""
    by_sweep: dict[str, list[float]] = defaultdict(list)
    for one in scored:
        by_sweep[one.sweep].append(one.lost)
    return max(by_sweep, key=lambda sweep: statistics.fmean(by_sweep[sweep]))


def by_origin(sweeps: Sequence[Truth]) -> dict[str, list[Truth]]:
    """All sweeps, then by what their tasks were to the making of the search; only groups that have any."""
    groups = {
        "": list(sweeps),
        "tuned on": [truth for truth in sweeps if truth.task in TUNED_ON],
        "in sight": [truth for truth in sweeps if truth.task not in (*TUNED_ON, *FRESH, *UNSEEN)],
        "fresh": [truth for truth in sweeps if truth.task in FRESH],
        "unseen": [truth for truth in sweeps if truth.task in UNSEEN],
    }
    return {name: mine for name, mine in groups.items() if mine}


def _spread(scored: Sequence[Scored]) -> float | None:
    """Decades from the least to the greatest answer over repetitions."""
    logs = [np.log10(one.lr) for one in scored if one.lr is not None]
    return float(max(logs) - min(logs)) if len(logs) > 1 else None


def _width(by_sweep: dict[str, list[Scored]], sweeps: Sequence[Truth]) -> float | None:
    return _median(one.width for truth in sweeps for one in by_sweep.get(truth.sweep, ()))


def _known(values: Iterable[float | None]) -> list[float]:
    return [float(value) for value in values if value is not None]


def _over(reduce: Callable[[list[float]], float], values: Iterable[float | None]) -> float | None:
    known = _known(values)
    return float(reduce(known)) if known else None


def _mean(values: Iterable[float | None]) -> float | None:
    return _over(statistics.fmean, values)


def _median(values: Iterable[float | None]) -> float | None:
    return _over(statistics.median, values)


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value
