"""transformers: a recipe for its Trainer, controllers told of each evaluation, and a `Task` of what a Trainer has.

trainer = Trainer(model, args, train_dataset=train, eval_dataset=valid)
drive(trainer, "adamw lr=3e-4 warmup(0.05) >> cosine * plateau")
trainer.train()

The parts by themselves, for an optimizer of your own:

scheduler = pacesetter.connect.torch.Scheduler(optimizer, "warmup(0.05) >> cosine * plateau", args.max_steps)
trainer = Trainer(model, args, train_dataset=train, eval_dataset=valid,
                  optimizers=(optimizer, scheduler), callbacks=[Observer("eval_loss")])
"""

import copy
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pacesetter.connect.torch import Scheduler, to_torch
from pacesetter.errors import InputError, MissingPackage, TaskError
from pacesetter.recipes import Recipe
from pacesetter.tasks import Task

try:
    import torch
    from torch.optim import Optimizer
    from torch.utils.data import DataLoader
    from transformers import Trainer, TrainerCallback
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
except ImportError as error:
    package = (error.name or "transformers").partition(".")[0]
    raise MissingPackage.of(package, "transformers", "the transformers connector") from error

__all__ = ["Observer", "drive", "task"]

IGNORED = -100
"""The label of what is not predicted."""


class Observer(TrainerCallback):
    """Tells the scheduler of a Trainer the metric of each evaluation, for `Trainer(callbacks=[Observer()])`.

    metric: its name in what the Trainer reports, as "eval_loss" or "eval_accuracy" (then: `plateau(mode="max")`).

    The evaluations of a training count: those that the Trainer makes on the way, before it saves the checkpoint of the
    same step. One before the first update (`eval_on_start`) and calls of `trainer.evaluate()` outside of a training do
    not. It keeps nothing itself: what a controller has seen is saved with the scheduler.

    Warns when the scheduler is of another length than the training. Raises InputError when the scheduler is none of
    `pacesetter.connect.torch`, when it reacts to a metric and none is ever measured, and when `metric` is not reported.
    """

    def __init__(self, metric: str = "eval_loss") -> None:
        self.metric = metric
        self._begun_at: int | None = None
        self._found = False
        self._reported: list[str] = []

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Looks at what there is to drive."""
        scheduler = _ours(kwargs.get("lr_scheduler"))
        if not scheduler.schedule.pure and args.eval_strategy == "no":
            raise InputError(
                f"`eval_strategy` must have the Trainer evaluate, because {scheduler.schedule} reacts to a metric, "
                "got eval_strategy='no': give 'epoch' or 'steps'"
            )
        _compare_lengths(scheduler.total_steps, state.max_steps)
        self._begun_at, self._found, self._reported = state.global_step, False, []

    def on_evaluate(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tells the scheduler."""
        if self._begun_at is None or state.global_step == self._begun_at:
            return
        metrics: Mapping[str, Any] = kwargs["metrics"]
        if self.metric in metrics:
            self._found = True
            _ours(kwargs.get("lr_scheduler")).observe(metrics[self.metric])
        else:
            # Of several data sets, each evaluated by itself, one has it.
            self._reported += metrics

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Refuses a name that no evaluation has reported."""
        if self._reported and not self._found:
            known = ", ".join(dict.fromkeys(self._reported))
            raise InputError(
                f"`metric` must be one that the Trainer reports, got metric={self.metric!r} where it has {known}"
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Evaluations from here on are of no training."""
        self._begun_at = None


def _ours(scheduler: Any) -> Scheduler:
    """The scheduler itself, also inside accelerate's wrapper."""
    scheduler = getattr(scheduler, "scheduler", scheduler)
    if not isinstance(scheduler, Scheduler):
        raise InputError(
            "`lr_scheduler` must be one of pacesetter.connect.torch to be told a metric, "
            f"got {type(scheduler).__name__}: give Trainer(optimizers=(optimizer, scheduler))"
        )
    return scheduler


def _compare_lengths(given: int, made: int) -> None:
    if given != made:
        warnings.warn(
            f"`total_steps` should be the number of updates that the Trainer makes, {made}, got total_steps={given}: "
            "the schedule ends at another time than the training",
            stacklevel=2,
        )


