"""Small tasks and short cuts for the engine's tests."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from pacesetter import engine
from pacesetter.engine import Part, Plan
from pacesetter.records import Curve, Lane
from pacesetter.tasks._task import Task

VECTORISED = Plan("vectorised", 32, 1, "cpu", "a test")
LOOPED = Plan("looped", 8, 1, "cpu", "a test")
PLANS = {"vectorised": VECTORISED, "looped": LOOPED}


def blobs(examples: int = 96, features: int = 5, classes: int = 3, dtype=torch.float64):
    """Noisy clusters: (inputs, targets), the same every time."""
    generator = torch.Generator().manual_seed(7)
    targets = torch.arange(examples) % classes
    centres = torch.randn(classes, features, generator=generator, dtype=torch.float64) * 2
    return (centres[targets] + torch.randn(examples, features, generator=generator, dtype=torch.float64)).to(
        dtype
    ), targets


def small_task(make_model=None, **changes) -> Task:
    """A classification task of a second's work; `changes` replace its parts."""
    inputs, targets = blobs()
    parts = {
        "model": make_model or (lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()),
        "loss": F.cross_entropy,
        "train": (inputs[:72], targets[:72]),
        "valid": (inputs[72:], targets[72:]),
        "batch_size": 16,
        "steps": 24,
        "evaluations": 4,
    }
    return Task(**{**parts, **changes})


def lanes_of(
    task: Task, rates: Sequence[float], optimizer="sgd(momentum=0.9)", schedule="constant", seed=0
) -> list[Lane]:
    """One lane for each rate."""
    return [Lane(optimizer, schedule, rate, seed, task.total_steps) for rate in rates]


def trained(task: Task, lanes: Sequence[Lane], plan: Plan, **options) -> dict[Lane, list[Part]]:
    """All parts of each lane, in order."""
    parts: dict[Lane, list[Part]] = {lane: [] for lane in lanes}
    for together in engine.train(task, lanes, plan, **options):
        for part in together:
            parts[part.lane].append(part)
    return parts


def joined(parts: Sequence[Part]) -> Curve:
    """The whole curve of a lane."""
    curves = [part.curve for part in parts]
    return Curve(
        lr=np.concatenate([c.lr for c in curves]),
        train_loss=np.concatenate([c.train_loss for c in curves]),
        grad_norm=np.concatenate([c.grad_norm for c in curves]),
        eval_steps=np.concatenate([c.eval_steps for c in curves]),
        valid_loss=np.concatenate([c.valid_loss for c in curves]),
        metrics={name: np.concatenate([c.metrics[name] for c in curves if c.metrics]) for name in curves[0].metrics},
        valid_spread=curves[0].valid_spread,
        path=None if curves[0].path is None else np.concatenate([c.path for c in curves]),
    )
