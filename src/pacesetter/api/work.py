"""The one way in which lanes are trained: open or make the study, plan, train, keep everything, judge.

Every verb ends here. What was measured is in the store before anybody hears of it, so that an error, a full disk or
Ctrl-C loses nothing; the exception goes on up.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import TYPE_CHECKING, Any

from pacesetter.api import provenance
from pacesetter.api.output import slug
from pacesetter.api.programs import refuse_settings
from pacesetter.api.progress import Listener, Progress
from pacesetter.api.question import whole
from pacesetter.api.tally import steps_in
from pacesetter.api.training import OnWeights, Training, trainer_of
from pacesetter.api.warned import warned_once
from pacesetter.errors import InputError, StoreError
from pacesetter.packages import require
from pacesetter.records import Curve, Lane, LaneRecord, Outcome, StudyRecord
from pacesetter.search import Asks
from pacesetter.tasks import Command
from pacesetter.textform import parse_size

if TYPE_CHECKING:
    from pacesetter.engine import Plan, State
    from pacesetter.store import Store
    from pacesetter.tasks._task import Task

__all__ = ["Settings", "measure"]


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
        trainer_of(task).refuse_while_spawning()
    # Before the store is opened: a task that is wrong leaves nothing behind.
    place = () if isinstance(task, Command) else (settings.device,)
    trainer_of(task).check(task, *place)
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
            training = Training(store, name, task, plan, tell, on_weights, settings.seconds, search)
            while todo:
                training.train(todo, states)
                record = store.load(name)
                todo, states = () if training.late else search.ask(record.lanes), []
                _add(store, record, todo)
            training.close(record)
        return findings.judge(store.load(name))


def _plan(task: "Task | Command", lanes: Sequence[Lane], settings: Settings) -> "Plan":
    """Choose how to train `lanes`."""
    engine = trainer_of(task)
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
            **provenance.gather(trainer_of(task).provenance(task), lanes, settings.engine),
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
    engine = trainer_of(task)
    plan = engine.Plan.from_json(record.plan)
    if settings.workers is not None:
        plan = replace(plan, workers=settings.workers)
    _refuse_other_work(record, engine.provenance(task))
    record = replace(record, provenance={**record.provenance, **search.question})
    store.update(name, provenance=record.provenance)
    _add(store, record, new)
    left = f"{len(unfinished)} of {len(have)} lanes are left"
    added = f"{len(new)} {'lane is' if len(new) == 1 else 'lanes are'} new to it"
    asked = " and ".join(words for words, some in ((left, unfinished), (added, new)) if some)
    tell(Progress(name, len(todo), total=steps_in(todo), note=f"going on with study {name}: {asked}"))
    return name, todo, plan


def _add(store: "Store", study: StudyRecord, new: Sequence[Lane]) -> None:
    """Put lanes that are new to the study, which is as it lies in the store, into it."""
    if new:
        store.add_lanes(study.name, new)
        seeds = {record.lane.seed for record in study.lanes} | {lane.seed for lane in new}
        store.update(study.name, provenance={**study.provenance, "seeds": sorted(seeds)})


def _saved(store: "Store", name: str, task: "Task | Command", todo: Sequence[Lane]) -> "list[State]":
    """The bundles that were being trained, as they were last saved; all else of `todo` starts anew.

    A lane that has ended since then keeps its end, and one that fell behind its state is not possible.
    """
    kept = store.saved_state(name)
    states: list[State] = [] if kept is None else trainer_of(task).unpack(kept[1])
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
        does = "compares and does not search" if asked else "searches and does not compare"
        raise InputError(f"`study` must be asked the same question, got study={record.name!r}, which {does}: {way_out}")
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


def _untrained(lanes: Iterable[Lane]) -> tuple[LaneRecord, ...]:
    return tuple(LaneRecord(lane, Outcome.RUNNING, Curve()) for lane in lanes)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
