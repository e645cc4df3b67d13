"""Many lanes to their end: bundles of a seed and length, one after the other or side by side, in the one loop."""

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from typing import Any

from pacesetter.engine import saved
from pacesetter.engine.bundle import Part
from pacesetter.engine.plan import Plan, even_parts
from pacesetter.engine.program import Tensors
from pacesetter.engine.saved import State
from pacesetter.engine.trainer import Job, Segment
from pacesetter.engine.workers import Worker, WorkerDied, workers
from pacesetter.records import Curve, Lane, Outcome
from pacesetter.tasks._task import Task
from pacesetter.words import plural

__all__ = ["train"]

DEATHS = 3
"""A bundle that ended so many processes is at fault: once may be bad luck, twice a machine in need."""


def bundles_of(lanes: Sequence[Lane], plan: Plan) -> list[list[Lane]]:
    """Lanes in bundles of one seed and length, of even sizes and those of an optimizer together; longest first.

    They follow from lanes and plan, never from the number of workers, and so do the results.
    """
    groups: dict[tuple[int, int], list[Lane]] = {}
    for lane in sorted(lanes, key=lambda lane: lane.optimizer):
        groups.setdefault((lane.seed, lane.total_steps), []).append(lane)
    bundles = []
    for _, group in sorted(groups.items()):
        bundles += [list(part) for part in even_parts(group, plan.lanes_per_bundle)]
    # So that workers end together; the sort leaves equal ones seed by seed.
    return sorted(bundles, key=lambda bundle: -len(bundle) * bundle[0].total_steps)


def train(
    task: Task,
    lanes: Sequence[Lane],
    plan: Plan,
    on_weights: Callable[[Lane, Tensors], None] | None = None,
    on_states: Callable[[Sequence[State]], None] | None = None,
    states: Sequence[State] = (),
    on_note: Callable[[str], None] | None = None,
    on_memory: Callable[[int], None] | None = None,
) -> Iterator[list[Part]]:
    """Train `lanes` to their end; yields one part per lane of a bundle at each of its evaluations.

    With `plan.workers` bundles are trained side by side, each in a process of its own, and a process that dies is
    replaced; what is yielded of a lane is the same bit by bit, only the order among bundles is not.

    Those of `lanes` that are in `states`, which were saved, go on from there, before the others. Called between
    yields: `on_weights(lane, {name: tensor})` for each lane that finished, `on_states(states)` now and then with what
    all bundles in training can go on from (the parts up to there have been yielded), `on_note(sentence)` with what
    people should know, `on_memory(bytes)` with the most that all processes beside this one have taken so far (each
    alone; memory that they share is counted in each).

    An error in the model's own code, or a process that dies again and again, fails the lanes of its bundle and the
    others go on; a task that is wrong (TaskError) stops everything.
    """
    asked = set(lanes)
    kept = [Job(tuple(lane for lane in state.lanes if lane in asked), state) for state in states]
    begun = {lane for job in kept for lane in job.lanes}
    new = bundles_of([lane for lane in lanes if lane not in begun], plan)
    jobs = [job for job in kept if job.lanes] + [Job(tuple(bundle)) for bundle in new]
    found, note = workers(task, plan, len(jobs), on_weights is not None, saved.LARGEST_STATE)
    try:
        if note and on_note is not None:
            on_note(note)
        crew = _Crew(found, jobs, keeps=on_states is not None or len(found) > 1)
        for parts, note in crew.work():
            if parts:
                yield parts
            for part in parts:
                if part.weights is not None and on_weights is not None:
                    on_weights(part.lane, part.weights)
            if note and on_note is not None:
                on_note(note)
            if crew.peak_bytes and on_memory is not None:
                on_memory(crew.peak_bytes)
            if on_states is not None and crew.states_due():
                on_states(crew.states())
    finally:
        for worker in found:
            worker.close()


