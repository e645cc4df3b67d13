"""One untrained step on the side, before any training: what is wrong with a task is said at once and in plain words."""

import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch

from pacesetter.engine.batches import Batches, refuse_other_length, tensors_of, validation_batches
from pacesetter.engine.blame import told
from pacesetter.engine.making import where_else
from pacesetter.engine.planning import usable_device
from pacesetter.engine.program import Program, fresh_program
from pacesetter.engine.traceless import traceless
from pacesetter.errors import TaskError
from pacesetter.tasks._task import Task

__all__ = ["check"]


def check(task: Task, device: str = "cpu") -> None:
    """Run the model, loss and metrics once on a batch of each data set; nothing of the user's is changed.

    Raises TaskError when the model cannot be made or run, lies on several devices, the loss is no scalar or has no
    gradient, a metric is no number, the target does not fit the output, a batch is changed in place, or an epoch has
    not the batches that its length says; InputError for a device that is not there. A loss of NaN is no error: it is
    an outcome.
    """
    place = usable_device(device)
    with traceless(), warnings.catch_warnings():
        # torch only warns when it stretches a target over an output of another shape; the loss is wrong then.
        warnings.filterwarnings("error", message="Using a target size")
        program = told("model", "could not be made", lambda: fresh_program(task, 0, place))
        run = partial(told, remedy=partial(where_else, program.model, place))
        batch = told("train", "could not be read", lambda: next(Batches(task.train_source, 0, place)))
        told("train", "could not be drawn", lambda: refuse_other_length(task.train_source))
        _leaving_it(
            batch, "objective" if task.loss is None else "model", lambda: _check_loss(task, program, batch, run)
        )
        batch = told("valid", "could not be read", lambda: next(validation_batches(task.valid_source, place)))
        with torch.no_grad():
            program.eval()
            # Without the metrics first, so that neither is blamed for the other.
            run("valid", "could not be evaluated (without gradients)", lambda: program(batch))
            judge = partial(program, batch, judge=True)
            _, metrics = _leaving_it(batch, "metrics", lambda: run("metrics", "could not be computed", judge))
        for name, value in metrics.items():
            if value.numel() != 1:
                raise TaskError(f"`metrics` must give one number each, got {name} of shape {tuple(value.shape)}")


def _leaving_it(batch: Any, name: str, work: Callable[[], Any]) -> Any:
    """What `work` gives; TaskError when it changes the batch, which the next lane would see."""
    before = _state(batch)
    found = work()
    for where, state in before.items():
        if _state(batch).get(where) != state:
            raise TaskError(
                f"`{name}` must leave each batch as it is, because all lanes train on it, got {where} changed: "
                "work on a copy (`x = x.clone()`, `batch = dict(batch)`)"
            )
    return found


def _state(batch: Any, where: str = "the batch") -> dict[str, Any]:
    """What every container in a batch holds, and how often each tensor was changed, by where they are."""
    if isinstance(batch, torch.Tensor):
        return {where: None if batch.is_inference() else batch._version}  # noqa: SLF001  # it has no other name
    if not isinstance(batch, Mapping | list | tuple):
        return {}
    parts = list(batch.items()) if isinstance(batch, Mapping) else list(enumerate(batch))
    found = {where: [(key, id(part)) for key, part in parts]}
    for key, part in parts:
        found |= _state(part, f"{where}[{key!r}]")
    return found


def _check_loss(task: Task, program: Program, batch: Any, run: Callable[..., Any]) -> None:
    program.train()
    if task.objective is None:
        if not (isinstance(batch, list | tuple) and len(batch) == 2):
            kind = (
                f"{type(batch).__name__} of {len(batch)}"
                if isinstance(batch, list | tuple | dict)
                else type(batch).__name__
            )
            raise TaskError(
                f"`train` must give (input, target) pairs when the task has a `loss`, got a batch that is a {kind}: "
                "give `objective=(model, batch) -> scalar` for other batches"
            )
        source, target = batch
        output = run("model", f"could not be run on a batch of shape {_shape(source)}", lambda: program.model(source))
        assert task.loss is not None
        loss_function = task.loss
        described = (
            f"could not be computed from an output of shape {_shape(output)} and a target of shape {_shape(target)}"
        )
        loss = run("loss", described, lambda: loss_function(output, target))
        name = "loss"
    else:
        loss = run("objective", "could not be computed", lambda: program(batch))
        name = "objective"
    if not isinstance(loss, torch.Tensor):
        raise TaskError(f"`{name}` must give a scalar tensor, got {type(loss).__name__}")
    if loss.dim() != 0:
        raise TaskError(
            f"`{name}` must give a scalar, got a tensor of shape {tuple(loss.shape)}: average it, with `.mean()` say"
        )
    if not loss.requires_grad:
        raise TaskError(f"`{name}` must depend on the model's trained weights, got a value without a gradient")
    told(
        name,
        "has no gradient",
        lambda: torch.autograd.grad(loss, list(program.trainable().values()), allow_unused=True),
    )


def _shape(value: Any) -> str:
    shapes = [str(tuple(t.shape)) for t in tensors_of(value)]
    return " and ".join(shapes) if shapes else type(value).__name__
