"""The tables of a store, and its version.

Every table is plain: text, numbers, JSON and raw arrays. Reading a store never executes anything that lies in it.
"""

from sqlalchemy import (
    JSON,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = ["MARK", "VERSION", "lanes", "metadata", "parts", "states", "studies"]

# Raised by one with every change of the tables; a store of a later version is refused, never guessed at.
VERSION = 1

metadata = MetaData()

# The table that tells a store from any other database; its one row is the version.
MARK = Table("pacesetter_store", metadata, Column("version", Integer, nullable=False))

studies = Table(
    "studies",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String, nullable=False, unique=True),
    Column("task", Text, nullable=False),
    Column("total_steps", Integer, nullable=False),
    Column("created", String, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("metrics", JSON, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("provenance", JSON, nullable=False),
    Column("surface", JSON(none_as_null=True)),
    # An identity is never given twice, so that one remembered by a writer cannot come to mean another row.
    sqlite_autoincrement=True,
)

lanes = Table(
    "lanes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("optimizer", Text, nullable=False),
    Column("schedule", Text, nullable=False),
    Column("lr", Float, nullable=False),
    Column("seed", Integer, nullable=False),
    Column("total_steps", Integer, nullable=False),
    Column("outcome", String, nullable=False),
    Column("message", Text, nullable=False),
    # How far its parts reach, so that a part can be refused that does not follow on the last one.
    Column("steps", Integer, nullable=False),
    Column("evaluated", Integer, nullable=False),
    UniqueConstraint("study_id", "position"),
    UniqueConstraint("study_id", "optimizer", "schedule", "lr", "seed", "total_steps"),
    sqlite_autoincrement=True,
)

# A curve lies in parts, in the order of their ids; each array is raw little-endian bytes.
parts = Table(
    "parts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("lane_id", ForeignKey("lanes.id", ondelete="CASCADE"), nullable=False),
    # Twice as long as the losses where the optimizer worked out rates of its own, which come second.
    Column("lr", LargeBinary, nullable=False),
    Column("train_loss", LargeBinary, nullable=False),
    Column("grad_norm", LargeBinary, nullable=False),
    Column("eval_steps", LargeBinary, nullable=False),
    Column("valid_loss", LargeBinary, nullable=False),
    Column("valid_spread", LargeBinary, nullable=False),
    # [metrics, evaluations], in the order of `metric_names`, a JSON list.
    Column("metric_names", Text, nullable=False),
    Column("metrics", LargeBinary, nullable=False),
    # Updates made by its end: a lane that goes on from a saved state forgets the parts beyond it.
    Column("reach", Integer, nullable=False),
    # [rows, path_width]; both null where no path is recorded.
    Column("path", LargeBinary),
    Column("path_width", Integer),
    Index("parts_by_lane", "lane_id", "id"),
    sqlite_autoincrement=True,
)

# The last saved state of the lanes that were being trained together: `saved` is the engine's, after `step` updates.
states = Table(
    "states",
    metadata,
    Column("study_id", ForeignKey("studies.id", ondelete="CASCADE"), primary_key=True),
    Column("step", Integer, nullable=False),
    Column("saved", LargeBinary, nullable=False),
)
