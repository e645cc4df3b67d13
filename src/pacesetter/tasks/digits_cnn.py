"""Handwritten digits with a small convolutional network: 1,797 images of 8 x 8 pixels, ten classes."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pacesetter.tasks._task import Task, accuracy

BATCH_SIZE = 64
STEPS = 440  # 20 passes over the training images
VALIDATION = 360
DATA = Path(__file__).parent / "data" / "digits.npz"


def make_model() -> nn.Module:
    """Two 3 x 3 convolutions (8 and 16 channels), each with ReLU and pooling, then one linear layer: 1,898 weights."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def loss(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the classes, in nats."""
    return F.cross_entropy(output, target)


def make_data() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """((images, targets) to train on, the same to validate on): the last 360 of a fixed permutation validate.

    images: float [n, 1, 8, 8] in [0, 1]; targets: int64 [n].
    """
    with np.load(DATA) as stored:
        images = torch.from_numpy(stored["images"]).unsqueeze(1) / 16.0
        targets = torch.from_numpy(stored["targets"]).long()
    order = torch.from_numpy(np.random.RandomState(0).permutation(len(images)))  # this stream never changes
    train, valid = order[:-VALIDATION], order[-VALIDATION:]
    return (images[train], targets[train]), (images[valid], targets[valid])


def task() -> Task:
    """The task `digits-cnn`."""
    train, valid = make_data()
    return Task(
        model=make_model,
        loss=loss,
        train=train,
        valid=valid,
        batch_size=BATCH_SIZE,
        steps=STEPS,
        metrics={"accuracy": accuracy},
        name="digits-cnn",
    )
