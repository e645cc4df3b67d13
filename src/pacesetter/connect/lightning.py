"""Lightning: a recipe for `configure_optimizers`, controllers told of each validation, a `Task` of what a module has.

class Classifier(lightning.LightningModule):
    def configure_optimizers(self):
        return configure(self, "adamw lr=3e-4 warmup(0.05) >> cosine * plateau")

trainer = lightning.Trainer(max_epochs=10, callbacks=[Observer("val_loss")])
"""

import copy
import inspect
import math
from collections.abc import Mapping
from typing import Any

from pacesetter.connect.torch import Scheduler, to_torch
from pacesetter.errors import InputError, MissingPackage, TaskError
from pacesetter.recipes import Recipe
from pacesetter.tasks import Task

try:
    import torch
    from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
    from lightning.pytorch.trainer.states import TrainerFn
    from lightning.pytorch.utilities.model_helpers import is_overridden
    from torch.utils.data import DataLoader
except ImportError as error:
    package = (error.name or "lightning").partition(".")[0]
    raise MissingPackage.of(package, "lightning", "the Lightning connector") from error

__all__ = ["Observer", "configure", "task"]

CHANGING = ("backward", "optimizer_step", "configure_gradient_clipping", "configure_model")
"""Hooks of a module that change what an update is, or which weights there are."""
OF_BATCHES = ("on_before_batch_transfer", "on_after_batch_transfer")
"""Hooks of a module or its data that change what a batch is."""


class Observer(Callback):
    """Tells schedulers the metric of each validation of a training, for `Trainer(callbacks=[Observer("val_loss")])`.

    metric: its name as the module logs it, as "val_loss" or "val_acc" (then: `plateau(mode="max")`).

    Validations on the way count, before a checkpoint of them is saved; the sanity check and `trainer.validate()` do
    not. Of several processes all are told the mean. It keeps nothing itself: what a controller has seen is saved with
    the scheduler.

    Raises InputError when training begins without a scheduler of `pacesetter.connect.torch`, when one that reacts to a
    metric would never see any, and when `metric` was not logged.
    """

    def __init__(self, metric: str = "val_loss") -> None:
        super().__init__()
        self.metric = metric

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at what there is to drive."""
        driven = _schedulers(trainer)
        if not driven:
            raise InputError(
                "`configure_optimizers` must return a scheduler of pacesetter.connect, got none: "
                "return pacesetter.connect.lightning.configure(self, recipe)"
            )
        for one in driven:
            if not one.schedule.pure and not trainer.enable_validation:
                raise InputError(
                    f"`trainer` must validate, because {one.schedule} reacts to a metric, got no validation: "
                    "give the module a validation_step and fit() its data"
                )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tells the schedulers."""
        if trainer.state.fn != TrainerFn.FITTING or trainer.sanity_checking:
            return
        logged = trainer.callback_metrics
        if self.metric not in logged:
            known = ", ".join(logged) or "none"
            raise InputError(
                f"`metric` must be one that the module logs, got metric={self.metric!r} where it has {known}: "
                f"self.log({self.metric!r}, ...) in validation_step"
            )
        value = trainer.strategy.reduce(logged[self.metric].detach(), reduce_op="mean")
        for one in _schedulers(trainer):
            one.observe(float(value))


def _schedulers(trainer: Trainer) -> list[Scheduler]:
    return [config.scheduler for config in trainer.lr_scheduler_configs if isinstance(config.scheduler, Scheduler)]


def configure(module: LightningModule, recipe: Recipe | str, total_steps: int | None = None) -> dict[str, Any]:
    """What `configure_optimizers` returns, for training by a recipe: optimizer and scheduler, stepped at each update.

    module: its parameters that need a gradient are trained, all at the recipe's rate. For groups, build the optimizer
        yourself and return `{"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}`
        with a `pacesetter.connect.torch.Scheduler`.
    recipe: "adamw lr=3e-4 warmup(0.05) >> cosine", or a Recipe.
    total_steps: length of the whole training in updates; left out, what the Trainer estimates from `max_epochs`,
        `max_steps`, its data and `accumulate_grad_batches`.

    A schedule that reacts to a metric needs an `Observer` among the Trainer's callbacks. A training goes on from a
    checkpoint by `trainer.fit(..., ckpt_path=...)`, also from one of another length.

    Raises InputError when the length is not known, and when the `Observer` is missing.
    """
    recipe = Recipe.parse(recipe)
    trainer: Any = module.trainer
    if not recipe.schedule.pure and not any(isinstance(one, Observer) for one in trainer.callbacks):
        raise InputError(
            f"`callbacks` must have an Observer, because {recipe.schedule} reacts to a metric, got none: "
            'Trainer(callbacks=[pacesetter.connect.lightning.Observer("val_loss")])'
        )
    if total_steps is None:
        estimate = trainer.estimated_stepping_batches
        if not 0 < estimate < math.inf:
            raise InputError(
                f"`total_steps` must be given to a training without an end, got total_steps=None and {estimate} "
                "estimated by the Trainer: give it, or give the Trainer max_steps"
            )
        total_steps = int(estimate)
    params = [p for p in module.parameters() if p.requires_grad]
    optimizer, scheduler = to_torch(recipe, params, total_steps)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


