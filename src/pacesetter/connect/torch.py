"""PyTorch: a schedule as a `torch.optim` scheduler, a rule as an optimizer, a recipe as both.

optimizer, scheduler = to_torch(Recipe.parse("adam lr=3e-3 warmup(0.05) >> cosine()"), model.parameters(), 10_000)
for batch in batches:
    loss(model, batch).backward()
    optimizer.step()
    scheduler.step()
    optimizer.zero_grad()
"""

import weakref
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
    """A schedule driving the rates of an optimizer: `lr = initial lr of the group * factor(updates made)`.

    optimizer: its groups' rates are the peaks; groups of different rates keep their ratios. A group added later joins
        with the rate it brings.
    schedule: a schedule or its text. Where it cycles the momentum, the groups' `momentum` or first beta follows.
    total_steps: length of the whole training in updates. Past it the rate holds. It may be set to another length at any
        time: the rate is then that of the longer or shorter run.

    Building it sets the rates of the first update. Call `step()` after each update, and for a controller such as
    `plateau` also `observe(metric)` after each evaluation; a pure schedule does not mind being told.

    What counts are updates that the optimizer really made, however often `step()` was called: with gradient
    accumulation it may be called after every batch, under `GradScaler` an update that was skipped moves nothing, and
    under accelerate N processes may call it N times. `asked` and `applied` are both counts. (So calls of `step()` alone
    move nothing; to see a schedule beforehand, call it: `schedule(numpy.arange(n), n)`.)

    It is a torch scheduler to whoever asks, and differs where torch's own surprise: the rate is computed from the
    number of updates, never from the last rate, so one set by hand in between does not matter; the optimizer's `step`
    is not wrapped (a hook counts its calls); `state_dict` holds plain data, what another schedule left is refused, and
    what a run of another length left is taken at its number of updates.

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
        self._total_steps = int(total_steps)
        self.state = self.schedule.init()
        self.asked = self.applied = 0
        if self.schedule.momentum_at(0, total_steps) is not None:
            _check_momentum(optimizer, self.schedule)
        self._count_updates()
        self._set_rates()

    @property
    def total_steps(self) -> int:
        """Length of the whole training in updates."""
        return self._total_steps

    @total_steps.setter
    def total_steps(self, total_steps: int) -> None:
        self.schedule.validate(total_steps)
        self._total_steps = int(total_steps)
        self._set_rates()

    @property
    def last_epoch(self) -> int:  # type: ignore[override]  # an attribute in torch, of the same meaning
        """The updates made, under the name that torch has for it."""
        return self.applied

    @property
    def _step_count(self) -> int:
        # accelerate adds to this, and calls `step` no more when it exceeds `total_steps`.
        return min(self.applied + 1, self._total_steps)

    @_step_count.setter
    def _step_count(self, count: int) -> None:
        pass

    def step(self, epoch: int | None = None) -> None:
        """Sets the rates of the next update, by the updates made so far. Call it after each update, not each epoch."""
        if epoch is not None:
            got = f"got step({epoch!r})"
            raise InputError(f"`step` must be called without arguments, {got}: give a metric to observe(metric)")
        self.asked += 1
        self._set_rates()

    def observe(self, metric: float) -> None:
        """Tells a controller the metric of an evaluation; the rates of the next update follow it.

        Raises InputError for a metric that is NaN.
        """
        self.state = self.schedule.update(self.state, float(metric), self.applied, self._total_steps)
        self._set_rates()

    def counts(self) -> str:
        """How often a step was asked for and how many updates were made, in a sentence."""
        if self.asked == self.applied:
            return f"{self.applied} updates were made, as many as steps were asked for"
        return f"{self.asked} steps were asked for and {self.applied} updates were made: the rate follows the updates"

    def get_lr(self) -> list[float | torch.Tensor]:
        """The rates of the next update, group by group."""
        factor = self.schedule.factor(self.state, self.applied, self._total_steps)
        return [base * factor for base in self.base_lrs]

    def get_last_lr(self) -> list[float | torch.Tensor]:
        """The rates that were set last, group by group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, as plain data: numbers, text, lists and dicts."""
        return {
            "schedule": str(self.schedule),
            "total_steps": self._total_steps,
            "step": self.applied,
            "asked": self.asked,
            "state": self.state,
            "base_lrs": [float(base) for base in self.base_lrs],
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Goes where `state_dict` stood and sets those rates. Before or after the optimizer's own makes no difference.

        A state of another length is fine: the rate is that of this length at the same number of updates. Raises
        InputError when it is of another schedule or another number of groups.
        """
        mine: dict[str, Any] = self.state_dict()
        missing = [name for name in mine if name not in state_dict]
        if missing:
            raise InputError(f"`state_dict` must come from this kind of scheduler, got none of {', '.join(missing)}")
        if state_dict["schedule"] != mine["schedule"]:
            got = f"got schedule={state_dict['schedule']!r} where this one has {mine['schedule']!r}"
            raise InputError(f"`state_dict` must come from the same schedule, {got}: build the scheduler with that")
        groups = self.optimizer.param_groups
        if len(state_dict["base_lrs"]) != len(groups):
            got = f"got {len(state_dict['base_lrs'])} where the optimizer has {len(groups)}"
            raise InputError(f"`base_lrs` must have one rate for each parameter group, {got}")
        for group, base in zip(groups, state_dict["base_lrs"], strict=True):
            group["initial_lr"] = base
        self.state = dict(state_dict["state"])
        self.asked, self.applied = int(state_dict["asked"]), int(state_dict["step"])
        self._set_rates()

    def __repr__(self) -> str:
        return f"Scheduler({self.schedule}, total_steps={self._total_steps}): {self.counts()}"

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__.copy()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._count_updates()  # a copy of an optimizer has no hooks

    def _count_updates(self) -> None:
        """Has the optimizer tell of its updates, for as long as this scheduler lives."""
        me = weakref.ref(self)

        def made(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
            driven = me()
            # A fused optimizer is called by GradScaler even when it is to leave the weights alone.
            if driven is not None and not getattr(optimizer, "found_inf", False):
                driven.applied += 1

        weakref.finalize(self, self.optimizer.register_step_post_hook(made).remove)

    def _set_rates(self) -> None:
        factor, momentum = self.schedule.at_update(self.state, self.applied, self._total_steps)
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
        if momentum is not None:
            for group in self.optimizer.param_groups:
                if "momentum" in group:
                    group["momentum"] = momentum
                else:
                    group["betas"] = (momentum, *group["betas"][1:])


def _check_momentum(optimizer: Optimizer, schedule: Schedule) -> None:
    for place, group in enumerate(optimizer.param_groups):
        if not group.get("momentum", group.get("betas")):
            name = type(optimizer).__name__
            has = "momentum=0" if "momentum" in group else "neither momentum nor betas"
            raise InputError(
                f"`optimizer` must have a momentum to cycle, got {name} with {has} in group {place} for {schedule}: "
                "give it one, or leave the schedule's momentum out"
            )


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
