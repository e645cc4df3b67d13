"""The one training loop: `start` a bundle of lanes, `advance` it, `keep` some of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pacesetter import schedules
from pacesetter.engine.batches import Batches, batch_length, validation_batches
from pacesetter.engine.chunks import Chunk, composed, joined, side_by_side
from pacesetter.engine.plan import Plan
from pacesetter.engine.program import Evaluation, Tensors
from pacesetter.engine.traceless import Randomness, threads, traceless
from pacesetter.errors import InputError
from pacesetter.records import Curve, Lane, Outcome
from pacesetter.tasks._ending import ended
from pacesetter.tasks._task import Task

__all__ = ["Bundle", "Part", "advance", "keep", "start", "train_at", "weights_of"]

Floats = NDArray[np.float64]

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
    """Lanes of one seed and length that train together, chunk by chunk, on the same batches.

    lanes: in the order of the chunks. `step` counts the updates made.
    """

    task: Task
    total_steps: int
    lanes: list[Lane]
    chunks: list[Chunk]
    schedules: list[schedules.Schedule]
    controls: list[Any]
    batches: Batches
    device: torch.device
    randomness: Randomness
    plan: Plan
    with_weights: bool = False
    step: int = 0
    untrained: list[float] = field(default_factory=list)
    spread: list[float] = field(default_factory=list)

    def tree(self) -> list[Any]:
        """All that changes in each chunk, as nested dicts of tensors."""
        return [chunk.tree() for chunk in self.chunks]

    def set_tree(self, tree: list[Any]) -> None:
        """Go on from what `tree` gave."""
        for chunk, own in zip(self.chunks, tree, strict=True):
            chunk.set_tree(own)


def start(
    task: Task,
    lanes: Sequence[Lane],
    plan: Plan,
    with_weights: bool = False,
    sizes: Sequence[int] | None = None,
) -> Bundle:
    """A bundle of untrained lanes, which must share seed and length; those of one optimizer come to lie together.

    sizes: lanes of each chunk, to go on with chunks as they were; None lets the plan say.
    """
    if len({(lane.seed, lane.total_steps) for lane in lanes}) != 1:
        raise InputError("`lanes` of one bundle must share seed and total_steps")
    device = torch.device(plan.device)
    if device.type == "cuda":
        # Before the random state is looked at: a GPU that nobody has used yet would be left out of it.
        torch.cuda.init()  # type: ignore[no-untyped-call]  # torch's own gap
    ordered = sorted(lanes, key=lambda lane: lane.optimizer)
    parsed = [schedules.parse(lane.schedule) for lane in ordered]
    with traceless():
        chunks, randomness = composed(task, ordered, plan, device, sizes)
        return Bundle(
            task=task,
            total_steps=ordered[0].total_steps,
            lanes=ordered,
            chunks=chunks,
            schedules=parsed,
            controls=[schedule.init() for schedule in parsed],
            batches=Batches(task.train_source, ordered[0].seed, device),
            device=device,
            randomness=randomness,
            plan=plan,
            with_weights=with_weights,
        )


def keep(bundle: Bundle, which: Sequence[int]) -> None:
    """Go on with these lanes of the bundle alone (indices into `bundle.lanes`, ascending)."""
    rows = sorted(which)
    first = 0
    left = []
    for chunk in bundle.chunks:
        own = [row - first for row in rows if first <= row < first + chunk.lanes]
        first += chunk.lanes
        if own and len(own) < chunk.lanes:
            chunk.keep(own)
        if own:
            left.append(chunk)
    bundle.chunks = joined(left, bundle.plan.lanes_per_chunk)
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
    with traceless(), threads(bundle.plan.threads):
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
    """The first part of each lane: the untrained model, the same for all, so one chunk is evaluated."""
    found = _evaluate(bundle, bundle.chunks[:1])
    found = found.of_lanes([0] * len(bundle.lanes))
    bundle.untrained = found.loss.tolist()
    bundle.spread = found.spread.tolist()
    none = np.empty((0, len(bundle.lanes)))
    segment = _Segment(none, none, none, none, _path([_flat(bundle)] if _is_small(bundle) else []), found)
    return [
        Part(lane, segment.curve(i, 0, 0, bundle.spread[i]), Outcome.RUNNING) for i, lane in enumerate(bundle.lanes)
    ]


def _evaluate(bundle: Bundle, chunks: Sequence[Chunk]) -> Evaluation:
    """The lanes of these chunks on the whole validation set."""
    source = bundle.task.valid_source
    told: list[list[tuple[torch.Tensor, Tensors]]] = [[] for _ in chunks]
    rows: list[int] = []
    batches = ([batch] for batch in validation_batches(source, bundle.device))
    for number, _, (batch,) in side_by_side(batches, len(chunks), source.draws):
        if number == 0:
            rows.append(batch_length(batch))
        told[number].append(chunks[number].judge(batch))
    losses = [torch.cat([loss for loss, _ in batch]) for batch in zip(*told, strict=True)]
    metrics = [
        {name: torch.cat([metrics[name] for _, metrics in batch]) for name in batch[0][1]}
        for batch in zip(*told, strict=True)
    ]
    return Evaluation.averaged(losses, metrics, rows)


def _is_small(bundle: Bundle) -> bool:
    return bundle.chunks[0].parameters <= PATH_PARAMETERS


def _flat(bundle: Bundle) -> torch.Tensor:
    """[lanes, parameters]: all weights of all lanes."""
    return torch.cat([chunk.flat() for chunk in bundle.chunks])


def _path(weights: list[torch.Tensor]) -> Floats | None:
    """[rows, lanes, parameters], or None where weights are not recorded."""
    return torch.stack(weights).double().cpu().numpy() if weights else None


@dataclass(frozen=True, slots=True)
class _Segment:
    """What all lanes recorded between two looks; rates, losses, norms, applied: [updates, lanes]."""

    rates: Floats
    losses: Floats
    norms: Floats
    applied: Floats
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
            effective_lr=_if_told(self.applied[rows, lane]),
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
    losses, norms, applied, path = train_at(bundle, rates)
    bundle.step = goal
    finite = torch.cat([chunk.finite() for chunk in bundle.chunks]).cpu().numpy()
    ends = _first_not_finite(losses, norms, finite)
    found = _evaluate(bundle, bundle.chunks) if evaluate and None in ends else None
    segment = _Segment(rates, losses, norms, applied, path, found)
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
                # A loss that is no number is no improvement either.
                told = np.nan_to_num(float(found.loss[i]), nan=np.inf, posinf=np.inf, neginf=-np.inf)
                bundle.controls[i] = bundle.schedules[i].update(
                    bundle.controls[i], float(told), goal, bundle.total_steps
                )
        else:
            outcome, message = ended(curve.final_valid_loss, bundle.untrained[i], bundle.spread[i])
            weights_now = weights_of(bundle, i) if bundle.with_weights else None
            parts.append(Part(lane, curve, outcome, message, weights_now))
    going = [i for i, part in enumerate(parts) if part.outcome is Outcome.RUNNING]
    if going and len(going) < len(parts):
        keep(bundle, going)
    elif not going:
        bundle.lanes.clear()
    return parts


def train_at(bundle: Bundle, rates: Floats) -> tuple[Floats, Floats, Floats, Floats | None]:
    """Updates at `rates` [updates, lanes]: losses, gradient norms and rates that rules worked out, alike, and a path.

    The rates are NaN for lanes whose rule takes them as they are. The path is that of the weights of a small model.
    """
    edges = np.cumsum([0, *(chunk.lanes for chunk in bundle.chunks)])
    for chunk, first, last in zip(bundle.chunks, edges, edges[1:], strict=False):
        chunk.begin(rates[:, first:last])
    weights: list[list[torch.Tensor]] = [[] for _ in bundle.chunks]
    small = _is_small(bundle)
    updates = _updates(bundle.batches, bundle.task.accumulate, len(rates))
    for number, step, batches in side_by_side(updates, len(bundle.chunks), bundle.batches.draws):
        bundle.chunks[number].step(step, batches)
        if small:
            weights[number].append(bundle.chunks[number].flat())
    told = [chunk.told() for chunk in bundle.chunks]
    told = [[*own, *[torch.full_like(own[0], torch.nan)] * (3 - len(own))] for own in told]
    losses, norms, applied = (
        torch.cat([t.double().cpu() for t in column], dim=1).numpy() for column in zip(*told, strict=True)
    )
    return losses, norms, applied, _path([torch.cat(rows) for rows in zip(*weights, strict=True)])


def _if_told(rates: Floats) -> Floats:
    """The rates that a rule worked out; nothing of one that takes them as they are."""
    return np.empty(0) if np.isnan(rates).all() else rates.copy()


def _updates(batches: Batches, each: int, count: int) -> Iterator[list[Any]]:
    """The batches of each of `count` updates."""
    for _ in range(count):
        yield [next(batches) for _ in range(each)]


def weights_of(bundle: Bundle, lane: int) -> Tensors:
    """One lane's evaluation weights and buffers, named as in the user's model."""
    for chunk in bundle.chunks:
        if lane < chunk.lanes:
            return chunk.weights(lane)
        lane -= chunk.lanes
    raise IndexError(lane)


def _rates(bundle: Bundle, first: int, goal: int) -> Floats:
    """[updates, lanes]: the rate of each update from `first` to before `goal`; a controller holds still in between."""
    steps = np.arange(first, goal, dtype=np.float64)
    factors: dict[tuple[str, str], Floats] = {}  # lanes of one schedule share it, unless a controller holds them apart
    columns = []
    for lane, schedule, control in zip(bundle.lanes, bundle.schedules, bundle.controls, strict=True):
        key = (lane.schedule, repr(control))
        if key not in factors:
            factors[key] = np.broadcast_to(schedule.factor(control, steps, bundle.total_steps), steps.shape)
        columns.append(lane.lr * factors[key])
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
