"""What is trained: `Task`, and the metrics it may carry."""

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import nn

from pacesetter.errors import InputError, TaskError
from pacesetter.tasks._data import Source, make_source
from pacesetter.tasks._split import split_source

__all__ = ["Maximize", "Task", "accuracy", "maximize"]


@dataclass(frozen=True, slots=True)
class Maximize:
    """A metric of which more is better; made by `maximize`."""

    metric: Callable[..., Any]

    def __call__(self, *args: Any) -> Any:
        """The metric's own value."""
        return self.metric(*args)


def maximize(metric: Callable[..., Any]) -> Maximize:
    """Mark a metric as one of which more is better; unmarked metrics are minimised.

    Example:
        >>> maximize(lambda output, target: (output > 0).eq(target).float().mean())  # doctest: +ELLIPSIS
        Maximize(metric=<function ...>)
    """
    return Maximize(metric)


def _share_right(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (output.argmax(-1) == target).float().mean()


accuracy = maximize(_share_right)
"""Share of examples whose largest output is the target's class. output: [batch, ..., classes]; target: [batch, ...]."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Task:
    """A training job without its learning rate: model, loss, data, metrics, batch size and length.

    Args:
        model: a factory without arguments that makes an untrained `nn.Module` (called under each lane's seed), or an
            `nn.Module` whose weights every lane starts from (it is copied, never touched; so is what a factory's
            models share with each other). Parameters that need no gradient stay frozen.
        loss: `(output, target) -> scalar`; each batch is then `(input, target)`. Give this or `objective`.
        objective: `(model, batch) -> scalar`, for any shape of batch or a loss inside the model.
        train, valid: a tensor, a tuple of tensors, a map-style `Dataset` or a `DataLoader`. Training examples are
            shuffled anew each epoch under the lane's seed and an incomplete last batch is dropped (a DataLoader keeps
            all its parts but its generator). Without `valid`, `valid_share` of `train` is split off.
        batch_size: examples in one batch; left out, or the same, when `train` is a DataLoader.
        steps, epochs: the length of training, in updates or in passes over the data; give one.
        accumulate: batches whose gradients are averaged into one update, at least 1; for an effective batch that does
            not fit into memory at once. The recorded loss is their mean. Groups of batches run on over the ends of
            epochs; batches left at the end of training that fill no update are not used.
        clip_norm: before each update, gradients are scaled down until the norm of all of them together is at most
            this, above 0, as by `torch.nn.utils.clip_grad_norm_`. The recorded norm is that before. None: never.
        lr_ratios: beginning of parameters' names, as `model.named_parameters()` has them -> their rate, as a factor
            above 0 on the rate of the lane: `{"head": 10}` for a head that learns ten times as fast as the rest. A
            beginning is whole parts between dots ("encoder.1" is not that of "encoder.10.weight"), the longest that
            fits counts, and what none fits has 1. Tied weights go by the first of their names.
        metrics: name -> function of the loss's arguments, averaged over validation examples. Less is better unless
            wrapped in `maximize`.
        evaluations: validations in one run, at equal shares of its length. 20 show where a curve bends and cost
            about a tenth of the training.
        valid_share: the share split off for validation when `valid` is left out.
        name: what reports call the task.

    Raises:
        TaskError: a part is missing, contradicts another, or the data is empty, holds NaN or is too small.

    Example:
        >>> import torch
        >>> task = Task(model=lambda: torch.nn.Linear(2, 1), loss=torch.nn.functional.mse_loss,
        ...             train=(torch.randn(64, 2), torch.randn(64, 1)), batch_size=16, epochs=5)
        >>> task.total_steps
        15
    """

    model: Callable[[], nn.Module] | nn.Module
    loss: Callable[..., torch.Tensor] | None = None
    objective: Callable[..., torch.Tensor] | None = None
    train: Any
    valid: Any = None
    batch_size: int | None = None
    steps: int | None = None
    epochs: int | None = None
    accumulate: int = 1
    clip_norm: float | None = None
    lr_ratios: Mapping[str, float] = field(default_factory=dict)
    metrics: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    evaluations: int = 20
    valid_share: float = 0.2
    name: str = "task"
    _looks: tuple[int, ...] = field(default=(), repr=False)
    _sources: tuple[Source, Source] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, and take the data apart once."""
        if not callable(self.model):
            raise TaskError(f"`model` must be an nn.Module or a function that makes one, got model={self.model!r}")
        if (self.loss is None) == (self.objective is None):
            got = "neither" if self.loss is None else "both"
            raise TaskError(f"exactly one of `loss` and `objective` must be given, got {got}")
        for name in ("loss", "objective"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise TaskError(f"`{name}` must be a function, got {name}={getattr(self, name)!r}")
        if (self.steps is None) == (self.epochs is None):
            got = "neither" if self.steps is None else "both"
            raise TaskError(f"exactly one of `steps` and `epochs` must be given, got {got}")
        self._refuse_settings()
        self._settle_updates()
        train = make_source(self.train, self.batch_size, "train")
        if self.valid is None:
            train, valid = split_source(train, self.valid_share)
        else:
            valid = make_source(self.valid, self.batch_size or train.batch_size, "valid")
        if self.epochs is not None:
            if not train.is_sized:
                raise TaskError(
                    "`steps` must be given when the sampler of `train` has no length (`__len__`), "
                    f"got epochs={self.epochs}"
                )
            train = replace(train, by_epochs=True)
        object.__setattr__(self, "_sources", (train, valid))
        if self.total_steps == 0:
            batches = (self.epochs or 0) * train.batches_per_epoch
            raise TaskError(
                f"`accumulate` must be at most the number of batches in the whole training, {batches}, "
                f"got accumulate={self.accumulate}: give more epochs, or accumulate fewer"
            )

    def _refuse_settings(self) -> None:
        """Refuse numbers, names and metrics that are none."""
        for name in ("batch_size", "steps", "epochs", "accumulate", "evaluations"):
            value = getattr(self, name)
            if isinstance(value, np.integer):
                object.__setattr__(self, name, value := int(value))
            left_out = value is None and name not in ("accumulate", "evaluations")
            if not left_out and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise TaskError(f"`{name}` must be a whole number of at least 1, got {name}={value!r}")
        if not isinstance(self.valid_share, int | float) or not 0 < self.valid_share < 1:
            raise TaskError(f"`valid_share` must lie between 0 and 1, got valid_share={self.valid_share!r}")
        if not isinstance(self.name, str):
            raise TaskError(f"`name` must be a text, got name={self.name!r}")
        if not isinstance(self.metrics, Mapping):
            raise TaskError(f"`metrics` must map names to functions, got metrics={self.metrics!r}")
        for name, metric in self.metrics.items():
            if not isinstance(name, str) or not callable(metric):
                raise TaskError(f"`metrics` must map names to functions, got metrics[{name!r}]={metric!r}")

    def _settle_updates(self) -> None:
        """Refuse clipping and ratios that are none, and make them plain numbers."""
        if self.clip_norm is not None:
            if not _above_0(self.clip_norm):
                raise TaskError(
                    f"`clip_norm` must be a finite number above 0 or None, got clip_norm={self.clip_norm!r}"
                )
            object.__setattr__(self, "clip_norm", float(self.clip_norm))
        if not isinstance(self.lr_ratios, Mapping):
            raise TaskError(f"`lr_ratios` must map parameter names to factors, got lr_ratios={self.lr_ratios!r}")
        for name, ratio in self.lr_ratios.items():
            if not isinstance(name, str) or not name:
                raise TaskError(f"`lr_ratios` must have the beginnings of parameter names as keys, got {name!r}")
            if not _above_0(ratio):
                way_out = ": freeze what is not trained by `requires_grad_(False)`" if ratio == 0 else ""
                raise TaskError(
                    f"`lr_ratios` must have finite factors above 0, got lr_ratios[{name!r}]={ratio!r}{way_out}"
                )
        object.__setattr__(self, "lr_ratios", {name: float(ratio) for name, ratio in self.lr_ratios.items()})

    @property
    def train_source(self) -> Source:
        """The training examples, taken apart."""
        return self._sources[0]

    @property
    def valid_source(self) -> Source:
        """The validation examples, taken apart."""
        return self._sources[1]

    @property
    def total_steps(self) -> int:
        """The whole length of training, in updates."""
        if self.steps is not None:
            return self.steps
        return (self.epochs or 0) * self.train_source.batches_per_epoch // self.accumulate

    @property
    def metric_directions(self) -> dict[str, str]:
        """Each metric's name and which way is better: "max" or "min"."""
        return {name: "max" if isinstance(metric, Maximize) else "min" for name, metric in self.metrics.items()}

    def ratio_of(self, parameter_name: str) -> float:
        """The factor of a parameter, named as in `model.named_parameters()`, on the rate of its lane.

        Example:
            >>> import torch
            >>> task = Task(model=lambda: torch.nn.Linear(2, 1), loss=torch.nn.functional.mse_loss,
            ...             train=(torch.randn(64, 2), torch.randn(64, 1)), batch_size=16, epochs=5,
            ...             lr_ratios={"head": 10, "head.1": 3})
            >>> [task.ratio_of(name) for name in ("head.0.bias", "head.1.bias", "header.bias")]
            [10.0, 3.0, 1.0]
        """
        fitting = [beginning for beginning in self.lr_ratios if f"{parameter_name}.".startswith(f"{beginning}.")]
        return self.lr_ratios[max(fitting, key=len)] if fitting else 1.0

    def make_model(self) -> nn.Module:
        """A fresh model: the factory's, or a copy of the given module. Randomness comes from torch's global state."""
        if isinstance(self.model, nn.Module):
            return copy.deepcopy(self.model)
        model = self.model()
        if not isinstance(model, nn.Module):
            raise TaskError(f"`model` must make an nn.Module, got {type(model).__name__}")
        return model

    def evaluation_steps(self, total_steps: int) -> list[int]:
        """Updates made before each evaluation of a run of `total_steps`, ascending, 0 not among them."""
        if total_steps < 1:
            raise InputError(f"`total_steps` must be at least 1, got total_steps={total_steps}")
        count = min(self.evaluations, total_steps)
        due = {(2 * k * total_steps + count) // (2 * count) for k in range(1, count + 1)}
        return sorted(due.union(look for look in self._looks if 0 < look < total_steps))


def _above_0(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and 0 < float(value) < math.inf
