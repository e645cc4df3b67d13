"""Studies made by hand."""

from typing import Any

import numpy as np

from pacesetter.records import Curve, Lane, LaneRecord, Outcome, StudyRecord
from pacesetter.store import Store

TOTAL = 440


def lanes_of(count: int, total_steps: int = TOTAL) -> list[Lane]:
    """Different lanes in an order that no sorting gives."""
    rates = [10.0 ** (-place / 7) for place in range(count)]
    shuffled = rates[1::2] + rates[::2]
    return [
        Lane("adam(beta2=0.95)", "warmup(0.05) >> cosine()", lr, k % 3, total_steps) for k, lr in enumerate(shuffled)
    ]


def study_of(name: str, lanes: list[Lane], **values: Any) -> StudyRecord:
    """A study whose lanes have recorded nothing yet."""
    records = tuple(LaneRecord(lane, Outcome.RUNNING, Curve()) for lane in lanes)
    return StudyRecord(name, "digits-mlp", TOTAL, records, **values)


def part_of(start: int, updates: int, *, evaluate: bool = True, width: int = 0, seed: int = 0) -> Curve:
    """What a lane records in `updates` updates after `start`, with one evaluation at the end."""
    generator = np.random.default_rng([seed, start, updates])
    marks = np.array([start + updates] if evaluate else [], dtype=np.int64)
    return Curve(
        lr=generator.random(updates),
        train_loss=generator.random(updates),
        grad_norm=generator.random(updates),
        eval_steps=marks,
        valid_loss=generator.random(len(marks)),
        metrics={"accuracy": generator.random(len(marks)), "top 5": generator.random(len(marks))},
        valid_spread=0.25,
        path=generator.random((updates + (start == 0), width)) if width else None,
    )


def append(store: Store, name: str, lane: Lane, part: Curve, outcome: Outcome, message: str = "") -> None:
    """Add to one lane alone."""
    store.append_many(name, [(lane, part, outcome, message)])


def bits(curve: Curve) -> dict[str, object]:
    """A curve as bytes, so that NaN equals NaN and -0.0 is not 0.0."""
    return {
        "lr": curve.lr.tobytes(),
        "train_loss": curve.train_loss.tobytes(),
        "grad_norm": curve.grad_norm.tobytes(),
        "eval_steps": curve.eval_steps.tobytes(),
        "valid_loss": curve.valid_loss.tobytes(),
        "metrics": {name: values.tobytes() for name, values in curve.metrics.items()},
        "valid_spread": np.float64(curve.valid_spread).tobytes(),
        "path": None if curve.path is None else (curve.path.shape, curve.path.tobytes()),
    }
