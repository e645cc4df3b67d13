"""A lane as a plain PyTorch script: the proof of its numbers, for a reader who trusts no framework."""

import ast
import inspect
import textwrap
from importlib import import_module

import numpy as np

from pacesetter.errors import InputError
from pacesetter.records import Curve, LaneRecord, StudyRecord

__all__ = ["TOLERANCE", "script"]

TOLERANCE = 1e-3
"""Relative difference between a script's validation losses and the recorded ones that float32 arithmetic in another
order explains, for a lane that learns; at the edge of stability small differences grow far beyond it."""


def script(study: StudyRecord, lane: int) -> str:
    """Python source that trains lane number `lane` (from 0) of `study` again and prints its losses beside the recorded.

    A built-in task's script imports torch and numpy alone; a user's task is imported from its file or module.
    Raises InputError for a lane that does not exist or a task that was given as an object (nothing to import).
    """
    if not 0 <= lane < len(study.lanes):
        raise InputError(f"`lane` must be between 0 and {len(study.lanes) - 1}, got lane={lane}")
    record = study.lanes[lane]
    if not record.curve.steps:
        raise InputError(f"`lane` must have made at least one update, got lane={lane}: {record.outcome.sentence}")
    parts = [_header(study, record, lane), _task_source(study.task), _LOOP.format(**_values(record))]
    return "\n\n".join(part.strip("\n") for part in parts) + "\n"


def _header(study: StudyRecord, record: LaneRecord, lane: int) -> str:
    end = f"{record.outcome.value} after {record.curve.steps} of {study.total_steps} updates"
    text = f"""Lane {lane} of the study {study.name!r}: {record.lane.recipe}, seed {record.lane.seed}; {end}.

    A plain PyTorch loop. It prints each validation loss beside the recorded one; for a lane that learns they agree
    within {TOLERANCE:g} of the loss."""
    return f'"""{text.replace(chr(92), "/")}\n"""\n\n{_IMPORTS}'.replace("\n    A plain", "\nA plain").replace(
        "\n    within", "\nwithin"
    )


_IMPORTS = """import random

import numpy as np
import torch"""


def _task_source(text: str) -> str:
    from pacesetter import tasks

    if text in tasks.names():
        return _built_in(text)
    file, separator, name = text.rpartition(":")
    if not separator:
        raise InputError(
            "`task` must come from a file or module for a script, got a task that was given as an object: "
            "run the comparison on `path/to/file.py:name`"
        )
    call = f"task = getattr(module, {name!r})\ntask = task if hasattr(task, 'total_steps') else task()"
    if file.endswith(".py"):
        load = (
            "import importlib.util\nimport pathlib\nimport sys\n\n"
            f"path = pathlib.Path({file!r}).expanduser().resolve()\nsys.path.insert(0, str(path.parent))\n"
            "spec = importlib.util.spec_from_file_location(path.stem, path)\n"
            "module = sys.modules[path.stem] = importlib.util.module_from_spec(spec)\nspec.loader.exec_module(module)"
        )
    else:
        load = f"import importlib\n\nmodule = importlib.import_module({file!r})"
    return f"{load}\n{call}\n\n{_OF_SOURCES}"


def _built_in(name: str) -> str:
    """The task's own module, without the package's imports: a namespace stands in for `Task`."""
    module = import_module(f"pacesetter.tasks.{name.replace('-', '_')}")
    source = inspect.getsource(module)
    lines = source.splitlines()
    for node in ast.parse(source).body:
        ours = isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pacesetter")
        docstring = isinstance(node, ast.Expr) and node.lineno == 1
        if ours or docstring:
            assert node.end_lineno is not None
            for number in range(node.lineno - 1, node.end_lineno):
                lines[number] = ""
    code = "\n".join(lines).strip("\n")
    code = code.replace("def task() -> Task:", "def task():")
    return f"from types import SimpleNamespace as Task\n\n{_METRICS}\n{code}\n\n\ntask = task()\n\n{_OF_TENSORS}"


_METRICS = """
def accuracy(output, target):
    return (output.argmax(-1) == target).float().mean()

"""

_OF_TENSORS = """train, valid = task.train, task.valid


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
        yield rows_of(valid, rows), len(rows)"""

_OF_SOURCES = """train, valid = task.train_source, task.valid_source


def first_axis(batch):
    if isinstance(batch, torch.Tensor):
        return len(batch) if batch.dim() else 1
    return first_axis(next(iter(batch.values())) if isinstance(batch, dict) else batch[0])


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
            yield batch, first_axis(batch)
        return
    for first in range(0, valid.length, valid.batch_size):
        rows = slice(first, min(first + valid.batch_size, valid.length))
        yield valid.pack([tensor[rows] for tensor in valid.tensors]), rows.stop - rows.start"""

_LOOP = """
def loss_of(model, batch):
    if getattr(task, "objective", None) is not None:
        return task.objective(model, batch)
    source, target = batch
    return task.loss(model(source), target)


@torch.no_grad()
def validation_loss(model):
    model.eval()
    total = examples = 0.0
    for batch, rows in validation_batches():
        total += float(loss_of(model, batch)) * rows
        examples += rows
    return total / examples


random.seed({seed})
np.random.seed({seed} % 2**32)
torch.manual_seed({seed})
model = task.model() if not isinstance(task.model, torch.nn.Module) else task.model
optimizer = torch.optim.{optimizer}

# The learning rate that was applied at each update, as recorded.
{rates}
# Updates made before each validation, and the validation loss recorded there.
recorded = {recorded}

print("update  validation loss  recorded")
if 0 in recorded:
    print(f"{{0:6d}}  {{validation_loss(model):15.6g}}  {{recorded[0]:.6g}}")
batches = training_batches({seed})
for step, rate in enumerate(rates):
    model.train()
    optimizer.param_groups[0]["lr"] = rate
    optimizer.zero_grad()
    loss = loss_of(model, next(batches))
    loss.backward()
    optimizer.step()
    if step + 1 in recorded:
        print(f"{{step + 1:6d}}  {{validation_loss(model):15.6g}}  {{recorded[step + 1]:.6g}}")
"""


def _values(record: LaneRecord) -> dict[str, object]:
    from pacesetter import optimizers

    name, arguments = optimizers.parse(record.lane.optimizer).torch_optimizer()
    given = "".join(f", {key}={value!r}" for key, value in arguments.items())
    parameters = "[p for p in model.parameters() if p.requires_grad]"
    return {
        "seed": record.lane.seed,
        "optimizer": f"{name}({parameters}, lr={float(record.curve.lr[0])!r}{given})",
        "rates": _rates(record.curve),
        "recorded": _recorded(record.curve),
    }


def _rates(curve: Curve) -> str:
    if np.all(curve.lr == curve.lr[0]):
        return f"rates = [{float(curve.lr[0])!r}] * {curve.steps}"
    numbers = textwrap.fill(
        ", ".join(map(repr, curve.lr.tolist())), 116, initial_indent="    ", subsequent_indent="    "
    )
    return f"rates = [\n{numbers},\n]"


def _recorded(curve: Curve) -> str:
    pairs = ", ".join(
        f"{step}: {loss!r}" for step, loss in zip(curve.eval_steps.tolist(), curve.valid_loss.tolist(), strict=True)
    )
    pairs = pairs.replace("nan", 'float("nan")').replace("inf", 'float("inf")')
    return "{\n" + textwrap.fill(pairs, 116, initial_indent="    ", subsequent_indent="    ") + ",\n}"
