"""A lane as a plain PyTorch script: the proof of its numbers, for a reader who trusts no framework.

Of a task that is a program the script is its command, for a shell.
"""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np

from pacesetter.errors import InputError
from pacesetter.records import Curve, LaneRecord, StudyRecord
from pacesetter.report import _command
from pacesetter.report import _script_text as _text

__all__ = ["LOW_TOLERANCE", "TOLERANCE", "script"]

TOLERANCE = 1e-3
"""Relative difference between a script's losses and the recorded ones that float32 arithmetic in another order
explains as long as its errors stay small, as in most lanes that learn. They may grow beyond it: at the edge of
stability, and where a sum that falls on the other side of a kink (ReLU's, say) gives Adam a weight to move."""

LOW_TOLERANCE = 0.02
"""That of a lane whose matrix products are in bfloat16: a sum in another order may round to the next number, which is
2**-8 away; a loss is the mean over many of them, and the updates of a run add up to a few."""

LEAST_SHARE = 1e-3
"""Differences are relative to the recorded loss, or to this share of the first one where that is more: the rounding
errors of a loss that went down a thousandfold are those of the numbers it was computed from."""


def script(study: StudyRecord, lane: int) -> str:
    """Python source that trains lane number `lane` (from 0) of `study` again and prints its losses beside the recorded.

    A built-in task's script imports torch and numpy alone (and ours for an optimizer that torch has not); a user's task
    is imported from its file or module. A program is started by a shell script of its command, which prints what it
    printed. Raises InputError for a lane that does not exist or a task that was given as an object (nothing to import).
    """
    if not 0 <= lane < len(study.lanes):
        raise InputError(f"`lane` must be between 0 and {len(study.lanes) - 1}, got lane={lane}")
    record = study.lanes[lane]
    command = _command.of(study)
    if command is not None:
        return f"#!/bin/sh\n# {_title(study, record, lane)}\n{command.line(record.lane)}\n"
    if not record.curve.steps:
        raise InputError(f"`lane` must have made at least one update, got lane={lane}: {record.outcome.sentence}")
    parts = [_header(study, record, lane), _task_source(study.task), _text.LOOP.format(**_values(study, record))]
    return re.sub(r"\n{4,}", "\n\n\n", "\n\n\n".join(part.strip("\n") for part in parts)) + "\n"


def _header(study: StudyRecord, record: LaneRecord, lane: int) -> str:
    tolerance = LOW_TOLERANCE if _is_low(study) else TOLERANCE
    about = (
        "A plain PyTorch loop. At each validation it prints the mean training loss since the last one and the "
        "validation loss, each beside the recorded number, and at the end the largest relative difference: up to "
        f"{tolerance:g} while rounding errors stay small, as in most lanes that learn; more where something magnifies "
        "them, such as a rate at the edge of stability."
    )
    title = _title(study, record, lane).replace("\\", "/").replace('"', "'")
    return f'"""{textwrap.fill(title, 116)}\n\n{textwrap.fill(about, 116)}\n"""\n\n{_text.IMPORTS}'


def _is_low(study: StudyRecord) -> bool:
    """Whether matrix products were in bfloat16; plans of the first version do not say so, and were not."""
    return study.plan.get("precision") == "bfloat16"


def _title(study: StudyRecord, record: LaneRecord, lane: int) -> str:
    end = f"{record.outcome.value} after {record.curve.steps} of {study.total_steps} updates"
    return f"Lane {lane} of the study {study.name!r}: {record.lane.recipe}, seed {record.lane.seed}; {end}."


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
    load = _text.FILE.format(file=file) if file.endswith(".py") else _text.MODULE.format(module=file)
    call = f"task = getattr(module, {name!r})\ntask = task if hasattr(task, 'total_steps') else task()"
    return f"{load}{call}\n{_text.OF_SOURCES}"


def _built_in(name: str) -> str:
    """The task's own module, without the package's imports: a namespace stands in for `Task`."""
    module = import_module(f"pacesetter.tasks.{name.replace('-', '_')}")
    source = inspect.getsource(module)
    lines = source.splitlines()
    for node in ast.parse(source).body:
        ours = isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pacesetter")
        docstring = isinstance(node, ast.Expr) and node.lineno == 1
        found = _data_file(node, module)
        if ours or docstring or found:
            assert node.end_lineno is not None
            lines[node.lineno - 1 : node.end_lineno] = [found, *[""] * (node.end_lineno - node.lineno)]
    code = "\n".join(lines).strip("\n")
    return (
        f"from types import SimpleNamespace as Task\n\n{_text.METRICS}\n{code}\n\n\ntask = task()\n{_text.OF_TENSORS}"
    )


