"""The one thing both engines run: the user's model and loss as a module that maps a batch to a scalar."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import torch
from torch import nn
from torch.nn.parameter import UninitializedParameter

from pacesetter.engine.making import made
from pacesetter.engine.traceless import seed_everything
from pacesetter.errors import TaskError
from pacesetter.tasks._task import Task

__all__ = ["Evaluation", "Program", "Tensors", "fresh_program"]

Tensors = dict[str, torch.Tensor]

SHOWN = 8
"""Names of parameters that a message shows: enough to see what they look like."""


class Program(nn.Module):
    """`program(batch)` is the loss of a batch; `program(batch, judge=True)` adds the metrics.

    The user's model is `program.model`, so its parameters are called `model.<name>` here.
    """

    def __init__(self, task: Task, model: nn.Module, precision: str = "float32") -> None:
        """Hold the model and its task. precision: "float32", as all is; "bfloat16" by torch's autocast."""
        super().__init__()
        self.model = model
        self.task = task
        self._low_precision = precision == "bfloat16"

    def forward(self, batch: Any, judge: bool = False) -> Any:
        """The loss (a scalar tensor), or with `judge` the pair (loss, {metric: scalar tensor})."""
        if not self._low_precision:
            return self._run(batch, judge)
        device = next(self.parameters()).device.type
        # Without autocast's memory of weights it has cast: it would hold those of another lane.
        with torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False):
            return self._run(batch, judge)

    def _run(self, batch: Any, judge: bool) -> Any:
        if self.task.objective is not None:
            arguments: tuple[Any, ...] = (self.model, batch)
            loss = self.task.objective(*arguments)
        else:
            source, target = batch
            output = self.model(source)
            if isinstance(output, torch.Tensor) and self._low_precision and output.dtype == torch.bfloat16:
                # Autocast has torch's losses in float32, but does not see them where lanes are stacked.
                output = output.float()
            arguments = (output, target)
            assert self.task.loss is not None
            loss = self.task.loss(*arguments)
        if not judge:
            return loss
        metrics = {name: _scalar(metric(*arguments), loss) for name, metric in self.task.metrics.items()}
        return loss, metrics

    def trainable(self) -> Tensors:
        """The parameters that are trained, by name, as they are (not copied); tied weights once."""
        return {name: p for name, p in self.named_parameters() if p.requires_grad}

    def as_saved(self, tensors: Tensors) -> Tensors:
        """All parameters and buffers, named as here, as the user's `load_state_dict` takes them.

        Tied weights are there under each of their names, and buffers that the model does not save are not.
        """
        own = {id(t): name for name, t in (*self.named_parameters(), *self.named_buffers())}
        saved = self.model.state_dict(keep_vars=True)
        return {name: tensors[own[id(t)]] for name, t in saved.items() if id(t) in own}

    def by_ratio(self, names: Iterable[str]) -> dict[float, list[str]]:
        """The names of parameters by the share of the lane's rate that they are trained at."""
        groups: dict[float, list[str]] = {}
        for name in names:
            groups.setdefault(self.task.ratio_of(name.removeprefix("model.")), []).append(name)
        return groups


def _scalar(value: Any, like: torch.Tensor) -> torch.Tensor:
    """A metric as a tensor without axes; one of several numbers stays as it is, and `check` refuses it."""
    if not isinstance(value, torch.Tensor):
        value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    single: torch.Tensor = value.reshape(()) if value.numel() == 1 else value
    return single


def fresh_program(task: Task, seed: int, device: torch.device, precision: str = "float32") -> Program:
    """An untrained program under `seed`; the global generators go on from where the model's making left them."""
    seed_everything(seed)
    program = Program(task, made(task, device), precision).to(device)
    if not program.trainable():
        raise TaskError("`model` must have at least one parameter that needs a gradient, got none")
    for name, p in program.model.named_parameters():
        if isinstance(p, UninitializedParameter):
            raise TaskError(
                f"`model` must know its shapes before it is trained, got the lazy parameter {name}: run it on one "
                "batch in the function that makes it, or name the sizes"
            )
        if p.is_complex():
            raise TaskError(
                f"`model` must have real parameters, got {name} of {p.dtype}: hold its two parts as a real tensor, "
                "and use torch.view_as_complex in `forward`"
            )
    _refuse_ratios_of_nothing(task, program)
    return program


def _refuse_ratios_of_nothing(task: Task, program: Program) -> None:
    """Each key of `lr_ratios` must be the beginning of a trained parameter's name."""
    names = [name.removeprefix("model.") for name in program.trainable()]
    known = {".".join(parts[:k]) for name in names for parts in [name.split(".")] for k in range(1, len(parts) + 1)}
    for beginning in task.lr_ratios:
        if beginning in known:
            continue
        every = program.model.named_parameters(remove_duplicate=False)
        fitting = [p for name, p in every if f"{name}.".startswith(f"{beginning}.")]
        trained = [
            name for name, p in program.model.named_parameters() if any(p is q for q in fitting if q.requires_grad)
        ]
        if trained:
            problem = f", tied to {trained[0]}: give the ratio to that name"
        elif fitting:
            problem = ", whose parameters need no gradient: leave it out, or train them"
        else:
            near = get_close_matches(beginning, sorted(known), n=1, cutoff=0.5)
            problem = f": did you mean {near[0]!r}?" if near else f": the model has {', '.join(names[:SHOWN])}"
        raise TaskError(f"`lr_ratios` must have beginnings of trained parameters' names, got {beginning!r}{problem}")


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Losses [lanes] on the whole validation set, metrics [lanes] each, and the spread of the loss over batches."""

    loss: torch.Tensor
    metrics: Tensors
    spread: torch.Tensor

    def of_lanes(self, rows: list[int]) -> "Evaluation":
        """That of these lanes, which may be named several times."""
        return Evaluation(self.loss[rows], {name: m[rows] for name, m in self.metrics.items()}, self.spread[rows])

    @classmethod
    def averaged(cls, losses: list[torch.Tensor], metrics: list[Tensors], rows: list[int]) -> "Evaluation":
        """From what each batch gave ([lanes] each), weighted by its number of examples."""
        weights = torch.tensor(rows, dtype=torch.float64) / sum(rows)
        stacked = torch.stack(losses).double().cpu()
        means = {
            name: (weights[:, None] * torch.stack([part[name] for part in metrics]).double().cpu()).sum(0)
            for name in metrics[0]
        }
        spread = stacked.std(0) if len(rows) > 1 else torch.zeros_like(stacked[0])
        return cls((weights[:, None] * stacked).sum(0), means, spread)
