"""One strategy's lanes laid out by rate and seed: what answers and verdicts rest on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from pacesetter.findings._ending import overfitted
from pacesetter.findings._statistics import not_worse, one_sided_t
from pacesetter.records import LaneRecord, Outcome, StudyRecord

__all__ = ["Comparison", "Group", "comparison", "seen"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

LEARNED_SHARE = 0.01
"""A strategy learned when its best rate improves on the untrained loss by more than this share of max(|untrained
loss|, its spread over validation batches): a tenth of what makes a lane diverged, and below it nobody would call the
model trained."""

TARGET_SHARE = 0.9
"""The loss whose reaching counts as convergence lies this far on the way from untrained to the best rate's mean:
late enough to be a trained model, early enough that luck at the very end does not decide the time."""


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """All lanes of one strategy and length, by rate and seed.

    records: by rate and seed. rates: [rates], ascending, all that were tried. outcomes: for each, lanes by outcome.
    overfitted: [rates], of the diverged lanes, how many only overfitted: their training was stable.
    losses: [rates, seeds], last validation losses of finished lanes over the seeds that are compared; NaN elsewhere.
    means: [rates], mean loss of the rates that may win: trained to the end, finite, for every compared seed, and no
    seed diverged or failed; NaN for the others. untrained: [seeds], loss before training. lost: [rates], share of the
    achievable improvement that the rate gives up: (mean - best) / (untrained - best). equivalent: [rates], cannot be
    told from the best; all False with fewer than two seeds. best: index into rates, None when none learned.
    """

    optimizer: str
    schedule: str
    total_steps: int
    records: tuple[LaneRecord, ...]
    rates: Floats
    outcomes: tuple[Mapping[Outcome, int], ...]
    overfitted: Ints
    seeds: Ints
    losses: Floats
    untrained: Floats
    means: Floats
    lost: Floats
    equivalent: Bools
    best: int | None

    @property
    def untrained_mean(self) -> float:
        """Mean loss before training over the compared seeds; NaN when none was measured."""
        known = self.untrained[np.isfinite(self.untrained)]
        return float(known.mean()) if len(known) else float("nan")

    @property
    def informative(self) -> Bools:
        """[rates]: something was learned about the rate; a lane that failed or still runs says nothing of its rate."""
        telling = (Outcome.FINISHED, Outcome.DIVERGED, Outcome.STOPPED)
        return np.array([any(counts.get(kind) for kind in telling) for counts in self.outcomes], dtype=np.bool_)

    @property
    def unstable(self) -> Ints:
        """[rates]: how many seeds diverged by instability; one that only overfitted is none of them."""
        return np.array([counts.get(Outcome.DIVERGED, 0) for counts in self.outcomes], dtype=np.int64) - self.overfitted

    @property
    def improvement(self) -> float:
        """What training at the best rate gained over the untrained model; NaN when that cannot be said."""
        return float("nan") if self.best is None else self.untrained_mean - float(self.means[self.best])

    def index(self, lr: float) -> int:
        """Where `lr` is among the rates."""
        return int(np.searchsorted(self.rates, lr))


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A study being judged: its groups by (optimizer, schedule, length), and the converged loss (or NaN)."""

    study: StudyRecord
    groups: Mapping[tuple[str, str, int], Group]
    target: float

    def group(self, record: LaneRecord) -> Group:
        """The group a lane is judged in."""
        lane = record.lane
        return self.groups[lane.optimizer, lane.schedule, lane.total_steps]

    @property
    def asked(self) -> list[Group]:
        """The groups of the study's own length, in the order they were asked for: one answer each."""
        return [group for group in self.groups.values() if group.total_steps == self.study.total_steps]


def seen(values: Floats) -> Floats:
    """The finite part of an array."""
    return values[np.isfinite(values)]


def _common_seeds(known: Bools) -> list[int]:
    """Columns to compare: of the sets of best-covered seeds, the one with most finished cells.

    known: [rates, seeds]. Rates whose lanes still run then wait outside instead of stopping every judgement.
    """
    order = sorted(range(known.shape[1]), key=lambda column: -int(known[:, column].sum()))
    cells = [int(known[:, order[:count]].all(axis=1).sum()) * count for count in range(1, len(order) + 1)]
    if not cells or not max(cells):
        return []
    return sorted(order[: max(range(len(cells)), key=lambda k: (cells[k], k)) + 1])


