"""The loss surface of a model of one or two parameters, on a grid that holds the paths its lanes took."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call, vmap

from pacesetter.engine.batches import validation_batches
from pacesetter.engine.bundle import PATH_PARAMETERS
from pacesetter.engine.program import Program, Tensors, fresh_program
from pacesetter.engine.traceless import traceless
from pacesetter.records import Outcome, StudyRecord
from pacesetter.tasks._task import Task

__all__ = ["surface"]

POINTS = {1: 400, 2: 61}
"""Grid points along each axis, by the number of parameters: enough for a smooth picture and a small store."""
MARGIN = 0.25
"""Share of the paths' extent added on every side, so that what lies around them can be seen."""


def surface(task: Task, study: StudyRecord) -> dict[str, Any] | None:
    """{"x": [nx], "y": [ny] or None, "loss": [nx] or [ny][nx]}; None for a model with more parameters or no path."""
    paths = [r.curve.path for r in study.lanes if r.curve.path is not None and r.outcome is not Outcome.DIVERGED]
    if not paths:
        return None
    points = np.concatenate(paths)
    points = points[np.isfinite(points).all(axis=1)]
    low, high = points.min(axis=0), points.max(axis=0)
    room = MARGIN * np.where(high > low, high - low, 1.0)
    count = points.shape[1]
    axes = [np.linspace(a - m, b + m, POINTS[count]) for a, b, m in zip(low, high, room, strict=True)]
    with traceless(), torch.no_grad():
        program = fresh_program(task, 0, torch.device("cpu")).eval()
        batch = next(validation_batches(task.valid_source, torch.device("cpu")))
        grid = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, count)
        losses = _losses(program, grid, batch)
    shape = (len(axes[0]),) if count == 1 else (len(axes[1]), len(axes[0]))
    return {
        "x": axes[0].tolist(),
        "y": axes[1].tolist() if count == PATH_PARAMETERS else None,
        "loss": losses.reshape(shape).tolist(),
    }


def _losses(program: Program, points: NDArray[np.float64], batch: Any) -> NDArray[np.float64]:
    """The loss at each row of `points`: [points, parameters] -> [points]."""
    params: Tensors = {}
    first = 0
    for name, p in program.trainable().items():
        rows = torch.from_numpy(points[:, first : first + p.numel()]).to(p.dtype)
        params[name] = rows.reshape(len(points), *p.shape)
        first += p.numel()

    def loss(own: Tensors) -> torch.Tensor:
        value: torch.Tensor = functional_call(program, own, (batch,))
        return value

    try:
        found = vmap(loss, randomness="same")(params)
    except Exception:  # noqa: BLE001  # a model that cannot be stacked: point by point
        found = torch.stack([loss({name: rows[i] for name, rows in params.items()}) for i in range(len(points))])
    losses: NDArray[np.float64] = found.double().numpy()
    return losses