def drive(trainer: Trainer, recipe: Recipe | str, metric: str = "eval_loss") -> tuple[Optimizer, Scheduler]:
    """Has `trainer` train by a recipe: an optimizer, a scheduler of as many updates as it makes, and an `Observer`.

    trainer: one that was made without optimizer and scheduler. Its arguments of the same meaning (`optim`,
        `learning_rate`, `weight_decay`, `lr_scheduler_type`, warm-up) do not count; all others do.
    recipe: "adamw(weight_decay=0.1) lr=3e-4 warmup(0.05) >> cosine", or a Recipe. Its weight decay is that of every
        trained parameter; for groups, build the optimizer yourself.
    metric: what a controller is told at each evaluation.

    Returns the optimizer and the scheduler. The total length is what the Trainer makes of `max_steps` or
    `num_train_epochs`, its data, its processes and its gradient accumulation. A training goes on from a checkpoint by
    `trainer.train(resume_from_checkpoint=True)`, also from one of another length.

    Raises InputError for a Trainer that has an optimizer, a `model_init` or FSDP, which make them anew.
    """
    problem = None
    if trainer.optimizer is not None or trainer.lr_scheduler is not None:
        problem = "that has no optimizer yet, got one that has: make a fresh Trainer, without `optimizers`"
    elif trainer.model_init is not None:
        problem = "with a model, got one with `model_init`, which makes another at each training: give it `model`"
    elif trainer.is_fsdp_enabled:
        problem = "without FSDP, which makes optimizers anew, got one with FSDP: override `create_optimizer`"
    if problem:
        raise InputError(f"`trainer` must be one {problem}")
    total_steps = _total_steps(trainer, trainer.get_train_dataloader())
    # Its types know none but transformers' own models and schedulers.
    driven: Any = trainer
    params = [p for p in driven.model.parameters() if p.requires_grad]
    optimizer, scheduler = to_torch(Recipe.parse(recipe), params, total_steps)
    driven.optimizer, driven.lr_scheduler = optimizer, scheduler
    driven.add_callback(Observer(metric))
    return optimizer, scheduler


def _total_steps(trainer: Trainer, loader: DataLoader[Any]) -> int:
    return int(trainer.set_initial_training_values(trainer.args, loader)[-1])


def task(trainer: Trainer, **settings: Any) -> Task:
    """The `Task` of what a Trainer trains: its model, loss, data and length, for `compare`, `find` and the others.

    settings: arguments of `Task` that replace or complete what the Trainer has, as `evaluations=5`, `metrics={...}`,
        `lr_ratios={"classifier": 10}`, or `train=` and `steps=` together.

    - model: the Trainer's, every run from its weights; with `model_init`, a fresh one for each seed.
    - objective: the model's own loss, or `compute_loss_func`, or label smoothing, as the Trainer computes them.
    - train, valid: its data sets with its collator, batch sizes, samplers and workers. Without an `eval_dataset` a
      share of the training data is split off.
    - steps: the updates it would make by `max_steps` or `num_train_epochs`; `accumulate`: its
      `gradient_accumulation_steps`; `clip_norm`: its `max_grad_norm`.

    Left to the study: optimizer, rate, schedule, seed, device, `fp16` and `bf16`. `compute_metrics` judges whole
    data sets, and is not carried over. The trainer, its model and its data are left as they are.

    With gradient accumulation a task averages the gradients of batches. The Trainer weighs those of language models by
    their tokens, and adds up, undivided, those of models that take any keyword but compute their loss without
    `num_items_in_batch`: such a Trainer needs `loss_is_scaled_for_ga = False` for the same rate to do the same.

    Raises TaskError for what no task can have: an overridden `compute_loss` or `training_step` (give `objective=`),
    several processes, NEFTune noise, several data sets for evaluation, a model that was trained in mixed precision.
    """
    _refuse(trainer, settings)
    args = trainer.args
    found: dict[str, Any] = {
        "model": trainer.model if trainer.model_init is None else trainer.call_model_init,
        "accumulate": args.gradient_accumulation_steps,
        "clip_norm": args.max_grad_norm or None,
        "name": type(trainer.model).__name__,
    }
    if not settings.keys() & {"loss", "objective"}:
        found["objective"] = _Loss.of(trainer)
    aside = _aside(trainer)
    if "train" not in settings:
        found["train"] = aside.get_train_dataloader()
        if not settings.keys() & {"steps", "epochs"}:
            found["steps"] = _total_steps(aside, found["train"])
    if "valid" not in settings and trainer.eval_dataset is not None:
        found["valid"] = aside.get_eval_dataloader()
    return Task(**{**found, **settings})


