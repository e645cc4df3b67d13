"""Functions of tensors that are recorded for each kind of arguments that comes again, and replayed from then on."""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence

import torch

from pacesetter.engine.compiling import NotCompiled, compiled
from pacesetter.engine.recording import Recording, Unrecordable, record
from pacesetter.engine.scripted import Scripted
from pacesetter.engine.traceless import Randomness

__all__ = ["Replays", "beside"]

Call = Callable[..., Sequence[torch.Tensor]]
Leaves = Sequence[torch.Tensor]

MOST_KINDS = 32
"""Kinds of arguments that are recorded: whole and short batches, at a few numbers of lanes. Data of ever new shapes
would be recorded for ever, so from there on the function itself is called."""


class Replays:
    """What has been recorded, by kind. A recording is made beside the training and changes no bit of it.

    Compiled code does change bits, so it is made before the first call of a kind, and of few kinds: whole batches, and
    for evaluations the short one that a data set ends with.
    """

    def __init__(self, most_compiled: int = 1, worth_after: int = 1) -> None:
        """Nothing is recorded yet; at most so many kinds are compiled, and others recorded after so many calls."""
        self._seen: Counter[Hashable] = Counter()
        self._worth_after = worth_after
        self._calls: dict[Hashable, Call | None] = {}
        self._to_compile = most_compiled
        self.why_not_compiled = ""

    def run(self, kind: Hashable, function: Call, leaves: Leaves, threads: int = 0) -> Leaves:
        """`function(*leaves)`, by its recording if it has one.

        kind: all that the operations depend on beside the values of `leaves`; None: that cannot be told.
        threads: compile it, for so many threads, if it is among the first kinds that this is asked for; 0: do not.
        """
        if kind not in self._calls:
            to_compile = threads > 0 and self._to_compile > 0
            known = self._seen[kind] >= self._worth_after
            if kind is not None and (known or to_compile) and len(self._calls) < MOST_KINDS:
                self._calls[kind] = self._prepared(function, leaves, threads if to_compile else 0)
            self._seen[kind] += 1
        return (self._calls.get(kind) or function)(*leaves)

    def _prepared(self, function: Call, leaves: Leaves, threads: int) -> Call | None:
        """What to call in the place of `function`, if anything; the function is not kept, as it may hold weights."""
        recording = beside(function, leaves, new=threads > 0)
        if recording is None:
            return None
        if threads:
            self._to_compile -= 1
            try:
                return compiled(recording, leaves, threads)
            except NotCompiled as error:
                self.why_not_compiled = str(error)
        return Scripted(recording)


def beside(function: Call, leaves: Leaves, new: bool) -> Recording | None:
    """A recording that leaves no trace in the random generators; None where there can be none.

    new: the function was not called before; what a first call finds out is not to be recorded.
    """
    before = Randomness.now()
    try:
        if new:
            function(*leaves)
            before.restore()
        return record(function, leaves)
    except Unrecordable:
        return None
    finally:
        before.restore()
