"""A look that leaves no trace: random state is put back as it was, also after an exception or Ctrl-C."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

__all__ = ["Randomness", "seed_everything", "threads", "traceless"]


@dataclass(slots=True)
class Randomness:
    """The state of every global random generator that a model or a data set may draw from."""

    of_python: Any
    of_numpy: Any
    of_torch: torch.Tensor
    of_cuda: list[torch.Tensor]

    @classmethod
    def now(cls) -> "Randomness":
        """The state at this moment."""
        cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() and torch.cuda.is_initialized() else []  # type: ignore[no-untyped-call]  # torch's own gap
        return cls(random.getstate(), np.random.get_state(), torch.get_rng_state(), cuda)

    def restore(self) -> None:
        """Set every generator to this state."""
        random.setstate(self.of_python)
        np.random.set_state(self.of_numpy)
        torch.set_rng_state(self.of_torch)
        if self.of_cuda:
            torch.cuda.set_rng_state_all(self.of_cuda)


def seed_everything(seed: int) -> None:
    """Seed python, numpy and torch, as a plain script would do at its start."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.default_generator.manual_seed(seed)
    # `torch.manual_seed` would also seed a GPU that nobody has used yet, and that could not be put back.
    if torch.cuda.is_available() and torch.cuda.is_initialized():  # type: ignore[no-untyped-call]  # torch's own gap
        torch.cuda.manual_seed_all(seed)


@contextmanager
def traceless() -> Iterator[None]:
    """Whatever is drawn or set inside, torch's default dtype and the global random state are as before afterwards.

    Gradients are on inside, also where the caller has switched them off.
    """
    before, dtype = Randomness.now(), torch.get_default_dtype()
    try:
        with torch.inference_mode(False), torch.enable_grad():
            yield
    finally:
        before.restore()
        torch.set_default_dtype(dtype)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Run with the plan's number of threads, which decides the last bits of sums; then as many as before."""
    before = torch.get_num_threads()
    if count != before:
        torch.set_num_threads(count)
    try:
        yield
    finally:
        if count != before:
            torch.set_num_threads(before)
