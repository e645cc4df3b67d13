"""Files that people asked for: found unwritable before training, and written after it."""

import csv
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pacesetter.api.packages import require
from pacesetter.errors import StoreError
from pacesetter.records import Curve, StudyRecord

__all__ = ["prepare_folder", "slug", "write_curve", "write_report", "writing"]


def prepare_folder(folder: str | Path, name: str = "out") -> Path:
    """`folder`, made if need be and tried by writing to it.

    Raises:
        StoreError: it is a file, or cannot be made or written to.
    """
    path = Path(folder)
    with writing(path, name):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    return path


@contextmanager
def writing(path: Path, name: str = "out") -> Iterator[None]:
    """An operating system's error inside becomes a StoreError that names `path` and the option `name`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"`{name}` must be a place that can be written to, got {name}={str(path)!r} ({reason}): name another"
        ) from error


def write_report(record: StudyRecord, folder: Path) -> list[Path]:
    """Write `report.html` and the pictures into `folder`; the paths written, the page first."""
    require("report")
    from pacesetter.report import page, pictures

    with writing(folder):
        return [page.write_html(record, folder / "report.html"), *pictures.write_pngs(record, folder)]


def write_curve(curve: Curve, path: Path) -> Path:
    """Write a curve as CSV: one row per count of updates made, from 0 to the last.

    `lr`, `train_loss` and `grad_norm` belong to the update that follows, `valid_loss` and the metrics to the weights
    as they are; what was not measured there is empty.
    """
    evaluations = {int(step): index for index, step in enumerate(curve.eval_steps)}
    with writing(path), path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["updates", "lr", "train_loss", "grad_norm", "valid_loss", *curve.metrics])
        for updates in range(curve.steps + 1):
            made, at = updates < curve.steps, evaluations.get(updates)
            by_step = [float(x[updates]) if made else "" for x in (curve.lr, curve.train_loss, curve.grad_norm)]
            measured = (curve.valid_loss, *curve.metrics.values())
            table.writerow([updates, *by_step, *(float(x[at]) if at is not None else "" for x in measured)])
    return path


def slug(text: str) -> str:
    """`text` as a short name for a study or a folder: letters, digits, dots and dashes.

    >>> slug("my folder/tasks.py:digits")
    'tasks-digits'
    """
    last = text.replace("\\", "/").rsplit("/", 1)[-1].replace(".py:", "-")
    return re.sub(r"[^A-Za-z0-9.]+", "-", last).strip("-.") or "study"
