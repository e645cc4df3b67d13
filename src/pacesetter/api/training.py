"""The training of one study: lane by lane as they are asked for, each part in the store before anybody hears of it."""

import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pacesetter.api import provenance
from pacesetter.api.progress import Listener
from pacesetter.api.tally import Clock, Count, Saver
from pacesetter.errors import StoreError
from pacesetter.records import Curve, Lane, Outcome, StudyRecord
from pacesetter.search import Asks
from pacesetter.tasks import Command

if TYPE_CHECKING:
    from pacesetter.engine import Part, Plan, State
    from pacesetter.store import Store
    from pacesetter.tasks._task import Task

__all__ = ["OnWeights", "Training", "trainer_of"]

OnWeights = Callable[[Lane, Mapping[str, Any]], None]


def trainer_of(task: "Task | Command") -> ModuleType:
    """What trains tasks of this kind: modules with the same functions."""
    if isinstance(task, Command):
        from pacesetter import programs

        return programs
    from pacesetter import engine

    return engine


class Training:
    """The training of one study, asked for lane by lane; `late` is True once its time has run out."""

    def __init__(
        self,
        store: "Store",
        name: str,
        task: "Task | Command",
        plan: "Plan",
        tell: Listener,
        on_weights: OnWeights | None,
        seconds: float | None,
        search: Asks,
    ) -> None:
        self._store, self._name, self._task, self._plan = store, name, task, plan
        self._tell, self._on_weights = tell, on_weights
        self._engine = trainer_of(task)
        self._search = search
        self._clock = Clock(store, name)
        self._ends = math.inf if seconds is None else time.monotonic() + seconds
        self._beside = 0
        self.late = False

    def train(self, todo: Sequence[Lane], states: "Sequence[State]") -> None:
        """Train `todo`, those of `states` from there; every part is in the store before the listener hears of it."""
        counter = Count(self._name, todo)
        counter.go_on(states)
        self._tell(counter.progress())
        left = dict.fromkeys(todo)
        try:
            # Shorter runs first: where time runs out, a look at all rates is worth more than one of them in full.
            for length in sorted({lane.total_steps for lane in todo}):
                lanes = [lane for lane in todo if lane.total_steps == length]
                kept = [state for state in states if state.lanes[0].total_steps == length]
                # Closed at once when something goes wrong here: programs that still train are ended.
                with closing(self._parts(lanes, kept, counter)) as training:
                    for parts in training:
                        told = [(part.lane, part.curve, part.outcome, part.message) for part in parts]
                        self._store.append_many(self._name, told)
                        counter.add(parts)
                        for part in parts:
                            if part.outcome.ended:
                                left.pop(part.lane, None)
                        self._clock.tick()
                        self._tell(counter.progress())
                        if left and time.monotonic() >= self._ends:
                            self._stop(left)
                            return
            self.late = time.monotonic() >= self._ends
        except BaseException:
            # The wall time is a courtesy: a store that cannot take it must not hide why we are here.
            with suppress(StoreError):
                self._clock.stop()
            raise

    def _parts(self, lanes: "Sequence[Lane]", states: "Sequence[State]", counter: Count) -> "Generator[list[Part]]":
        """What the trainer yields of lanes of one length."""
        if isinstance(self._task, Command):
            parts: Generator[list[Part]] = self._engine.train(self._task, lanes, self._plan)
            return parts

        def on_memory(taken: int) -> None:
            self._beside = taken

        task = _as_often(self._task, lanes, self._search)
        saver = Saver(self._store, self._name)
        tell_note = lambda note: self._tell(replace(counter.progress(), note=note))
        trained: Generator[list[Part]] = self._engine.train(
            task, lanes, self._plan, self._on_weights, saver, states, tell_note, on_memory
        )
        return trained

    def _stop(self, left: Iterable[Lane]) -> None:
        """End the lanes that are not at their end: the time is over."""
        self.late = True
        message = "stopped: the time that was given ran out"
        self._store.append_many(self._name, [(lane, Curve(), Outcome.STOPPED, message) for lane in left])

    def close(self, record: StudyRecord) -> None:
        """Write what is known once all lanes have ended; `record` is the study as it lies in the store then."""
        store, name, task = self._store, self._name, self._task
        self._clock.stop()
        store.forget_state(name)
        # A program's metrics are known once they were printed; unless it was said, less of them is better.
        found = dict.fromkeys((metric for r in record.lanes for metric in r.curve.metrics), "min")
        store.update(name, surface=self._engine.surface(task, record), metrics={**found, **record.metrics})
        peaks = {} if isinstance(task, Command) else self._engine.peaks(self._plan.device, self._beside)
        store.update(name, provenance=provenance.with_peaks(record.provenance, peaks))


def _as_often(task: "Task", lanes: Sequence[Lane], search: Asks) -> "Task":
    """The task evaluated as often, per update, in a search's run that is shorter than what the search is for.

    A schedule that reacts to evaluations has as many of them in a short run: it is a whole run. Beside them are those
    that the search asks for.
    """
    from pacesetter import schedules

    length, total_steps = lanes[0].total_steps, search.total_steps
    looks = search.looks(length)
    task = replace(task, _looks=looks) if looks else task
    if length >= total_steps or not all(schedules.parse(lane.schedule).pure for lane in lanes):
        return task
    return replace(task, evaluations=max(1, round(task.evaluations * length / total_steps)))
