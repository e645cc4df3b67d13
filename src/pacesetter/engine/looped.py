"""The looped engine: one ordinary model per lane, trained by plain PyTorch, for models that cannot be stacked."""

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch.func import functional_call

from pacesetter.engine.batches import batch_length
from pacesetter.engine.program import Evaluation, Program, Tensors
from pacesetter.engine.traceless import Randomness
from pacesetter.errors import TaskError
from pacesetter.optimizers import Rule

__all__ = ["Looped"]


class Looped:
    """One program and one rule state per lane. Lanes whose loss is no longer finite are not computed any more.

    Each lane sees the same random numbers in a step: the global generators are set back for every lane after the first.
    """

    def __init__(self, program: Program, rule: Rule, lanes: int) -> None:
        """Copy the program once for each lane; frozen weights are shared."""
        self._rule = rule
        self._programs = [program]
        frozen = {id(p): p for p in program.parameters() if not p.requires_grad}
        for _ in range(lanes - 1):
            self._programs.append(_copied(program, frozen))
        self._params: list[Tensors] = [p.trainable() for p in self._programs]
        self._states: list[Any] = [rule.init({n: p.detach() for n, p in params.items()}) for params in self._params]
        self._dead = [False] * lanes

    @property
    def lanes(self) -> int:
        """How many lanes it holds."""
        return len(self._programs)

    @property
    def parameters(self) -> int:
        """Trained weights of one lane."""
        return sum(p.numel() for p in self._params[0].values())

    def step(self, batch: Any, lr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One update of every lane at its own rate; lr: [lanes]. Returns (loss, gradient norm), [lanes] each."""
        told = []
        before = Randomness.now() if self.lanes > 1 else None
        drawn = False
        for lane, rate in enumerate(lr.tolist()):
            if self._dead[lane]:
                told.append((float("nan"),) * 2)
                continue
            # Never after the last lane that draws: the next step would draw the same again.
            if before is not None and drawn:
                before.restore()
            told.append(self._one_step(lane, batch, rate))
            drawn = True
        losses, norms = torch.tensor(told, dtype=torch.float64).unbind(1)
        return losses, norms

    def _one_step(self, lane: int, batch: Any, rate: float) -> tuple[float, float]:
        program, params = self._programs[lane], self._params[lane]
        program.train()
        loss = program(batch)
        found: tuple[torch.Tensor | None, ...] = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
        with torch.no_grad():
            # Like torch, a weight that the loss did not use in this step is left alone, and so is its state.
            grads = {name: g.to_dense() for name, g in zip(params, found, strict=True) if g is not None}
            norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads.values()]))
            new, state = self._rule.update(
                grads, _only(self._states[lane], grads), {name: params[name] for name in grads}, rate
            )
            self._states[lane] = _merged(self._states[lane], state)
            assert isinstance(new, dict)
            for name, p in new.items():
                params[name].copy_(p)
        told = (float(loss.detach()), float(norm))
        self._dead[lane] = not all(map(_is_finite, told))
        return told

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Any]) -> Evaluation:
        """Every lane on the whole validation set, in eval mode, with the rule's evaluation weights."""
        losses, metrics, rows = [], [], []
        for program in self._programs:
            program.eval()
        weights = [self._evaluation(lane) for lane in range(self.lanes)]
        for batch in batches:
            told = [
                functional_call(program, own, (batch,), {"judge": True})
                for program, own in zip(self._programs, weights, strict=True)
            ]
            losses.append(torch.stack([t[0] for t in told]))
            metrics.append({name: torch.stack([t[1][name] for t in told]) for name in told[0][1]})
            rows.append(batch_length(batch))
        return Evaluation.averaged(losses, metrics, rows)

    def _evaluation(self, lane: int) -> Tensors:
        weights = self._rule.evaluation({n: p.detach() for n, p in self._params[lane].items()}, self._states[lane])
        assert isinstance(weights, dict)
        return weights

    def finite(self) -> torch.Tensor:
        """[lanes]: whether all weights of the lane are finite."""
        return torch.tensor([all(bool(torch.isfinite(p).all()) for p in params.values()) for params in self._params])

    def flat(self) -> torch.Tensor:
        """[lanes, parameters]: the trained weights in a row."""
        return torch.stack([torch.cat([p.detach().flatten() for p in params.values()]) for params in self._params])

    def keep(self, which: list[int]) -> None:
        """Go on with these lanes alone, in this order."""
        self._programs = [self._programs[i] for i in which]
        self._params = [self._params[i] for i in which]
        self._states = [self._states[i] for i in which]
        self._dead = [self._dead[i] for i in which]

    def weights(self, lane: int) -> Tensors:
        """One lane's evaluation weights and buffers, named as in the user's model."""
        program = self._programs[lane]
        every = {**dict(program.named_parameters()), **dict(program.named_buffers()), **self._evaluation(lane)}
        return {name.removeprefix("model."): tensor.detach().clone() for name, tensor in every.items()}

    def tree(self) -> Any:
        """All that changes, as nested dicts and lists of tensors."""
        return {
            "params": [{name: p.detach() for name, p in params.items()} for params in self._params],
            "buffers": [dict(program.named_buffers()) for program in self._programs],
            "state": self._states,
        }

    @torch.no_grad()
    def set_tree(self, tree: Any) -> None:
        """Go on from what `tree` gave."""
        self._states = tree["state"]
        for lane, program in enumerate(self._programs):
            for name, p in self._params[lane].items():
                p.copy_(tree["params"][lane][name])
            for name, value in tree["buffers"][lane].items():
                owner, _, own_name = name.rpartition(".")
                setattr(program.get_submodule(owner), own_name, value)


def _only(state: Any, names: Tensors) -> Any:
    """The part of a rule's state that belongs to the weights in `names`; what belongs to none is whole."""
    return {
        slot: {name: value[name] for name in names} if isinstance(value, dict) else value
        for slot, value in state.items()
    }


def _merged(old: Any, new: Any) -> Any:
    """`old` with what is in `new` in its place."""
    return {slot: {**old[slot], **value} if isinstance(value, dict) else value for slot, value in new.items()}


def _copied(program: Program, frozen: dict[int, torch.nn.Parameter]) -> Program:
    try:
        return copy.deepcopy(program, dict(frozen))
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise TaskError(
            "`model` must be one that copy.deepcopy can copy, because every learning rate trains a copy, "
            f"got {type(error).__name__}: {reason}"
        ) from error


def _is_finite(value: float) -> bool:
    return value - value == 0.0
