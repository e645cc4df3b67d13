"""How much memory training may take, how much it needs, and how much it took. All sizes are in bytes."""

import errno
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pacesetter import words
from pacesetter.engine.batches import Batches, tensors_of
from pacesetter.engine.blame import told
from pacesetter.engine.program import Program, fresh_program
from pacesetter.engine.traceless import traceless
from pacesetter.errors import InputError
from pacesetter.optimizers import Rule
from pacesetter.tasks._task import Task
from pacesetter.textform import parse_size

__all__ = ["SLOTS_OF_OTHERS", "Needs", "budget", "free_bytes", "is_out_of_memory", "needs", "peak_bytes", "peaks"]

MEMORY = Path("/proc/meminfo")
"""Where Linux tells how much memory there is."""
STATUS = Path("/proc/self/status")
"""Where Linux tells what this process has taken."""
GROUPS = Path("/sys/fs/cgroup")
"""Where Linux tells how much of it a container may take."""
LIMITS = (
    # limit, use, what of the use is only cached: of the second version of control groups, then of the first
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)
SHARE = 2
"""Half of what is free, so that the machine stays usable and an estimate may be wrong by as much."""
NUMBERS_A_STEP = 3
"""What is recorded of each update: rate, loss and gradient norm, in float64."""
IN_ONE_PASS = 2
"""A stacked pass holds up to twice what a plain one keeps for its backward pass: it was seen to take 1.1 to 1.9 times
as much, as it overwrites nothing in place."""
WORKSPACES = 2
"""The largest tensors are there again while they are computed with: activations in their gradients, weights and their
slots in the rule's intermediate results."""
SLOTS_OF_OTHERS = 4
"""Numbers that an optimizer of another library is taken to keep beside each weight: as many as Prodigy does."""
TOO_LITTLE = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "alloc_failed")


@dataclass(frozen=True, slots=True)
class Needs:
    """What lanes take, in bytes.

    per_lane: one more lane held: weights, buffers, state of the rule, what a segment records.
    per_chunk_lane: one lane more in a pass while it computes: gradients, new weights and state, activations.
    shared: data on the device, weights that all lanes share, a batch, and the model they are made from.
    """

    per_lane: int
    per_chunk_lane: int
    shared: int

    @property
    def one_lane(self) -> int:
        """The least that any training takes."""
        return self.shared + self.per_lane + self.per_chunk_lane

    def refuse(self, memory: str | None, workers: int = 1) -> None:
        """Raise InputError when `memory`, as the user gave it, is less than one lane takes in each of the workers."""
        if memory is not None and parse_size("memory", memory) < self.one_lane * workers:
            each, fewer = (f" in each of {workers} workers", " fewer workers,") if workers > 1 else ("", "")
            raise InputError(
                f"`memory` must be at least what one lane of this task takes{each}, "
                f"{words.size(self.one_lane * workers)}, "
                f"got memory={memory!r}: give more,{fewer} a smaller batch_size, or a smaller model"
            )


def budget(memory: str | None, device: torch.device | None = None) -> int | None:
    """What training may take: `memory`, such as "4GB", or half of what is free; None where nobody can say.

    Raises InputError when `memory` cannot be read.
    """
    if memory is not None:
        return parse_size("memory", memory)
    free = free_bytes(device)
    return None if free is None else free // SHARE


def free_bytes(device: torch.device | None = None) -> int | None:
    """Memory that programs can have now, what the system only caches included; None on a system that does not say.

    Of a GPU, the memory of the device, with what torch keeps for itself and does not use.
    """
    if device is not None and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    found = [size for size in (_of_the_machine(), *map(_of_a_group, LIMITS)) if size is not None]
    return min(found, default=None)


def _of_the_machine() -> int | None:
    try:
        lines = MEMORY.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def _of_a_group(files: tuple[str, str, str, str]) -> int | None:
    """What is left of a container's limit; None without one ("max", or more than any machine has)."""
    limit, used, stat, cached = files
    try:
        left = int((GROUPS / limit).read_text()) - int((GROUPS / used).read_text())
        lines = (GROUPS / stat).read_text().splitlines()
        return max(0, left + sum(int(line.split()[1]) for line in lines if line.split()[0] == cached))
    except (OSError, ValueError, IndexError):
        return None


