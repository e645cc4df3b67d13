"""The vectorised engine: all lanes of a bundle in one pass, their weights stacked along a leading lane axis."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.func import functional_call, grad_and_value, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from pacesetter.engine.batches import batch_length
from pacesetter.engine.program import Evaluation, Program, Tensors
from pacesetter.optimizers import Rule

__all__ = ["Vectorised"]


class Vectorised:
    """Weights, buffers and rule state of `lanes` lanes, each tensor [lanes, ...]; frozen weights are shared.

    Random layers draw once for all lanes (`randomness="same"`): lane i sees what a plain loop under the seed would.
    """

    def __init__(self, program: Program, rule: Rule, lanes: int) -> None:
        """Stack `lanes` copies of the program's trained weights and buffers."""
        self._program = program
        self._rule = rule
        self.params = _stacked(program.trainable(), lanes)
        self.buffers = _stacked(dict(program.named_buffers()), lanes)
        self.state: Any = _filled(vmap(rule.init)(self.params))
        self._judges_together = True

    @property
    def lanes(self) -> int:
        """How many lanes it holds."""
        return len(next(iter(self.params.values())))

    @property
    def parameters(self) -> int:
        """Trained weights of one lane."""
        return sum(p[0].numel() for p in self.params.values())

    def step(self, batch: Any, lr: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """One update of every lane at its own rate; lr: [lanes]. Returns (loss, gradient norm), [lanes] each."""
        self._program.train()
        with _quiet():
            (self.params, self.buffers, self.state), (loss, norm) = vmap(
                self._one_step, in_dims=(0, 0, 0, 0, None), randomness="same"
            )(self.params, self.buffers, self.state, lr, batch)
        return loss, norm

    def _one_step(self, params: Tensors, buffers: Tensors, state: Any, lr: torch.Tensor, batch: Any) -> Any:
        grads, (loss, buffers) = grad_and_value(self._loss, has_aux=True)(params, buffers, batch)
        norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in grads.values()]))
        moved, state = self._rule.update(grads, state, params, lr)
        return (moved, buffers, state), (loss, norm)

    def _loss(self, params: Tensors, buffers: Tensors, batch: Any) -> tuple[torch.Tensor, Tensors]:
        # Layers that keep statistics change `buffers` in place; handing it on makes that visible outside.
        return functional_call(self._program, {**params, **buffers}, (batch,)), buffers

    @torch.no_grad()
    def evaluate(self, batches: Iterable[Any]) -> Evaluation:
        """Every lane on the whole validation set, in eval mode, with the rule's evaluation weights."""
        self._program.eval()
        weights: Any = vmap(self._rule.evaluation)(self.params, self.state)
        losses, metrics, rows = [], [], []
        with _quiet():
            for batch in batches:
                loss, measured = self._judge(weights, batch)
                losses.append(loss)
                metrics.append(measured)
                rows.append(batch_length(batch))
        return Evaluation.averaged(losses, metrics, rows)

    def _judge(self, weights: Tensors, batch: Any) -> tuple[torch.Tensor, Tensors]:
        def judge(params: Tensors, buffers: Tensors) -> tuple[torch.Tensor, Tensors]:
            told: tuple[torch.Tensor, Tensors] = functional_call(
                self._program, {**params, **buffers}, (batch,), {"judge": True}
            )
            return told

        if self._judges_together:
            try:
                together: tuple[torch.Tensor, Tensors] = vmap(judge, randomness="same")(weights, self.buffers)
                return together
            except Exception:  # noqa: BLE001  # see below
                # A metric in plain Python (`.item()`, numpy, scikit-learn) cannot see all lanes at once; one by one
                # it can, and a real error comes again there.
                self._judges_together = False
        told = [judge(_lane(weights, i), _lane(self.buffers, i)) for i in range(self.lanes)]
        names = told[0][1]
        return torch.stack([t[0] for t in told]), {name: torch.stack([t[1][name] for t in told]) for name in names}

    def finite(self) -> torch.Tensor:
        """[lanes]: whether all weights of the lane are finite."""
        return torch.stack([torch.isfinite(p).reshape(self.lanes, -1).all(1) for p in self.params.values()]).all(0)

    def flat(self) -> torch.Tensor:
        """[lanes, parameters]: the trained weights in a row."""
        return torch.cat([p.detach().reshape(self.lanes, -1) for p in self.params.values()], dim=1)

    def keep(self, which: list[int]) -> None:
        """Go on with these lanes alone, in this order."""
        rows = torch.tensor(which, device=next(iter(self.params.values())).device)
        self.params, self.buffers, self.state = (_rows(tree, rows) for tree in (self.params, self.buffers, self.state))

    def weights(self, lane: int) -> Tensors:
        """One lane's evaluation weights and buffers, named as in the user's model."""
        params = self._rule.evaluation(_lane(self.params, lane), _lane(self.state, lane))
        assert isinstance(params, dict)
        frozen = {name: p for name, p in self._program.named_parameters() if name not in params}
        every = {**params, **_lane(self.buffers, lane), **frozen}
        return {name.removeprefix("model."): tensor.detach().clone() for name, tensor in every.items()}

    def tree(self) -> Any:
        """All that changes, as nested dicts of tensors."""
        return {"params": self.params, "buffers": self.buffers, "state": self.state}

    def set_tree(self, tree: Any) -> None:
        """Go on from what `tree` gave."""
        self.params, self.buffers, self.state = tree["params"], tree["buffers"], tree["state"]


def _stacked(tensors: Tensors, lanes: int) -> Tensors:
    return {name: t.detach().expand(lanes, *t.shape).clone() for name, t in tensors.items()}


def _filled(tree: Any) -> Any:
    """Each tensor in memory of its own (a stack that vmap only pretended is one place seen many times)."""
    return {k: _filled(v) for k, v in tree.items()} if isinstance(tree, dict) else tree.contiguous().clone()


def _rows(tree: Any, rows: torch.Tensor) -> Any:
    return {k: _rows(v, rows) for k, v in tree.items()} if isinstance(tree, dict) else tree[rows]


def _lane(tree: Any, lane: int) -> Any:
    return {k: _lane(v, lane) for k, v in tree.items()} if isinstance(tree, dict) else tree[lane]


@contextmanager
def _quiet() -> Iterator[None]:
    """Attention by plain matrix products (the fused kernel has no stacked form), and no word about slow paths."""
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH):
        warnings.filterwarnings("ignore", message=".*performance drop.*", category=UserWarning)
        yield
