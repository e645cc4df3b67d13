"""The plain PyTorch loop that every lane is held against: nothing of the engine's is used here."""

import random
from dataclasses import dataclass, field

import numpy as np
import torch


@dataclass
class PlainRun:
    """What a plain loop saw: losses and gradient norms per step, validation loss per evaluation, the trained model."""

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    valid: dict[int, float] = field(default_factory=dict)
    model: torch.nn.Module | None = None


def plain_run(make_model, loss, train, valid, batch_size, steps, seed, optimizer, rates, evaluate_at) -> PlainRun:
    """Train `steps` updates with `optimizer(parameters)` at `rates[step]`; data are (inputs, targets) tensors."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = make_model()
    optimizer = optimizer(model.parameters())
    order_generator = torch.Generator().manual_seed(seed)
    run = PlainRun(model=model)
    rows: list[torch.Tensor] = []
    run.valid[0] = _validation(model, loss, valid, batch_size)
    for step in range(steps):
        if not rows:
            order = torch.randperm(len(train[0]), generator=order_generator)
            rows = [r for r in order.split(batch_size) if len(r) == batch_size]
        now = rows.pop(0)
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = rates[step]
        optimizer.zero_grad()
        value = loss(model(train[0][now]), train[1][now])
        value.backward()
        run.losses.append(value.item())
        run.norms.append(
            float(sum(float(p.grad.pow(2).sum()) for p in model.parameters() if p.grad is not None) ** 0.5)
        )
        optimizer.step()
        if step + 1 in evaluate_at:
            run.valid[step + 1] = _validation(model, loss, valid, batch_size)
    return run


@torch.no_grad()
def _validation(model, loss, valid, batch_size) -> float:
    model.eval()
    total = 0.0
    for x, y in zip(valid[0].split(batch_size), valid[1].split(batch_size), strict=True):
        total += loss(model(x), y).item() * len(x)
    return total / len(valid[0])
