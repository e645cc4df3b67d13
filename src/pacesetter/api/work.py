"""The one way in which lanes are trained: open or make the study, plan, train, keep everything, judge.

Every verb ends here. What was measured is in the store before anybody hears of it, so that an error, a full disk or
Ctrl-C loses nothing; the exception goes on up.
"""

import json
import math
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from itertools import count
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pacesetter.api import provenance
from pacesetter.api.output import slug
from pacesetter.api.programs import refuse_settings
from pacesetter.api.progress import Listener, Progress
from pacesetter.api.question import whole
from pacesetter.api.tally import Clock, Count, Saver, steps_in
from pacesetter.api.warned import warned_once
from pacesetter.errors import InputError, StoreError
from pacesetter.packages import require
from pacesetter.records import Curve, Lane, LaneRecord, Outcome, StudyRecord
from pacesetter.search import Asks
from pacesetter.tasks import Command
from pacesetter.textform import parse_size

if TYPE_CHECKING:
    from pacesetter.engine import Part, Plan, State
    from pacesetter.store import Store
    from pacesetter.tasks._task import Task

__all__ = ["Settings", "measure"]

OnWeights = Callable[[Lane, Mapping[str, Any]], None]

# What must be the same when a study goes on: keys of its provenance, and what they are in words.
SAME = {
    "data_sha256": "data",
    "model_sha256": "model",
    "weights_sha256": "initial weights",
    "batch_size": "batch size",
    "program_sha256": "program",
    "accumulate": "batches in an update",
    "clip_norm": "clipping",
    "lr_ratios": "ratios of rates",
}
# What a study that says nothing of it was measured with.
UNSAID: dict[str, Any] = {"accumulate": 1, "clip_norm": None, "lr_ratios": {}}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where and how a study is measured; the verbs' keywords of the same names."""

    store: str | None = None
    study: str | None = None
    device: str = "cpu"
    engine: str = "auto"
    executor: str = "local"
    precision: str = "float32"
    workers: int | None = None
    memory: str | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no study can be measured with."""
        if self.memory is not None:
            parse_size("memory", self.memory)
        if self.workers is not None:
            object.__setattr__(self, "workers", whole(self.workers, "workers", 1))
        if self.seconds is not None and not (_is_number(self.seconds) and 0 < self.seconds < math.inf):
            raise InputError(f"`seconds` must be a number above 0, got seconds={self.seconds!r}")
        if self.executor != "local":
            raise InputError(
                f"`executor` must be local, got executor={self.executor!r}: this version trains on one machine"
            )
        if self.study is not None and (not self.study.strip() or not self.study.isprintable() or "/" in self.study):
            raise InputError(
                f"`study` must be a name without slashes and line breaks, got study={self.study!r}: try digits-1"
            )


@warned_once()
def measure(
    task: "Task | Command",
    search: Asks,
    settings: Settings,
    listener: Listener | None = None,
    on_weights: OnWeights | None = None,
) -> StudyRecord:
    """Train what `search` asks for and the study has not finished yet; the whole study, judged."""
    require("store" if isinstance(task, Command) else "train")
    from pacesetter import findings
    from pacesetter.store import Store

    tell = listener or (lambda progress: None)
    if settings.workers != 1 and not isinstance(task, Command):
        _trainer(task).refuse_while_spawning()
    # Before the store is opened: a task that is wrong leaves nothing behind.
    place = () if isinstance(task, Command) else (settings.device,)
    _trainer(task).check(task, *place)
    if isinstance(task, Command):
        refuse_settings(
            device=settings.device, engine=settings.engine, precision=settings.precision, memory=settings.memory
        )
    with Store.open(settings.store) as store:
        known = settings.study is not None and settings.study in store.names()
        if known:
            name, todo, plan = _go_on(store, task, search, settings, tell)
        else:
            todo = search.ask(())
            name, plan = _begin(store, task, todo, settings, search)
        if plan is not None:
            states: list[State] = []
            if known:
                states = _saved(store, name, task, todo)
            else:
                tell(Progress(name, len(todo), total=steps_in(todo), note=f"engine: {plan.engine} ({plan.reason})"))
            work = _Work(store, name, task, plan, tell, on_weights, settings.seconds, search.total_steps)
            while todo:
                work.train(todo, states)
                todo, states = (() if work.late else search.ask(store.load(name).lanes)), []
                _add(store, name, todo)
            work.close()
        return findings.judge(store.load(name))


def _trainer(task: "Task | Command") -> ModuleType:
    """What trains tasks of this kind: modules with the same functions."""
    if isinstance(task, Command):
        from pacesetter import programs

        return programs
    from pacesetter import engine

    return engine


def _plan(task: "Task | Command", lanes: Sequence[Lane], settings: Settings) -> "Plan":
    """Choose how to train `lanes`."""
    engine = _trainer(task)
    plan: Plan
    if isinstance(task, Command):
        plan = engine.make_plan(settings.workers)
        return plan
    plan = engine.make_plan(
        task, lanes, settings.engine, settings.device, settings.precision, settings.workers, settings.memory
    )
    return plan


def _begin(
    store: "Store", task: "Task | Command", lanes: Sequence[Lane], settings: Settings, search: Asks
) -> "tuple[str, Plan]":
    """Make the study and choose its plan, for the first lanes and as many full ones as are to come."""
    to_come = 0 if search.runs is None else max(0, math.floor(search.runs - steps_in(lanes) / search.total_steps))
    later = tuple(replace(lanes[0], lr=lanes[0].lr * (k + 1), total_steps=search.total_steps) for k in range(to_come))
    plan = _plan(task, (*lanes, *later), settings)
    record = StudyRecord(
        name=settings.study or "",
        task=task.name,
        total_steps=search.total_steps,
        lanes=_untrained(lanes),
        metrics=task.metric_directions,
        plan=plan.to_json(),
        provenance={
            **provenance.gather(_trainer(task).provenance(task), lanes, settings.engine),
            **search.question,
        },
        created=provenance.now(),
    )
    return _create(store, record, task.title if isinstance(task, Command) else task.name), plan


def _create(store: "Store", record: StudyRecord, title: str) -> str:
    """Put the study into the store under its name, or the first free one made from the task's `title`."""
    while True:
        name = record.name or _free_name(store, title)
        try:
            store.create(replace(record, name=name))
            return name
        except StoreError:
            # Another process may have taken a free name since we looked; anything else is a real fault.
            if record.name or name not in store.names():
                raise


