"""One untrained step on the side, before any training: what is wrong with a task is said at once and in plain words."""

import warnings
from typing import Any

import torch

from pacesetter.engine.batches import Batches, tensors_of, validation_batches
from pacesetter.engine.blame import told
from pacesetter.engine.program import Program, fresh_program
from pacesetter.engine.traceless import traceless
from pacesetter.errors import TaskError
from pacesetter.tasks._task import Task

__all__ = ["check"]


def check(task: Task) -> None:
    """Run the model, loss and metrics once on a batch of each data set; nothing of the user's is changed.

    Raises TaskError when the model cannot be made or run, the loss is no scalar or has no gradient, a metric is no
    number, or the target does not fit the output. A loss of NaN is no error: it is an outcome.
    """
    place = torch.device("cpu")
    with traceless(), warnings.catch_warnings():
        # torch only warns when it stretches a target over an output of another shape; the loss is wrong then.
        warnings.filterwarnings("error", message="Using a target size")
        program = told("model", "could not be made", lambda: fresh_program(task, 0, place))
        batch = told("train", "could not be read", lambda: next(Batches(task.train_source, 0, place)))
        _check_loss(task, program.train(), batch)
        batch = told("valid", "could not be read", lambda: next(validation_batches(task.valid_source, place)))
        with torch.no_grad():
            program.eval()
            # Without the metrics first, so that neither is blamed for the other.
            told("valid", "could not be evaluated (without gradients)", lambda: program(batch))
            _, metrics = told("metrics", "could not be computed", lambda: program(batch, judge=True))
        for name, value in metrics.items():
            if value.numel() != 1:
                raise TaskError(f"`metrics` must give one number each, got {name} of shape {tuple(value.shape)}")


def _check_loss(task: Task, program: Program, batch: Any) -> None:
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
        output = told("model", f"could not be run on a batch of shape {_shape(source)}", lambda: program.model(source))
        assert task.loss is not None
        loss_function = task.loss
        described = (
            f"could not be computed from an output of shape {_shape(output)} and a target of shape {_shape(target)}"
        )
        loss = told("loss", described, lambda: loss_function(output, target))
        name = "loss"
    else:
        loss = told("objective", "could not be computed", lambda: program(batch))
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
