"""Who asked for a study, when and with which seeds, beside what the engine says of data and machine."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from pacesetter.records import Lane

__all__ = ["asked_by", "gather", "now", "with_peaks"]

# Only the command line says what was typed; a script's own arguments may hold what should not be kept.
_COMMAND: ContextVar[str] = ContextVar("command", default="")


@contextmanager
def asked_by(command: str) -> Iterator[None]:
    """Studies made inside were asked for by `command`, a line to type."""
    token = _COMMAND.set(command)
    try:
        yield
    finally:
        _COMMAND.reset(token)


def gather(measured: Mapping[str, Any], lanes: Sequence[Lane], engine: str) -> dict[str, Any]:
    """Plain JSON: what the engine says of task and device (`measured`), with ours around it.

    engine: the one that was asked for, kept unless that is "auto"; the one that was chosen is in the plan.
    """
    return {
        "pacesetter": version("pacesetter"),
        "command": _COMMAND.get(),
        "seeds": sorted({lane.seed for lane in lanes}),
        "engine_asked_for": None if engine == "auto" else engine,
        **measured,
    }


def with_peaks(kept: Mapping[str, Any], peaks: Mapping[str, int]) -> dict[str, Any]:
    """A study's provenance with the most memory that training took, now or before it was gone on with."""
    return {**kept, **{name: max(peak, kept.get(name, 0)) for name, peak in peaks.items()}}


def now() -> str:
    """This moment, in UTC, to the second: `2026-03-01T09:30:00Z`."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