def _free_name(store: "Store", task: str) -> str:
    """The first name for a study of `task` that the store does not have: `digits-mlp-1`, `digits-mlp-2`, ..."""
    base, taken = slug(task), set(store.names())
    return next(name for number in count(1) if (name := f"{base}-{number}") not in taken)


def _go_on(
    store: "Store", task: "Task | Command", search: Asks, settings: Settings, tell: Listener
) -> "tuple[str, tuple[Lane, ...], Plan | None]":
    """What is left of a study that exists, after adding lanes that are new to it; no plan when nothing is left."""
    name = settings.study or ""
    record = store.load(name)
    _refuse_other_question(record, task, search, settings)
    have = {lane_record.lane for lane_record in record.lanes}
    new = search.ask(record.lanes)
    unfinished = tuple(r.lane for r in record.lanes if not r.outcome.ended)
    todo = (*unfinished, *new)
    if not todo:
        tell(Progress(name, 0, note=f"study {name} is finished: nothing is trained"))
        return name, todo, None
    engine = _trainer(task)
    plan = engine.Plan.from_json(record.plan)
    if settings.workers is not None:
        plan = replace(plan, workers=settings.workers)
    _refuse_other_work(record, engine.provenance(task))
    store.update(name, provenance={**record.provenance, **search.question})
    _add(store, name, new)
    left = f"{len(unfinished)} of {len(have)} lanes are left"
    added = f"{len(new)} {'lane is' if len(new) == 1 else 'lanes are'} new to it"
    asked = " and ".join(words for words, some in ((left, unfinished), (added, new)) if some)
    tell(Progress(name, len(todo), total=steps_in(todo), note=f"going on with study {name}: {asked}"))
    return name, todo, plan


def _add(store: "Store", name: str, new: Sequence[Lane]) -> None:
    """Put lanes that are new to the study into it."""
    if new:
        record = store.load(name)
        store.add_lanes(name, new)
        seeds = {record.lane.seed for record in record.lanes} | {lane.seed for lane in new}
        store.update(name, provenance={**record.provenance, "seeds": sorted(seeds)})


