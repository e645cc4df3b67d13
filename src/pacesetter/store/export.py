"""A study as a table of lanes: rows, a data frame, and files for other programs."""

import csv
import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pacesetter.errors import InputError
from pacesetter.files import whole
from pacesetter.packages import require
from pacesetter.records import LaneRecord, StudyRecord
from pacesetter.store.document import compare_document, to_json

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["export", "to_frame", "to_rows"]

_TEXT = ("optimizer", "schedule", "outcome", "verdict", "message")
_WHOLE = ("seed", "total_steps", "steps")


def to_rows(study: StudyRecord) -> list[dict[str, Any]]:
    """One row per lane, in the order they were asked for; None for what does not exist or is not finite.

    The metrics are columns under their own names, with "metric_" before a name that a column has already. `verdict` is
    empty before the study is judged.
    """
    names = dict.fromkeys([*study.metrics, *(name for record in study.lanes for name in record.curve.metrics)])
    return [_row(record, list(names)) for record in study.lanes]


def _row(record: LaneRecord, metrics: list[str]) -> dict[str, Any]:
    lane, curve = record.lane, record.curve
    row: dict[str, Any] = {
        "optimizer": lane.optimizer,
        "schedule": lane.schedule,
        "lr": lane.lr,
        "seed": lane.seed,
        "total_steps": lane.total_steps,
        "outcome": record.outcome.value,
        "steps": curve.steps,
        "untrained_loss": _number(curve.untrained_loss),
        "train_loss": _number(curve.final_train_loss),
        "valid_loss": _number(curve.final_valid_loss),
        "verdict": next((finding.text for finding in record.findings if finding.name == "verdict"), ""),
        "message": record.message,
    }
    last = curve.final_metrics
    return row | {f"metric_{name}" if name in row else name: last.get(name) for name in metrics}


def to_frame(study: StudyRecord) -> "pd.DataFrame":
    """The rows as a pandas data frame, NaN where there is nothing. MissingPackage without pandas."""
    require("frame")
    pandas: Any = import_module("pandas")
    rows = to_rows(study)
    columns = list(rows[0]) if rows else ["optimizer", "schedule", "lr", "seed", "outcome", "steps"]
    kinds = {name: "int64" if name in _WHOLE else "float64" for name in columns if name not in _TEXT}
    frame: pd.DataFrame = pandas.DataFrame(rows, columns=columns).astype(kinds)
    return frame


def export(study: StudyRecord, path: str | Path) -> Path:
    """Write the study to `path`: .csv and .parquet have a row per lane, .json is the document of `compare`.

    The file appears whole or not at all. InputError: another suffix; StoreError: it cannot be written;
    MissingPackage: .parquet without pyarrow.
    """
    target = Path(path)
    writers: dict[str, Callable[[StudyRecord, Path], None]] = {
        ".csv": _write_csv,
        ".json": _write_json,
        ".parquet": _write_parquet,
    }
    writer = writers.get(target.suffix.lower())
    if writer is None:
        raise InputError(f"`path` must end in {', '.join(writers)}, got path={str(target)!r}")
    with whole(target, "path") as beside:
        writer(study, beside)
    return target


def _write_csv(study: StudyRecord, path: Path) -> None:
    rows = to_rows(study)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _write_json(study: StudyRecord, path: Path) -> None:
    path.write_text(to_json(compare_document(study)), encoding="utf-8")


def _write_parquet(study: StudyRecord, path: Path) -> None:
    require("parquet")
    arrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    parquet.write_table(arrow.Table.from_pylist(to_rows(study)), path)


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
