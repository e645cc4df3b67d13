"""Studies made by hand: lanes whose losses are given, without any training."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from pacesetter.records import Curve, Lane, LaneRecord, Outcome, StudyRecord

LaneMaker = Callable[..., LaneRecord]
StudyMaker = Callable[..., StudyRecord]

STEPS = 100
EVALUATIONS = 11


def make_lane(
    lr: float,
    seed: int = 0,
    final: float = 0.2,
    *,
    untrained: float = 2.0,
    outcome: Outcome = Outcome.FINISHED,
    optimizer: str = "sgd",
    schedule: str = "constant",
    train: Sequence[float] | None = None,
    valid: Sequence[float] | None = None,
    metrics: Mapping[str, Sequence[float]] | None = None,
    steps: int = STEPS,
    message: str = "",
) -> LaneRecord:
    """A lane whose losses fall as exp(-6 u) from `untrained` to `final`, unless `train` or `valid` give them."""
    shape = np.exp(-6 * np.linspace(0, 1, steps + 1))
    shape = (shape - shape[-1]) / (1 - shape[-1])
    whole = np.where(shape == 0, final, final + (untrained - final) * shape)
    evaluations = np.linspace(0, steps, EVALUATIONS).astype(np.int64)
    losses = np.array(train, dtype=np.float64) if train is not None else whole[:-1]
    valids = np.array(valid, dtype=np.float64) if valid is not None else whole[evaluations]
    curve = Curve(
        lr=np.full(len(losses), lr),
        train_loss=losses,
        grad_norm=np.ones(len(losses)),
        eval_steps=evaluations[: len(valids)],
        valid_loss=valids,
        metrics={name: np.array(values, dtype=np.float64) for name, values in (metrics or {}).items()},
    )
    if outcome is Outcome.FAILED:
        curve = Curve()
    return LaneRecord(Lane(optimizer, schedule, lr, seed, steps), outcome, curve, message)


def make_study(lanes: Sequence[LaneRecord], total_steps: int = STEPS, **facts: Any) -> StudyRecord:
    """A study of these lanes."""
    return StudyRecord(name="made", task="by hand", total_steps=total_steps, lanes=tuple(lanes), **facts)


@pytest.fixture
def lane() -> LaneMaker:
    """Make a lane."""
    return make_lane


@pytest.fixture
def study() -> StudyMaker:
    """Make a study."""
    return make_study


@pytest.fixture
def valley() -> Callable[..., StudyRecord]:
    """Make a study of one strategy: rates 1e-4 .. 1 by decades, best at 1e-2 with loss 0.2, and 1 diverges."""

    def make(seeds: int = 3, jitter: float = 0.001, best_at: float = 1e-2, **more: Any) -> StudyRecord:
        rng = np.random.default_rng(0)
        lanes = []
        for lr in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
            for seed in range(seeds):
                final = 0.2 + 0.3 * abs(np.log10(lr / best_at)) + jitter * float(rng.normal())
                bad = lr == 1.0
                valid = [2.0, 50.0, float("nan")] if bad else None
                train = [2.0, 3.0, 90.0, float("inf")] if bad else None
                outcome = Outcome.DIVERGED if bad else Outcome.FINISHED
                lanes.append(make_lane(lr, seed, final, outcome=outcome, valid=valid, train=train, **more))
        return make_study(lanes)

    return make
