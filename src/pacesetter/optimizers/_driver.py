"""One way to drive any optimizer through an update, whatever it wants besides the gradients."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from pacesetter.optimizers._optimizer import RuleOptimizer

__all__ = ["Driver"]


class Driver:
    """An optimizer's updates and evaluations, with the loss, the closure and the switches that it asks for.

    It looks at the optimizer's `step`: a closure that must be given, or a `loss` that may be, are given. An optimizer
    with `train()` and `eval()`, as those of the package schedulefree, is switched.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        asked = inspect.signature(type(optimizer).step).parameters
        closure = asked.get("closure")
        self._wants_closure = closure is not None and closure.default is inspect.Parameter.empty
        self._wants_loss = "loss" in asked
        self._bare = None if self._wants_closure else _bare_step(optimizer)
        self._switch(training=True)

    def step(self, loss: torch.Tensor, again: Callable[[], torch.Tensor]) -> None:
        """One update by the gradients that are there. `again` works them out once more and returns the loss."""
        step: Any = self.optimizer.step
        if self._bare is not None:
            with torch.no_grad():
                self._bare(self.optimizer)
        elif self._wants_closure:
            step(again)
        elif self._wants_loss:
            step(loss=loss.detach())
        else:
            step()

    @property
    def shared(self) -> dict[str, torch.Tensor]:
        """State that belongs to all parameters together, to be saved and set."""
        return self.optimizer.shared if isinstance(self.optimizer, RuleOptimizer) else {}

    @shared.setter
    def shared(self, values: dict[str, torch.Tensor]) -> None:
        if isinstance(self.optimizer, RuleOptimizer):
            self.optimizer.shared = values

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Within it the parameters are the weights to evaluate."""
        if isinstance(self.optimizer, RuleOptimizer):
            with self.optimizer.evaluation():
                yield
            return
        self._switch(training=False)
        try:
            yield
        finally:
            self._switch(training=True)

    def effective_lr(self) -> float:
        """The rate of the last update in the first group: what the optimizer worked out, else what it was asked for."""
        if isinstance(self.optimizer, RuleOptimizer):
            return self.optimizer.effective_lr()[0]
        group = self.optimizer.param_groups[0]
        # What they call it: the estimate d of Prodigy and D-Adaptation, the rate of schedulefree after its warm-up.
        return float(group.get("scheduled_lr", group["lr"])) * float(group.get("d", 1.0))

    def _switch(self, training: bool) -> None:
        switch: Any = getattr(self.optimizer, "train" if training else "eval", None)
        if callable(switch) and not isinstance(self.optimizer, RuleOptimizer):
            switch()


def _bare_step(optimizer: Optimizer) -> Callable[[Optimizer], Any] | None:
    """The step of torch's own classes without what is wrapped around it; None for others.

    The wrappers are for profilers, for hooks (nobody can have set one here, but for all optimizers), and for steps that
    gradients flow through. They take a twentieth of a small model's whole update.
    """
    kind = type(optimizer)
    if _global_optimizer_pre_hooks or _global_optimizer_post_hooks:
        return None
    if not kind.__module__.startswith("torch.optim.") or optimizer.defaults.get("differentiable"):
        return None
    step: Callable[[Optimizer], Any] = inspect.unwrap(kind.step)
    return step
