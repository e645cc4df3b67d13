"""The text that a lane's script is put together from: plain PyTorch, to be read by people."""

__all__ = [
    "CLIPPED",
    "FILE",
    "GROUPS",
    "IMPORTS",
    "LOOP",
    "LOW",
    "METRICS",
    "MODULE",
    "OF_OTHERS",
    "OF_OTHERS_GRADIENT",
    "OF_SOURCES",
    "OF_TENSORS",
    "OF_TORCH",
    "ONE_BATCH",
    "RATIOS",
    "SEVERAL_BATCHES",
]

IMPORTS = """import math
import random

import numpy as np
import torch"""
"""What every script imports."""

FILE = """import importlib.util
import pathlib
import sys

path = pathlib.Path({file!r}).expanduser().resolve()  # as it was given: from the folder the comparison ran in
sys.path.insert(0, str(path.parent))
# Known by name, as after an import, so that what the file defines can be found again.
taken = {{*sys.modules, *sys.stdlib_module_names}}
name = path.stem if path.stem.isidentifier() and path.stem not in taken else f"task_{{path.stem}}"
spec = importlib.util.spec_from_file_location(name, path)
module = sys.modules[name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""
"""A user's task from a file; takes `file`."""

MODULE = """import importlib
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path.cwd()))  # the folder the comparison ran in
module = importlib.import_module({module!r})
"""
"""A user's task from a module; takes `module`."""

METRICS = """
def accuracy(output, target):
    return (output.argmax(-1) == target).float().mean()

"""
"""What a built-in task uses of the package."""

OF_TENSORS = """train, valid = task.train, task.valid


def rows_of(data, rows):
    return tuple(tensor[rows] for tensor in data) if isinstance(data, (tuple, list)) else data[rows]


def length_of(data):
    return len(data[0]) if isinstance(data, (tuple, list)) else len(data)


def training_batches(seed):
    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(length_of(train), generator=generator)
        for first in range(0, len(order) - task.batch_size + 1, task.batch_size):
            yield rows_of(train, order[first : first + task.batch_size])


def validation_batches():
    for first in range(0, length_of(valid), task.batch_size):
        rows = torch.arange(first, min(first + task.batch_size, length_of(valid)))
        yield rows_of(valid, rows), len(rows)
"""
"""Batches of a built-in task, whose data are tensors."""

OF_SOURCES = """from collections.abc import Mapping

train, valid = task.train_source, task.valid_source


def tensors_of(batch):
    if isinstance(batch, torch.Tensor):
        yield batch
    elif isinstance(batch, Mapping):
        yield from tensors_of(list(batch.values()))
    elif isinstance(batch, (list, tuple)):
        for part in batch:
            yield from tensors_of(part)


def training_batches(seed):
    generator = torch.Generator().manual_seed(seed)
    loader = None if train.tensors else train.loader(generator)
    while True:
        if loader is not None:
            yield from loader
            continue
        order = torch.randperm(train.length, generator=generator)
        for first in range(0, len(order) - train.batch_size + 1, train.batch_size):
            yield train.pack([tensor[order[first : first + train.batch_size]] for tensor in train.tensors])


def validation_batches():
    if valid.tensors is None:
        for batch in valid.loader(None):
            yield batch, next((len(tensor) for tensor in tensors_of(batch) if tensor.dim()), 1)
        return
    for first in range(0, valid.length, valid.batch_size):
        rows = slice(first, min(first + valid.batch_size, valid.length))
        yield valid.pack([tensor[rows] for tensor in valid.tensors]), rows.stop - rows.start
"""
"""Batches of a user's task, from whatever it was given."""

ONE_BATCH = """loss = loss_of(model, next(batches))
        loss.backward()"""
"""The gradient of an update of one batch."""

SEVERAL_BATCHES = """loss = torch.zeros(())
        for _ in range({accumulate}):
            part = loss_of(model, next(batches)) / {accumulate}
            part.backward()
            loss = loss + part.detach()"""
"""The mean gradient of several batches; takes `accumulate`."""

CLIPPED = """
        torch.nn.utils.clip_grad_norm_(weights, {clip_norm})"""
"""What clips it; takes `clip_norm`."""

OF_TORCH = """optimizer = torch.optim.{name}({weights}, lr={lr}{settings})"""
"""An optimizer that torch has; takes `name`, `weights`, `lr` and `settings`."""

