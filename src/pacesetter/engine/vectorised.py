"""The vectorised engine: a chunk of lanes in one pass, their weights stacked along a leading lane axis."""

from collections.abc import Callable, Sequence
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import vmap
from torch.utils import _pytree as trees

from pacesetter.engine.apart import Apart
from pacesetter.engine.batches import batch_length
from pacesetter.engine.compiling import is_kept
from pacesetter.engine.memory import is_out_of_memory
from pacesetter.engine.program import Program, Tensors
from pacesetter.engine.replayed import Replays, beside
from pacesetter.engine.row import Row
from pacesetter.engine.stacked import Stacked, in_slots
from pacesetter.optimizers import Rule

__all__ = ["Vectorised"]

Leaves = list[torch.Tensor]
WORTH_KEEPING = 0.75
"""Above this share of rows in use, idle ones are computed on."""


class Vectorised:
    """Weights, buffers and rule state of `lanes` lanes, each tensor [width, ...]; frozen weights are shared.

    What they compute is `Stacked`'s; here it is recorded and replayed. A compiled step is made for `width` lanes: when
    there are fewer, the rows beyond them are idle copies at rate 0.
    When memory runs out in a step, the lanes go through it in two passes from then on, then in four.
    """

    def __init__(
        self,
        program: Program,
        rule: Rule,
        lanes: int,
        width: int = 0,
        threads: int = 1,
        replays: tuple[Replays, Replays] | None = None,
    ) -> None:
        """Stack `lanes` copies of the program's trained weights and buffers.

        width: lanes that the step is compiled for, at least `lanes`, on so many `threads`; 0: it is not compiled.
        replays: of steps and of evaluations, to be shared with other chunks of this program and rule.
        """
        self._program = program.train()
        self._rule = rule
        self._width = width
        self._threads = threads
        params = _stacked(program.trainable(), width or lanes)
        row = Row.of(params, rule, len(program.by_ratio(params)))
        self._stacked = Stacked(program, rule, row)
        self._trained = {name: p[0].numel() for name, p in params.items()}
        params = self._stacked.held(params)
        buffers = _stacked(dict(program.named_buffers()), width or lanes)
        self._moving, self._layout = trees.tree_flatten((params, buffers, _filled(vmap(rule.init)(params))))
        self._evaluated_layout = trees.tree_structure((params, buffers))
        self._frozen = {name: p.detach() for name, p in program.named_parameters() if not p.requires_grad}
        self._steps, self._judges = replays or (Replays(), Replays())
        self._judges_together = True
        self._passes = 1
        self._rates = torch.empty(0)
        self._told: list[Leaves] = []
        self.lanes = lanes

    @property
    def rule(self) -> Rule:
        """The rule of all its lanes."""
        return self._rule

    @property
    def trained(self) -> list[str]:
        """The names of the weights that are trained, in the program."""
        return list(self._trained)

    @property
    def parameters(self) -> int:
        """Trained weights of one lane."""
        return sum(self._trained.values())

    @property
    def _held(self) -> Tensors:
        held: Tensors = trees.tree_unflatten(self._moving, self._layout)[0]
        return held

    # ------------------------------------------------------------------------------------------------- training

    def begin(self, rates: NDArray[np.float64]) -> None:
        """Get ready for steps at these rates, [steps, lanes]."""
        self._program.train()
        idle = np.zeros((len(rates), len(self._moving[0]) - self.lanes))
        self._rates = torch.from_numpy(np.concatenate([rates, idle], axis=1)).to(self._moving[0].device)

    def step(self, number: int, batches: Sequence[Any]) -> None:
        """One update of every lane at its rate, by the mean gradient of `batches`."""
        rewind = _rewinder(self._moving[0].device)
        while True:
            try:
                made = self._in_passes(self._rates[number], batches)
                break
            except Exception as error:
                if not is_out_of_memory(error) or self._passes >= len(self._moving[0]):
                    raise
                self._passes *= 2
                rewind()
        numbers = 3 if self._rule.sets_rate else 2
        self._told.append(made[:numbers])
        self._moving = made[numbers:]

    def told(self) -> Leaves:
        """Losses, gradient norms and rates of the steps since the last call, [steps, lanes] each.

        The rates are left out unless the rule works them out.
        """
        columns = [torch.stack(column)[:, : self.lanes] for column in zip(*self._told, strict=True)]
        self._told.clear()
        return columns

    def _in_passes(self, rates: torch.Tensor, batches: Sequence[Any]) -> Leaves:
        """What `Stacked.update` gives, of all rows at once or of some after the other."""
        if self._passes == 1:
            return self._pass(self._moving, rates, batches)
        rewind = _rewinder(rates.device)
        parts = []
        for rows in torch.arange(len(rates)).chunk(self._passes):
            rewind()
            some = slice(int(rows[0]), int(rows[-1]) + 1)
            parts.append(self._pass([t[some] for t in self._moving], rates[some], batches))
        return [torch.cat(rows) for rows in zip(*parts, strict=True)]

    def is_kept(self, batches: Sequence[Any], threads: Sequence[int]) -> bool:
        """Whether the compiled code of its step, for each of these numbers of threads, is there from before."""
        _, step, leaves = self._call(self._moving, self._rates[0], batches)
        recording = beside(step, leaves, new=True)
        return recording is not None and all(is_kept(recording, leaves, count) for count in threads)

    @property
    def why_not_compiled(self) -> str:
        """Why its step could not be compiled; empty when it could, or was not to be."""
        return self._steps.why_not_compiled

    def _pass(self, moving: Leaves, rates: torch.Tensor, batches: Sequence[Any]) -> Leaves:
        # Only whole batches of a whole chunk are worth compiling for.
        size = self._program.task.train_source.batch_size
        whole = len(rates) == self._width and all(batch_length(batch) == size for batch in batches)
        return list(self._steps.run(*self._call(moving, rates, batches), self._threads if whole else 0))

    def _call(
        self, moving: Leaves, rates: torch.Tensor, batches: Sequence[Any]
    ) -> tuple[Any, Callable[..., Leaves], Leaves]:
        """A step of these rows as `Replays.run` takes it: its kind, function and leaves."""
        apart = [Apart(batch) for batch in batches]
        kinds = tuple(one.kind for one in apart)
        counts = [len(one.tensors) for one in apart]

        def step(*leaves: torch.Tensor) -> Leaves:
            params, buffers, state = trees.tree_unflatten(leaves[: len(moving)], self._layout)
            frozen, (rates, *tensors) = self._rest(leaves[len(moving) :])
            rest = iter(tensors)
            again = [one.together(list(islice(rest, count))) for one, count in zip(apart, counts, strict=True)]
            return self._stacked.update(params, buffers, state, frozen, rates, again)

        leaves = [*moving, *self._frozen.values(), rates, *chain.from_iterable(one.tensors for one in apart)]
        return None if None in kinds else (len(rates), kinds), step, leaves

    def _rest(self, leaves: Sequence[torch.Tensor]) -> tuple[Tensors, Sequence[torch.Tensor]]:
        """The frozen weights at the beginning of `leaves`, and what comes after them."""
        return dict(zip(self._frozen, leaves, strict=False)), leaves[len(self._frozen) :]

    # ------------------------------------------------------------------------------------------------- looking

    @torch.no_grad()
    def judge(self, batch: Any) -> tuple[torch.Tensor, Tensors]:
        """Losses and metrics of a batch, [lanes] each, in eval mode with the rule's evaluation weights."""
        if self._program.training:
            self._program.eval()
        apart = Apart(batch)
        names = list(self._program.task.metrics)
        tree = self._evaluated()

        def judge(*leaves: torch.Tensor) -> Leaves:
            weights, buffers = trees.tree_unflatten(leaves[: len(tree)], self._evaluated_layout)
            frozen, tensors = self._rest(leaves[len(tree) :])
            return self._stacked.judge(self._stacked.named(weights), buffers, frozen, apart.together(tensors))

        rewind = _rewinder(self._moving[0].device)
        if self._judges_together:
            rows = len(self._moving[0])
            source = self._program.task.valid_source
            whole = rows == self._width and batch_length(batch) in (
                source.batch_size,
                source.length % source.batch_size,
            )
            leaves = [*tree, *self._frozen.values(), *apart.tensors]
            try:
                # Rules share what is recorded of evaluations, but not how weights are held.
                kind = None if apart.kind is None else (rows, len(leaves), apart.kind)
                found = self._judges.run(kind, judge, leaves, self._threads if whole else 0)
                loss, *metrics = (t[: self.lanes] for t in found)
                return loss, dict(zip(names, metrics, strict=True))
            except Exception:  # noqa: BLE001  # see below
                # A metric in plain Python (`.item()`, numpy, scikit-learn) cannot see all lanes at once; one by one
                # it can, and a real error comes again there.
                self._judges_together = False
        told = []
        for lane in range(self.lanes):
            rewind()
            told.append(self._judged_alone(lane, batch))
        return torch.stack([t[0] for t in told]), {name: torch.stack([t[1][name] for t in told]) for name in names}

    def _evaluated(self) -> Leaves:
        """The weights to evaluate, then the buffers, of all rows."""
        if not self._rule.averages:
            return self._moving[: self._evaluated_layout.num_leaves]
        params, buffers, state = trees.tree_unflatten(self._moving, self._layout)
        leaves: Leaves = trees.tree_leaves((vmap(self._rule.evaluation)(params, state), buffers))
        return leaves

    def _judged_alone(self, lane: int, batch: Any) -> tuple[torch.Tensor, Tensors]:
        params, buffers, state = trees.tree_unflatten([t[lane] for t in self._moving], self._layout)
        weights: Any = self._rule.evaluation(params, state)
        return self._stacked.judge_one(self._stacked.named(weights), buffers, self._frozen, batch)

    def finite(self) -> torch.Tensor:
        """[lanes]: whether all weights of the lane are finite."""
        # The largest size, NaN where one is: five times as fast as `vector_norm`, or `isfinite` of every weight.
        largest = [p.reshape(len(p), -1).abs().amax(1) for p in self._held.values()]
        return torch.isfinite(torch.stack([one.double() for one in largest])).all(0)[: self.lanes]

    def flat(self) -> torch.Tensor:
        """[lanes, parameters]: the trained weights in a row."""
        return torch.cat([p[: self.lanes].reshape(self.lanes, -1) for p in self._held.values()], dim=1)

    def weights(self, lane: int) -> Tensors:
        """One lane's evaluation weights and buffers, named as in the user's model."""
        params, buffers, state = trees.tree_unflatten([t[lane] for t in self._moving], self._layout)
        weights: Any = self._rule.evaluation(params, state)
        every = {**self._stacked.named(weights), **buffers, **self._frozen}
        return {name: tensor.clone() for name, tensor in self._program.as_saved(every).items()}

    # ------------------------------------------------------------------------------------------------- which lanes

    def keep(self, which: Sequence[int]) -> None:
        """Go on with these lanes alone, in this order.

        Rows are given up when a quarter of them is idle: every number of rows has to be recorded anew.
        """
        rows = len(self._moving[0])
        self._set([t[list(which)] for t in self._moving], len(which), rows if len(which) > WORTH_KEEPING * rows else 0)

    def join(self, other: "Vectorised") -> None:
        """Take the lanes of another chunk of the same program and rule in, after its own."""
        lanes = self.lanes + other.lanes
        pairs = zip(self._moving, other._moving, strict=True)  # noqa: SLF001  # of its own kind
        self._set([torch.cat([own[: self.lanes], more[: other.lanes]]) for own, more in pairs], lanes)

    def tree(self) -> Any:
        """All that changes, as nested dicts of tensors, [lanes, ...] each."""
        params, buffers, state = trees.tree_unflatten([t[: self.lanes] for t in self._moving], self._layout)
        named = self._stacked.named
        return {"params": named(params), "buffers": buffers, "state": in_slots(named, state)}

    def set_tree(self, tree: Any) -> None:
        """Go on from what `tree` gave."""
        held = self._stacked.held
        leaves = trees.tree_leaves((held(tree["params"]), tree["buffers"], in_slots(held, tree["state"])))
        self._set(leaves, len(leaves[0]))

    def _set(self, rows: Leaves, lanes: int, width: int = 0) -> None:
        idle = [lanes - 1] * (max(self._width, width) - lanes)
        if idle:
            rows = [torch.cat([t, t[idle]]) for t in rows]
        self._moving = [t.contiguous() for t in rows]
        self.lanes = lanes


def _stacked(tensors: Tensors, lanes: int) -> Tensors:
    return {name: t.detach().expand(lanes, *t.shape).clone().contiguous() for name, t in tensors.items()}


def _filled(tree: Any) -> Any:
    """Each tensor in memory of its own (a stack that vmap only pretended is one place seen many times)."""
    return {k: _filled(v) for k, v in tree.items()} if isinstance(tree, dict) else tree.contiguous().clone()


def _rewinder(device: torch.device) -> Callable[[], None]:
    """What sets torch's generators to where they are now: at every step, for which `Randomness` takes too long."""
    of_cpu = torch.get_rng_state()
    of_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def rewind() -> None:
        torch.set_rng_state(of_cpu)
        if of_gpu is not None:
            torch.cuda.set_rng_state(of_gpu, device)

    return rewind
