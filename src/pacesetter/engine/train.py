"""Many lanes to their end: bundles of a seed and a rule, one after the other, all through the one loop."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise

from pacesetter.engine.blame import in_one_line
from pacesetter.engine.bundle import Bundle, Part, advance, start
from pacesetter.engine.plan import Plan
from pacesetter.engine.program import Tensors
from pacesetter.errors import PacesetterError
from pacesetter.records import Curve, Lane, Outcome
from pacesetter.tasks._task import Task

__all__ = ["train"]


def bundles_of(lanes: Sequence[Lane], size: int) -> list[list[Lane]]:
    """Lanes in bundles of one seed, optimizer and length, at most `size` each and of even sizes; seed by seed."""
    groups: dict[tuple[int, str, int], list[Lane]] = {}
    for lane in lanes:
        groups.setdefault((lane.seed, lane.optimizer, lane.total_steps), []).append(lane)
    bundles = []
    for _, group in sorted(groups.items(), key=lambda item: item[0][0]):
        count = -(-len(group) // size)
        edges = [len(group) * k // count for k in range(count + 1)]
        bundles += [group[a:b] for a, b in pairwise(edges)]
    return bundles


def train(
    task: Task,
    lanes: Sequence[Lane],
    plan: Plan,
    on_weights: Callable[[Lane, Tensors], None] | None = None,
    on_bundle: Callable[[Bundle], None] | None = None,
    first: Bundle | None = None,
) -> Iterator[list[Part]]:
    """Train `lanes` to their end, bundle by bundle; yields one part per lane of a bundle at each of its evaluations.

    `on_weights(lane, {name: tensor})` is called for each lane that finished, `on_bundle(bundle)` after each yield with
    lanes left, which is where a bundle can be saved. `first` is a bundle that was saved: it goes on before the others.
    An error in the model's own code fails the lanes of its bundle and the others go on; a task that is wrong
    (TaskError) stops everything.
    """
    begun = set(first.lanes) if first else set()
    chunks = bundles_of([lane for lane in lanes if lane not in begun], plan.lanes_per_chunk)
    if first is not None:
        yield from _finish(lambda: first, first.lanes, on_weights, on_bundle)
    for chunk in chunks:
        begin = partial(start, task, chunk, plan, with_weights=on_weights is not None)
        yield from _finish(begin, chunk, on_weights, on_bundle)


def _finish(
    begin: Callable[[], Bundle],
    lanes: Sequence[Lane],
    on_weights: Callable[[Lane, Tensors], None] | None,
    on_bundle: Callable[[Bundle], None] | None,
) -> Iterator[list[Part]]:
    """Train one bundle to its end. Only what runs the model's code is guarded; the caller's errors are the caller's."""
    going = list(lanes)
    bundle: Bundle | None = None
    while going:
        try:
            bundle = bundle or begin()
            due = next(s for s in bundle.task.evaluation_steps(bundle.total_steps) if s > bundle.step)
            parts = advance(bundle, due - bundle.step if bundle.untrained else 0)
        except PacesetterError:
            raise
        except (Exception, SystemExit) as error:  # noqa: BLE001  # the user's code may raise anything; the others go on
            message = f"failed: {in_one_line(error)}"
            yield [Part(lane, Curve(), Outcome.FAILED, message) for lane in going]
            return
        yield parts
        for part in parts:
            if part.weights is not None and on_weights is not None:
                on_weights(part.lane, part.weights)
        going = list(bundle.lanes)
        if going and on_bundle is not None:
            on_bundle(bundle)