def needs(task: Task, rule: Rule, device: torch.device) -> Needs:
    """What lanes of `task` under `rule` take on `device`, measured by one untrained pass over a batch.

    Raises TaskError when the model cannot be run.
    """
    with traceless():
        program = fresh_program(task, 0, device).train()
        trained = {name: p.detach() for name, p in program.trainable().items()}
        weights, buffers = _bytes(trained.values()), _bytes(program.buffers())
        state = _bytes(_leaves(rule.init(trained))) if rule.vectorises else SLOTS_OF_OTHERS * weights
        frozen = _bytes(p for p in program.parameters() if not p.requires_grad)
        batch = told("train", "could not be read", lambda: next(Batches(task.train_source, 0, device)))
        kept, largest = told("task", "could not be trained on its first batch", lambda: _kept(program, batch))
    due = [0, *task.evaluation_steps(task.total_steps)]
    recorded = 8 * NUMBERS_A_STEP * max(after - before for before, after in pairwise(due))
    # On the CPU the data is used where it is.
    moved = () if device.type == "cpu" else (task.train_source, task.valid_source)
    data = sum(_bytes(source.in_memory) for source in moved)
    updated = max(map(_bytes, ([p] for p in trained.values()))) * (weights + state) // weights
    sums = weights if task.accumulate > 1 else 0
    return Needs(
        per_lane=weights + buffers + state + recorded,
        per_chunk_lane=2 * weights + sums + buffers + state + IN_ONE_PASS * kept + WORKSPACES * max(largest, updated),
        shared=data + frozen + weights + buffers + _bytes(tensors_of(batch)),
    )


def _kept(program: Program, batch: Any) -> tuple[int, int]:
    """(all, the largest) of what a forward pass keeps for the backward one, beside weights, buffers and the batch."""
    there = {_place(t) for t in (*program.parameters(), *program.buffers(), *tensors_of(batch))}
    found: dict[int, int] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.layout is torch.strided and _place(tensor) not in there:
            found[_place(tensor)] = tensor.untyped_storage().nbytes()
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = program(batch)
            # The graph holds what it keeps until here, so that no two tensors were at one place after another.
            del loss
    except RuntimeError as error:
        # A model that uses `torch.func` itself: what its operations make is at least what they keep.
        if "saved tensor hooks" not in str(error):
            raise
        with _Made() as made:
            program(batch)
        return sum(made.sizes), max(made.sizes, default=0)
    return sum(found.values()), max(found.values(), default=0)


class _Made(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own gap
    """Notes the sizes of all tensors that operations make."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above
        self.sizes: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.sizes += [_bytes([t]) for t in tensors_of(made)]
        return made


def _place(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr() if tensor.layout is torch.strided else id(tensor)


def _bytes(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def _leaves(tree: Any) -> list[torch.Tensor]:
    return [leaf for value in tree.values() for leaf in _leaves(value)] if isinstance(tree, dict) else [tree]


def peak_bytes() -> int | None:
    """The most memory that this process has had at once, its child processes apart; None on a system without a word."""
    try:
        # Not from `getrusage` where there is this: a program takes over there the peak of the one that started it.
        lines = STATUS.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        import resource
    except ImportError:  # Windows has none
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def peaks(device: str, beside: int = 0) -> dict[str, int]:
    """What a study's provenance says: `peak_memory_bytes` of all processes, each at its own peak, and of a GPU.

    beside: the sum of the peaks of other processes. What nobody can say is left out.
    """
    own = peak_bytes()
    found = {} if own is None else {"peak_memory_bytes": own + beside}
    if device.startswith("cuda"):
        found["peak_device_memory_bytes"] = torch.cuda.max_memory_allocated(device)
    return found


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it was raised from, says that memory ran out: of Python, numpy, torch or a GPU."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    if isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in TOO_LITTLE):
        return True
    return error.__cause__ is not None and is_out_of_memory(error.__cause__)
