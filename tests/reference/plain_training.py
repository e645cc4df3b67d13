"""The plain PyTorch loop with groups of parameters, accumulation and clipping: nothing of the engine's is used here."""

import random
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset


@dataclass
class PlainTraining:
    """What a plain loop saw: mean losses and norms per update, validation loss per evaluation, the trained model."""

    model: torch.nn.Module
    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    valid: dict[int, float] = field(default_factory=dict)


def plain_training(
    make_model,
    objective,
    batches,
    valid_batches,
    optimizer,
    rates,
    seed,
    evaluate_at,
    accumulate=1,
    clip_norm=None,
    ratios=None,
) -> PlainTraining:
    """Train `len(rates)` updates of `accumulate` batches each.

    make_model: makes the model; its randomness, and that of training, follow `seed`.
    objective: (model, batch) -> loss.
    batches: an iterator over training batches; valid_batches: gives those of one validation, as `validation_batches`.
    optimizer: parameter groups -> an optimizer of torch's.
    rates: the rate of each update, which is multiplied by a parameter's own ratio.
    ratios: {name of a parameter: ratio}; what is not in it has 1.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    model = make_model()
    groups: dict[float, list[torch.nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            groups.setdefault((ratios or {}).get(name, 1.0), []).append(p)
    trained = [p for group in groups.values() for p in group]
    optimizer = optimizer([{"params": parameters, "ratio": ratio} for ratio, parameters in groups.items()])
    run = PlainTraining(model)
    run.valid[0] = _validation(model, objective, valid_batches)
    for step, rate in enumerate(rates, start=1):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = rate * group["ratio"]
        optimizer.zero_grad()
        parts = []
        for _ in range(accumulate):
            loss = objective(model, next(batches))
            (loss / accumulate).backward()
            parts.append(loss.item())
        run.losses.append(sum(parts) / accumulate)
        gradients = [p.grad for p in trained if p.grad is not None]
        run.norms.append(sum(float(g.to_dense().pow(2).sum()) for g in gradients) ** 0.5)
        if clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(trained, clip_norm)
        optimizer.step()
        if step in evaluate_at:
            run.valid[step] = _validation(model, objective, valid_batches)
    return run


@torch.no_grad()
def _validation(model, objective, valid_batches) -> float:
    model.eval()
    total = seen = 0.0
    for batch, examples in valid_batches():
        total += objective(model, batch).item() * examples
        seen += examples
    return total / seen


def training_batches(data, size, seed):
    """Batches without end of tensors, a tuple of them or a data set: shuffled under `seed`, whole ones only."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(data, Dataset | DataLoader):
        dataset, collate = (data.dataset, data.collate_fn) if isinstance(data, DataLoader) else (data, None)
        loader = DataLoader(dataset, size, shuffle=True, drop_last=True, collate_fn=collate, generator=generator)
        while True:
            yield from loader
    length = len(data[0]) if isinstance(data, tuple) else len(data)
    while True:
        order = torch.randperm(length, generator=generator)
        for rows in order[: length // size * size].split(size):
            yield tuple(t[rows] for t in data) if isinstance(data, tuple) else data[rows]


def validation_batches(data, size):
    """Pairs (batch, number of examples) of all of the data, in order."""
    if isinstance(data, Dataset | DataLoader):
        for batch in data if isinstance(data, DataLoader) else DataLoader(data, size):
            yield batch, len(next(iter(batch.values())))
    elif isinstance(data, tuple):
        for batch in zip(*(t.split(size) for t in data), strict=True):
            yield batch, len(batch[0])
    else:
        for batch in data.split(size):
            yield batch, len(batch)
