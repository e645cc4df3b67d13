"""Documents and tables for other programs."""

import csv
import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pacesetter.errors import InputError, MissingPackage, StoreError
from pacesetter.records import Answer, Curve, Finding, Lane, LaneRecord, Level, Outcome, StudyRecord
from pacesetter.store import compare_document, export, to_frame, to_json, to_rows

NAN, INF = float("nan"), float("inf")


def study() -> StudyRecord:
    """A judged study: one lane that learned, one that diverged, one that has not begun."""
    good = Curve(
        lr=np.full(4, 0.1),
        train_loss=np.array([4.0, 3.0, 2.0, 1.0]),
        grad_norm=np.ones(4),
        eval_steps=np.array([0, 2, 4]),
        valid_loss=np.array([5.0, 3.0, 1.25]),
        metrics={"accuracy": np.array([0.1, 0.5, 0.75]), "steps": np.array([1.0, 2.0, 3.0])},
    )
    bad = Curve(
        lr=np.full(2, 10.0),
        train_loss=np.array([4.0, INF]),
        grad_norm=np.array([1.0, NAN]),
        eval_steps=np.array([0, 2]),
        valid_loss=np.array([5.0, NAN]),
        metrics={"accuracy": np.array([0.1, NAN]), "steps": np.array([1.0, INF])},
    )
    verdict = Finding("verdict", Level.GOOD, "good: it ends at 1.25.", 1.25)
    records = (
        LaneRecord(Lane("adam", "constant", 0.1, 0, 4), Outcome.FINISHED, good, "", (verdict,)),
        LaneRecord(Lane("adam", "constant", 10.0, 0, 4), Outcome.DIVERGED, bad, 'at step 1, "loss" was inf, \nsadly'),
        LaneRecord(Lane("sgd(momentum=0.9)", "warmup(0.05) >> cosine", 0.1, 1, 4), Outcome.RUNNING, Curve()),
    )
    said = Answer(
        optimizer="adam",
        schedule="constant",
        best_tried=0.1,
        lr=None,
        interval=None,
        equivalent=(0.1,),
        safe_range=(0.1, 0.1),
        stability_edge=(0.1, 10.0),
        valid_loss=NAN,
        confidence=0.95,
        findings=(Finding("edge", Level.WARNING, "widen the range"),),
        recipe=None,
    )
    metrics = {"accuracy": "max", "steps": "min"}
    return StudyRecord("s", "digits-mlp", 4, records, metrics, seconds=1.5, answers=(said,))


def test_the_document_of_compare_has_the_agreed_shape() -> None:
    """The keys, their order and their values are those that programs rely on; nothing is NaN."""
    assert json.loads(to_json(compare_document(study()))) == {
        "study": "s",
        "task": "digits-mlp",
        "total_steps": 4,
        "lanes": [
            {
                "optimizer": "adam",
                "schedule": "constant",
                "lr": 0.1,
                "seed": 0,
                "outcome": "finished",
                "steps": 4,
                "train_loss": 1.5,
                "valid_loss": 1.25,
                "metrics": {"accuracy": 0.75, "steps": 3.0},
                "findings": [{"name": "verdict", "level": "good", "text": "good: it ends at 1.25."}],
            },
            {
                "optimizer": "adam",
                "schedule": "constant",
                "lr": 10.0,
                "seed": 0,
                "outcome": "diverged",
                "steps": 2,
                "train_loss": None,
                "valid_loss": None,
                "metrics": {"accuracy": None, "steps": None},
                "findings": [],
            },
            {
                "optimizer": "sgd(momentum=0.9)",
                "schedule": "warmup(0.05) >> cosine",
                "lr": 0.1,
                "seed": 1,
                "outcome": "running",
                "steps": 0,
                "train_loss": None,
                "valid_loss": None,
                "metrics": {},
                "findings": [],
            },
        ],
        "answers": [
            {
                "optimizer": "adam",
                "schedule": "constant",
                "best_tried": 0.1,
                "lr": None,
                "interval": None,
                "equivalent": [0.1],
                "safe_range": [0.1, 0.1],
                "stability_edge": [0.1, 10.0],
                "valid_loss": None,
                "confidence": 0.95,
                "findings": [{"name": "edge", "level": "warning", "text": "widen the range"}],
                "recipe": None,
            }
        ],
        "cost": {"lane_steps": 6, "runs": 1.5, "seconds": 1.5},
    }


def test_a_document_with_a_nan_is_never_written() -> None:
    """Strict JSON has no NaN; one that slips in is an error and not a broken file."""
    with pytest.raises(ValueError, match="JSON"):
        to_json({"lr": NAN})


