"""The rows behind a study: finding them, adding lanes, adding parts. Each runs inside a transaction of the caller."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from pacesetter.errors import InputError, UnknownName
from pacesetter.records import Curve, Lane, Outcome
from pacesetter.store._curves import check, pack
from pacesetter.store._schema import lanes, parts, studies

__all__ = ["Part", "add_lanes", "add_parts", "kept", "lane_ids", "lane_of", "newest_lane", "row_of", "study_id"]

Part = tuple[Lane, Curve, Outcome, str]

# Built once: they run at every evaluation of a bundle.
_STATES = select(lanes.c.id, lanes.c.outcome, lanes.c.steps, lanes.c.evaluated).where(
    lanes.c.id.in_(bindparam("ids", expanding=True))
)
_ADVANCE = (
    update(lanes)
    .where(lanes.c.id == bindparam("lane"))
    .values(
        outcome=bindparam("to_outcome"),
        message=bindparam("to_message"),
        steps=bindparam("to_steps"),
        evaluated=bindparam("to_evaluated"),
    )
)


def study_id(connection: Connection, name: str) -> int:
    """The row of the study called `name`; UnknownName, with the nearest, when there is none."""
    found: int | None = connection.scalar(select(studies.c.id).where(studies.c.name == name))
    if found is not None:
        return found
    known = list(connection.scalars(select(studies.c.name)))
    if not known:
        raise UnknownName(f"`study` must name a known study, got study={name!r}: the store holds none yet")
    raise UnknownName.of("study", name, known)


def lane_of(row: Mapping[Any, Any]) -> Lane:
    """The lane of a row of `lanes`."""
    return Lane(row["optimizer"], row["schedule"], row["lr"], row["seed"], row["total_steps"])


def newest_lane(connection: Connection, study: int) -> int | None:
    """The last row among a study's lanes: as long as it is the same, so are all of them."""
    newest: int | None = connection.scalar(select(func.max(lanes.c.id)).where(lanes.c.study_id == study))
    return newest


def lane_ids(connection: Connection, study: int) -> dict[Lane, int]:
    """The rows of a study's lanes."""
    rows = connection.execute(select(lanes).where(lanes.c.study_id == study)).mappings()
    return {lane_of(row): row["id"] for row in rows}


def row_of(ids: Mapping[Lane, int], lane: Lane) -> int:
    """The row of a lane; InputError when it is not one of the study's."""
    try:
        return ids[lane]
    except KeyError:
        raise InputError(f"`lane` must be one of the study's, got lane={lane.recipe!r} seed {lane.seed}") from None


def add_lanes(connection: Connection, study: int, new: Sequence[Lane]) -> None:
    """Add lanes after those that the study has."""
    if not new:
        return
    last = connection.scalar(select(func.max(lanes.c.position)).where(lanes.c.study_id == study))
    first = 0 if last is None else last + 1
    rows = [
        {
            "study_id": study,
            "position": first + place,
            "optimizer": lane.optimizer,
            "schedule": lane.schedule,
            "lr": lane.lr,
            "seed": lane.seed,
            "total_steps": lane.total_steps,
            "outcome": Outcome.RUNNING.value,
            "message": "",
            "steps": 0,
            "evaluated": -1,
        }
        for place, lane in enumerate(new)
    ]
    try:
        connection.execute(insert(lanes), rows)
    except IntegrityError as error:
        raise InputError(f"`lanes` must differ from each other, got one twice among {len(new)} lanes") from error


def add_parts(connection: Connection, ids: Mapping[Lane, int], new: Sequence[Part]) -> None:
    """Add what lanes have recorded; InputError when a part does not follow on what is there."""
    if not new:
        return
    rows = [row_of(ids, lane) for lane, *_ in new]
    now = {
        state.id: {"to_outcome": state.outcome, "to_steps": state.steps, "to_evaluated": state.evaluated}
        for state in connection.execute(_STATES, {"ids": list(set(rows))})
    }
    added = []
    for row, (lane, part, outcome, message) in zip(rows, new, strict=True):
        state = now[row]
        if Outcome(state["to_outcome"]).ended:
            raise InputError(
                f"`lane` must not have ended, got lane={lane.recipe!r} seed {lane.seed}, which is {state['to_outcome']}"
            )
        steps, evaluated = check(lane, part, state["to_steps"], state["to_evaluated"])
        now[row] = {
            "lane": row,
            "to_outcome": outcome.value,
            "to_message": message,
            "to_steps": steps,
            "to_evaluated": evaluated,
        }
        added.append({"lane_id": row, "reach": steps, **pack(part)})
    connection.execute(insert(parts), added)
    connection.execute(_ADVANCE, list(now.values()))


def kept(connection: Connection, name: str) -> str:
    """What the store holds of a study, for a message after a failed write."""
    ended = func.count().filter(lanes.c.outcome != Outcome.RUNNING.value)
    query = select(func.count(), ended, func.sum(lanes.c.steps)).join(studies).where(studies.c.name == name)
    asked, done, steps = connection.execute(query).one()
    if not asked:
        return f"all that was recorded before; nothing of study {name!r}"
    return f"{done} of {asked} lanes ended and {steps} steps recorded in study {name!r}"