def task(
    module: LightningModule, datamodule: LightningDataModule, trainer: Trainer | None = None, **settings: Any
) -> Task:
    """The `Task` of a module and its data, for `compare`, `find` and the others.

    module: each run starts from the weights that it has now. Its `training_step` is the objective, in validation too
        (in eval mode); what it logs goes nowhere. It runs without a Trainer: a step that reads `self.trainer` fails.
    datamodule: what has `train_dataloader` and `val_dataloader`; a module that has them itself may be given again.
        Without `val_dataloader` a share of the training data is split off.
    trainer: what says the length (`max_steps`, `max_epochs`, `limit_train_batches`), `accumulate_grad_batches` and
        `gradient_clip_val`. Left out, give `steps=` or `epochs=`.
    settings: arguments of `Task` that replace or complete what is found, as `steps=100`, `metrics={...}`.

    Left to the study: optimizer, rate, schedule, seed, device and precision. Hooks and callbacks that only watch are
    not called. `prepare_data` and `setup("fit")` of the data are, on a copy. Module, data and trainer are left as they
    are.

    Raises TaskError for what no task can have: manual optimization (and with it several optimizers), hooks that change
    batches, gradients or updates, several loaders at once, clipping by value, several devices.

    >>> class Line(LightningModule):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.body = torch.nn.Linear(2, 1)
    ...     def training_step(self, batch, batch_idx):
    ...         return self.body(batch[0]).square().mean()
    ...     def train_dataloader(self):
    ...         return DataLoader(torch.utils.data.TensorDataset(torch.ones(40, 2)), batch_size=4)
    >>> line = Line()
    >>> task(line, line, epochs=3).total_steps
    24
    """
    _refuse(module, datamodule)
    data = copy.copy(datamodule)
    if isinstance(data, LightningDataModule):
        data.trainer = None
        data.prepare_data()
        data.setup("fit")
    found: dict[str, Any] = {"model": _alone(module), "name": type(module).__name__}
    if not settings.keys() & {"loss", "objective"}:
        found["objective"] = _training_step
    if "train" not in settings:
        found["train"] = _only(data.train_dataloader(), "train_dataloader")
    if "valid" not in settings and is_overridden("val_dataloader", data):
        found["valid"] = _only(data.val_dataloader(), "val_dataloader")
    if trainer is not None:
        found |= _updates(trainer)
        if not settings.keys() & {"steps", "epochs", "train"}:
            found["steps"] = _total_steps(trainer, found["train"])
    return Task(**{**found, **settings})


def _training_step(module: LightningModule, batch: Any) -> torch.Tensor:
    """The loss of a batch."""
    takes = len(inspect.signature(module.training_step).parameters)
    given: Any = module.training_step(*(batch, 0)[:takes])
    loss: Any = given["loss"] if isinstance(given, Mapping) else given
    if not isinstance(loss, torch.Tensor):
        raise TaskError(f"`training_step` must return the loss of every batch, got {type(loss).__name__}")
    return loss


def _nowhere(*args: Any, **kwargs: Any) -> None:
    """Where a module without a Trainer logs."""


def _alone(module: LightningModule) -> LightningModule:
    """A copy that belongs to no Trainer, and whose log goes nowhere."""
    twin = copy.deepcopy(module)
    for name in ("log", "log_dict"):
        setattr(twin, name, _nowhere)
    return twin


def _only(loader: Any, name: str) -> Any:
    """The one loader that there is."""
    if isinstance(loader, list | tuple) and len(loader) == 1:
        loader = loader[0]
    if not isinstance(loader, DataLoader):
        got = f"{len(loader)} of them" if isinstance(loader, list | tuple) else type(loader).__name__
        which = {"train_dataloader": "train= and steps=", "val_dataloader": "valid="}[name]
        raise TaskError(f"`{name}` must give one DataLoader, got {got}: give {which} to this function")
    return loader


def _updates(trainer: Trainer) -> dict[str, Any]:
    """Accumulation and clipping, as `Task` names them."""
    if trainer.world_size > 1:
        raise TaskError(f"`trainer` must have one device, got {trainer.world_size}: give a Trainer with devices=1")
    if trainer.gradient_clip_val and trainer.gradient_clip_algorithm == "value":
        raise TaskError(
            "`gradient_clip_algorithm` must be 'norm', got gradient_clip_algorithm='value': give a Trainer without it"
        )
    return {"accumulate": trainer.accumulate_grad_batches, "clip_norm": trainer.gradient_clip_val or None}


def _total_steps(trainer: Trainer, train: DataLoader[Any]) -> int | None:
    """As the Trainer counts: batches at an epoch's end that are too few make an update of their own. None: endless."""
    if trainer.max_epochs in (None, -1):
        return None if trainer.max_steps == -1 else trainer.max_steps
    limit = trainer.limit_train_batches
    batches = min(len(train), limit) if isinstance(limit, int) else int(len(train) * limit)
    steps = trainer.max_epochs * -(-batches // trainer.accumulate_grad_batches)
    return steps if trainer.max_steps == -1 else min(steps, trainer.max_steps)


def _refuse(module: LightningModule, datamodule: Any) -> None:
    """Refuse what a task cannot have, and say what to do."""
    for name, given, kind in (
        ("module", module, LightningModule),
        ("datamodule", datamodule, LightningDataModule),
    ):
        if not isinstance(given, kind | LightningModule):
            got = f"{type(given).__module__}.{type(given).__name__}"
            raise TaskError(f"`{name}` must be a {kind.__name__} of lightning.pytorch, got {got}")
    if not module.automatic_optimization:
        raise TaskError(
            "`automatic_optimization` must be on for a task, whose one optimizer is what is compared, got "
            f"{type(module).__name__} with manual optimization: write a Task with an objective="
        )
    for owner, names in ((module, CHANGING + OF_BATCHES), (datamodule, OF_BATCHES)):
        own = [name for name in names if is_overridden(name, owner)]
        if own:
            raise TaskError(
                f"`{own[0]}` must be as Lightning has it, because a task does without, got {type(owner).__name__} "
                "with its own: write a Task with an objective= that does the same"
            )
