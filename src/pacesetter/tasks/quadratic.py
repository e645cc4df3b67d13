"""A quadratic bowl in two weights with known curvature: what a learning rate does, where theory has the answer."""

import math

import torch
from torch import Tensor, nn

from pacesetter.tasks._task import Task

STEPS = 100
EIGENVALUES = (1.0, 20.0)  # of the Hessian: gradient descent diverges above 2 / 20 = 0.1
ANGLE = math.pi / 6  # of the flat axis, so that neither axis is a weight's own
START = (3.0, 1.0)  # along the flat and the steep axis: two thirds of the first loss lie in the steep one


class Bowl(nn.Module):
    """The loss w^T H w / 2 of its two weights w; its minimum is 0, at w = 0."""

    hessian: Tensor

    def __init__(self) -> None:
        super().__init__()
        cos, sin = math.cos(ANGLE), math.sin(ANGLE)
        axes = torch.tensor([[cos, -sin], [sin, cos]])
        self.register_buffer("hessian", axes @ torch.diag(torch.tensor(EIGENVALUES)) @ axes.T)
        self.weight = nn.Parameter(axes @ torch.tensor(START))

    def forward(self, batch: Tensor) -> Tensor:
        """The loss, whatever the batch."""
        return self.weight @ self.hessian @ self.weight / 2


def make_model() -> nn.Module:
    """The bowl, its weights at the same start for every seed."""
    return Bowl()


def objective(model: nn.Module, batch: Tensor) -> Tensor:
    """The model's own output."""
    value: Tensor = model(batch)
    return value


def make_data() -> tuple[Tensor, Tensor]:
    """One example that nothing looks at, to train and to validate on: the gradient has no noise."""
    return torch.zeros(1, 1), torch.zeros(1, 1)


def task() -> Task:
    """The task `quadratic`."""
    train, valid = make_data()
    return Task(
        model=make_model, objective=objective, train=train, valid=valid, batch_size=1, steps=STEPS, name="quadratic"
    )
