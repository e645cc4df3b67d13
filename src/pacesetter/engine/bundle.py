"""The one training loop: `start` a bundle of lanes, `advance` it, `keep` some of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pacesetter import optimizers, schedules
from pacesetter.engine.batches import Batches, validation_batches
from pacesetter.engine.looped import Looped
from pacesetter.engine.plan import Plan
from pacesetter.engine.program import Evaluation, Tensors, fresh_program
from pacesetter.engine.traceless import Randomness, threads, traceless
from pacesetter.engine.vectorised import Vectorised
from pacesetter.errors import InputError
from pacesetter.records import Curve, Lane, Outcome
from pacesetter.tasks._task import Task

__all__ = ["Bundle", "Part", "advance", "keep", "start"]

Floats = NDArray[np.float64]

DIVERGED_ABOVE = 0.1
"""A lane that ends further above the untrained loss than this share of max(|it|, its spread over batches) diverged."""
PATH_PARAMETERS = 2
"""Models with no more parameters than this have their weights recorded at every step, to be drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """What one lane recorded since its last part, and where it stands. `message` explains an end before the end.

    `weights` are there when the lane has finished and its bundle was started `with_weights`.
    """

    lane: Lane
    curve: Curve
    outcome: Outcome
    message: str = ""
    weights: Tensors | None = None


@dataclass(slots=True, eq=False)
class Bundle:
    """Lanes of one seed, rule and length that train together. `step` counts the updates made."""

    task: Task
    total_steps: int
    lanes: list[Lane]
    body: Looped | Vectorised
    schedules: list[schedules.Schedule]
    controls: list[Any]
    batches: Batches
    device: torch.device
    randomness: Randomness
    threads: int
    with_weights: bool = False
    step: int = 0
    untrained: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)


def start(task: Task, lanes: Sequence[Lane], plan: Plan, with_weights: bool = False) -> Bundle:
    """A bundle of untrained lanes, which must share seed, optimizer and length."""
    first = lanes[0]
    if len({(lane.seed, lane.optimizer, lane.total_steps) for lane in lanes}) != 1:
        raise InputError("`lanes` of one bundle must share seed, optimizer and total_steps")
    device = torch.device(plan.device)
    if device.type == "cuda":
        # Before the random state is looked at: a GPU that nobody has used yet would be left out of it.
        torch.cuda.init()  # type: ignore[no-untyped-call]  # torch's own gap
    parsed = [schedules.parse(lane.schedule) for lane in lanes]
    with traceless():
        program = fresh_program(task, first.seed, device)
        engine = Vectorised if plan.engine == "vectorised" else Looped
        return Bundle(
            task=task,
            total_steps=first.total_steps,
            lanes=list(lanes),
            body=engine(program, optimizers.parse(first.optimizer), len(lanes)),
            schedules=parsed,
            controls=[schedule.init() for schedule in parsed],
            batches=Batches(task.train_source, first.seed, device),
            device=device,
            randomness=Randomness.now(),
            threads=plan.threads,
            with_weights=with_weights,
        )


def keep(bundle: Bundle, which: Sequence[int]) -> None:
    """Go on with these lanes of the bundle alone (indices into `bundle.lanes`)."""
    rows = list(which)
    bundle.body.keep(rows)
    for name in ("lanes", "schedules", "controls", "untrained", "spread"):
        column = getattr(bundle, name)
        setattr(bundle, name, [column[i] for i in rows] if column else column)


def advance(bundle: Bundle, steps: int) -> list[Part]:
    """Train all lanes for `steps` more updates (or to their end), evaluating where it is due.

    Lanes that end (finished or diverged) leave the bundle after their last part. Whatever the model's code draws comes
    from the bundle's own random state; the global one is left as it was.
    """
    parts: list[Part] = []
    last = min(bundle.step + steps, bundle.total_steps)
    due = bundle.task.evaluation_steps(bundle.total_steps)
    with traceless(), threads(bundle.threads):
        bundle.randomness.restore()
        try:
            if not bundle.untrained:
                parts += _evaluate_untrained(bundle)
            while bundle.lanes and bundle.step < last:
                evaluation = next(s for s in due if s > bundle.step)
                parts += _advance_to(bundle, min(evaluation, last), evaluate=evaluation <= last)
        finally:
            bundle.randomness = Randomness.now()
    return parts


def _evaluate_untrained(bundle: Bundle) -> list[Part]:
    """The first part of each lane: the untrained model, the same for all."""
    found = _evaluate(bundle)
    bundle.untrained = found.loss.tolist()
    bundle.spread = found.spread.tolist()
    weights = [bundle.body.flat()] if _is_small(bundle) else []
    none = np.empty((0, len(bundle.lanes)))
    segment = _Segment(none, none, none, _path(weights), found)
    return [
        Part(lane, segment.curve(i, 0, 0, bundle.spread[i]), Outcome.RUNNING) for i, lane in enumerate(bundle.lanes)
    ]


def _evaluate(bundle: Bundle) -> Evaluation:
    return bundle.body.evaluate(validation_batches(bundle.task.valid_source, bundle.device))


