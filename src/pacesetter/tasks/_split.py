"""Validation examples set aside from the training ones, when a task gives none."""

from dataclasses import replace

import torch
from torch.utils.data import Subset

from pacesetter.errors import TaskError
from pacesetter.tasks._data import Source

__all__ = ["split_source"]


def split_source(source: Source, share: float) -> tuple[Source, Source]:
    """(training, validation): a fixed random `share` of the examples is set aside, the same for every lane and seed."""
    held_out = max(1, round(source.length * share))
    if held_out >= source.length:
        raise TaskError(
            f"`train` must leave examples to train on after {share:.0%} are split off for validation, "
            f"got {source.length} examples: give `valid`"
        )
    order = torch.randperm(source.length, generator=torch.Generator().manual_seed(0))
    parts = (order[held_out:], order[:held_out])
    if source.tensors is not None:
        tensors = source.tensors
        made = [
            Source(len(part), source.batch_size, tuple(t[part] for t in tensors), pack=source.pack) for part in parts
        ]
    else:
        assert source.dataset is not None
        if source.batch_sampler is not None or (
            source.sampler is not None and type(source.sampler).__name__ not in ("RandomSampler", "SequentialSampler")
        ):
            raise TaskError(
                "`valid` must be given when `train` is a DataLoader with its own sampler, because the sampler cannot "
                "be split, got valid=None"
            )
        made = [
            replace(source, length=len(part), dataset=Subset(source.dataset, part.tolist()), sampler=None)
            for part in parts
        ]
    if made[0].batches_per_epoch == 0:
        raise TaskError(
            f"`batch_size` must be at most the number of training examples, got batch_size={source.batch_size} and "
            f"{made[0].length} examples after {share:.0%} were split off for validation: give a smaller batch_size"
        )
    return made[0], made[1]
