"""Your own model: which learning rate should it be trained with?

python examples/own_model.py
pacesetter compare examples/own_model.py:task --optimizer adam --lr 1e-4:10:2    asks the same on the command line
"""

import torch
import torch.nn.functional as F
from torch import nn

import pacesetter as ps


def make_model() -> nn.Module:
    """An untrained model; called once for every seed."""
    return nn.Sequential(nn.Linear(2, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 2))


def task() -> ps.Task:
    """Points above and below a wave: put your own tensors here, or a Dataset or a DataLoader."""
    points = torch.rand(800, 2, generator=torch.Generator().manual_seed(0)) * 4 - 2
    above = (torch.sin(3 * points[:, 0]) > points[:, 1]).long()
    return ps.Task(
        model=make_model,
        loss=F.cross_entropy,
        train=(points, above),
        batch_size=50,
        steps=150,
        metrics={"accuracy": ps.accuracy},
        name="two classes",
    )


def main() -> None:
    study = ps.compare(task(), lr="1e-4:10:2", optimizers="adam", seeds=3)
    study.show()
    (answer,) = study.answers
    print(f"recipe: {answer.recipe}")


if __name__ == "__main__":
    main()
