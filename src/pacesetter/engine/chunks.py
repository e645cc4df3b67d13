"""Chunks: the lanes that take a step in one go, and how several chunks share batches and random numbers."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import torch

from pacesetter import optimizers
from pacesetter.engine.batches import tensors_of
from pacesetter.engine.looped import Looped, copies
from pacesetter.engine.plan import Plan, even_parts
from pacesetter.engine.program import fresh_program
from pacesetter.engine.replayed import Replays
from pacesetter.engine.traceless import Randomness
from pacesetter.engine.vectorised import Vectorised
from pacesetter.records import Lane
from pacesetter.tasks._task import Task

__all__ = ["Chunk", "composed", "joined", "side_by_side", "sizes_of"]

Chunk = Looped | Vectorised

HELD_BYTES = 256 * 2**20
"""Batches are held, at most so many bytes of them, until all chunks have seen them: chunk after chunk over many batches
keeps a chunk's weights in the processor's cache, which batch after batch over all chunks would not."""

JUDGED_ALONE = 16
"""Batches that are judged before that is recorded, which takes as long: runs that are evaluated once have few."""


def sizes_of(lanes: int, plan: Plan, stacks: bool = True) -> list[int]:
    """Lanes of each chunk that so many lanes of one optimizer are held in: even for stacks, full for compiled ones.

    stacks: whether the optimizer is a rule that can be stacked.
    """
    size = plan.lanes_per_chunk if stacks and plan.engine == "vectorised" else 1
    if plan.compiled:
        return [min(size, lanes - first) for first in range(0, lanes, size)]
    return [len(part) for part in even_parts(range(lanes), size)]


def composed(
    task: Task, lanes: Sequence[Lane], plan: Plan, device: torch.device, sizes: Sequence[int] | None
) -> tuple[list[Chunk], Randomness]:
    """Untrained chunks for `lanes`, which lie by optimizer, and the random state that the making of the model left."""
    program = fresh_program(task, lanes[0].seed, device, plan.precision)
    randomness = Randomness.now()
    counts = [(name, len(list(group))) for name, group in groupby(lane.optimizer for lane in lanes)]
    rules = {name: optimizers.parse(name) for name, _ in counts}
    if sizes is None:
        parts = [(name, size) for name, n in counts for size in sizes_of(n, plan, rules[name].vectorises)]
    else:
        names = [lane.optimizer for lane in lanes]
        parts = [(names[sum(sizes[:k])], size) for k, size in enumerate(sizes)]
    stacked = {name for name, rule in rules.items() if plan.engine == "vectorised" and rule.vectorises}
    alone = sum(name not in stacked for name, _ in parts)
    # The last is the program itself, which stacks share.
    own = copies(program, alone + bool(stacked))
    width = plan.lanes_per_chunk if plan.compiled else 0
    # Steps are a rule's own; what is evaluated is not.
    judges = Replays(most_compiled=2, worth_after=JUDGED_ALONE)
    replays = {name: (Replays(), judges) for name in stacked}
    return [
        Vectorised(program, rules[name], size, width, plan.threads, replays[name])
        if name in stacked
        else Looped(next(own), rules[name])
        for name, size in parts
    ], randomness


def joined(chunks: Sequence[Chunk], size: int) -> list[Chunk]:
    """The chunks, those that follow each other made one where they fit into `size` lanes."""
    left: list[Chunk] = []
    for chunk in chunks:
        last = left[-1] if left else None
        if (
            isinstance(chunk, Vectorised)
            and isinstance(last, Vectorised)
            and last.rule == chunk.rule
            and last.lanes + chunk.lanes <= size
        ):
            last.join(chunk)
        else:
            left.append(chunk)
    return left


def side_by_side(stream: Iterator[list[Any]], chunks: int, draws: bool) -> Iterator[tuple[int, int, list[Any]]]:
    """(chunk, number, batches): every chunk over the same items of `stream`, block by block.

    Each chunk finds the random state that the first found, so that whatever a model draws is the same for all; `draws`
    says that reading the stream draws from it as well, in between.
    """
    number = 0
    more = True
    while more:
        more = False
        start = Randomness.now() if chunks > 1 else None
        held: list[tuple[list[Any], Randomness | None]] = []
        size = 0
        for item in stream:
            state = Randomness.now() if draws and chunks > 1 else None
            yield 0, number + len(held), item
            if chunks == 1:
                number += 1
                continue
            held.append((item, state))
            size += sum(t.nbytes for t in tensors_of(item))
            if size >= HELD_BYTES:
                more = True
                break
        for chunk in range(1, chunks):
            assert start is not None
            start.restore()
            for place, (item, state) in enumerate(held):
                if state is not None:
                    state.restore()
                yield chunk, number + place, item
        number += len(held)