class _Run:
    """A bundle on its way to its end: what has been told of it, and what it can go on from."""

    def __init__(self, job: Job) -> None:
        self.lanes = dict.fromkeys(job.lanes)
        self.state = job.state
        self.step = -1 if job.state is None else job.state.step
        self.saved_at = time.monotonic()
        self.deaths = 0

    @property
    def job(self) -> Job:
        """What is left, as a worker can begin it."""
        return Job(tuple(self.lanes), self.state, self.step)

    def new_parts(self, segment: Segment) -> list[Part]:
        """The parts that have not been told before: a bundle that went on from an earlier state repeats some.

        A repetition that does not end as it did before, as the user's code is not repeatable, ends its lanes all the
        same, and what was recorded before is kept.
        """
        parts = [part for part in segment.parts if part.lane in self.lanes]
        if segment.step <= self.step:
            parts = [replace(part, curve=Curve()) for part in parts if part.outcome.ended]
        self.step = max(self.step, segment.step)
        for part in parts:
            if part.outcome.ended:
                del self.lanes[part.lane]
        return parts

    def kept(self, segment: Segment) -> bool:
        """Keep the state that came with a segment, if one did."""
        if segment.state is not None or segment.too_large:
            self.saved_at = time.monotonic()
        self.state = segment.state or self.state
        return segment.state is not None

    def died(self, how: str) -> tuple[Segment, str]:
        """What to tell when the worker ended: the end of these lanes if it was the last of `DEATHS`."""
        self.deaths += 1
        if self.deaths < DEATHS:
            goes_on = "start anew" if self.state is None else f"go on from step {self.state.step}"
            note = f"a process ended ({how}) and is replaced: {plural(len(self.lanes), 'lane')} of it {goes_on}"
            return Segment([], step=-1), note
        message = f"failed: {DEATHS} processes that trained it ended, the last with {how}"
        return Segment([Part(lane, Curve(), Outcome.FAILED, message) for lane in self.lanes], step=-1), ""


class _Crew:
    """Workers, and the bundles that they train and have still to train."""

    def __init__(self, workers: Sequence[Worker], jobs: Sequence[Job], keeps: bool) -> None:
        self._idle = list(reversed(workers))
        self._waiting = deque(_Run(job) for job in jobs)
        self._asked: dict[Future[Any], tuple[_Run, Worker]] = {}
        self._keeps = keeps
        self._peaks: dict[Worker, int] = {}
        self._new_states = False
        self._told_states_at = time.monotonic()

    @property
    def peak_bytes(self) -> int:
        """The most that each process has taken, summed."""
        return sum(self._peaks.values())

    def work(self) -> Iterator[tuple[list[Part], str]]:
        """Train everything: new parts of one bundle at a time, and a note or ""."""
        self._begin_what_can()
        while self._asked:
            done, _ = wait(self._asked, return_when=FIRST_COMPLETED)
            # What was measured is told before an error that ends it all.
            for future in sorted(done, key=lambda one: one.exception() is not None):
                run, worker = self._asked.pop(future)
                note, job = "", None
                try:
                    segment = worker.answer(future)
                    self._peaks[worker] = max(segment.peak_bytes, self._peaks.get(worker, 0))
                    self._new_states |= run.kept(segment)
                except WorkerDied as error:
                    segment, note = run.died(str(error))
                    job = run.job
                parts = run.new_parts(segment)
                # Asked for more before the parts are told, so that nobody waits for whoever writes them down.
                if run.lanes:
                    self._ask(run, worker, job)
                else:
                    self._idle.append(worker)
                    self._begin_what_can()
                yield parts, note

    def states_due(self) -> bool:
        """Whether there are new states to tell: of all bundles in training, unless one keeps the others waiting."""
        now = time.monotonic()
        late = any(now - run.saved_at >= saved.SECONDS_BETWEEN_STATES for run, _ in self._asked.values())
        return self._new_states and (not late or now - self._told_states_at >= 2 * saved.SECONDS_BETWEEN_STATES)

    def states(self) -> list[State]:
        """What can be gone on from, as much of it as can be kept."""
        self._new_states, self._told_states_at = False, time.monotonic()
        runs = [*(run for run, _ in self._asked.values()), *self._waiting]
        found, room = [], saved.LARGEST_STATE
        for state in (run.state for run in runs if run.state is not None):
            if len(state.saved) <= room:
                found.append(state)
                room -= len(state.saved)
        return found

    def _begin_what_can(self) -> None:
        while self._idle and self._waiting:
            run = self._waiting.popleft()
            run.saved_at = time.monotonic()
            self._ask(run, self._idle.pop(), run.job)

    def _ask(self, run: _Run, worker: Worker, job: Job | None) -> None:
        since = time.monotonic() - run.saved_at
        save_after = max(0.0, saved.SECONDS_BETWEEN_STATES - since) if self._keeps else math.inf
        self._asked[worker.ask(job, save_after)] = run, worker
