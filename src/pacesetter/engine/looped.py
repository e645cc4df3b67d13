"""The looped engine: one lane as an ordinary model with an ordinary optimizer, for what cannot be stacked."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pacesetter.engine.program import Program, Tensors
from pacesetter.errors import TaskError
from pacesetter.optimizers import Rule

__all__ = ["Looped", "copies"]


JOINED_AFTER = 128
"""Steps whose losses and norms are joined: thousands of small tensors, held until an evaluation, slow each step."""


class Looped:
    """A program trained as a plain loop would, by the rule's optimizer: torch's own, fused, where it has one."""

    lanes = 1

    def __init__(self, program: Program, rule: Rule) -> None:
        """Take the program as it is."""
        self._program = program.train()
        self._rule = rule
        self._params = program.trainable()
        groups = [
            {"params": [self._params[name] for name in names], "ratio": ratio}
            for ratio, names in program.by_ratio(list(self._params)).items()
        ]
        self._driver = rule.driver(groups, 1.0)
        self._optimizer = self._driver.optimizer
        # Weights of the user's that are none of the model's are to get no gradient; found at the first step.
        self._inputs: list[torch.Tensor] | None = None
        self._rates: list[float] = []
        self._told: list[tuple[torch.Tensor, list[torch.Tensor]]] = []
        self._joined: list[tuple[torch.Tensor, torch.Tensor]] = []
        self._applied: list[float] = []

    @property
    def rule(self) -> Rule:
        """The rule of its lane."""
        return self._rule

    @property
    def trained(self) -> list[str]:
        """The names of the weights that are trained, in the program."""
        return list(self._params)

    @property
    def parameters(self) -> int:
        """Trained weights of the lane."""
        return sum(p.numel() for p in self._params.values())

    # ------------------------------------------------------------------------------------------------- training

    def begin(self, rates: NDArray[np.float64]) -> None:
        """Get ready for steps at these rates, [steps, 1]."""
        self._program.train()
        self._rates = rates[:, 0].tolist()

    def step(self, number: int, batches: Sequence[Any]) -> None:
        """One update at its rate, by the mean gradient of `batches`."""
        loss = self._gradients(batches)
        norms = self._norms()
        for group in self._optimizer.param_groups:
            group["lr"] = self._rates[number] * group["ratio"]
        self._driver.step(loss, lambda: self._clipped(batches))
        self._told.append((loss, norms))
        if self._tells_rate:
            self._applied.append(self._driver.effective_lr())
        if len(self._told) == JOINED_AFTER:
            self._join()

    @property
    def _tells_rate(self) -> bool:
        return self._rule.sets_rate or not self._rule.vectorises

    def _gradients(self, batches: Sequence[Any]) -> torch.Tensor:
        """The mean loss of `batches`, whose gradient is left in the parameters."""
        for p in self._params.values():
            p.grad = None
        losses = []
        for batch in batches:
            loss = self._program(batch)
            if self._inputs is None:
                self._inputs = list(self._params.values()) if _reaches_others(loss, self._params) else []
            (loss if len(batches) == 1 else loss / len(batches)).backward(inputs=self._inputs or None)
            losses.append(loss.detach())
        return losses[0] if len(losses) == 1 else torch.stack(losses).mean()

    def _clipped(self, batches: Sequence[Any]) -> torch.Tensor:
        """The same for an optimizer that asks again, with gradients as they are used."""
        with torch.enable_grad():
            loss = self._gradients(batches)
        self._norms()
        return loss

    def _norms(self) -> list[torch.Tensor]:
        """The norm of the gradient in parts, to be joined when they are fetched; gradients are clipped if they must."""
        grads = []
        for p in self._params.values():
            if p.grad is not None:
                if p.grad.is_sparse:
                    p.grad = p.grad.to_dense()
                grads.append(p.grad)
        limit = self._program.task.clip_norm
        if limit is not None:
            return [torch.nn.utils.clip_grad_norm_(list(self._params.values()), limit)]
        return list(torch._foreach_norm(grads))  # noqa: SLF001  # as `clip_grad_norm_` does; its sum can wait

    def told(self) -> list[torch.Tensor]:
        """Losses, gradient norms and rates of the steps since the last call, [steps, 1] each.

        The rates are left out unless the optimizer may work them out.
        """
        if self._told:
            self._join()
        losses, norms = (torch.cat(column)[:, None] for column in zip(*self._joined, strict=True))
        self._joined.clear()
        for p in self._params.values():
            p.grad = None
        if not self._tells_rate:
            return [losses, norms]
        rates = torch.tensor(self._applied, dtype=torch.float64)[:, None]
        self._applied.clear()
        return [losses, norms, rates]

    def _join(self) -> None:
        """Make one tensor each of what was told of the last steps."""
        losses = torch.stack([loss for loss, _ in self._told])
        parts = [parts for _, parts in self._told]
        if len({(len(some), some[0].dtype) for some in parts}) == 1 and len({p.dtype for p in parts[0]}) == 1:
            whole = torch.stack([part for some in parts for part in some]).reshape(len(parts), -1)
            norms = torch.linalg.vector_norm(whole, dim=1)
        else:  # weights that are not used in every step, or are of several kinds
            norms = torch.stack([torch.linalg.vector_norm(torch.stack([p.double() for p in some])) for some in parts])
        self._told.clear()
        self._joined.append((losses, norms))

    # ------------------------------------------------------------------------------------------------- looking

    @torch.no_grad()
    def judge(self, batch: Any) -> tuple[torch.Tensor, Tensors]:
        """Loss and metrics of a batch, [1] each, in eval mode."""
        self._program.eval()
        with self._driver.evaluation():
            loss, metrics = self._program(batch, judge=True)
        # A model may turn gradients on for itself, to compute forces say; what led here would be held to the end.
        return loss.detach()[None], {name: value.detach()[None] for name, value in metrics.items()}

    def finite(self) -> torch.Tensor:
        """[1]: whether all weights are finite."""
        return torch.stack([torch.isfinite(p).all() for p in self._params.values()]).all()[None]

    def flat(self) -> torch.Tensor:
        """[1, parameters]: the trained weights in a row."""
        return torch.cat([p.detach().flatten() for p in self._params.values()])[None]

    def weights(self, lane: int) -> Tensors:
        """The weights and buffers, named as in the user's model."""
        every = {**dict(self._program.named_parameters()), **dict(self._program.named_buffers())}
        with self._driver.evaluation():
            return {name: tensor.detach().clone() for name, tensor in self._program.as_saved(every).items()}

    # ------------------------------------------------------------------------------------------------- going on

    def keep(self, which: Sequence[int]) -> None:
        """Its one lane goes on."""

    def tree(self) -> Any:
        """All that changes, as nested dicts and lists of tensors and numbers."""
        state = {
            name: _plain(self._optimizer.state[p]) for name, p in self._params.items() if p in self._optimizer.state
        }
        return {
            "params": {name: p.detach() for name, p in self._params.items()},
            "buffers": dict(self._program.named_buffers()),
            "state": state,
            # Some keep what they estimate beside their settings.
            "groups": [_plain(group) for group in self._optimizer.param_groups],
            "shared": dict(self._driver.shared),
        }

    @torch.no_grad()
    def set_tree(self, tree: Any) -> None:
        """Go on from what `tree` gave."""
        for name, p in self._params.items():
            p.copy_(tree["params"][name])
            if name in tree["state"]:
                self._optimizer.state[p] = dict(tree["state"][name])
        for group, own in zip(self._optimizer.param_groups, tree["groups"], strict=True):
            group.update(own)
        self._driver.shared = tree["shared"]
        for name, value in tree["buffers"].items():
            owner, _, own_name = name.rpartition(".")
            setattr(self._program.get_submodule(owner), own_name, value)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if isinstance(value, torch.Tensor | bool | int | float)}


def _reaches_others(loss: torch.Tensor, own: Tensors) -> bool:
    """Whether a gradient of `loss` would reach leaves that are not among `own`: those would be given it too."""
    known = {id(p) for p in own.values()}
    left, seen = [loss.grad_fn], set()
    while left:
        node = left.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        leaf = getattr(node, "variable", None)
        if leaf is not None and id(leaf) not in known:
            return True
        left += [before for before, _ in node.next_functions]
    return False


def copies(program: Program, count: int) -> Iterator[Program]:
    """The program and copies of it, `count` in all, whose task and frozen weights are one."""
    shared: dict[int, Any] = {id(p): p for p in program.parameters() if not p.requires_grad}
    shared[id(program.task)] = program.task
    for _ in range(count - 1):
        try:
            yield copy.deepcopy(program, dict(shared))
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise TaskError(
                "`model` must be one that copy.deepcopy can copy, because every learning rate trains a copy, "
                f"got {type(error).__name__}: {reason}"
            ) from error
    yield program
