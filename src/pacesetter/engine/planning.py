"""How to run lanes is found by measuring: each way that applies is tried for a few steps against the work to do."""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from torch.utils import _pytree as trees

from pacesetter import optimizers, schedules
from pacesetter.engine import remembered
from pacesetter.engine.agreement import ON_FIRST_BATCHES, why_not_vectorised
from pacesetter.engine.batches import Batches, validation_batches
from pacesetter.engine.blame import in_one_line, told
from pacesetter.engine.bundle import Bundle, start, train_at
from pacesetter.engine.memory import SLOTS_OF_OTHERS, budget, needs
from pacesetter.engine.plan import ENGINES, PRECISIONS, Plan
from pacesetter.engine.program import fresh_program
from pacesetter.engine.scripted import WORTH_AFTER
from pacesetter.engine.side_effects import side_effects
from pacesetter.engine.traceless import threads, traceless
from pacesetter.engine.vectorised import Vectorised
from pacesetter.engine.workload import MOST_IN_BUNDLE, Work
from pacesetter.errors import InputError, UnknownName
from pacesetter.records import Lane
from pacesetter.tasks._task import Task

__all__ = ["make_plan"]

CHUNKS = (8, 32)
"""Lane counts that are timed: 8 fit a processor's cache for small convolutions, 32 spread the cost of each call."""
COMPILED_CHUNK = 16
"""Lanes that a step is compiled for. Of 8, 16 and 32 it was within a tenth of the best for each built-in task, and
compiling for several is not worth it."""
WIDTHS = 4
"""Compiled chunks are a multiple of this wide: a quarter of their rows, at most, is idle."""
TIMED_SHARE, LEAST_TIMED, MOST_TIMED = 0.002, 0.03, 0.5
"""Each way is timed for this share of the seconds that all the work would take by it, within these bounds, after the
steps that record it: the more there is to do, the more a wrong choice costs."""
FEWEST_STEPS = 3
SETTLED_SHARE = 0.02
"""A stacked step is made a function of its own after some steps, which may take this share of all the work."""
WORTH_ALL_THREADS = 1.3
"""All threads are used where they train this many times as fast as one. Less is not worth it: on a machine that does
other work threads wait for each other: training was seen to take 2 to 8 times as long, with one thread no longer."""
WORTH_FOR_ONE_LANE = 1.1
"""The same for a single lane, whose plain loop has all threads too: nothing else can be done with the other cores."""
SIDE_BY_SIDE = 0.85
"""Share of its speed that a process keeps when there is one on every core: they share cache and memory."""
START_SECONDS = 0.5
"""What it takes to start a process that trains, until its first step."""
COMPILE_SECONDS = 25.0
"""What it takes to compile one rule's step, until it has been done once and is known."""
WORTH_LOOKING = 1.0
"""Seconds of work from which it is worth a look whether compiled code is kept from before."""
TRIED_RATE = 1e-6
LOST_TO_OTHERS, CLOCK = 1.2, 0.002
"""A thread that waits for so much of its time shares its core with other programs: such times are not remembered."""
PRICE = "compile"
"""The name in the memory of what compiling took."""
EXPECTED_GAIN = 1.6
"""How many times as fast compiled lanes are taken to be before that is measured: 1.4 to 2.1 for the built-in tasks."""


