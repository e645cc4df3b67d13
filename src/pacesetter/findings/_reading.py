"""What the lanes of a search say of their rates, as trials: read off their records, before any model."""

from collections.abc import Iterable

import numpy as np

from pacesetter.records import Curve, Floats, Ints, LaneRecord, Outcome, Problem, Trial, is_worse

__all__ = ["HELD", "TAIL", "trials_of"]

TAIL, HELD = 0.1, 0.5
"""The last part of a run over which it is judged, where its rate is then at least this share of what it was at most."""


def trials_of(problem: Problem, known: Iterable[LaneRecord]) -> list[Trial]:
    """What the lanes of the problem's optimizer and schedule say that came to an end of their own, in their order."""
    return [
        _trial(problem, record)
        for record in known
        if record.lane.strategy == (problem.optimizer, problem.schedule)
        and record.outcome in (Outcome.FINISHED, Outcome.DIVERGED)
    ]


def _trial(problem: Problem, record: LaneRecord) -> Trial:
    """Where it came to, where it began, and what it did on the way."""
    curve, metric = record.curve, problem.metric
    values = curve.valid_loss if metric is None else curve.metrics.get(metric, np.empty(0))
    steps = curve.eval_steps[: len(values)]
    told = record.outcome is not Outcome.DIVERGED and len(values) and curve.eval_steps[-1] > 0
    end = _steadied(curve, values) if told else float("inf")
    lost = metric is None and is_worse(end, curve.untrained_loss, curve.valid_spread)
    begun = len(values) > 0 and steps[0] == 0
    last = record.lane.total_steps
    return Trial(
        lr=record.lane.lr,
        seed=record.lane.seed,
        steps=last,
        value=float("inf") if lost else _small(problem, end, float("inf")),
        untrained=_small(problem, values[0], float("nan")) if begun else float("nan"),
        unrest=_unrest(steps, values),
        on_the_way=tuple(
            (n, _small(problem, value, 0.0))
            for n, value in zip(steps.tolist(), values.tolist(), strict=False)
            if 0 < n < last and np.isfinite(value)
        ),
    )


def _small(problem: Problem, value: float, otherwise: float) -> float:
    """A value of which less is better, `otherwise` where it is not finite."""
    return (-float(value) if problem.maximize else float(value)) if np.isfinite(value) else otherwise


def _steadied(curve: Curve, values: Floats) -> float:
    """The last of some evaluations, or where the rate is still high then the mean of those over the last tenth.

    Steps of a rate that is not lowered end at random around where they lead to. Over eight seeds of eight runs of
    `benchmarks/find` that do, the mean of three evaluations left 0.45 to 0.9 of their spread in six, 0.35 in one and
    four times it in one; that of six left 0.2 to 0.7, and all of it in that one.
    """
    last = float(values[-1])
    if not (curve.steps and np.isfinite(last) and curve.lr[-1] >= HELD * curve.lr.max()):
        return last
    tail = values[curve.eval_steps[: len(values)] >= max(1, round((1 - TAIL) * curve.steps))]
    return float(np.mean(tail[np.isfinite(tail)]))


def _unrest(steps: Ints, values: Floats) -> float:
    """The standard deviation of how far evaluations of the later half lie beside the lines between their neighbours,
    as that of a single one.
    """
    later = 2 * steps[: len(values)] >= steps[-1:]
    x, y = steps[: len(values)][later], values[later]
    if len(y) < 3:
        return float("nan")
    share = (x[1:-1] - x[:-2]) / (x[2:] - x[:-2])
    beside = y[1:-1] - (1 - share) * y[:-2] - share * y[2:]
    return float(np.sqrt(np.mean(beside**2 / (1 + share**2 + (1 - share) ** 2))))
