"""One bundle in one process: begun, trained from evaluation to evaluation, its state saved when that is due."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pacesetter.engine.batches import DataError
from pacesetter.engine.blame import in_one_line
from pacesetter.engine.bundle import Bundle, Part, advance, keep, start
from pacesetter.engine.plan import Plan
from pacesetter.engine.saved import State, load, save, size
from pacesetter.errors import PacesetterError
from pacesetter.records import Curve, Lane, Outcome
from pacesetter.tasks._task import Task

__all__ = ["Job", "Segment", "Trainer", "joined"]


@dataclass(frozen=True, slots=True)
class Job:
    """Lanes to train together, from a state of theirs if there is one (which may hold others, that are left out).

    told: the step up to which they were told of before, -1 for none: what comes up to there is a repetition.
    """

    lanes: tuple[Lane, ...]
    state: State | None = None
    told: int = -1


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """What a bundle did up to its next evaluation, after `step` updates.

    state: the bundle's, when it was due and not `too_large`. peak_bytes: the most that another process has taken.
    """

    parts: list[Part]
    step: int
    state: State | None = None
    too_large: bool = False
    peak_bytes: int = 0


def joined(segments: Sequence[Segment]) -> Segment:
    """Segments that follow each other as one, with one part for each lane."""
    if len(segments) == 1:
        return segments[0]
    of_lane: dict[Lane, list[Part]] = {}
    for segment in segments:
        for part in segment.parts:
            of_lane.setdefault(part.lane, []).append(part)
    parts = [replace(parts[-1], curve=_end_to_end([part.curve for part in parts])) for parts in of_lane.values()]
    return replace(segments[-1], parts=parts, step=max(segment.step for segment in segments))


def _end_to_end(curves: Sequence[Curve]) -> Curve:
    """The curve whose parts these are."""
    arrays = {
        name: np.concatenate([getattr(curve, name) for curve in curves])
        for name in ("lr", "train_loss", "grad_norm", "effective_lr", "eval_steps", "valid_loss")
    }
    metrics = {name for curve in curves for name in curve.metrics}
    paths = [curve.path for curve in curves if curve.path is not None]
    return Curve(
        **arrays,
        metrics={name: np.concatenate([c.metrics[name] for c in curves if name in c.metrics]) for name in metrics},
        valid_spread=curves[0].valid_spread,
        path=np.concatenate(paths) if paths else None,
    )


class Trainer:
    """Holds one bundle, and trains it from evaluation to evaluation."""

    def __init__(self, task: Task, plan: Plan, with_weights: bool, largest_state: int) -> None:
        self._task, self._plan = task, plan
        self._with_weights, self._largest_state = with_weights, largest_state
        self._job: Job | None = None
        self._bundle: Bundle | None = None

    @property
    def going(self) -> bool:
        """Whether the bundle at hand has lanes that are not at their end."""
        return self._bundle is not None and bool(self._bundle.lanes)

    @property
    def is_at_told(self) -> bool:
        """Whether the bundle at hand has just come to where it had been told of before: what follows is new."""
        return self._job is not None and self._bundle is not None and self._bundle.step == self._job.told

    def go_on(self, job: Job | None, save_after: float) -> Segment:
        """Train up to the next evaluation, of `job` when it is given, else of the bundle at hand.

        The bundle's state comes with it, if lanes are left, when finding it took `save_after` seconds or more. Only the
        user's code is guarded: what it raises fails the lanes of its bundle.
        """
        began = time.monotonic()
        if job is not None:
            self._job, self._bundle = job, None
        try:
            bundle = self._bundle = self._bundle or self._begin()
            due = next(s for s in bundle.task.evaluation_steps(bundle.total_steps) if s > bundle.step)
            parts = advance(bundle, due - bundle.step if bundle.untrained else 0)
        except (Exception, SystemExit) as error:  # the user's code may raise anything; the others go on
            if isinstance(error, PacesetterError) and not isinstance(error, DataError):
                raise
            message = f"failed: {in_one_line(error)}"
            left = self._bundle.lanes if self._bundle is not None else self._job.lanes if self._job is not None else ()
            segment = Segment([Part(lane, Curve(), Outcome.FAILED, message) for lane in left], step=-1)
            self._bundle = None
            return segment
        if not bundle.lanes or time.monotonic() - began < save_after:
            return Segment(parts, bundle.step)
        if size(bundle) > self._largest_state:
            return Segment(parts, bundle.step, too_large=True)
        return Segment(parts, bundle.step, State(tuple(bundle.lanes), bundle.step, save(bundle)))

    def _begin(self) -> Bundle:
        assert self._job is not None
        if self._job.state is None:
            return start(self._task, self._job.lanes, self._plan, self._with_weights)
        try:
            bundle = load(self._task, self._plan, self._job.state.saved, self._with_weights)
        except PacesetterError:
            raise
        except Exception:  # noqa: BLE001  # saved by another version of torch, say: then anew, up to there for nothing
            return start(self._task, self._job.lanes, self._plan, self._with_weights)
        wanted = set(self._job.lanes)
        rows = [i for i, lane in enumerate(bundle.lanes) if lane in wanted]
        if len(rows) < len(bundle.lanes):
            keep(bundle, rows)
        return bundle
