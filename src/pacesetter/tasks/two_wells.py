"""One weight between a shallow, sharp well and a deep, wide one: a low rate is stuck, a cyclical rate escapes."""

import torch
from torch import Tensor, nn

from pacesetter.tasks._task import Task

STEPS = 200
START = -0.6  # on the outer slope of the shallow well, which lies between it and the deep one
SHALLOW = (0.0, 0.25, 0.5)  # centre, width and depth: curvature about 8, so it holds rates below about 0.25
DEEP = (4.0, 1.2, 1.5)  # curvature about 1.1: constant rates up to about 1.8 settle here
PULL = 0.02  # of a parabola around the deep well, so that nothing flies away for good
LEVEL = 1.6  # keeps the loss above 0: 0.1 at the bottom of the deep well, 1.41 at that of the shallow one


class Wells(nn.Module):
    """The loss at its one weight: LEVEL + PULL * (w - 4)^2 minus a Gaussian for each well."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([START]))

    def forward(self, batch: Tensor) -> Tensor:
        """The loss, whatever the batch."""
        value = LEVEL + PULL * (self.weight - DEEP[0]) ** 2
        for centre, width, depth in (SHALLOW, DEEP):
            value = value - depth * torch.exp(-(((self.weight - centre) / width) ** 2) / 2)
        return value.sum()


def make_model() -> nn.Module:
    """The two wells, the weight at the same start for every seed."""
    return Wells()


def objective(model: nn.Module, batch: Tensor) -> Tensor:
    """The model's own output."""
    value: Tensor = model(batch)
    return value


def make_data() -> tuple[Tensor, Tensor]:
    """One example that nothing looks at, to train and to validate on: the gradient has no noise."""
    return torch.zeros(1, 1), torch.zeros(1, 1)


def task() -> Task:
    """The task `two-wells`."""
    train, valid = make_data()
    return Task(
        model=make_model, objective=objective, train=train, valid=valid, batch_size=1, steps=STEPS, name="two-wells"
    )
