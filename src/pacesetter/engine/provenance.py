"""Where numbers come from: versions, data, model size and machine, so that a study can be done again."""

import hashlib
import platform
from functools import partial
from typing import Any

import numpy as np
import torch

from pacesetter.engine.batches import tensors_of
from pacesetter.engine.blame import told
from pacesetter.engine.program import fresh_program
from pacesetter.engine.traceless import traceless
from pacesetter.tasks._data import Source
from pacesetter.tasks._task import Task

__all__ = ["provenance"]

HASHED_EXAMPLES = 64
"""Of a data set that is not tensors in memory, this many examples, evenly spread, go into its hash."""


def provenance(task: Task) -> dict[str, Any]:
    """Plain values: versions, machine, trained parameters, batch size, and a hash of all the data."""
    with traceless():
        trained = sum(p.numel() for p in fresh_program(task, 0, torch.device("cpu")).trainable().values())
        digest = hashlib.sha256()
        for source in (task.train_source, task.valid_source):
            _hash(digest, source)
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "parameters": trained,
        "batch_size": task.train_source.batch_size,
        "train_examples": task.train_source.length,
        "valid_examples": task.valid_source.length,
        "data_sha256": digest.hexdigest()[:16],
    }


def _hash(digest: Any, source: Source) -> None:
    if source.tensors is not None:
        tensors = list(source.tensors)
    else:
        dataset: Any = source.dataset
        rows = sorted(
            {i * source.length // HASHED_EXAMPLES for i in range(HASHED_EXAMPLES)} & set(range(source.length))
        )
        examples = [told("data", f"could not give example {row}", partial(dataset.__getitem__, row)) for row in rows]
        tensors = [t for example in examples for t in tensors_of(example)]
        digest.update(str(source.length).encode())
    for tensor in tensors:
        digest.update(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