def test_a_lane_that_was_only_looked_at_has_no_final_loss() -> None:
    """The untrained model's loss and metrics are not passed off as a result."""
    untrained = Curve(eval_steps=np.array([0]), valid_loss=np.array([5.0]), metrics={"accuracy": np.array([0.1])})
    base = study()
    seen = replace(base, lanes=(replace(base.lanes[0], curve=untrained),))
    lane = compare_document(seen)["lanes"][0]
    assert (lane["valid_loss"], lane["metrics"]) == (None, {"accuracy": None})
    assert to_rows(seen)[0]["untrained_loss"] == 5.0


def test_rows_have_one_lane_each_and_the_same_columns() -> None:
    """All rows have all columns; a metric whose name is taken is told apart."""
    rows = to_rows(study())
    assert len({tuple(row) for row in rows}) == 1
    assert rows[0]["accuracy"] == 0.75
    assert (rows[0]["steps"], rows[0]["metric_steps"]) == (4, 3.0)
    assert rows[0]["verdict"].startswith("good")
    assert (rows[1]["valid_loss"], rows[2]["accuracy"], rows[1]["train_loss"]) == (None, None, None)


def test_csv_reads_back(tmp_path: Path) -> None:
    """Rates keep every digit, text with quotes and line breaks survives, nothing is written as NaN."""
    path = export(study(), tmp_path / "new" / "s.csv")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["lr"]) for row in rows] == [0.1, 10.0, 0.1]
    assert rows[1]["message"] == 'at step 1, "loss" was inf, \nsadly'
    assert (rows[1]["valid_loss"], rows[2]["accuracy"]) == ("", "")
    assert "nan" not in path.read_text().lower()


def test_json_is_the_document(tmp_path: Path) -> None:
    """The exported JSON is what `compare` prints."""
    path = export(study(), str(tmp_path / "s.JSON"))
    assert json.loads(path.read_text()) == compare_document(study())


def test_parquet_reads_back(tmp_path: Path) -> None:
    """Parquet holds the same rows, with nulls."""
    path = export(study(), tmp_path / "s.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(path), to_frame(study()))


def test_a_frame_has_numbers_in_its_columns() -> None:
    """Counts are whole numbers, losses floats with NaN where there is nothing, even if a whole column is empty."""
    frame = to_frame(study())
    assert frame["seed"].dtype == np.int64
    assert frame["valid_loss"].dtype == np.float64
    assert np.isnan(frame["valid_loss"][1])
    waiting = replace(study(), lanes=study().lanes[2:])
    assert to_frame(waiting)["valid_loss"].dtype == np.float64
    assert len(to_frame(replace(study(), lanes=()))) == 0


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    """The message lists what there is."""
    with pytest.raises(InputError, match=r"`path` must end in .csv, .json, .parquet, got path='.*s.xlsx'"):
        export(study(), tmp_path / "s.xlsx")


@pytest.mark.parametrize(("package", "extra"), [("pandas", "frame"), ("pyarrow", "parquet")])
def test_a_missing_package_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, package: str, extra: str
) -> None:
    """Without the optional package the message has the line that installs it, and no file is left."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage, match=rf"pip install 'pacesetter\[{extra}\]'"):
        to_frame(study()) if package == "pandas" else export(study(), tmp_path / "s.parquet")
    assert not any(tmp_path.iterdir())


def test_what_cannot_be_written_is_said_and_leaves_nothing(
    open_folder: Path, ordinary_user: Callable[[], AbstractContextManager[None]]
) -> None:
    """An unwritable folder, a folder in the file's place and a file in the folder's place end in a sentence."""
    (open_folder / "folder.csv").mkdir()
    (open_folder / "file").touch()
    for place in ("folder.csv", "file/s.csv"):
        with pytest.raises(StoreError, match="`path` must be a place that can be written to"):
            export(study(), open_folder / place)
    open_folder.chmod(0o555)
    with (
        ordinary_user(),
        pytest.raises(StoreError, match=r"`path` must be a place that can be written to.*Permission denied"),
    ):
        export(study(), open_folder / "s.csv")
    assert sorted(place.name for place in open_folder.iterdir()) == ["file", "folder.csv"]
    assert not any((open_folder / "folder.csv").iterdir())


def test_an_exported_file_replaces_the_old_one_with_ordinary_rights(tmp_path: Path) -> None:
    """Whoever may read the files one makes may read this one too."""
    (tmp_path / "plain").touch()
    (tmp_path / "s.csv").write_text("old")
    export(study(), tmp_path / "s.csv")
    assert (tmp_path / "s.csv").stat().st_mode == (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "s.csv").read_text().startswith("optimizer,")
