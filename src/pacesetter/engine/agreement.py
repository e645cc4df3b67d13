"""Whether both engines train a model alike: a few steps are made both ways before an unseen model is stacked."""

from contextlib import suppress

import numpy as np
import torch

from pacesetter.engine.blame import in_one_line
from pacesetter.engine.bundle import Bundle, start, train_at
from pacesetter.engine.plan import Plan
from pacesetter.engine.program import Tensors
from pacesetter.errors import PacesetterError, TaskError
from pacesetter.records import Lane
from pacesetter.tasks._task import Task

__all__ = ["why_not_vectorised"]

ON_FIRST_BATCHES = "could not be trained on its first batches"
COMPARED_STEPS = 4
"""The first is made by the functions themselves, the others by what was recorded of them."""
TOLERANCE = 1e-3
"""Relative difference above which the two engines do not agree: float32 sums in another order differ by about 1e-6 a
step; a dropped buffer or a wrong random number differs by far more."""
LOW_TOLERANCE = 0.03
"""The same in bfloat16, where such a sum may be rounded to a number 0.4 % away: the built-in tasks differ by up to
0.006. What is wrong by less than that is found in float32."""


def why_not_vectorised(task: Task, device: str, precision: str = "float32") -> str:
    """A sentence why the task's model must run looped; empty when a few steps give the same both ways."""
    if precision == "float32":
        return _compared(task, device, precision, TOLERANCE)
    with suppress(TaskError):  # a model may be one that runs in bfloat16 alone
        if found := _compared(task, device, "float32", TOLERANCE):
            return found
    return _compared(task, device, precision, LOW_TOLERANCE)


def _compared(task: Task, device: str, precision: str, tolerance: float) -> str:
    rates = (1e-2, 1e-3)
    lanes = [Lane("sgd(momentum=0.9)", "constant", rate, 0, COMPARED_STEPS) for rate in rates]
    told: list[tuple[torch.Tensor, list[Tensors]]] = []
    for engine in ("looped", "vectorised"):
        plan = Plan(engine, len(lanes), torch.get_num_threads(), device, "compared", precision=precision)
        try:
            bundle = start(task, lanes, plan)
            before = _weights(bundle)
            bundle.randomness.restore()
            losses, *_ = train_at(bundle, np.tile(np.array(rates), (COMPARED_STEPS, 1)))
        except (Exception, SystemExit) as error:  # whatever stacking the user's code raises
            if isinstance(error, PacesetterError):
                raise
            if engine == "looped":
                raise TaskError(f"`task` {ON_FIRST_BATCHES}: {in_one_line(error)}") from error
            return f"the model cannot be vectorised, so it runs looped: {in_one_line(error)}"
        told.append((torch.from_numpy(losses), _weights(bundle)))
    (plain_losses, plain), (stacked_losses, stacked) = told
    # Buffers first: one that is dropped explains different losses and weights, not the other way round.
    trained = {name.removeprefix("model.") for name in bundle.chunks[0].trained}
    for name in sorted(before[0], key=trained.__contains__):
        pairs = zip(plain, stacked, strict=True)
        if all(_close(one[name], other[name], tolerance, before[0][name]) for one, other in pairs):
            continue
        hint = "" if name in trained else " (a buffer that `forward` replaces instead of changing in place does this)"
        return f"`{name}` comes out differently when vectorised, so the model runs looped{hint}"
    if not _close(plain_losses, stacked_losses, tolerance):
        return "the model gives other losses when vectorised, so it runs looped (random or data-dependent code?)"
    return ""


def _weights(bundle: Bundle) -> list[Tensors]:
    """Weights and buffers of each lane, named as in the user's model, as they are now."""
    lanes: list[Tensors] = []
    for chunk in bundle.chunks:
        tree = chunk.tree()
        every = {name.removeprefix("model."): t for name, t in {**tree["params"], **tree["buffers"]}.items()}
        stacked = bundle.plan.engine == "vectorised"
        lanes += [{name: (t[i] if stacked else t).clone() for name, t in every.items()} for i in range(chunk.lanes)]
    return lanes


def _close(one: torch.Tensor, other: torch.Tensor, tolerance: float, start: torch.Tensor | None = None) -> bool:
    """Whether two tensors agree, relative to their size and, given where they started from, to how far they moved."""
    one, other = one.double(), other.double()
    if one.shape != other.shape or not torch.equal(torch.isfinite(one), torch.isfinite(other)):
        return False
    one, other = (torch.nan_to_num(t, 0.0, 0.0, 0.0) for t in (one, other))
    gap = float((one - other).abs().max()) if one.numel() else 0.0
    scale = float(one.abs().max()) if one.numel() else 0.0
    if start is not None and one.numel():
        moved = float((torch.nan_to_num(start.double(), 0.0, 0.0, 0.0) - one).abs().max())
        return gap <= tolerance * max(10 * moved, 0.01 * scale) + 1e-9
    return gap <= tolerance * scale + 1e-9