OF_OTHERS = """from pacesetter.optimizers import parse  # of what torch has not

    driver = parse({rule!r}).driver({weights}, {lr})
    optimizer = driver.optimizer

    def seen():
        with driver.evaluation():
            return validation_loss(model)
"""
"""Any other; takes `rule`, `weights` and `lr`."""

OF_OTHERS_GRADIENT = """given = [next(batches) for _ in range({accumulate})]

        def again():
            optimizer.zero_grad()
            loss = torch.zeros(())
            for batch in given:
                part = loss_of(model, batch) / {accumulate}
                part.backward()
                loss = loss + part.detach(){clipped}
            return loss

        loss = again()"""
"""The gradient for an optimizer that may ask for it again; takes `accumulate` and `clipped`."""

RATIOS = """
# Factors on the rate of the weights whose names begin so; the longest beginning counts.
ratios = {ratios}


def ratio_of(name):
    fitting = [beginning for beginning in ratios if f"{{name}}.".startswith(f"{{beginning}}.")]
    return ratios[max(fitting, key=len)] if fitting else 1.0
"""
"""Which rate each weight has; takes `ratios`."""

GROUPS = """groups = {{}}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            groups.setdefault(ratio_of(name), []).append(weight)
    groups = [{{"params": group, "ratio": ratio}} for ratio, group in groups.items()]
    {optimizer}"""
"""The optimizer of weights in groups of one ratio each; takes it."""

LOW = """def in_float32(output):
    return output.float() if isinstance(output, torch.Tensor) and output.dtype == torch.bfloat16 else output


# Matrix products in bfloat16. A weight that is used twice is cast twice: its gradients add up in float32.
@torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False)
"""
"""What makes the loss one of low precision: products in bfloat16, the loss of the output in float32."""

LOOP = """
# The learning rate that was applied at each update, as recorded.
{rates}
# Updates made: the recorded mean training loss since the line before, and the recorded validation loss.
recorded = {recorded}
smallest = {smallest}  # differences are relative to the recorded loss, or to this where that is more
{ratios}


{precision}def loss_of(model, batch):
    if getattr(task, "objective", None) is not None:
        return task.objective(model, batch)
    source, target = batch
    return task.loss({output}, target)


@torch.no_grad()
def validation_loss(model):
    model.eval()
    total = examples = 0.0
    for batch, rows in validation_batches():
        total += float(loss_of(model, batch)) * rows
        examples += rows
    return total / examples


def difference(now, then):
    if math.isfinite(now) and math.isfinite(then):
        return abs(now - then) / max(abs(then), smallest)
    return 0.0 if math.isfinite(now) == math.isfinite(then) else math.inf


def main():
    random.seed({seed})
    np.random.seed({seed} % 2**32)
    torch.manual_seed({seed})
    model = task.model if isinstance(task.model, torch.nn.Module) else task.model()
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    {optimizer}
    batches = training_batches({seed})
    losses, differences = [], []

    def compare(step):
        then = recorded[step]
        now = sum(losses) / len(losses) if losses else None, None if then[1] is None else {look}
        losses.clear()
        both = [pair for pair in zip(now, then) if None not in pair]
        differences.extend(difference(*pair) for pair in both)
        shown = ("" if loss is None else f"{{loss:.6g}}" for loss in (*now, *then))
        print(f"{{step:6d}}" + "".join(f"{{text:>14}}" for text in shown), flush=True)

    print(f"{{'':6}}{{'here:':>14}}{{'':14}}{{'recorded:':>14}}")
    print("update" + f"{{'training':>14}}{{'validation':>14}}" * 2)
    if 0 in recorded:
        compare(0)
    for step, rate in enumerate(rates, start=1):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = rate{times_ratio}
        optimizer.zero_grad()
        {gradient}
        for weight in weights:
            if weight.grad is not None and weight.grad.is_sparse:
                weight.grad = weight.grad.to_dense()  # which every optimizer takes{clipped}
        {step}
        losses.append(float(loss.detach()))
        if step in recorded:
            compare(step)
    print(f"largest relative difference: {{max(differences):.2g}}")


if __name__ == "__main__":
    main()
"""
"""The training itself; takes `seed`, `rates`, `recorded`, `smallest` and pieces from above."""
