"""An untrained model for each bundle, that shares nothing with any other, and whose tensors are all in one place."""

import copy
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from pacesetter.engine.traceless import Randomness
from pacesetter.errors import TaskError
from pacesetter.tasks._task import Task

__all__ = ["made", "where_else"]

_SHARING: "WeakKeyDictionary[Task, str]" = WeakKeyDictionary()
"""For each task the name of a tensor that two models of its factory share; empty when they share none."""

DEEPEST = 3
"""Containers in containers that are looked into for tensors."""


def made(task: Task, device: torch.device) -> nn.Module:
    """A fresh model on `device`, from torch's global random state.

    A factory may give the same module each time, or one with a part that lies elsewhere: training would then change
    the user's own, and where the next lane starts. Such a model is copied, but for frozen weights.
    """
    model = task.make_model()
    _refuse_meta(model)
    if not isinstance(task.model, nn.Module) and (shared := _shared(task, model)):
        frozen = {id(p): p for p in model.parameters() if not p.requires_grad} if device.type == "cpu" else {}
        try:
            model = copy.deepcopy(model, frozen)
        except Exception as error:
            raise TaskError(
                f"`model` must be made anew each time, or be one that copy.deepcopy can copy, got {shared} in two "
                f"models and {type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            ) from error
    return model.to(device)


def _shared(task: Task, model: nn.Module) -> str:
    """A parameter or buffer of `model` that another model of the task has too; found once for each task."""
    if task not in _SHARING:
        before = Randomness.now()
        other = {_place(tensor) for _, tensor in _own(task.make_model())} - {0}
        before.restore()
        _SHARING[task] = next((name for name, tensor in _own(model) if _place(tensor) in other), "")
    return _SHARING[task]


def _own(model: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _place(tensor: torch.Tensor) -> int:
    """Where its numbers lie; 0 for what has none yet, or none of its own."""
    try:
        return tensor.untyped_storage().data_ptr()
    except (RuntimeError, NotImplementedError, ValueError):  # lazy parameters, sparse tensors
        return 0


def _refuse_meta(model: nn.Module) -> None:
    for name, tensor in _own(model):
        if tensor.is_meta:
            raise TaskError(
                f"`model` must hold numbers, got {name} on the device meta, which has none: make the model without "
                "that device, or give it `to_empty` and initial weights in the function that makes it"
            )


def where_else(model: nn.Module, device: torch.device, error: BaseException) -> str:
    """What to do about an error that came of tensors on several devices; empty for any other error.

    `.to(device)` has moved parameters and buffers; what else a model holds stays where it was made.
    """
    if "device" not in str(error):
        return ""
    for name, tensor, hidden in _held(model):
        if tensor.device.type != device.type:
            remedy = (
                "keep such modules in an nn.ModuleList or nn.ModuleDict" if hidden else "register it by register_buffer"
            )
            return f" (`{name}` is a tensor on {tensor.device}, the model on {device}: {remedy})"
    return f" (the model and its data are on {device}: make new tensors on the device of those that they meet)"


def _held(model: nn.Module) -> Iterator[tuple[str, torch.Tensor, bool]]:
    """(name, tensor, whether a module holds it) of plain attributes, and of what plain containers in them hold."""
    known = set(nn.Module().__dict__)
    for path, module in model.named_modules():
        for attribute, value in vars(module).items():
            if attribute not in known:
                yield from _within(f"{path}.{attribute}" if path else attribute, value, DEEPEST)


def _within(name: str, value: Any, levels: int) -> Iterator[tuple[str, torch.Tensor, bool]]:
    if isinstance(value, torch.Tensor):
        yield name, value, False
    elif isinstance(value, nn.Module):
        yield from ((f"{name}.{own}", tensor, True) for own, tensor in _own(value))
    elif isinstance(value, dict | list | tuple) and levels:
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _within(f"{name}[{key!r}]", part, levels - 1)