def _data_file(node: ast.stmt, module: ModuleType) -> str:
    """A line that gives a constant made from `__file__`, which a script does not have, as it is; else empty."""
    if not isinstance(node, ast.Assign) or not any(getattr(part, "id", "") == "__file__" for part in ast.walk(node)):
        return ""
    name = ast.unparse(node.targets[0])
    value = getattr(module, name)
    assert isinstance(value, Path)
    return f"{name} = Path({str(value.resolve())!r})"


def _values(study: StudyRecord, record: LaneRecord) -> dict[str, object]:
    first = record.curve.untrained_loss
    if not np.isfinite(first):
        first = float(record.curve.train_loss[0])
    return {
        **_updates(study, record),
        "precision": _text.LOW if _is_low(study) else "",
        "output": "in_float32(model(source))" if _is_low(study) else "model(source)",
        "seed": record.lane.seed,
        "rates": _rates(record.curve),
        "recorded": _recorded(record.curve),
        "smallest": repr(float(f"{max(LEAST_SHARE * abs(first), 1e-300):.6g}") if np.isfinite(first) else 1e-300),
    }


def _updates(study: StudyRecord, record: LaneRecord) -> dict[str, str]:
    """The pieces that an update is made of, each no more than the study needs."""
    from pacesetter import optimizers

    given = study.provenance
    ratios, accumulate, clip_norm = given.get("lr_ratios"), given.get("accumulate", 1), given.get("clip_norm")
    clipped = "" if clip_norm is None else _text.CLIPPED.format(clip_norm=clip_norm)
    rule = optimizers.parse(record.lane.optimizer)
    made = {"weights": "groups" if ratios else "weights", "lr": repr(float(record.curve.lr[0]))}
    of_torch = rule.torch_optimizer()
    if of_torch is None:
        optimizer = _text.OF_OTHERS.format(rule=str(rule), **made)
        clipped = clipped.replace("\n", "\n        ")
        gradient = _text.OF_OTHERS_GRADIENT.format(accumulate=accumulate, clipped=clipped)
        pieces = {"gradient": gradient, "clipped": "", "step": "driver.step(loss, again)", "look": "seen()"}
    else:
        name, arguments = of_torch
        settings = "".join(f", {key}={value!r}" for key, value in arguments.items())
        optimizer = _text.OF_TORCH.format(name=name, settings=settings, **made)
        gradient = _text.ONE_BATCH if accumulate == 1 else _text.SEVERAL_BATCHES.format(accumulate=accumulate)
        pieces = {
            "gradient": gradient,
            "clipped": clipped,
            "step": "optimizer.step()",
            "look": "validation_loss(model)",
        }
    return pieces | {
        "ratios": _text.RATIOS.format(ratios=ratios) if ratios else "",
        "optimizer": _text.GROUPS.format(optimizer=optimizer) if ratios else optimizer,
        "times_ratio": ' * group["ratio"]' if ratios else "",
    }


def _rates(curve: Curve) -> str:
    if np.all(curve.lr == curve.lr[0]):
        return f"rates = [{float(curve.lr[0])!r}] * {curve.steps}"
    return f"rates = [\n{_filled(map(repr, curve.lr.tolist()))},\n]"


def _recorded(curve: Curve) -> str:
    """A dict from updates made to (mean training loss since the entry before, validation loss), None for neither."""
    valid = dict(zip(curve.eval_steps.tolist(), curve.valid_loss.tolist(), strict=True))
    pairs, before = [], 0
    for step in sorted({*valid, curve.steps}):
        # Without a word of numpy's: where a lane diverged, the mean is infinite or not a number.
        since = curve.train_loss[before:step].tolist()
        mean = sum(since) / len(since) if since else None
        pairs.append(f"{step}: ({_literal(mean)}, {_literal(valid.get(step))})")
        before = step
    return f"{{\n{_filled(pairs)},\n}}"


def _literal(value: float | None) -> str:
    """Nine digits tell any two float32 apart."""
    if value is None:
        return "None"
    return repr(float(f"{value:.9g}")) if np.isfinite(value) else f'float("{value!r}")'


def _filled(texts: Iterable[str]) -> str:
    return textwrap.fill(", ".join(texts), 116, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False)
