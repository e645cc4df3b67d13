"""The three kinds of finding, and how their files are found."""

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from pacesetter.findings._group import Comparison, Group
from pacesetter.records import Answer, Finding, LaneRecord

__all__ = ["AnswerJudge", "Findings", "LaneJudge", "StudyJudge", "judges"]

Findings = tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class LaneJudge:
    """Judges one lane within its comparison. `order` is its place among a lane's findings, lowest first.

    The judge must return something sensible for every lane, also one without a curve, and may return nothing.
    """

    order: int
    judge: Callable[[LaneRecord, Comparison], Findings]


@dataclass(frozen=True, slots=True)
class AnswerJudge:
    """Judges the answer for one strategy: what it claims, or why it does not."""

    order: int
    judge: Callable[[Answer, Group], Findings]


@dataclass(frozen=True, slots=True)
class StudyJudge:
    """Judges the whole comparison, after its answers."""

    order: int
    judge: Callable[[Comparison, tuple[Answer, ...]], Findings]


@cache
def judges() -> dict[str, LaneJudge | AnswerJudge | StudyJudge]:
    """Every finding by the name of its file, in order: each public module of this folder has one, called FINDING."""
    package = __package__ or "pacesetter.findings"
    path = importlib.import_module(package).__path__
    names = sorted(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))
    found = {name: importlib.import_module(f"{package}.{name}").FINDING for name in names}
    return dict(sorted(found.items(), key=lambda item: item[1].order))
