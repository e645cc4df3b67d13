"""How lanes are run: the plan, chosen once by measuring, stored with the study, reused by whatever goes on with it."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from pacesetter import optimizers
from pacesetter.engine.batches import Batches
from pacesetter.engine.blame import in_one_line, told
from pacesetter.engine.looped import Looped
from pacesetter.engine.program import fresh_program
from pacesetter.engine.traceless import threads, traceless
from pacesetter.engine.vectorised import Vectorised
from pacesetter.errors import InputError, PacesetterError, TaskError, UnknownName
from pacesetter.records import Lane
from pacesetter.tasks._task import Task

__all__ = ["ENGINES", "Plan", "make_plan", "why_not_vectorised"]

ENGINES = ("auto", "vectorised", "looped")
CHUNKS = (8, 32)
"""Lane counts that are timed: 8 fit a processor's cache for small convolutions, 32 spread the cost of each call."""
ONE_BY_ONE = 0
"""Stands among lane counts for one lane of the looped engine."""
WORTH_ALL_THREADS = 1.6
"""All threads are used where they train this many times as fast as one. Less is not worth it: on a machine that does
other work threads wait for each other: training was seen to take 2 to 8 times as long, with one thread no longer."""
BYTES_PER_WEIGHT_BYTE = 8
"""A lane's weights, gradients, up to two slots of state, the same again while they are updated."""
MEMORY = Path("/proc/meminfo")
"""Where Linux tells how much memory there is."""
ON_FIRST_BATCHES = "could not be trained on its first batches"
COMPARED_STEPS = 3
TIMED_STEPS = 4
TOLERANCE = 1e-3
"""Relative difference above which the two engines do not agree: float32 sums in another order differ by about 1e-6 a
step; a dropped buffer or a wrong random number differs by far more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How lanes are run; results are bit-identical under one plan, and no number of workers changes them.

    engine: "vectorised" (chunks of stacked lanes) or "looped" (ordinary models, one after the other).
    compiled: whether the vectorised step is machine code made for it, or torch's own operations one by one.
    lanes_per_chunk: lanes stacked in one pass; a compiled step always computes so many, idle ones included.
    lanes_per_bundle: lanes of a seed that are held in memory, and see each batch, together.
    threads: of torch, in each process. workers: processes that train bundles side by side.
    precision: "float32" (as the model and data are) or "bfloat16" (its matrix products in bfloat16, by autocast).
    reason: why it was chosen, in a sentence.
    """

    engine: str
    lanes_per_chunk: int
    threads: int
    device: str
    reason: str
    compiled: bool = False
    lanes_per_bundle: int = 512
    workers: int = 1
    precision: str = "float32"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Plan":
        """The plan that `to_json` gave."""
        return cls(**values)


def make_plan(task: Task, lanes: Sequence[Lane], engine: str = "auto", device: str = "cpu") -> Plan:
    """Choose how to run `lanes`: check that the model can be vectorised, then time both ways on a few real steps.

    Nothing of the user's is touched. Raises InputError for an unknown engine or device, or when `engine="vectorised"`
    is asked for a model that cannot be.
    """
    if engine not in ENGINES:
        raise UnknownName.of("engine", engine, ENGINES)
    place = usable_device(device)
    together = _largest_group(lanes)
    with traceless():
        room = _lanes_that_fit(task)
        plan = partial(Plan, threads=torch.get_num_threads(), device=str(place))
        if engine == "looped":
            return plan("looped", min(CHUNKS[0], room), reason="the looped engine was asked for")
        if engine == "auto" and together == 1:
            return plan("looped", 1, reason="each optimizer and seed has one lane, so there is nothing to stack")
        obstacle = why_not_vectorised(task, place)
        if obstacle and engine == "vectorised":
            raise InputError(f"`engine` must be looped for this model, got engine='vectorised': {obstacle}")
        if obstacle:
            return plan("looped", min(CHUNKS[0], room), reason=obstacle)
        sizes = sorted({min(size, together, room) for size in CHUNKS})
        times, count = _measured(task, lanes[0].optimizer, sizes, place)
    plan = partial(Plan, threads=count, device=str(place))
    size = min(sizes, key=times.__getitem__)
    ratio = times[ONE_BY_ONE] / times[size]
    on = f" on {count} thread{'s' if count > 1 else ''}"
    if engine == "vectorised":
        return plan("vectorised", size, reason=f"the vectorised engine was asked for; {size} lanes at a time{on}")
    if ratio < 1:
        why = f"one by one, lanes train {1 / ratio:.1f} times as fast as {size} in one pass{on}"
        return plan("looped", min(CHUNKS[0], room), reason=why)
    return plan(
        "vectorised", size, reason=f"{size} lanes in one pass train {ratio:.1f} times as fast as one by one{on}"
    )


def _measured(task: Task, rule: str, sizes: Sequence[int], device: torch.device) -> tuple[dict[int, float], int]:
    """(seconds per lane and step of each way, threads): with one thread, or with all if they are well worth it."""
    many = torch.get_num_threads()
    found = {}
    for count in sorted({1, many}):
        with threads(count):
            found[count] = {way: _seconds_per_lane_step(task, rule, way, device) for way in (*sizes, ONE_BY_ONE)}
    gain = min(found[1].values()) / min(found[many].values())
    count = many if gain >= WORTH_ALL_THREADS else 1
    return found[count], count


