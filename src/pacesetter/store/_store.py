"""Studies that outlive a process: written while they run, whole after any end, readable by another process."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, Engine, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import DBAPIError

from pacesetter.errors import InputError, StoreError
from pacesetter.records import Lane, LaneRecord, Outcome, StudyRecord
from pacesetter.store import _rows
from pacesetter.store._curves import unpack
from pacesetter.store._database import connect, fault
from pacesetter.store._rows import Part
from pacesetter.store._schema import lanes, parts, states, studies

__all__ = ["Store", "StudySummary"]


@dataclass(frozen=True, slots=True)
class StudySummary:
    """One line about a study: what it is about, and how many of its `lanes` have `ended`. `seconds` is wall time."""

    name: str
    task: str
    created: str
    total_steps: int
    lanes: int
    ended: int
    seconds: float


class Store:
    """A file (or memory) that holds studies.

    What a call has written is safe when it returns: a killed process, a full disk or Ctrl-C loses at most the call it
    interrupts, and that one wholly. Many processes may read one store while one writes; writers wait for each other.

        with Store.open("sqlite:///pacesetter.db") as store:
            store.create(study)
            store.append_many("my-study", [(lane, part, Outcome.RUNNING, "")])
            study = store.load("my-study")
    """

    def __init__(self, engine: Engine, url: str | None) -> None:
        """Use `Store.open`."""
        self._engine = engine
        self._writer = engine.execution_options(writes=True)
        # By study: its newest lane's row, and the rows of all.
        self._lanes: dict[str, tuple[int | None, dict[Lane, int]]] = {}
        self.url = url

    @classmethod
    def open(cls, url: str | None = None, *, must_exist: bool = False, timeout: float = 30.0) -> Self:
        """The store at `url` ("sqlite:///path.db"; None: in memory), made if there is none.

        `must_exist` refuses to make one. `timeout`: seconds to wait for another writer; 30 is far above what any write
        of ours takes, so that only a stuck program is reported. A read-only store opens, and refuses every change.
        StoreError: not a store, of a newer version, damaged, or in a folder that cannot be written.
        """
        return cls(connect(url, timeout, must_exist), url)

    def close(self) -> None:
        """Let go of the file. Nothing needs to be flushed."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------- reading

    def names(self) -> list[str]:
        """The names of the studies, oldest first."""
        with self._reading() as connection:
            return list(connection.scalars(select(studies.c.name).order_by(studies.c.id)))

    def summaries(self) -> list[StudySummary]:
        """One line for each study, oldest first."""
        ended = func.count(lanes.c.id).filter(lanes.c.outcome != Outcome.RUNNING.value)
        query = (
            select(studies, func.count(lanes.c.id).label("lanes"), ended.label("ended"))
            .outerjoin(lanes, lanes.c.study_id == studies.c.id)
            .group_by(studies.c.id)
            .order_by(studies.c.id)
        )
        with self._reading() as connection:
            return [
                StudySummary(row.name, row.task, row.created, row.total_steps, row.lanes, row.ended, row.seconds)
                for row in connection.execute(query)
            ]

    def load(self, name: str) -> StudyRecord:
        """The study called `name`, its lanes in the order they were asked for. UnknownName when there is none."""
        with self._reading() as connection:
            study_id = _rows.study_id(connection, name)
            study = connection.execute(select(studies).where(studies.c.id == study_id)).one()
            query = select(lanes).where(lanes.c.study_id == study_id).order_by(lanes.c.position)
            rows = connection.execute(query).mappings().all()
            recorded: dict[int, list[Mapping[Any, Any]]] = {row["id"]: [] for row in rows}
            query = select(parts).join(lanes).where(lanes.c.study_id == study_id).order_by(parts.c.id)
            for part in connection.execute(query).mappings():
                recorded[part["lane_id"]].append(part)
        records = tuple(
            LaneRecord(_rows.lane_of(row), Outcome(row["outcome"]), unpack(recorded[row["id"]]), row["message"])
            for row in rows
        )
        return StudyRecord(
            name=study.name,
            task=study.task,
            total_steps=study.total_steps,
            lanes=records,
            metrics=study.metrics,
            plan=study.plan,
            provenance=study.provenance,
            created=study.created,
            seconds=study.seconds,
            surface=study.surface,
        )

    # ------------------------------------------------------------------------------------------------- writing

    def create(self, study: StudyRecord) -> None:
        """Add a study, with what its lanes have recorded; answers are not kept, they follow from the lanes.

        StoreError: its name is taken.
        """
        values = {
            "name": study.name,
            "task": study.task,
            "total_steps": study.total_steps,
            "created": study.created,
            "seconds": study.seconds,
            "metrics": dict(study.metrics),
            "plan": dict(study.plan),
            "provenance": dict(study.provenance),
            "surface": None if study.surface is None else dict(study.surface),
        }
        with self._writing(study.name) as connection:
            if connection.scalar(select(studies.c.id).where(studies.c.name == study.name)) is not None:
                where = "memory" if self.url is None else repr(self.url)
                raise StoreError(f"`study` must be a new name, got study={study.name!r}: {where} has one called so")
            connection.execute(insert(studies).values(values))
            study_id = _rows.study_id(connection, study.name)
            _rows.add_lanes(connection, study_id, [record.lane for record in study.lanes])
            recorded = [
                (record.lane, record.curve, record.outcome, record.message)
                for record in study.lanes
                if record.curve.steps or len(record.curve.eval_steps) or record.outcome.ended or record.message
            ]
            _rows.add_parts(connection, _rows.lane_ids(connection, study_id), recorded)

    def add_lanes(self, name: str, new: Iterable[Lane]) -> None:
        """Add lanes after the ones the study has; those it has already are left as they are."""
        with self._writing(name) as connection:
            study_id = _rows.study_id(connection, name)
            known = self._ids(connection, name)
            _rows.add_lanes(connection, study_id, [lane for lane in new if lane not in known])

    def append_many(self, name: str, new: Iterable[Part]) -> None:
        """Add what several lanes have recorded, all or nothing.

        Each is (lane, part, outcome, message); a lane's parts one after the other are its curve, bit by bit.
        InputError: the lane is not in the study, has ended, or the part does not follow on its last.
        StoreError: the disk is full, the store is read-only or locked; says what is kept.
        """
        with self._writing(name) as connection:
            _rows.add_parts(connection, self._ids(connection, name), list(new))

    def save_state(self, name: str, step: int, saved: bytes) -> None:
        """Keep the state of the lanes that are being trained, after `step` updates, in the place of the last one."""
        with self._writing(name) as connection:
            study_id = _rows.study_id(connection, name)
            connection.execute(delete(states).where(states.c.study_id == study_id))
            connection.execute(insert(states).values(study_id=study_id, step=step, saved=saved))

    def forget_state(self, name: str) -> None:
        """Remove what `save_state` kept: nothing is in training any more."""
        with self._writing(name) as connection:
            connection.execute(delete(states).where(states.c.study_id == _rows.study_id(connection, name)))

    def saved_state(self, name: str) -> tuple[int, bytes] | None:
        """What `save_state` kept last: (updates made, state)."""
        with self._reading() as connection:
            study_id = _rows.study_id(connection, name)
            row = connection.execute(select(states.c.step, states.c.saved).where(states.c.study_id == study_id)).first()
            return None if row is None else (row.step, row.saved)

    def restart(self, name: str, which: Iterable[Lane], step: int | None = None) -> None:
        """Forget what those of the lanes have recorded that have not ended, so that they can be trained anew.

        With `step` only what they recorded after so many updates is forgotten: they go on from a state saved there,
        which must have been right after an evaluation.
        """
        with self._writing(name) as connection:
            ids = self._ids(connection, name)
            chosen = [{"lane": _rows.row_of(ids, lane)} for lane in which]
            if not chosen:
                return
            open_lane = (lanes.c.id == bindparam("lane")) & (lanes.c.outcome == Outcome.RUNNING.value)
            beyond = parts.c.reach > (-1 if step is None else step)
            of_lane = parts.c.lane_id.in_(select(lanes.c.id).where(open_lane).scalar_subquery())
            connection.execute(delete(parts).where(of_lane & beyond), chosen)
            place = {"steps": 0, "evaluated": -1} if step is None else {"steps": step, "evaluated": step}
            connection.execute(update(lanes).where(open_lane).values(**place, message=""), chosen)

    def update(
        self,
        name: str,
        *,
        provenance: Mapping[str, Any] | None = None,
        surface: Mapping[str, Any] | None = None,
        metrics: Mapping[str, str] | None = None,
        seconds_added: float = 0.0,
    ) -> None:
        """Replace what is given of the study, and add to its wall time."""
        given = {"provenance": provenance, "surface": surface, "metrics": metrics}
        values: dict[str, Any] = {key: dict(value) for key, value in given.items() if value is not None}
        with self._writing(name) as connection:
            study_id = _rows.study_id(connection, name)
            values["seconds"] = studies.c.seconds + seconds_added
            connection.execute(update(studies).where(studies.c.id == study_id).values(values))

    # ------------------------------------------------------------------------------------------------- helpers

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        """One consistent view: all reads of the block see the store as it was at the first."""
        try:
            with self._engine.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise fault(error, str(self.url)) from error

    @contextmanager
    def _writing(self, name: str) -> Iterator[Connection]:
        """One transaction: all or nothing of the block is kept."""
        try:
            with self._writer.begin() as connection:
                yield connection
        except DBAPIError as error:
            raise fault(error, str(self.url), self._kept(name)) from error
        except OverflowError as error:
            raise InputError(f"`study` must have numbers of at most 63 bits, got study={name!r}: {error}") from error

    def _kept(self, name: str) -> str:
        try:
            with self._engine.begin() as connection:
                return _rows.kept(connection, name)
        except DBAPIError:
            return "all that was recorded before"

    def _ids(self, connection: Connection, name: str) -> dict[Lane, int]:
        """The rows of a study's lanes, remembered: reading hundreds at every append would be most of its cost."""
        study_id = _rows.study_id(connection, name)
        newest = _rows.newest_lane(connection, study_id)
        known = self._lanes.get(name)
        if known is None or known[0] != newest:
            known = self._lanes[name] = (newest, _rows.lane_ids(connection, study_id))
        return known[1]
