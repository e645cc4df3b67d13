"""What lanes compute together: gradients, updates and evaluations of one program under stacked weights."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils import _pytree as trees

from pacesetter.engine.attention import FoldedAttention
from pacesetter.engine.program import Program, Tensors
from pacesetter.engine.row import Row
from pacesetter.engine.traceless import Randomness
from pacesetter.optimizers import Rule

__all__ = ["Stacked", "in_slots"]

Leaves = list[torch.Tensor]
CLIP_EPS = 1e-6
"""Added to the norm before a gradient is divided by it, as `torch.nn.utils.clip_grad_norm_` does."""


class Stacked:
    """A program and a rule as functions of stacked tensors, [lanes, ...] each; frozen weights have no lane axis.

    Random layers draw once for all lanes (`randomness="same"`): lane i sees what a plain loop under the seed would.
    Lanes do not touch each other, so the gradient of the sum of their losses holds the gradient of each.
    """

    def __init__(self, program: Program, rule: Rule, row: Row | None = None) -> None:
        """Hold the program, whose own weights are not looked at. row: weights, and their state, lie in it."""
        self._program = program
        self._rule = rule
        self._row = row
        self._groups = program.by_ratio(program.trainable())
        self._inside = False

    def update(
        self, params: Tensors, buffers: Tensors, state: Any, frozen: Tensors, rates: torch.Tensor, batches: list[Any]
    ) -> Leaves:
        """(losses, gradient norms, rates, weights, buffers, state) after an update, [lanes, ...] each; new tensors all.

        The rates are those that the rule works out, and are left out where it does not.
        """
        held, params = params, {name: p.detach().requires_grad_() for name, p in self.named(params).items()}
        buffers = {name: b.clone() for name, b in buffers.items()}
        losses: list[torch.Tensor] = []
        grads: Tensors = {}
        with _quiet():
            for batch in batches:
                loss, buffers, found = self._gradients(params, buffers, frozen, batch, len(batches))
                losses.append(loss.detach())
                grads = {**grads, **{name: grads[name] + g if name in grads else g for name, g in found.items()}}
        params, buffers = ({name: t.detach() for name, t in tree.items()} for tree in (params, buffers))
        with torch.no_grad():
            loss = losses[0] if len(losses) == 1 else torch.stack(losses).mean(0)
            # Like torch, a weight that the loss does not use is left alone, and so is its state.
            if len(grads) == len(params):
                grads, params = self.held(grads), held
            else:
                state = in_slots(self.named, state)
            moved, changed, *told = vmap(self._move)(
                grads, _only(state, grads), {name: params[name] for name in grads}, rates, loss
            )
        tree = (self.held({**params, **moved}), buffers, in_slots(self.held, _merged(state, changed)))
        # What comes out lies in memory as what went in, which is what a compiled step is made for.
        return [loss, *told, *(t.contiguous() for t in trees.tree_leaves(tree))]

    def named(self, weights: Tensors) -> Tensors:
        """Weights as the program has them, from however they are held."""
        return weights if self._row is None else self._row.apart(weights)

    def held(self, weights: Tensors) -> Tensors:
        """Weights as they are held from step to step, [lanes, ...] each."""
        return weights if self._row is None else self._row.together(weights)

    def _gradients(
        self, params: Tensors, buffers: Tensors, frozen: Tensors, batch: Any, batches: int
    ) -> tuple[torch.Tensor, Tensors, Tensors]:
        """(losses, buffers, gradients of the weights that the loss uses), of one of so many batches of an update."""
        axes = (0, 0, None, None)
        if not self._inside:
            before, own = Randomness.now(), {name: b.clone() for name, b in buffers.items()}
            try:
                with FoldedAttention():
                    loss, own = vmap(self._loss, axes, randomness="same")(params, own, frozen, batch)
                share = loss if batches == 1 else loss / batches
                found = torch.autograd.grad(share.sum(), list(params.values()), allow_unused=True)
                return loss, own, {name: g for name, g in zip(params, found, strict=True) if g is not None}
            except RuntimeError as error:
                # Some operations (an LSTM) have no stacked form, but the parts that a gradient takes them into have.
                if "Batching rule not implemented" not in str(error):
                    raise
                self._inside = True
                before.restore()
        inside = vmap(grad_and_value(self._loss, has_aux=True), axes, randomness="same")
        grads, (loss, buffers) = inside(params, buffers, frozen, batch)
        return loss, buffers, grads if batches == 1 else {name: g / batches for name, g in grads.items()}

    def _loss(self, params: Tensors, buffers: Tensors, frozen: Tensors, batch: Any) -> tuple[torch.Tensor, Tensors]:
        # Layers that keep statistics change their buffers in place; handing them on makes that visible outside.
        loss: torch.Tensor = functional_call(self._program, {**frozen, **params, **buffers}, (batch,))
        return loss, buffers

    def _move(
        self, grads: Tensors, state: Any, params: Tensors, rate: torch.Tensor, loss: torch.Tensor
    ) -> tuple[Any, ...]:
        """One lane: (weights, state, norm of its gradient before it is clipped, the rate if the rule works one out)."""
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads.values()]))
        if self._program.task.clip_norm is not None:
            share = torch.clamp(self._program.task.clip_norm / (norm + CLIP_EPS), max=1.0)
            grads = {name: g * share.to(g.dtype) for name, g in grads.items()}
        rates = {ratio: rate * ratio for ratio in self._groups}
        each: Any = next(iter(rates.values()))
        if len(rates) > 1:
            each = {name: rates[ratio] for ratio, names in self._groups.items() for name in names if name in grads}
        extra = {"loss": loss} if "loss" in self._rule.needs else {}
        moved, changed = self._rule.update(grads, state, params, each, **extra)
        if not self._rule.sets_rate:
            return moved, changed, norm
        return moved, changed, norm, torch.as_tensor(self._rule.effective_lr(changed, rate)).double()

    def judge(self, weights: Tensors, buffers: Tensors, frozen: Tensors, batch: Any) -> Leaves:
        """(losses, then each of the task's metrics) of a batch, [lanes] each."""

        def one(weights: Tensors, buffers: Tensors) -> tuple[torch.Tensor, ...]:
            loss, metrics = self.judge_one(weights, buffers, frozen, batch)
            return loss, *(metrics[name] for name in self._program.task.metrics)

        with _quiet(), FoldedAttention():
            return list(vmap(one, randomness="same")(weights, buffers))

    def judge_one(self, weights: Any, buffers: Tensors, frozen: Tensors, batch: Any) -> tuple[torch.Tensor, Tensors]:
        """(loss, metrics) of a batch, for the weights and buffers of one lane."""
        told: tuple[torch.Tensor, Tensors] = functional_call(
            self._program, {**frozen, **weights, **buffers}, (batch,), {"judge": True}
        )
        return told


def in_slots(function: Callable[[Tensors], Tensors], state: Any) -> Any:
    """A rule's state with what a function makes of each slot that has a number for each weight."""
    return {slot: function(value) if isinstance(value, dict) else value for slot, value in state.items()}


def _only(state: Any, names: Tensors) -> Any:
    """The part of a rule's state that belongs to the weights in `names`; what belongs to none is whole."""
    return in_slots(lambda value: {name: value[name] for name in names if name in value}, state)


def _merged(old: Any, new: Any) -> Any:
    """`old` with what is in `new` in its place."""
    return {slot: {**old[slot], **value} if isinstance(value, dict) else value for slot, value in new.items()}


@contextmanager
def _quiet() -> Iterator[None]:
    """Attention by plain matrix products where it is not folded, and no word about slow paths."""
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.filterwarnings("ignore", message=".*performance drop.*", category=UserWarning)
        yield
