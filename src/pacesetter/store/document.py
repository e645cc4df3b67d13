"""The JSON documents that programs read: strict JSON, in which what does not exist is null, never NaN."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from pacesetter.records import Answer, Cost, Finding, LaneRecord, StudyRecord

__all__ = ["answer_document", "compare_document", "cost_document", "find_document", "to_json"]


def to_json(document: Mapping[str, Any]) -> str:
    """A document as strict JSON text, ending in a line break. ValueError if it holds a NaN or an infinity."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def compare_document(study: StudyRecord) -> dict[str, Any]:
    """What `compare` answers: the judged study, its lanes in the order they were asked for.

    A lane's `train_loss` is its mean batch loss since the evaluation before the last, `valid_loss` and `metrics` those
    of its last evaluation; null where there is none or it is not finite.
    """
    return {
        "study": study.name,
        "task": study.task,
        "total_steps": study.total_steps,
        "lanes": [_lane(record) for record in study.lanes],
        "answers": [answer_document(answer) for answer in study.answers],
        "cost": cost_document(study.cost),
    }


def find_document(study: StudyRecord) -> dict[str, Any]:
    """What `find` answers: the judged search, without its lanes."""
    return {
        "study": study.name,
        "task": study.task,
        "total_steps": study.total_steps,
        "answer": answer_document(study.answers[0]),
        "cost": cost_document(study.cost),
    }


def answer_document(answer: Answer) -> dict[str, Any]:
    """ANSWER: what is claimed for one optimizer and schedule."""
    return {
        "optimizer": answer.optimizer,
        "schedule": answer.schedule,
        "best_tried": _number(answer.best_tried),
        "lr": _number(answer.lr),
        "interval": _pair(answer.interval),
        "equivalent": list(answer.equivalent),
        "safe_range": _pair(answer.safe_range),
        "stability_edge": _pair(answer.stability_edge),
        "valid_loss": _number(answer.valid_loss),
        "confidence": answer.confidence,
        "findings": _findings(answer.findings),
        "recipe": answer.recipe,
    }


def cost_document(cost: Cost) -> dict[str, Any]:
    """COST: what it took; `runs` is the price in full trainings."""
    return {"lane_steps": cost.lane_steps, "runs": cost.runs, "seconds": cost.seconds}


def _lane(record: LaneRecord) -> dict[str, Any]:
    lane, curve = record.lane, record.curve
    return {
        "optimizer": lane.optimizer,
        "schedule": lane.schedule,
        "lr": lane.lr,
        "seed": lane.seed,
        "outcome": record.outcome.value,
        "steps": curve.steps,
        "train_loss": _number(curve.final_train_loss),
        "valid_loss": _number(curve.final_valid_loss),
        "metrics": curve.final_metrics,
        "findings": _findings(record.findings),
    }


def _findings(findings: Iterable[Finding]) -> list[dict[str, str]]:
    return [{"name": finding.name, "level": finding.level.value, "text": finding.text} for finding in findings]


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _pair(value: tuple[float, float] | None) -> list[float] | None:
    return None if value is None else [float(value[0]), float(value[1])]
