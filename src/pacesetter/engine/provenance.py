"""Where numbers come from: versions, data, model size and machine, so that a study can be done again."""

import hashlib
import platform
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from pacesetter.engine.blame import told
from pacesetter.engine.program import fresh_program
from pacesetter.engine.traceless import seed_everything, traceless
from pacesetter.tasks._data import Source
from pacesetter.tasks._task import Task

__all__ = ["provenance"]

HASHED_EXAMPLES = 64
"""Of a data set that is not tensors in memory, this many examples, evenly spread, go into its hash."""


def provenance(task: Task) -> dict[str, Any]:
    """Plain values: versions, machine, trained parameters, what makes an update, hashes of data, model and weights.

    Of a data set that is not tensors in memory the hash holds some examples; of the weights, those under seed 0.
    """
    with traceless():
        program = fresh_program(task, 0, torch.device("cpu"))
        weights, data = hashlib.sha256(), hashlib.sha256()
        for tensor in (*program.parameters(), *program.buffers()):
            _hash(weights, tensor)
        # What the model says of itself holds what its weights do not, such as the share of a dropout layer.
        model = hashlib.sha256(re.sub("0x[0-9a-f]+", "", repr(program.model)).encode())
        for source in (task.train_source, task.valid_source):
            seed_everything(0)  # examples may draw at random
            _hash_source(data, source)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "parameters": sum(p.numel() for p in program.trainable().values()),
        "batch_size": task.train_source.batch_size,
        "accumulate": task.accumulate,
        "clip_norm": task.clip_norm,
        "lr_ratios": dict(task.lr_ratios),
        "train_examples": task.train_source.length,
        "valid_examples": task.valid_source.length,
        "data_sha256": data.hexdigest()[:16],
        "model_sha256": model.hexdigest()[:16],
        "weights_sha256": weights.hexdigest()[:16],
    }


def _hash_source(digest: Any, source: Source) -> None:
    if source.tensors is not None:
        _hash(digest, source.tensors)
        return
    dataset: Any = source.dataset
    digest.update(str(source.length).encode())
    for row in sorted({i * source.length // HASHED_EXAMPLES for i in range(HASHED_EXAMPLES)}):
        _hash(digest, told("data", f"could not give example {row}", partial(dataset.__getitem__, row)))


def _hash(digest: Any, value: Any) -> None:
    """Add tensors, arrays, numbers and text in nested mappings and sequences; what else there is counts by its type."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        value = torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, torch.Tensor):
        digest.update(f"{value.dtype}{tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    elif isinstance(value, Mapping):
        _hash(digest, tuple(value.items()))
    elif isinstance(value, list | tuple):
        for part in value:
            _hash(digest, part)
    else:
        plain = isinstance(value, bool | int | float | complex | str | bytes | np.generic)
        digest.update((repr(value) if plain else type(value).__name__).encode())