def make_plan(
    task: Task,
    lanes: Sequence[Lane],
    engine: str = "auto",
    device: str = "cpu",
    precision: str = "float32",
    workers: int | None = None,
    memory: str | None = None,
) -> Plan:
    """Choose how to run `lanes`: check that the model can be vectorised, then time each way on a few real steps.

    What was measured for the same model, rules and machine is remembered. Nothing of the user's is touched. Raises
    InputError for an unknown engine, precision or device, for less memory than one lane needs, or when
    `engine="vectorised"` or `"compiled"` is asked for a model that cannot be stacked.
    """
    if engine not in ENGINES:
        raise UnknownName.of("engine", engine, ENGINES)
    if precision not in PRECISIONS:
        raise UnknownName.of("precision", precision, PRECISIONS)
    _refuse_cycled_momentum(lanes)
    place = usable_device(device)
    work = Work.of(lanes)
    with traceless():
        need = needs(task, max(map(optimizers.parse, work.rules), key=_slots), place)
        need.refuse(memory, workers or 1)
        free = budget(memory, place)
        processes = workers or (torch.get_num_threads() if place.type == "cpu" else 1)
        if workers is None and free is not None:
            processes = max(1, min(processes, free // need.one_lane))
        each = None if free is None else max(0, free // processes - need.shared)
        chunk_room = MOST_IN_BUNDLE if each is None else max(1, each // (need.per_lane + need.per_chunk_lane))
        measuring = _Measuring(task, work, str(place), precision, min(work.together, chunk_room), workers, processes)
        plan = measuring.choose(engine)
        measuring.keep()
    chunk = plan.lanes_per_chunk if plan.engine == "vectorised" else 1
    left = None if each is None else each - chunk * need.per_chunk_lane
    room = MOST_IN_BUNDLE if left is None else max(1, left // max(need.per_lane, 1))
    return replace(plan, lanes_per_bundle=work.per_bundle(room, plan.workers))


def _refuse_cycled_momentum(lanes: Sequence[Lane]) -> None:
    """A lane's optimizer has one momentum throughout: a schedule that cycles it would be another one in lanes."""
    for text, total_steps in {(lane.schedule, lane.total_steps) for lane in lanes}:
        if schedules.parse(text).momentum_at(0, total_steps) is not None:
            raise InputError(
                f"`momentum` must be left out of a schedule of lanes, got {text}: compare rates without it; "
                "in a loop of your own `pacesetter.connect.torch.scheduler` cycles it"
            )


def _slots(rule: optimizers.Rule) -> int:
    """Numbers that a rule keeps beside each weight."""
    if not rule.vectorises:
        return SLOTS_OF_OTHERS
    return len(trees.tree_leaves(rule.init({"": torch.zeros(1)})))


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


def _width(lanes: int) -> int:
    """Lanes to compile for: chunks of even sizes, of few different widths, so that kept code is of use again."""
    each = -(-lanes // -(-lanes // COMPILED_CHUNK))
    return each if each <= 2 else WIDTHS * -(-each // WIDTHS)


class _Measuring:
    """Times of the ways to run some work, measured when they are asked for or remembered from before.

    A way is a plan without a reason. Times are seconds for one update of one lane.
    """

    def __init__(
        self, task: Task, work: Work, device: str, precision: str, together: int, workers: int | None, processes: int
    ) -> None:
        self._task, self._work, self._device, self._precision = task, work, device, precision
        self._together = together
        self._workers = workers
        self._why_not_compiled = ""  # not remembered: a full disk or an impatient end of the compiler may pass
        self._cores = torch.get_num_threads() if device == "cpu" else 1
        self._processes = processes
        self._stackable = [rule for rule in work.rules if optimizers.parse(rule).vectorises]
        self._memory = remembered.Memory.of(task, work.rules, device, precision, self._cores)

    def choose(self, engine: str) -> Plan:
        """The way that ends first, with the reason."""
        if engine == "looped":
            return self._best(self._looped(), "the looped engine was asked for")
        if engine == "auto" and self._together == 1:
            alone = "each optimizer and seed has one lane, so there is nothing to stack"
            if self._work.together > 1:
                alone = "there is memory for one lane at a time"
            return self._best([*self._looped(), *self._compiled_if_worth(self._looped())], alone)
        obstacle = self._memory.text("obstacle", self._obstacle)
        if obstacle and engine in ("vectorised", "compiled"):
            raise InputError(f"`engine` must be looped for this model, got engine={engine!r}: {obstacle}")
        if obstacle:
            return self._best(self._looped(), obstacle)
        if engine == "vectorised":
            return self._best(self._stacked(), "the vectorised engine was asked for")
        if engine == "compiled":
            asked = "the compiled engine was asked for"
            if ways := self._compiled():
                return self._best(ways, asked)
            return self._best(self._stacked(), f"{asked}, but {self._why_not_compiled}")
        ways = [*self._looped(), *self._stacked()]
        return self._best([*ways, *self._compiled_if_worth(ways)])

    def keep(self) -> None:
        """Remember what was measured."""
        self._memory.keep()

    def _obstacle(self) -> str:
        if not self._stackable:
            return "optimizers of other libraries train one lane at a time"
        place = torch.device(self._device)
        program = fresh_program(self._task, 0, place, self._precision)
        batch = told("train", "could not be read", lambda: next(Batches(self._task.train_source, 0, place)))
        found: str = told("task", ON_FIRST_BATCHES, lambda: side_effects(self._task, program, batch))
        return found or why_not_vectorised(self._task, self._device, self._precision)

    # ------------------------------------------------------------------------------------------------- ways

    def _ways(self, engine: str, sizes: Callable[[int], Iterable[int]], compiled: bool = False) -> list[Plan]:
        """Chunks of these sizes, given the lanes of one rule in a bundle: on one thread, on all, and in processes."""
        base = Plan(engine, 1, 1, self._device, "", compiled, precision=self._precision)
        ways = [
            replace(base, lanes_per_chunk=size, threads=count, workers=processes)
            for processes in ((1, self._processes) if self._workers is None else (self._processes,))
            for size in sizes(self._work.in_bundle(self._together, processes))
            for count in ((1, self._cores) if processes == 1 else (1,))
        ]
        return list(dict.fromkeys(ways))

    def _looped(self) -> list[Plan]:
        return self._ways("looped", lambda _: (1,))

    def _stacked(self) -> list[Plan]:
        return self._ways("vectorised", lambda lanes: sorted({min(size, lanes) for size in CHUNKS}))

    def _compiled(self) -> list[Plan]:
        """The compiled ways; none where it was found that there can be none."""
        return [way for way in self._compiled_unmeasured() if self._time(way) < float("inf")]

    def _compiled_unmeasured(self) -> list[Plan]:
        return self._ways("vectorised", lambda lanes: (_width(lanes),), compiled=True)

    def _compiled_if_worth(self, others: Sequence[Plan]) -> list[Plan]:
        """The compiled ways whose code is kept from before, or whose making is likely to pay."""
        if self._memory.text("obstacle", self._obstacle):
            return []
        left = min(self._seconds(way) for way in others)
        codes = {(way.lanes_per_chunk, way.threads) for way in self._compiled_unmeasured()}
        price = self._memory.number(PRICE, lambda: COMPILE_SECONDS) * len(self._stackable) * len(codes)
        if left * (1 - 1 / EXPECTED_GAIN) > price:
            return self._compiled()
        if left < WORTH_LOOKING:
            return []
        return [way for way in self._compiled_unmeasured() if self._is_kept(way) and self._time(way) < float("inf")]

    # ------------------------------------------------------------------------------------------------- times

    def _best(self, ways: Sequence[Plan], why: str = "") -> Plan:
        """The way that ends first; all threads of one process only where they are well worth it."""
        alone = {(way.engine, way.lanes_per_chunk, way.compiled): way for way in ways if way.threads == 1}
        worth = WORTH_ALL_THREADS if sum(self._work.by_seed) > 1 else WORTH_FOR_ONE_LANE
        fit = [
            way
            for way in ways
            if way.threads == 1
            or (one := alone.get((way.engine, way.lanes_per_chunk, way.compiled))) is None
            or self._time(one) >= worth * self._time(way)
        ]
        best = min(fit, key=self._seconds)
        said = [why] if why else []
        if best.engine == "vectorised":
            slow = min(map(self._time, self._looped()))
            how = "compiled" if best.compiled else "in one pass"
            said.append(
                f"{best.lanes_per_chunk} lanes {how} train {slow / self._time(best):.1f} times as fast as one by one"
            )
        elif not why:
            said.append("one by one, lanes train faster than in one pass")
        where = f"{best.workers} processes" if best.workers > 1 else f"{best.threads} thread{'s' * (best.threads > 1)}"
        return replace(best, reason=f"{'; '.join(said)}, on {where}")

    def _seconds(self, way: Plan) -> float:
        """What all the work would take."""
        seconds = self._work.steps * self._time(way)
        if way.compiled:
            lanes = self._work.in_bundle(self._together, way.workers)
            seconds *= -(-lanes // way.lanes_per_chunk) * way.lanes_per_chunk / lanes  # idle rows take their time too
        if way.workers == 1:
            return seconds
        return START_SECONDS * way.workers + seconds * self._work.longest_share(way.workers) / SIDE_BY_SIDE

    def _time(self, way: Plan) -> float:
        """Seconds for one update of one lane, in one of the way's processes; infinite where it cannot be compiled."""
        alone = replace(way, workers=1)
        key = f"{alone.engine} {alone.lanes_per_chunk} {alone.threads}{' compiled' * alone.compiled}"
        return self._memory.number(key, lambda: self._measured(alone))

    def _measured(self, way: Plan) -> float:
        # Compiled code is made for each rule; without, rules differ too little to be timed each.
        rules = self._stackable if way.engine == "vectorised" else self._work.rules
        rules = rules if way.compiled else rules[:1]
        times = [float(told("task", ON_FIRST_BATCHES, partial(self._timed, way, rule))) for rule in rules]
        return sum(times) / len(times)

    def _timed(self, way: Plan, rule: str) -> float:
        if way.compiled and self._why_not_compiled:
            return float("inf")
        with threads(way.threads):
            bundle = self._bundle(way, rule)
            first = self._train(bundle, 1)
            chunk = bundle.chunks[0]
            if way.compiled:
                began = time.perf_counter()
                chunk.judge(next(validation_batches(self._task.valid_source, bundle.device)))
                first += time.perf_counter() - began
            if isinstance(chunk, Vectorised) and chunk.why_not_compiled:
                self._why_not_compiled = chunk.why_not_compiled
                return float("inf")
            if way.compiled and first > 1:
                self._memory.know(PRICE, first)
            each = self._train(bundle, 2) / 2
            whole = each * self._work.steps / way.lanes_per_chunk
            if way.engine == "vectorised" and each * WORTH_AFTER < SETTLED_SHARE * whole:
                self._train(bundle, WORTH_AFTER)
            steps = max(FEWEST_STEPS, int(min(max(TIMED_SHARE * whole, LEAST_TIMED), MOST_TIMED) / each))
            used = time.process_time()
            seconds = self._train(bundle, steps)
            if way.threads == 1 and seconds > LOST_TO_OTHERS * (time.process_time() - used) + CLOCK:
                self._memory.distrust()
            # The mean, not the best: threads that now and then wait for other work are slow now and then.
            return seconds / steps / way.lanes_per_chunk

    def _is_kept(self, way: Plan) -> bool:
        """Whether the compiled code of all rules is there from before."""
        for rule in self._stackable:
            bundle = self._bundle(way, rule)
            (chunk,) = bundle.chunks
            assert isinstance(chunk, Vectorised)
            chunk.begin(np.full((1, chunk.lanes), TRIED_RATE))
            batches = [next(bundle.batches) for _ in range(self._task.accumulate)]
            if not chunk.is_kept(batches, [way.threads]):
                return False
        return True

    def _bundle(self, way: Plan, rule: str) -> Bundle:
        bundle = start(self._task, [Lane(rule, "constant", TRIED_RATE, 0, 1)] * way.lanes_per_chunk, way)
        bundle.randomness.restore()
        return bundle

    def _train(self, bundle: Bundle, steps: int) -> float:
        """Seconds that so many updates take."""
        began = time.perf_counter()
        train_at(bundle, np.full((steps, len(bundle.lanes)), TRIED_RATE))
        return time.perf_counter() - began
