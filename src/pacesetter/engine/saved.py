"""Bundles as bytes, and back: plain tensors and JSON, so that loading them executes nothing."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save as bytes_of_arrays
from safetensors.torch import load as tensors_of_bytes
from safetensors.torch import save as bytes_of_tensors

from pacesetter.engine.bundle import Bundle, start
from pacesetter.engine.plan import Plan
from pacesetter.engine.traceless import Randomness, traceless
from pacesetter.records import Lane
from pacesetter.tasks._task import Task

__all__ = ["State", "load", "pack", "save", "size", "unpack"]

NOTES = "notes"
"""The name of the tensor that holds everything that is no tensor, as the bytes of a JSON text."""
SECONDS_BETWEEN_STATES = 20.0
"""Weights are saved at most this often: going on repeats no more than this, and writing them stays a trifle."""
LARGEST_STATE = 5 * 10**8
"""Bytes; a store's file takes no value above 10**9. Lanes with more than this start anew when they have to go on."""


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """What `save` gave, and what it says of itself: its lanes, and the updates they have made."""

    lanes: tuple[Lane, ...]
    step: int
    saved: bytes


def pack(states: Iterable[State]) -> bytes:
    """Several saved bundles as one value."""
    arrays = {f"bundle{i}": np.frombuffer(state.saved, dtype=np.uint8) for i, state in enumerate(states)}
    return bytes_of_arrays(arrays)


def unpack(packed: bytes) -> list[State]:
    """What `pack` was given, in its order; nothing of what cannot be read: broken, or saved by another version."""
    try:
        tensors = tensors_of_bytes(packed)
        return [_state(tensors[f"bundle{i}"].numpy().tobytes()) for i in range(len(tensors))]
    except Exception:  # noqa: BLE001  # whatever is wrong with it, its lanes begin anew
        return []


def _state(saved: bytes) -> State:
    notes = json.loads(bytes(tensors_of_bytes(saved)[NOTES].numpy()))
    return State(tuple(Lane(**lane) for lane in notes["lanes"]), notes["step"], saved)


def save(bundle: Bundle) -> bytes:
    """Everything a bundle needs to go on where it is: weights, rule and schedule states, random state, position.

    Between two calls of `advance`, that is; the bytes of one version of torch and Pacesetter are read by the same.
    """
    tensors: dict[str, torch.Tensor] = {}
    state = bundle.randomness
    words, keys, position, has_gauss, cached = state.of_numpy
    version, python, gauss = state.of_python
    notes = {
        "lanes": [asdict(lane) for lane in bundle.lanes],
        "step": bundle.step,
        "controls": bundle.controls,
        "untrained": bundle.untrained,
        "spread": bundle.spread,
        "sizes": [chunk.lanes for chunk in bundle.chunks],
        "tree": _taken_apart(bundle.tree(), tensors),
        "numpy": [words, keys.tolist(), position, has_gauss, cached],
        "python": [version, list(python), gauss],
        "cuda": len(state.of_cuda),
    }
    tensors["torch"] = state.of_torch
    tensors |= {f"cuda{i}": one for i, one in enumerate(state.of_cuda)}
    tensors[NOTES] = torch.frombuffer(bytearray(json.dumps(notes).encode()), dtype=torch.uint8)
    return bytes_of_tensors({name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()})


def size(bundle: Bundle) -> int:
    """Bytes that the tensors of a saved bundle take, nearly all of it, found without saving it."""
    tensors: dict[str, torch.Tensor] = {}
    _taken_apart(bundle.tree(), tensors)
    return sum(t.nbytes for t in tensors.values())


def load(task: Task, plan: Plan, saved: bytes, with_weights: bool = False) -> Bundle:
    """The bundle that `save` gave, to go on with the same task and plan as if it had never stopped."""
    tensors = tensors_of_bytes(saved)
    notes = json.loads(bytes(tensors[NOTES].numpy()))
    bundle = start(task, [Lane(**lane) for lane in notes["lanes"]], plan, with_weights, notes["sizes"])
    bundle.set_tree(_put_together(notes["tree"], tensors, bundle.device))
    bundle.step = notes["step"]
    bundle.controls, bundle.untrained, bundle.spread = notes["controls"], notes["untrained"], notes["spread"]
    with traceless():
        # The order of the data comes from generators of its own, which are wound forward by reading.
        bundle.randomness.restore()
        bundle.batches.skip(bundle.step * task.accumulate)
    words, keys, *rest = notes["numpy"]
    version, python, gauss = notes["python"]
    bundle.randomness = Randomness(
        of_python=(version, tuple(python), gauss),
        of_numpy=(words, np.array(keys, dtype=np.uint32), *rest),
        of_torch=tensors["torch"],
        of_cuda=[tensors[f"cuda{i}"] for i in range(notes["cuda"])],
    )
    return bundle


def _taken_apart(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The same nested dicts, lists and numbers with the names of tensors, which go into `tensors`, in their place."""
    if isinstance(tree, dict):
        return {key: _taken_apart(value, tensors) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_taken_apart(value, tensors) for value in tree]
    if not isinstance(tree, torch.Tensor):
        return tree
    name = f"tensor{len(tensors)}"
    tensors[name] = tree
    return name


def _put_together(tree: Any, tensors: dict[str, torch.Tensor], device: torch.device) -> Any:
    """What `_taken_apart` took apart."""
    if isinstance(tree, dict):
        return {key: _put_together(value, tensors, device) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_put_together(value, tensors, device) for value in tree]
    return tensors[tree].to(device) if isinstance(tree, str) else tree
