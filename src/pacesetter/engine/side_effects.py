"""What a model's code changes beside weights and buffers: such a model cannot be stacked, nor its step be recorded.

Stacked lanes share one model object, and a recorded step runs the user's Python once. A counter on the model, a list
that grows or a number drawn on the host would then be another than in a plain loop.
"""

from typing import Any

import torch

from pacesetter import words
from pacesetter.engine.looking import Plain, Seen
from pacesetter.engine.program import Program
from pacesetter.engine.traceless import Randomness, traceless
from pacesetter.tasks._task import Task

__all__ = ["side_effects"]

NAMED = 3
"""What changed is named up to so many times."""
SHARED = ", which all lanes share (their results may depend on each other)"


def side_effects(task: Task, program: Program, batch: Any) -> str:
    """A sentence that names what two training steps change beside weights and buffers; empty when there is nothing.

    Looked at are plain attributes of the model and its parts, the user's own functions with what surrounds them
    (globals, closures, defaults, class attributes), and Python's and numpy's random state. What is filled in the first
    step and then stays (a cache) is no change, nor is a tensor that is only written (attention kept to be looked at).
    `program` is spent: its buffers and attributes have moved on. The global random state is left as it was.
    """
    with traceless():
        _step(program, batch)
        before, host = Seen.of(task, program), _host_state()
        _step(program, batch)
        _step(program, batch)
        after, drawn = Seen.of(task, program), _host_state()
        changed = Seen.changed(before, after)
        of_model = [name for owner, name in changed if not owner]
        if of_model and len(of_model) == len(changed) and _only_written(program, batch, before, after, of_model):
            changed, of_model = [], []
    told = [f"training changes {_names(of_model)} of the model, beside its weights and buffers"] if of_model else []
    told += [
        f"training changes {_names([name for one, name in changed if one == owner])} {owner}{SHARED}"
        for owner in dict.fromkeys(owner for owner, _ in changed if owner)
    ]
    told += [f"the model draws from {name}" for name, state in host.items() if drawn[name] != state]
    return f"{words.listing(told[:NAMED])}, so the model runs looped" if told else ""


def _names(names: list[str]) -> str:
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return words.listing([f"`{name}`" for name in names[:NAMED]] + more)


def _step(program: Program, batch: Any) -> list[torch.Tensor]:
    """Forward and backward as in training, and an evaluation; the loss and all gradients."""
    loss: torch.Tensor = program.train()(batch)
    grads = torch.autograd.grad(loss, list(program.trainable().values()), allow_unused=True)
    with torch.no_grad():
        program.eval()(batch, judge=True)
    return [loss.detach(), *(g.to_dense() for g in grads if g is not None)]


def _host_state() -> dict[str, Any]:
    now = Randomness.now()
    kind, keys, *rest = now.of_numpy
    return {"Python's `random`": now.of_python, "numpy's `random`": (kind, keys.tobytes(), *rest)}


def _only_written(program: Program, batch: Any, before: Seen, after: Seen, names: list[str]) -> bool:
    """Whether a step is the same, to the bit, without the attributes of the model that it is about to write.

    Of tensors alone: a number that is counted on may well change nothing now, and something later.
    """
    if any(_counts(seen.values.get(("", name))) for name in names for seen in (before, after)):
        return False
    roots = {path for path in after.places for name in names if f"{name}.".startswith((f"{path}.", f"{path}["))}
    start = Randomness.now()
    buffers = [(buffer, buffer.clone()) for buffer in program.buffers()]
    results = []
    for missing in (False, True):
        start.restore()
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)
        for path in roots if missing else ():
            module, attribute = after.places[path]
            vars(module).pop(attribute, None)
        try:
            results.append(_step(program, batch))
        except (Exception, SystemExit):  # noqa: BLE001  # whatever the user's code says without them: it reads them
            return False
    one, other = results
    return len(one) == len(other) and all(map(torch.equal, one, other))


def _counts(mark: Any) -> bool:
    return isinstance(mark, Plain) and mark[0] is not type(None)
