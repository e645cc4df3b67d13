"""Where the numbers come from: versions, seeds, data hash, device, command, plan and cost."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from pacesetter import words
from pacesetter.records import Outcome, StudyRecord
from pacesetter.report import _html, _plan, _summary
from pacesetter.report._theme import Theme

TITLE = "Where these numbers come from"
ORDER = 90

PEAKS = {"peak_memory_bytes": "most memory used", "peak_device_memory_bytes": "most memory used on the device"}
"""Sizes in bytes, and what they are in words."""


class Facts(NamedTuple):
    """Names and values, in the order they are shown."""

    rows: list[tuple[str, str]]


def data(study: StudyRecord) -> Facts:
    """What is known of how the study was made."""
    cost = study.cost
    seeds = sorted({record.lane.seed for record in study.lanes})
    outcomes = [(_summary.ending(kind), sum(r.outcome is kind for r in study.lanes)) for kind in Outcome]
    rows = [
        ("study", study.name),
        ("task", study.task),
        ("created", study.created),
        ("runs", ", ".join(f"{many:,} {kind}" for kind, many in outcomes if many) or "none"),
        ("steps of each run", f"{study.total_steps:,}"),
        ("seeds", ", ".join(str(seed) for seed in seeds)),
        ("cost", f"{cost.lane_steps:,} weight updates, the price of {words.number(cost.runs)} full trainings"),
        ("training time", words.duration(cost.seconds)),
    ]
    said = dict(rows)
    peaks = [(label, study.provenance[name]) for name, label in PEAKS.items() if name in study.provenance]
    rows += [(label, words.size(peak)) for label, peak in peaks]
    left = {name: value for name, value in study.provenance.items() if name not in said and name not in PEAKS}
    rows += _flat(left)
    plan = {name: value for name, value in study.plan.items() if name not in ("engine", "compiled")}
    rows.append(("plan: engine", _plan.engine(study.plan)))
    rows += [(f"plan: {name}", text) for name, text in _flat({_plan.LABELS.get(n, n): v for n, v in plan.items()})]
    return Facts([(name, text) for name, text in rows if text])


def draw(data: Facts, theme: Theme) -> Markup:
    """A list of names and values."""
    rows = _html.join(Markup("<div><dt>{}</dt><dd>{}</dd></div>").format(*row) for row in data.rows)
    return Markup("<dl class='provenance'>{}</dl>").format(rows)


def _flat(values: Mapping[str, Any], under: str = "") -> list[tuple[str, str]]:
    """Nested plain values as names and texts; what is nested is named `outer: inner`."""
    rows: list[tuple[str, str]] = []
    for name, value in values.items():
        label = f"{under}{str(name).replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += _flat(value, f"{label}: ")
        elif isinstance(value, list | tuple):
            rows.append((label, ", ".join(str(item) for item in value)))
        elif value is not None:
            rows.append((label, f"{value:.6g}" if isinstance(value, float) else str(value)))
    return rows
