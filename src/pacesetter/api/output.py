"""Files about a study, and what they and it are called."""

import csv
import re
from pathlib import Path

from pacesetter.api import defaults
from pacesetter.files import whole
from pacesetter.packages import require
from pacesetter.records import Curve, StudyRecord

__all__ = ["own_folder", "slug", "write_curve", "write_report"]


def own_folder(study: str) -> Path:
    """Where files about a study go when nobody says."""
    return Path(defaults.OUT) / slug(study)


def write_report(record: StudyRecord, folder: Path) -> list[Path]:
    """Write `report.html` and the pictures into `folder`; the paths written, the page first."""
    require("report")
    from pacesetter.report import page, pictures

    return [page.write_html(record, folder / "report.html"), *pictures.write_pngs(record, folder)]


def write_curve(curve: Curve, path: Path) -> Path:
    """Write a curve as CSV: one row per count of updates made, from 0 to the last.

    `lr`, `train_loss` and `grad_norm` belong to the update that follows, `valid_loss` and the metrics to the weights
    as they are; what was not measured there is empty. `effective_lr` is there where the optimizer works it out.
    """
    evaluations = {int(step): index for index, step in enumerate(curve.eval_steps)}
    with whole(path, "out") as beside, beside.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        own = {"effective_lr": curve.effective_lr} if len(curve.effective_lr) else {}
        steps = {"lr": curve.lr, **own, "train_loss": curve.train_loss, "grad_norm": curve.grad_norm}
        table.writerow(["updates", *steps, "valid_loss", *curve.metrics])
        for updates in range(curve.steps + 1):
            made, at = updates < curve.steps, evaluations.get(updates)
            by_step = [float(x[updates]) if made else "" for x in steps.values()]
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