def _lanes_that_fit(task: Task) -> int:
    """How many lanes' weights, with what training them needs, take half of the memory that is free; at least 1."""
    trained = fresh_program(task, 0, torch.device("cpu")).trainable().values()
    each = BYTES_PER_WEIGHT_BYTE * sum(p.numel() * p.element_size() for p in trained)
    free = _free_bytes()
    return max(CHUNKS) if free is None else max(1, free // 2 // max(each, 1))


def _free_bytes() -> int | None:
    """Memory that programs can have now, what the system only caches included; None on a system that does not say."""
    try:
        lines = MEMORY.read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def usable_device(device: str) -> torch.device:
    """The device called `device`, or an InputError when this machine has none of it."""
    try:
        place = torch.device(device)
        torch.zeros(1, device=place).item()  # `meta` has tensors, but no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(
            f"`device` must be one that this machine has, got device={device!r}: {in_one_line(error)}"
        ) from None
    return place


def _largest_group(lanes: Sequence[Lane]) -> int:
    sizes: dict[tuple[str, int], int] = {}
    for lane in lanes:
        sizes[lane.optimizer, lane.seed] = sizes.get((lane.optimizer, lane.seed), 0) + 1
    return max(sizes.values(), default=1)


def why_not_vectorised(task: Task, device: torch.device) -> str:
    """A sentence why the task's model must run looped; empty when a few steps give the same both ways."""
    rule = optimizers.parse("sgd(momentum=0.9)")
    rates = torch.tensor([1e-2, 1e-3], dtype=torch.float64)
    engines = []
    for kind in (Looped, Vectorised):
        program = fresh_program(task, 0, device)
        body = kind(program, rule, len(rates))
        start = body.weights(0)
        batches = Batches(task.train_source, 0, device)
        losses: list[torch.Tensor] = []
        try:
            losses += [body.step(next(batches), rates.to(device))[0].double().cpu() for _ in range(COMPARED_STEPS)]
        except (Exception, SystemExit) as error:  # whatever stacking the user's code raises
            if isinstance(error, PacesetterError):
                raise
            if kind is Looped:
                raise TaskError(f"`task` {ON_FIRST_BATCHES}: {in_one_line(error)}") from error
            return f"the model cannot be vectorised, so it runs looped: {in_one_line(error)}"
        engines.append((start, torch.stack(losses), [body.weights(lane) for lane in range(len(rates))]))
    (start, plain_losses, plain), (_, stacked_losses, stacked) = engines
    # Buffers first: one that is dropped explains different losses and weights, not the other way round.
    trained = {name.removeprefix("model.") for name in program.trainable()}
    for name in sorted(start, key=trained.__contains__):
        if all(_close(one[name], other[name], start[name]) for one, other in zip(plain, stacked, strict=True)):
            continue
        hint = "" if name in trained else " (a buffer that `forward` replaces instead of changing in place does this)"
        return f"`{name}` comes out differently when vectorised, so the model runs looped{hint}"
    if not _close(plain_losses, stacked_losses):
        return "the model gives other losses when vectorised, so it runs looped (random or data-dependent code?)"
    return ""


def _close(one: torch.Tensor, other: torch.Tensor, start: torch.Tensor | None = None) -> bool:
    """Whether two tensors agree, relative to their size and, given where they started from, to how far they moved."""
    one, other = one.double(), other.double()
    if one.shape != other.shape or not torch.equal(torch.isfinite(one), torch.isfinite(other)):
        return False
    one, other = (torch.nan_to_num(t, 0.0, 0.0, 0.0) for t in (one, other))
    gap = float((one - other).abs().max()) if one.numel() else 0.0
    scale = float(one.abs().max()) if one.numel() else 0.0
    if start is not None and one.numel():
        moved = float((torch.nan_to_num(start.double(), 0.0, 0.0, 0.0) - one).abs().max())
        return gap <= TOLERANCE * max(10 * moved, 0.01 * scale) + 1e-9
    return gap <= TOLERANCE * scale + 1e-9


def _seconds_per_lane_step(task: Task, rule: str, lanes: int, device: torch.device) -> float:
    """Measured on real batches after one step to warm up; `lanes` may be ONE_BY_ONE."""
    program = fresh_program(task, 0, device)
    parsed = optimizers.parse(rule)
    body = Vectorised(program, parsed, lanes) if lanes else Looped(program, parsed, 1)
    rates = torch.full((max(lanes, 1),), 1e-6, dtype=torch.float64, device=device)
    batches = Batches(task.train_source, 0, device)

    def seconds() -> float:
        batch = next(batches)
        started = time.perf_counter()
        loss, _ = body.step(batch, rates)
        loss.sum().item()
        return time.perf_counter() - started

    times = [told("task", ON_FIRST_BATCHES, seconds) for _ in range(1 + TIMED_STEPS)]
    # The mean, not the best: threads that now and then wait for other work are slow now and then.
    return float(sum(times[1:])) / TIMED_STEPS / max(lanes, 1)
