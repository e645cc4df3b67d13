"""Train with the recipe that was chosen: a study of one lane, which leaves its weights."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pacesetter.api.output import prepare_folder, write_curve, writing
from pacesetter.api.packages import require
from pacesetter.api.progress import Listener
from pacesetter.api.question import Question, load_task
from pacesetter.api.study import Study
from pacesetter.api.work import Settings, measure
from pacesetter.errors import InputError
from pacesetter.records import Lane, Outcome

if TYPE_CHECKING:
    from pacesetter.recipes import Recipe
    from pacesetter.tasks._task import Task

__all__ = ["train"]

WEIGHTS, CURVE = "weights.safetensors", "curve.csv"


def train(
    task: "str | Task",
    recipe: "str | Recipe",
    *,
    seed: int = 0,
    steps: int | None = None,
    store: str | None = None,
    study: str | None = None,
    device: str = "cpu",
    engine: str = "auto",
    executor: str = "local",
    out: str | Path | None = None,
    progress: Listener | None = None,
) -> Study:
    """Train one recipe, and leave the weights and the curve.

    lr(step) = lr * schedule(step, total_steps)

    Arguments:
        task: a `Task`, or its text: a built-in name, `path/to/file.py:name` or `package.module:name`.
        recipe: optimizer, rate and schedule, as in `"adam lr=3e-3 warmup(0.05) >> cosine()"`, or an answer's `recipe`.
        seed: of the initial weights and of the order of batches, at least 0.
        steps: length of training in updates, at least 1; None is the task's own.
        store: URL of the store, `sqlite:///file.db`; None keeps the study in this process only.
        study: its name in the store; None makes a new one, an unfinished one is trained anew.
        device: `cpu` or `cuda`.
        engine: `auto`, `vectorised` or `looped`.
        executor: `local`.
        out: a folder for `weights.safetensors` (the state of the trained model) and `curve.csv`; found unwritable
            before training. None leaves neither.
        progress: called with a `Progress` at the start, at every evaluation and at the end.

    Returns:
        the study of one lane.

    Raises:
        InputError: an argument is wrong, or the study holds another recipe or has finished without leaving weights
            in `out` (they are kept by the run that trains them).
        KeyboardInterrupt: Ctrl-C; with a `store`, everything measured is in it.

    Example:
        >>> study = train("quadratic", "sgd lr=0.05", steps=20)
        >>> study.lanes[0].curve.steps
        20
    """
    settings = Settings(store, study, device, engine, executor)
    question = Question.of_recipe(recipe, seed)
    folder = None if out is None else prepare_folder(out)
    loaded, total_steps = load_task(task, steps)
    grid = question.grid(total_steps)
    (lane,) = grid.ask(())
    require("train")
    _refuse_what_has_been(settings, lane, folder)

    def keep(_: Lane, weights: Mapping[str, Any]) -> None:
        if folder is not None:
            _write_weights(weights, folder / WEIGHTS)

    record = measure(loaded, grid, settings, progress, keep)
    if folder is None:
        return Study(record, store)
    write_curve(record.lanes[0].curve, folder / CURVE)
    return Study(record, store, (path for path in (folder / WEIGHTS, folder / CURVE) if path.exists()))


def _refuse_what_has_been(settings: Settings, lane: Lane, folder: Path | None) -> None:
    """A study that exists must be of this very lane, and a finished one must have left its weights in `folder`."""
    from pacesetter.store import Store

    if settings.study is None or settings.store is None:
        return
    with Store.open(settings.store) as store:
        if settings.study not in store.names():
            return
        record = store.load(settings.study)
    if [r.lane for r in record.lanes] != [lane]:
        raise InputError(
            f"`study` must be a new name or of this recipe, seed and length alone, got study={settings.study!r}: "
            "name another study"
        )
    trained = record.lanes[0].outcome is Outcome.FINISHED
    if trained and folder is not None and not (folder / WEIGHTS).exists():
        raise InputError(
            f"`study` must be a new name to leave weights, got study={settings.study!r}, which has finished, and there "
            f"is no {folder / WEIGHTS}: weights are written by the run that trains them"
        )


def _write_weights(weights: Mapping[str, Any], path: Path) -> None:
    """Write tensors as safetensors: plain data, which executes nothing when it is read."""
    from safetensors.torch import save

    # Tied weights and slices of a bundle share memory, which the format does not have: each gets its own.
    own = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in weights.items()}
    beside = path.with_name(path.name + ".part")
    with writing(path):
        beside.write_bytes(save(own))
        beside.replace(path)
