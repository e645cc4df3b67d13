"""What a program prints, read line by line into parts of its lane's curve; numpy only."""

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from pacesetter.records import Curve, Lane, Outcome
from pacesetter.tasks._command import EXAMPLE
from pacesetter.tasks._ending import ended

__all__ = ["Reader", "Report", "joined"]

BY_UPDATE = ("train_loss", "lr", "grad_norm")
SHOWN = 120
"""Characters shown of a line that was not understood."""


class Report(NamedTuple):
    """What a program said since its last report, and where its lane stands. `message` explains an end."""

    lane: Lane
    curve: Curve
    outcome: Outcome
    message: str = ""


class _Wrong(Exception):
    """A line breaks the rule that its message states."""


class Reader:
    """Reads one program's lines, one after the other.

    A curve has an entry for every update: those between two lines are given the values of the later one, or where it
    does not say the training loss or the gradient's norm, the last ones known; NaN before any.
    """

    def __init__(self, lane: Lane) -> None:
        """Nothing is read yet."""
        self.lane = lane
        self.step = -1
        self._evaluated = -1
        self._untrained = self._last = math.nan
        self._known = dict.fromkeys(("train_loss", "grad_norm"), math.nan)
        self._ignored = ""

    def read(self, line: str) -> Report | None:
        """The part that a line of standard output adds, which may be the lane's end; None for any other output."""
        values = _object(line)
        if values is None or "step" not in values:
            self._ignored = line.strip() or self._ignored
            return None
        try:
            return self._report(values)
        except _Wrong as wrong:
            return self.failed(f"{wrong}, got the line {_short(line)}")

    def end(self, status: int, error: str) -> Report:
        """The lane's end once its program has ended by itself, with the last line of its standard error."""
        if status:
            how = f"ended by signal {-status}" if status < 0 else f"ended with exit status {status}"
            last = f"its standard error ends with {_short(error)}" if error else "it printed no error"
            return self.failed(f"the program {how} {self._when()}; {last}")
        if self.step < 0:
            last = f"its output ends with {_short(self._ignored)}" if self._ignored else "it printed nothing"
            return self.failed(f"the program must print lines such as {EXAMPLE} on standard output, but {last}")
        if self.step < self.lane.total_steps:
            asked = self.lane.total_steps
            return self.failed(f"the program ended well but {self._when()}, and {asked} were asked for")
        if self._evaluated <= 0:
            return self.failed(f"the program printed no valid_loss after an update: print lines such as {EXAMPLE}")
        return Report(self.lane, Curve(), *ended(self._last, self._untrained))

    def silent(self, seconds: float) -> Report:
        """The lane's end when its program hangs."""
        return self.failed(
            f"the program printed nothing for {seconds:g} seconds {self._when()}, and was ended: if it is silent for "
            "so long, give a larger `timeout`"
        )

    def failed(self, message: str) -> Report:
        """The lane's end by a fault of the program's."""
        return Report(self.lane, Curve(), Outcome.FAILED, f"failed: {message}")

    def _when(self) -> str:
        return "before it reported a step" if self.step < 0 else f"when its last line was of step {self.step}"

    def _report(self, values: Mapping[str, Any]) -> Report:
        step, before = self._next_step(values["step"]), max(self.step, 0)
        by_update = {name: _number(values, name) for name in BY_UPDATE if values.get(name) is not None}
        evaluated = "valid_loss" in values
        valid = math.nan if evaluated and values["valid_loss"] is None else _number(values, "valid_loss", math.nan)
        rate = by_update.pop("lr", self.lane.lr)
        if not math.isfinite(rate):
            raise _Wrong("`lr` must be a finite number")
        self._known |= by_update
        made = step - before
        curve = Curve(
            lr=np.full(made, rate),
            train_loss=np.full(made, self._known["train_loss"]),
            grad_norm=np.full(made, self._known["grad_norm"]),
            eval_steps=np.array([step] if evaluated else [], dtype=np.int64),
            valid_loss=np.array([valid] if evaluated else [], dtype=np.float64),
            metrics=_metrics(values) if evaluated else {},
        )
        self.step = step
        if evaluated:
            self._evaluated, self._last = step, valid
            self._untrained = valid if step == 0 else self._untrained
        bad = "" if not evaluated or math.isfinite(valid) else "validation loss"
        if not bad and made and not all(map(math.isfinite, by_update.values())):
            bad = "training loss or the gradient"
        if bad:
            return Report(self.lane, curve, Outcome.DIVERGED, f"diverged at step {step}: the {bad} was not finite")
        return Report(self.lane, curve, Outcome.RUNNING)

    def _next_step(self, value: Any) -> int:
        whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        if not whole or isinstance(value, bool):
            raise _Wrong("`step` must be a whole number")
        step = int(value)
        if not 0 <= step <= self.lane.total_steps:
            raise _Wrong(f"`step` must be from 0 to {self.lane.total_steps}, the number of updates asked for")
        if step == self.step:
            raise _Wrong(f"`step` must be larger in every line, and step {step} came twice: put all of it on one line")
        if step < self.step:
            raise _Wrong(f"`step` must be larger in every line, and step {self.step} came before")
        return step


def joined(reports: Iterable[Report]) -> list[Report]:
    """The same reports with neighbouring ones of a lane made one, so that chatty programs do not fill the store."""
    lanes: dict[Lane, list[Report]] = {}
    for report in reports:
        lanes.setdefault(report.lane, []).append(report)
    return [one for of_lane in lanes.values() for one in _merged(of_lane)]


def _merged(reports: list[Report]) -> list[Report]:
    """One lane's reports, cut only where the metrics change."""
    groups: list[list[Report]] = []
    names: list[str] | None = None
    for report in reports:
        own = list(report.curve.metrics) if len(report.curve.eval_steps) else None
        if not groups or (own is not None and names is not None and own != names):
            groups.append([])
            names = None
        groups[-1].append(report)
        names = own if own is not None else names
    return [Report(g[-1].lane, _one([r.curve for r in g]), g[-1].outcome, g[-1].message) for g in groups]


def _one(curves: list[Curve]) -> Curve:
    """Curves that follow on each other as one; those with evaluations have the same metrics."""
    names = next((list(curve.metrics) for curve in curves if len(curve.eval_steps)), [])
    evaluated = [curve for curve in curves if len(curve.eval_steps)]
    return Curve(
        lr=np.concatenate([curve.lr for curve in curves]),
        train_loss=np.concatenate([curve.train_loss for curve in curves]),
        grad_norm=np.concatenate([curve.grad_norm for curve in curves]),
        eval_steps=np.concatenate([curve.eval_steps for curve in curves]),
        valid_loss=np.concatenate([curve.valid_loss for curve in curves]),
        metrics={name: np.concatenate([curve.metrics[name] for curve in evaluated]) for name in names},
    )


def _object(line: str) -> dict[str, Any] | None:
    """The JSON object that a line is, if it is one."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _number(values: Mapping[str, Any], name: str, missing: float | None = None) -> float:
    """The number called `name`, which may be infinite or NaN."""
    value = values.get(name, missing)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Wrong(f"`{name}` must be a number")
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _metrics(values: Mapping[str, Any]) -> dict[str, Any]:
    """Every finite number that has no other meaning."""
    found = {}
    for name, value in values.items():
        if name in ("step", "valid_loss", *BY_UPDATE) or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        number = _number(values, name)
        if math.isfinite(number):
            found[name] = np.array([number])
    return found


def _short(line: str) -> str:
    """A line as it is shown in a message."""
    text = line.strip()
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]} ...")
