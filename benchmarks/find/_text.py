"""Text that every Python has."""

from pydoc_data.topics import topics

import torch
from torch import Tensor


def text() -> tuple[Tensor, int]:
    """Characters of Python's own documentation as numbers, and how many kinds there are."""
    whole = "\n".join(topics[name] for name in sorted(topics))[:60_000]
    kinds = sorted(set(whole))
    return torch.tensor([kinds.index(character) for character in whole]), len(kinds)