def _is_small(bundle: Bundle) -> bool:
    return bundle.body.parameters <= PATH_PARAMETERS


def _path(weights: list[torch.Tensor]) -> Floats | None:
    """[rows, lanes, parameters], or None where weights are not recorded."""
    return torch.stack(weights).double().cpu().numpy() if weights else None


@dataclass(frozen=True, slots=True)
class _Segment:
    """What all lanes recorded between two looks; rates, losses, norms: [updates, lanes]."""

    rates: Floats
    losses: Floats
    norms: Floats
    path: Floats | None
    found: Evaluation | None

    def curve(self, lane: int, updates: int, step: int, spread: float, died: bool = False) -> Curve:
        """One lane's first `updates` updates, and unless it died the evaluation, if any, after `step` updates."""
        found = None if died else self.found
        rows = slice(0, updates if len(self.rates) else None)
        return Curve(
            lr=self.rates[rows, lane].copy(),
            train_loss=self.losses[rows, lane].copy(),
            grad_norm=self.norms[rows, lane].copy(),
            eval_steps=np.array([step] if found else [], dtype=np.int64),
            valid_loss=np.array([float(found.loss[lane])] if found else [], dtype=np.float64),
            metrics={name: np.array([float(m[lane])]) for name, m in found.metrics.items()} if found else {},
            valid_spread=spread,
            path=None if self.path is None else self.path[rows, lane].copy(),
        )


def _advance_to(bundle: Bundle, goal: int, evaluate: bool) -> list[Part]:
    """One segment without a look at the outside: updates up to `goal`, then the evaluation if one is due."""
    first = bundle.step
    rates = _rates(bundle, first, goal)
    on_device = torch.from_numpy(rates).to(bundle.device)
    told, weights = [], []
    for k in range(goal - first):
        told.append(bundle.body.step(next(bundle.batches), on_device[k]))
        if _is_small(bundle):
            weights.append(bundle.body.flat())
    bundle.step = goal
    losses, norms = (torch.stack(column).double().cpu().numpy() for column in zip(*told, strict=True))
    ends = _first_not_finite(losses, norms, bundle.body.finite().cpu().numpy())
    found = _evaluate(bundle) if evaluate and None in ends else None
    segment = _Segment(rates, losses, norms, _path(weights), found)
    parts: list[Part] = []
    for i, (lane, end) in enumerate(zip(bundle.lanes, ends, strict=True)):
        if end is not None:
            curve = segment.curve(i, end + 1, goal, bundle.spread[i], died=True)
            message = f"diverged at step {first + end}: {_broken(losses[end, i], norms[end, i])} not finite"
            parts.append(Part(lane, curve, Outcome.DIVERGED, message))
            continue
        curve = segment.curve(i, goal - first, goal, bundle.spread[i])
        if goal < bundle.total_steps:
            parts.append(Part(lane, curve, Outcome.RUNNING))
            if found is not None:
                bundle.controls[i] = bundle.schedules[i].update(
                    bundle.controls[i], float(found.loss[i]), goal, bundle.total_steps
                )
        else:
            outcome, message = _end(curve.final_valid_loss, bundle.untrained[i], bundle.spread[i])
            weights_now = bundle.body.weights(i) if bundle.with_weights else None
            parts.append(Part(lane, curve, outcome, message, weights_now))
    going = [i for i, part in enumerate(parts) if part.outcome is Outcome.RUNNING]
    if going and len(going) < len(parts):
        keep(bundle, going)
    elif not going:
        bundle.lanes.clear()
    return parts


def _rates(bundle: Bundle, first: int, goal: int) -> Floats:
    """[updates, lanes]: the rate of each update from `first` to before `goal`; a controller holds still in between."""
    steps = np.arange(first, goal, dtype=np.float64)
    columns = [
        lane.lr * np.broadcast_to(schedule.factor(control, steps, bundle.total_steps), steps.shape)
        for lane, schedule, control in zip(bundle.lanes, bundle.schedules, bundle.controls, strict=True)
    ]
    return np.stack(columns, axis=1)


def _first_not_finite(losses: Floats, norms: Floats, finite: NDArray[np.bool_]) -> list[int | None]:
    """For each lane, the update of the segment at which it diverged, or None."""
    bad = ~(np.isfinite(losses) & np.isfinite(norms))
    bad[-1] |= ~finite
    return [int(np.argmax(column)) if column.any() else None for column in bad.T]


def _broken(loss: float, norm: float) -> str:
    """What of a diverged lane's last update was the first that was not finite."""
    if not np.isfinite(loss):
        return "the loss was"
    return "the weights were" if np.isfinite(norm) else "the gradient was"


def _end(final: float, untrained: float, spread: float) -> tuple[Outcome, str]:
    """How a lane ends that was trained to its last step."""
    if not np.isfinite(final):
        return Outcome.DIVERGED, "diverged: the last validation loss was not finite"
    limit = untrained + DIVERGED_ABOVE * max(abs(untrained), spread)
    if final > limit:
        return (
            Outcome.DIVERGED,
            f"diverged: it ended at validation loss {final:.4g}, above the untrained {untrained:.4g}",
        )
    return Outcome.FINISHED, ""
