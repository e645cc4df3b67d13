"""The plain PyTorch loop that everything is held against: what a good engineer writes for one learning rate."""

import time
from collections.abc import Callable

import torch

from pacesetter.engine.batches import Batches
from pacesetter.tasks import Task

CPU = torch.device("cpu")


def plain_loop(task: Task, lr: float = 1e-3) -> Callable[[int], None]:
    """A function that makes so many updates: tensors in memory, fused Adam, losses kept as tensors, no evaluation."""
    torch.manual_seed(0)
    model = task.make_model()
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=lr, fused=True)
    batches = Batches(task.train_source, 0, CPU)
    losses: list[torch.Tensor] = []

    def run(steps: int) -> None:
        model.train()
        for _ in range(steps):
            source, target = next(batches)
            optimizer.zero_grad()
            loss = task.loss(model(source), target)
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())

    return run


def seconds_per_step(run: Callable[[int], None], seconds: float) -> float:
    """Wall time of one call's worth of steps each, over about so many seconds."""
    run(3)
    began = time.perf_counter()
    run(2)
    steps = max(3, int(seconds / ((time.perf_counter() - began) / 2)))
    began = time.perf_counter()
    run(steps)
    return (time.perf_counter() - began) / steps
