"""Curves to findings: what each lane's curve shows, and what the lanes of a study together answer. Pure.

    from pacesetter import findings
    judged = findings.judge(study)      # lanes, answers and study carry findings

One file per finding, found by its name: a constant FINDING, which is a `LaneJudge`, `AnswerJudge` or `StudyJudge`.
"""

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from pacesetter.findings._answer import answer
from pacesetter.findings._found import found
from pacesetter.findings._group import comparison
from pacesetter.findings._judge import AnswerJudge, LaneJudge, StudyJudge, judges
from pacesetter.findings._told import told
from pacesetter.records import Finding, LaneRecord, Problem, StudyRecord

__all__ = ["AnswerJudge", "LaneJudge", "StudyJudge", "judge", "names"]


def names() -> list[str]:
    """The files that judge, in the order in which their findings are told."""
    return list(judges())


def judge(study: StudyRecord) -> StudyRecord:
    """The same study with every lane, strategy and the whole comparison judged; earlier findings are replaced.

    Works at any stage: lanes may still run, have failed or have no curve, and losses may be NaN or infinite.

    study: as it lies in the store.
    Returns a copy whose lanes have `findings`, with one answer per strategy (of the study's own length, in the order
    asked) and findings about the comparison.

    Example:
        >>> judge(StudyRecord(name="empty", task="none", total_steps=10, lanes=())).answers
        ()
    """
    with np.errstate(
        all="ignore"
    ):  # losses may be huge, infinite or NaN: what comes of them is looked at, not warned of
        return _judged(study)


def _plain(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings without a number that is not one: a value that overflowed is no evidence."""
    return tuple(f if f.value is None or math.isfinite(f.value) else replace(f, value=None) for f in found)


def _judged(study: StudyRecord) -> StudyRecord:
    seen = comparison(study)
    kinds = judges().values()
    lane_judges = [kind for kind in kinds if isinstance(kind, LaneJudge)]
    answer_judges = [kind for kind in kinds if isinstance(kind, AnswerJudge)]
    study_judges = [kind for kind in kinds if isinstance(kind, StudyJudge)]
    lanes = tuple(
        record.with_findings(_plain(f for kind in lane_judges for f in kind.judge(record, seen)))
        for record in study.lanes
    )
    if study.problem is not None:
        return _searched(study, study.problem, lanes)
    bare = [(answer(group), group) for group in seen.asked]
    answers = tuple(
        replace(one, findings=_plain(f for kind in answer_judges for f in kind.judge(one, group)))
        for one, group in bare
    )
    whole = _plain(f for kind in study_judges for f in kind.judge(seen, answers))
    return replace(study, lanes=lanes, answers=answers, findings=whole)


def _searched(study: StudyRecord, problem: Problem, lanes: tuple[LaneRecord, ...]) -> StudyRecord:
    """A search, judged: one answer, from runs of all lengths together."""
    one, what = found(problem, lanes)
    judged = replace(study, lanes=lanes)
    return replace(judged, answers=(replace(one, findings=_plain(told(one, what, judged))),), findings=())