def _aside(trainer: Trainer) -> Trainer:
    """A copy to ask for loaders: the Trainer remembers those that it has made, and its accelerator wraps them."""
    twin = copy.copy(trainer)
    twin.accelerator = _PreparesNothing(trainer.accelerator)
    vars(twin).pop("_eval_dataloaders", None)
    return twin


class _PreparesNothing:
    """An accelerator that gives loaders back as they are."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator

    def prepare(self, *objects: Any) -> Any:
        return objects[0] if len(objects) == 1 else objects

    def __getattr__(self, name: str) -> Any:
        return getattr(self._accelerator, name)


@dataclass(frozen=True)
class _Loss:
    """The loss of a batch as the Trainer's `compute_loss` has it: the model's own, a function, or smoothed."""

    function: Callable[..., torch.Tensor] | None
    smoother: Callable[..., torch.Tensor] | None
    shifts: bool
    counts_shifted: bool

    @classmethod
    def of(cls, trainer: Trainer) -> "_Loss":
        name = type(trainer.accelerator.unwrap_model(trainer.model)).__name__
        shifts = name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()
        # For which models it leaves the first label out of its count, the Trainer keeps to itself.
        counts_shifted = vars(trainer).get("_loss_shifts_labels", False)
        return cls(trainer.compute_loss_func, trainer.label_smoother, shifts, counts_shifted)

    def __call__(self, model: torch.nn.Module, batch: Mapping[str, Any]) -> torch.Tensor:
        inputs = dict(batch)
        labels = inputs.pop("labels", None) if self.function or self.smoother else None
        outputs = model(**inputs)
        loss: torch.Tensor
        if self.function is not None:
            loss = self.function(outputs, labels, num_items_in_batch=self._count(labels))
        elif self.smoother is not None and labels is not None:
            loss = self.smoother(outputs, labels, shift_labels=self.shifts)
        else:
            loss = outputs["loss"] if isinstance(outputs, dict) else outputs[0]
        return loss

    def _count(self, labels: Any) -> torch.Tensor | None:
        """How many labels are predicted, as the Trainer counts them."""
        if not isinstance(labels, torch.Tensor):
            return None
        return (labels[..., 1:] if self.counts_shifted else labels).ne(IGNORED).sum()


def _refuse(trainer: Trainer, settings: Mapping[str, Any]) -> None:
    """Refuse what a task cannot have, and say what to do."""
    if not isinstance(trainer, Trainer):
        raise TaskError(f"`trainer` must be a transformers.Trainer, got {type(trainer).__name__}")
    problem = None
    own = [name for name in ("compute_loss", "training_step") if _is_own(trainer, name)]
    if own and not settings.keys() & {"loss", "objective"}:
        problem = (
            f"leave its {own[0]} as it is, got {type(trainer).__name__} with its own: "
            "give objective=, a function of (model, batch)"
        )
    elif trainer.train_dataset is None and "train" not in settings:
        problem = "have a train_dataset, got none: give the Trainer one"
    elif isinstance(trainer.eval_dataset, dict) and "valid" not in settings:
        names = ", ".join(trainer.eval_dataset)
        problem = f"have one eval_dataset, got {names}: make a Trainer with the one that judges, or give valid="
    elif trainer.args.world_size > 1:
        problem = f"be of one process, got {trainer.args.world_size}: make the study in a process of its own"
    elif getattr(trainer.args, "neftune_noise_alpha", None):
        problem = (
            "not add noise to embeddings, which a task cannot, "
            f"got neftune_noise_alpha={trainer.args.neftune_noise_alpha}: leave it out"
        )
    elif trainer.model_init is None and hasattr(trainer.model, "_original_forward"):
        # accelerate has bound autocast and its own forward to this very model; a copy would compute with its weights.
        problem = "not have trained in mixed precision yet, got one that has: call task(trainer) before trainer.train()"
    if problem:
        raise TaskError(f"`trainer` must {problem}")


def _is_own(trainer: Trainer, name: str) -> bool:
    return getattr(getattr(trainer, name), "__func__", None) is not getattr(Trainer, name)