def _saved(store: "Store", name: str, task: "Task | Command", todo: Sequence[Lane]) -> "list[State]":
    """The bundles that were being trained, as they were last saved; all else of `todo` starts anew.

    A lane that has ended since then keeps its end, and one that fell behind its state is not possible.
    """
    kept = store.saved_state(name)
    states: list[State] = [] if kept is None else _trainer(task).unpack(kept[1])
    left = set(todo)
    for state in states:
        store.restart(name, [lane for lane in state.lanes if lane in left], state.step)
        left.difference_update(state.lanes)
    store.restart(name, [lane for lane in todo if lane in left])
    return states


def _refuse_other_question(record: StudyRecord, task: "Task | Command", search: Asks, settings: Settings) -> None:
    """A study compares like with like: one task, one length, one plan; a search goes on with its own problem."""
    way_out = "name another study with `study`"
    checks = [("task", record.task, task.name), ("steps", record.total_steps, search.total_steps)]
    asked, stored = search.question.get("problem", {}), record.provenance.get("problem", {})
    if bool(asked) != bool(stored):
        kinds = ("compares", "searches") if asked else ("searches", "compares")
        raise InputError(
            f"`study` must be asked the same question, got study={record.name!r}, which {kinds[0]} and does not "
            f"{kinds[1][:-2] if asked else 'compare'}: {way_out}"
        )
    # How much may be spent, and whether it is a first look, may change: what was trained stays of use.
    free = ("budget", "quick")
    plain = json.loads(json.dumps(asked))
    checks += [(key, stored[key], plain[key]) for key in stored if key in plain and key not in free]
    plan = record.plan
    checks += [("device", plan.get("device", settings.device), settings.device)]
    checks += [("precision", plan.get("precision", "float32"), settings.precision)]  # the first version had no other
    # What was asked for may be asked again, also where nothing could be compiled.
    if settings.engine not in ("auto", record.provenance.get("engine_asked_for")):
        stored = "compiled" if plan.get("compiled") else plan.get("engine", settings.engine)
        checks += [("engine", stored, settings.engine)]
    for option, stored, given in checks:
        if stored != given:
            raise InputError(
                f"`{option}` must be that of study {record.name}, {stored!r}, got {option}={given!r}: {way_out}"
            )


def _refuse_other_work(record: StudyRecord, measured: Mapping[str, Any]) -> None:
    for key, what in SAME.items():
        stored, now = (found.get(key, UNSAID.get(key)) for found in (record.provenance, measured))
        if stored != now and (key in UNSAID or None not in (stored, now)):
            raise InputError(
                f"`study` must be of the same {what}, got study={record.name!r}, measured with {stored} and not {now}: "
                "name another study"
            )


class _Work:
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
        total_steps: int,
    ) -> None:
        self._store, self._name, self._task, self._plan = store, name, task, plan
        self._tell, self._on_weights = tell, on_weights
        self._engine = _trainer(task)
        self._total_steps = total_steps
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

        task = _as_often(self._task, lanes, self._total_steps)
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

    def close(self) -> None:
        """Write what is known once all lanes have ended."""
        store, name, task = self._store, self._name, self._task
        self._clock.stop()
        store.forget_state(name)
        record = store.load(name)
        # A program's metrics are known once they were printed; unless it was said, less of them is better.
        found = dict.fromkeys((metric for r in record.lanes for metric in r.curve.metrics), "min")
        store.update(name, surface=self._engine.surface(task, record), metrics={**found, **record.metrics})
        peaks = {} if isinstance(task, Command) else self._engine.peaks(self._plan.device, self._beside)
        store.update(name, provenance=provenance.with_peaks(record.provenance, peaks))


def _as_often(task: "Task", lanes: Sequence[Lane], total_steps: int) -> "Task":
    """The task evaluated as often, per update, in a search's run that is shorter than what the search is for.

    A schedule that reacts to evaluations has as many of them in a short run: it is a whole run.
    """
    from pacesetter import schedules

    length = lanes[0].total_steps
    if length >= total_steps or not all(schedules.parse(lane.schedule).pure for lane in lanes):
        return task
    return replace(task, evaluations=max(1, round(task.evaluations * length / total_steps)))


def _untrained(lanes: Iterable[Lane]) -> tuple[LaneRecord, ...]:
    return tuple(LaneRecord(lane, Outcome.RUNNING, Curve()) for lane in lanes)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
