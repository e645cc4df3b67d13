"""PyTorch: a schedule as a `torch.optim` scheduler, a rule as an optimizer, a recipe as both.

optimizer, scheduler = to_torch(Recipe.parse("adam lr=3e-3 warmup(0.05) >> cosine()"), model.parameters(), 10_000)
for batch in batches:
    loss(model, batch).backward()
    optimizer.step()
    scheduler.step()
    optimizer.zero_grad()
"""

from collections.abc import Iterable, Mapping
from typing import Any

from pacesetter import schedules
from pacesetter.errors import InputError, MissingPackage
from pacesetter.optimizers import Rule
from pacesetter.recipes import Recipe
from pacesetter.schedules import Schedule

try:
    import torch
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler
except ImportError as error:
    raise MissingPackage.of("torch", "train", "the PyTorch connector") from error

__all__ = ["Scheduler", "rule_to_torch", "scheduler", "to_torch"]


class Scheduler(LRScheduler):
    """A schedule driving the rates of an optimizer: `lr = initial lr of the group * factor(step)`.

    optimizer: its groups' rates are the peaks; groups of different rates keep their ratios. A group added later joins
        with the rate it brings.
    schedule: a schedule or its text.
    total_steps: length of the whole training in updates. Past it the rate holds.

    Building it sets the rates of the first update. Call `step()` after each update, and for a controller such as
    `plateau` also `observe(metric)` after each evaluation; a pure schedule does not mind being told.

    It is a torch scheduler to whoever asks, and differs where torch's own surprise: the rate is computed from the
    step, never from the last rate, so one set by hand in between does not matter; the optimizer's `step` is not
    wrapped; `state_dict` holds plain data, and what another schedule left is refused.

    Raises InputError when the spans of the schedule do not fit into `total_steps`.

    >>> weights = [torch.nn.Parameter(torch.zeros(2))]
    >>> driven = Scheduler(torch.optim.SGD(weights, lr=0.8), "linear", total_steps=4)
    >>> for _ in range(4):
    ...     print(driven.get_last_lr())
    ...     driven.optimizer.step(); driven.step()
    [0.8]
    [0.6000000000000001]
    [0.4]
    [0.2]
    """

    def __init__(self, optimizer: Optimizer, schedule: Schedule | str, total_steps: int) -> None:
        # The base class's own constructor would wrap optimizer.step and count a step; all it keeps is set here.
        if not isinstance(optimizer, Optimizer):
            raise InputError(f"`optimizer` must be a torch optimizer, got {type(optimizer).__name__}")
        self.schedule = schedules.parse(schedule)
        self.schedule.validate(total_steps)
        self.optimizer = optimizer
        self.total_steps = int(total_steps)
        self.state = self.schedule.init()
        self._go_to(0)

    def step(self, epoch: int | None = None) -> None:
        """Sets the rates of the next update. Call it once after each update, not once per epoch."""
        if epoch is not None:
            got = f"got step({epoch!r})"
            raise InputError(f"`step` must be called without arguments, {got}: give a metric to observe(metric)")
        self._go_to(self.last_epoch + 1)

    def observe(self, metric: float) -> None:
        """Tells a controller the metric of an evaluation; the rates of the next update follow it."""
        self.state = self.schedule.update(self.state, float(metric), self.last_epoch, self.total_steps)
        self._go_to(self.last_epoch)

    def get_lr(self) -> list[float | torch.Tensor]:
        """The rates of the next update, group by group."""
        factor = self.schedule.factor(self.state, self.last_epoch, self.total_steps)
        return [base * factor for base in self.base_lrs]

    def get_last_lr(self) -> list[float | torch.Tensor]:
        """The rates that were set last, group by group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, as plain data: numbers, text, lists and dicts."""
        return {
            "schedule": str(self.schedule),
            "total_steps": self.total_steps,
            "step": self.last_epoch,
            "state": self.state,
            "base_lrs": [float(base) for base in self.base_lrs],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes where `state_dict` stood and sets those rates. Before or after the optimizer's own makes no difference.

        Raises InputError when it is of another schedule, another length or another number of groups.
        """
        mine: dict[str, Any] = self.state_dict()
        missing = [name for name in mine if name not in state_dict]
        if missing:
            raise InputError(f"`state_dict` must come from this kind of scheduler, got none of {', '.join(missing)}")
        for name in ("schedule", "total_steps"):
            if state_dict[name] != mine[name]:
                got = f"got {name}={state_dict[name]!r} where this one has {mine[name]!r}"
                raise InputError(f"`state_dict` must come from the same {name}, {got}: build the scheduler with that")
        groups = self.optimizer.param_groups
        if len(state_dict["base_lrs"]) != len(groups):
            got = f"got {len(state_dict['base_lrs'])} where the optimizer has {len(groups)}"
            raise InputError(f"`base_lrs` must have one rate for each parameter group, {got}")
        for group, base in zip(groups, state_dict["base_lrs"], strict=True):
            group["initial_lr"] = base
        self.state = dict(state_dict["state"])
        self._go_to(int(state_dict["step"]))

    def _go_to(self, step: int) -> None:
        self.last_epoch = step
        self._step_count = step + 1
        factor = self.schedule.factor(self.state, step, self.total_steps)
        bases: list[float | torch.Tensor] = []
        rates: list[float | torch.Tensor] = []
        for group in self.optimizer.param_groups:
            base = group.get("initial_lr")
            if type(base) is not float:
                base = group["initial_lr"] = float(group["lr"] if base is None else base)
            rate = base * factor
            if isinstance(group["lr"], torch.Tensor):
                # A compiled or captured optimizer holds on to this very tensor.
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate
            bases.append(base)
            rates.append(rate)
        self.base_lrs = bases
        self._last_lr = rates


def scheduler(optimizer: Optimizer, schedule: Schedule | str, total_steps: int) -> Scheduler:
    """The torch scheduler of `schedule` on your own optimizer; see `Scheduler`."""
    return Scheduler(optimizer, schedule, total_steps)


def rule_to_torch(rule: Rule, params: Iterable[Any], lr: float) -> Optimizer:
    """The optimizer of a rule over `params` (tensors or parameter groups), at rate `lr`; see `Rule.to_torch`.

    >>> from pacesetter import optimizers
    >>> rule_to_torch(optimizers.parse("sgd(momentum=0.9)"), [torch.nn.Parameter(torch.zeros(2))], 0.1).defaults["lr"]
    0.1
    """
    return rule.to_torch(params, lr)


def to_torch(recipe: Recipe, params: Iterable[Any], total_steps: int) -> tuple[Optimizer, Scheduler]:
    """The optimizer and the scheduler of a recipe over `params`, for a training of `total_steps` updates.

    params: tensors, which all have the recipe's rate, or parameter groups: a group that brings an `lr` has that one as
        its peak, and the schedule keeps the ratio of every two groups. The groups of a task with `lr_ratios`:

        [{"params": [p], "lr": recipe.lr * task.ratio_of(name)} for name, p in model.named_parameters()]
    total_steps: updates, not batches: with gradient accumulation, call `scheduler.step()` after each update.

    >>> body, head = torch.nn.Parameter(torch.zeros(2)), torch.nn.Parameter(torch.zeros(2))
    >>> groups = [{"params": [body]}, {"params": [head], "lr": 0.8}]
    >>> optimizer, driven = to_torch(Recipe.parse("sgd lr=0.2 linear"), groups, total_steps=4)
    >>> optimizer.step(); driven.step()
    >>> [group["lr"] for group in optimizer.param_groups]
    [0.15000000000000002, 0.6000000000000001]
    """
    optimizer = rule_to_torch(recipe.rule, params, recipe.lr)
    return optimizer, Scheduler(optimizer, recipe.schedule, total_steps)
