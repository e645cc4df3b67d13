"""Curves as raw bytes, part by part, and back again bit by bit (NaN and infinities are kept as they are)."""

import json
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pacesetter.errors import InputError
from pacesetter.records import Curve, Lane

__all__ = ["check", "pack", "unpack"]

# Little-endian whatever the machine, so that a store can be carried to another one.
_FLOAT = np.dtype("<f8")
_INT = np.dtype("<i8")


def _bytes(values: ArrayLike, dtype: "np.dtype[Any]" = _FLOAT) -> bytes:
    return np.ascontiguousarray(values, dtype=dtype).tobytes()


def _floats(blobs: Iterable[bytes]) -> NDArray[np.float64]:
    return np.frombuffer(b"".join(blobs), _FLOAT).astype(np.float64)


def pack(part: Curve) -> dict[str, Any]:
    """The columns of one part."""
    path = None if part.path is None else np.asarray(part.path, dtype=_FLOAT)
    return {
        # Twice as long where the optimizer worked out rates of its own: those come after the ones that it was given.
        "lr": _bytes(part.lr) + _bytes(part.effective_lr),
        "train_loss": _bytes(part.train_loss),
        "grad_norm": _bytes(part.grad_norm),
        "eval_steps": _bytes(part.eval_steps, _INT),
        "valid_loss": _bytes(part.valid_loss),
        # As bytes too: SQLite has no NaN, and would make null of it.
        "valid_spread": _bytes(part.valid_spread),
        "metric_names": json.dumps(list(part.metrics)),
        "metrics": b"".join(_bytes(values) for values in part.metrics.values()),
        "path": None if path is None else _bytes(path),
        "path_width": None if path is None else path.shape[1],
    }


def unpack(rows: list[Mapping[Any, Any]]) -> Curve:
    """The curve whose parts are `rows`, in their order; an empty curve without any."""
    if not rows:
        return Curve()
    names = dict.fromkeys(name for row in rows for name in json.loads(row["metric_names"]))
    metrics: dict[str, list[bytes]] = {name: [] for name in names}
    for row in rows:
        own, blob = json.loads(row["metric_names"]), row["metrics"]
        size = len(row["eval_steps"]) // _INT.itemsize * _FLOAT.itemsize
        for name, blobs in metrics.items():
            place = own.index(name) * size if name in own else None
            # A program may print a metric now and then: NaN stands where it did not.
            missing = _bytes([np.nan] * (size // _FLOAT.itemsize))
            blobs.append(missing if place is None else blob[place : place + size])
    paths = [row for row in rows if row["path"] is not None]
    path = _floats(row["path"] for row in paths).reshape(-1, paths[0]["path_width"]) if paths else None
    ends = [len(row["train_loss"]) for row in rows]
    return Curve(
        lr=_floats(row["lr"][:end] for row, end in zip(rows, ends, strict=True)),
        effective_lr=_floats(row["lr"][end:] for row, end in zip(rows, ends, strict=True)),
        train_loss=_floats(row["train_loss"] for row in rows),
        grad_norm=_floats(row["grad_norm"] for row in rows),
        eval_steps=np.frombuffer(b"".join(row["eval_steps"] for row in rows), _INT).astype(np.int64),
        valid_loss=_floats(row["valid_loss"] for row in rows),
        metrics={name: _floats(blobs) for name, blobs in metrics.items()},
        # It belongs to the untrained model, which the first part is about.
        valid_spread=float(_floats([rows[0]["valid_spread"]])[0]),
        path=path,
    )


def check(lane: Lane, part: Curve, steps: int, evaluated: int) -> tuple[int, int]:
    """How far the lane reaches once `part` is added: (updates made, updates before its last evaluation).

    `steps` and `evaluated` are how far it reaches now (`evaluated` is -1 before any evaluation). A part that does not
    follow on that is refused: two processes that train one lane would else weave two curves into one.
    """
    updates, evaluations = len(part.lr), len(part.eval_steps)
    lengths = {"train_loss": part.train_loss, "grad_norm": part.grad_norm}
    for name, values in lengths.items():
        if len(values) != updates:
            raise InputError(f"`{name}` must have one entry per update, got {len(values)} for {updates} updates")
    if len(part.effective_lr) not in (0, updates):
        got = f"got {len(part.effective_lr)} for {updates} updates"
        raise InputError(f"`effective_lr` must have one entry per update or none, {got}")
    for name, values in {"valid_loss": part.valid_loss, **part.metrics}.items():
        if len(values) != evaluations:
            raise InputError(f"`{name}` must have one entry per evaluation, got {len(values)} for {evaluations}")
    reached = steps + updates
    if reached > lane.total_steps:
        raise InputError(f"`part` must end by step {lane.total_steps}, got step {reached} of lane {lane.recipe!r}")
    follows = [evaluated, *part.eval_steps.tolist()]
    if any(after <= before for before, after in pairwise(follows)) or follows[-1] > reached:
        raise InputError(
            f"`eval_steps` must follow on {max(evaluated, 0)} evaluated and {steps} made updates, got "
            f"eval_steps={follows[1:]} of lane {lane.recipe!r} seed {lane.seed}: "
            "is another process training this study?"
        )
    return reached, follows[-1]
