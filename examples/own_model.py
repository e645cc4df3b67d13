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
    return nn.Sequential(nn.Linear(1, 32), nn.Tanh(), nn.Linear(32, 1))


def task() -> ps.Task:
    """A noisy sine: replace the tensors by your own, or give a Dataset or a DataLoader as `train`."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(640, 1, generator=generator) * 4 - 2
    y = torch.sin(3 * x) + 0.1 * torch.randn(640, 1, generator=generator)
    return ps.Task(model=make_model, loss=F.mse_loss, train=(x, y), batch_size=64, steps=200, name="noisy sine")


def main() -> None:
    study = ps.compare(task(), lr=ps.log_grid(1e-4, 10, per_decade=2), optimizers="adam", seeds=3)
    study.show()
    (answer,) = study.answers
    print(f"recipe: {answer.recipe}")


if __name__ == "__main__":
    main()
