"""Schedules as they will be: their factors over a run, beside those of other libraries, before anything is trained."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pacesetter import schedules
from pacesetter.api.question import whole
from pacesetter.errors import InputError
from pacesetter.files import whole as whole_file
from pacesetter.packages import require
from pacesetter.schedules import Schedule

__all__ = ["Curve", "Preview", "preview", "read_metrics"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LONGEST = 2**53
"""Updates: beyond, numbers in double precision have no single steps."""
ROWS = 100_000
"""Steps in a table: a longer run is given at so many of its steps, evenly."""
NEAR = 1e-6
"""Of the peak: curves nearer than this are said to agree, as single precision cannot tell them apart."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One schedule at the steps of a preview: its rates, its momentum if it cycles it, and whether it is another's."""

    name: str
    rates: Floats
    momentum: Floats | None = None
    theirs: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """Curves over a run of `total_steps` at `steps`; `marked` are those steps at which something happens.

    The last step is `total_steps`, the first after the run: what is held from there on.
    """

    total_steps: int
    lr: float
    steps: Ints
    marked: Ints
    curves: tuple[Curve, ...]

    @property
    def highest(self) -> float:
        """The highest rate of all curves."""
        return max(float(curve.rates.max()) for curve in self.curves)

    def marks(self, most: int) -> list[int]:
        """Places in `steps` of the marked ones, or of `most` of them, evenly."""
        kept = np.unique(np.linspace(0, len(self.marked) - 1, min(most, len(self.marked))).astype(int))
        return [int(place) for place in np.searchsorted(self.steps, self.marked[kept])]

    def sketch(self, width: int, height: int, plain: bool = False) -> list[str]:
        """The curves in lines of characters, from 0 to the highest rate; see `report.sketch`."""
        from pacesetter.report.sketch import sketch

        even = np.searchsorted(self.steps, np.linspace(0, self.total_steps, 4 * width).astype(np.int64))
        return sketch([curve.rates[even] for curve in self.curves], width, height, plain)

    def differences(self) -> list[str]:
        """Of each of another library's, in a sentence: whether and where it parts from the first of ours."""
        first, told = self.curves[0], []
        inside = self.steps < self.total_steps  # what comes after the run is each library's own affair
        for other in (curve for curve in self.curves[1:] if curve.theirs and not first.theirs):
            gaps = np.abs(other.rates - first.rates)[inside]
            far = np.flatnonzero(gaps > NEAR * self.lr)
            if not len(far):
                told.append(f"{other.name} agrees with {first.name} at every step")
                continue
            most = int(np.argmax(gaps))
            told.append(
                f"{other.name} differs from {first.name} from step {self.steps[far[0]]} on, "
                f"most at step {self.steps[most]}: {other.rates[most]:.6g} and {first.rates[most]:.6g}"
            )
        return told

    def to_json(self) -> str:
        """The document: every step that the preview has, and the rates of each curve there."""
        curves = [
            {
                "name": curve.name,
                "rates": curve.rates.tolist(),
                "momentum": None if curve.momentum is None else curve.momentum.tolist(),
            }
            for curve in self.curves
        ]
        document = {"total_steps": self.total_steps, "lr": self.lr, "steps": self.steps.tolist(), "curves": curves}
        return json.dumps(document, allow_nan=False) + "\n"

    def write(self, folder: str | Path) -> list[Path]:
        """Write `schedule.csv`, `.png`, `.svg` and `.html` into `folder`; their paths."""
        require("report")
        from pacesetter.report import schedule

        base = Path(folder)
        with whole_file(base / "schedule.csv", "out") as beside, beside.open("w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            momenta = [curve for curve in self.curves if curve.momentum is not None]
            names = [curve.name for curve in self.curves]
            table.writerow(["step", *names, *(f"momentum of {curve.name}" for curve in momenta)])
            columns = [curve.rates for curve in self.curves] + [curve.momentum for curve in momenta]
            for row, step in enumerate(self.steps):
                table.writerow([int(step), *(float(column[row]) for column in columns if column is not None)])
        lines = {curve.name: curve.rates for curve in self.curves}
        return [base / "schedule.csv", *schedule.write(lines, self.steps, self.lr, base)]


def preview(
    asked: Sequence[str | Schedule],
    steps: int,
    *,
    lr: float = 1.0,
    others: Sequence[str] = (),
    metrics: Sequence[tuple[int, float]] = (),
) -> Preview:
    """The curves of schedules, and of other libraries' (`others`, as "torch:OneCycleLR(max_lr=1, total_steps=100)").

    steps: length of the run, in updates. lr: the peak, which factors are multiplied by; others are multiplied by it
        too.
    metrics: (updates made, metric) pairs, in order, for controllers: what they will be told at evaluations.

    Raises InputError for schedules that do not fit, and for a controller without metrics.

    >>> found = preview(["warmup(5) >> linear"], 10)
    >>> found.marked.tolist(), found.curves[0].rates[4]
    ([0, 2, 4, 5, 8, 9, 10], 1.0)
    """
    total = whole(steps, "steps", 1)
    if total > LONGEST:
        raise InputError(
            f"`steps` must be at most {LONGEST}, beyond which numbers have no single steps, got steps={total}"
        )
    if not isinstance(lr, int | float) or isinstance(lr, bool) or not 0 < lr < float("inf"):
        raise InputError(f"`lr` must be a finite number above 0, got lr={lr!r}")
    if not asked and not others:
        raise InputError('`schedule` must be given, got none: try pacesetter schedule "warmup(0.05) >> cosine"')
    parsed = [schedules.parse(one) for one in asked]
    for schedule in parsed:
        schedule.validate(total)
    bounds = {place for schedule in parsed for place in schedule.bounds(total)}
    quarters = {total * share // 4 for share in range(5)} | {total - 1}
    even = np.unique(np.linspace(0, total, min(total + 1, ROWS)).astype(np.int64))
    places = np.unique(np.concatenate([even, sorted(bounds | quarters)]))
    curves = [_curve(schedule, places, total, lr, metrics) for schedule in parsed]
    if others:
        from pacesetter.connect import peers

        curves += [Curve(text, lr * peers.rates(text, total)[places], theirs=True) for text in others]
    peaks = {int(places[np.argmax(curve.rates)]) for curve in curves}
    return Preview(total, float(lr), places, np.array(sorted(bounds | quarters | peaks)), tuple(curves))


def _curve(schedule: Schedule, places: Ints, total: int, lr: float, metrics: Sequence[tuple[int, float]]) -> Curve:
    momentum = schedule.momentum_at(places, total)
    if not schedule.pure and not metrics:
        rule = f"`{schedule}` reacts to a metric"
        raise InputError(f"{rule}, got none to draw it with: give --metrics FILE with the columns step,metric")
    state, rates, told = schedule.init(), np.empty(len(places)), list(metrics)
    begin = 0
    while begin < len(places):
        # In force until the next metric is told; those of steps before this one are told first.
        while told and told[0][0] <= places[begin]:
            step, metric = told.pop(0)
            state = schedule.update(state, metric, step, total)
        end = int(np.searchsorted(places, told[0][0])) if told else len(places)
        rates[begin:end] = schedule.factor(state, places[begin:end], total)
        begin = end
    return Curve(str(schedule), lr * rates, momentum)


def read_metrics(path: str | Path) -> list[tuple[int, float]]:
    """(updates made, metric) from a CSV file with the columns step and metric, in order of the steps.

    Raises InputError for a file that has them not.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"`metrics` must be a file that can be read, got metrics={str(path)!r}: {error}") from error
    try:
        found = [(int(row["step"]), float(row["metric"])) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        got = f"got metrics={str(path)!r}: {type(error).__name__} {error}"
        raise InputError(
            f"`metrics` must be a CSV file with the columns step,metric and numbers in them, {got}"
        ) from error
    return sorted(found)