def _learned(gains: Floats) -> bool:
    """Whether the best rate improved by more than noise. gains: [rates that may win, seeds], best first, relative.

    The mean gain must exceed LEARNED_SHARE and, with two seeds or more, what noise alone would reach one time in
    twenty: half of that for one draw with few degrees of freedom (seeds may differ together), half for the best of
    several independent rates. The noise is the median variance over seeds of the rates that improved (made up to a
    mean, since variances are skewed), so that one erratic rate near the cliff does not hide what the others learned.
    """
    seeds = gains.shape[1]
    mean = float(gains[0].mean())
    if not mean > LEARNED_SHARE or seeds < 2:
        return mean > LEARNED_SHARE
    better = gains[gains.mean(axis=1) > 0]
    df, count = seeds - 1, len(better)
    variance = float(np.sort(better.var(axis=1, ddof=1))[(count - 1) // 2]) * df / float(special.chdtri(df, 0.5))
    bound = max(one_sided_t(df, 0.975), one_sided_t(count * df, 1 - 0.025 / len(gains)))
    return mean > float(np.sqrt(variance / seeds)) * bound


def _group(key: tuple[str, str, int], records: Sequence[LaneRecord]) -> Group:
    """Lay out the lanes of one strategy and find its best rate and the rates that cannot be told from it."""
    ordered = tuple(sorted(records, key=lambda r: (r.lane.lr, r.lane.seed)))
    rates = np.array(sorted({r.lane.lr for r in ordered}), dtype=np.float64)
    seeds = np.array(sorted({r.lane.seed for r in ordered}), dtype=np.int64)
    losses = np.full((len(rates), len(seeds)), np.nan)
    before = np.full((len(rates), len(seeds)), np.nan)
    outcomes: list[dict[Outcome, int]] = [{} for _ in rates]
    overfit = np.zeros(len(rates), dtype=np.int64)
    for record in ordered:
        row, column = np.searchsorted(rates, record.lane.lr), np.searchsorted(seeds, record.lane.seed)
        outcomes[row][record.outcome] = outcomes[row].get(record.outcome, 0) + 1
        overfit[row] += overfitted(record)
        before[row, column] = record.curve.untrained_loss
        if record.outcome is Outcome.FINISHED:
            losses[row, column] = record.curve.final_valid_loss
    losses[~np.isfinite(losses)] = np.nan
    spoilt = (Outcome.DIVERGED, Outcome.FAILED, Outcome.STOPPED)
    whole = np.array([not any(counts.get(kind) for kind in spoilt) for counts in outcomes], dtype=np.bool_)
    columns = _common_seeds(np.isfinite(losses) & whole[:, None])
    losses, before, seeds = losses[:, columns], before[:, columns], seeds[columns]
    untrained = np.array([seen(column).mean() if len(seen(column)) else np.nan for column in before.T])
    wins = whole & np.isfinite(losses).all(axis=1) & (len(seeds) > 0)
    means = np.full(len(rates), np.nan)
    if wins.any():
        means[wins] = losses[wins].mean(axis=1)
    lost, equivalent = np.full(len(rates), np.nan), np.zeros(len(rates), dtype=np.bool_)
    best = int(np.nanargmin(means)) if wins.any() else None
    if best is not None and np.isfinite(untrained).all():
        spread = max(seen(np.array([r.curve.valid_spread for r in ordered])), default=0.0)
        ranked = losses[wins][np.argsort(means[wins], kind="stable")]
        scale = np.maximum(np.maximum(np.abs(untrained), spread), np.finfo(np.float64).tiny)
        if _learned((untrained - ranked) / scale):
            lost = (means - means[best]) / (untrained.mean() - means[best])
        else:
            best = None
    if best is not None and len(seeds) > 1:
        equivalent[wins] = not_worse(losses[wins])
    return Group(
        *key, ordered, rates, tuple(outcomes), overfit, seeds, losses, untrained, means, lost, equivalent, best
    )


def comparison(study: StudyRecord) -> Comparison:
    """Group a study's lanes by strategy and length, and set the loss that counts as converged."""
    lanes: dict[tuple[str, str, int], list[LaneRecord]] = {}
    for record in study.lanes:
        lanes.setdefault((*record.lane.strategy, record.lane.total_steps), []).append(record)
    groups = {key: _group(key, records) for key, records in lanes.items()}
    asked = [g for g in groups.values() if g.total_steps == study.total_steps and g.best is not None]
    target = float("nan")
    if asked:
        best = min(asked, key=lambda g: float(g.means[g.best if g.best is not None else 0]))
        target = best.untrained_mean - TARGET_SHARE * best.improvement
    return Comparison(study, groups, target)
