"""Train with the recipe that was chosen: a study of one lane, which leaves its weights."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pacesetter.api.output import slug, write_curve
from pacesetter.api.progress import Listener, Progress
from pacesetter.api.question import Question, load_task
from pacesetter.api.study import Study
from pacesetter.api.work import Settings, measure
from pacesetter.errors import InputError
from pacesetter.files import check_folder, whole, writing
from pacesetter.records import Lane, Outcome
from pacesetter.tasks import Command

if TYPE_CHECKING:
    from pacesetter.recipes import Recipe
    from pacesetter.tasks._task import Task

__all__ = ["train"]

WEIGHTS, CURVE = "weights.safetensors", "curve.csv"

Folder = str | Path


def train(
    task: "str | Task | Command",
    recipe: "str | Recipe",
    *,
    seed: int = 0,
    steps: int | None = None,
    store: str | None = None,
    study: str | None = None,
    device: str = "cpu",
    engine: str = "auto",
    executor: str = "local",
    precision: str = "float32",
    workers: int | None = None,
    memory: str | None = None,
    out: Folder | Callable[[str], Folder] | None = None,
    progress: Listener | None = None,
) -> Study:
    """Train one recipe, and leave the weights and the curve.

    lr(step) = lr * schedule(step, total_steps)

    Arguments:
        task: a `Task`, or its text: a built-in name, `path/to/file.py:name` or `package.module:name`; or a `Command`,
            a program that trains itself (then `steps` is needed, and what it leaves beside the curve is its own).
        recipe: optimizer, rate and schedule, as in `"adam lr=3e-3 warmup(0.05) >> cosine()"`, or an answer's `recipe`;
            for a program that has its own optimizer and schedule `"lr=3e-3"`.
        seed: of the initial weights and of the order of batches, at least 0.
        steps: length of training in updates, at least 1; None is the task's own.
        store: URL of the store, `sqlite:///file.db`; None keeps the study in this process only.
        study: its name in the store; None makes a new one; an unfinished one goes on from where
            it was last saved.
        device: `cpu` or `cuda`.
        engine: `auto`, `vectorised`, `compiled` or `looped`.
        executor: `local`.
        precision: `float32`, as the model and the data are; `bfloat16` computes matrix products in bfloat16 (autocast).
        workers: processes that train side by side, at least 1; None lets the plan decide. They change no result.
        memory: how much training may take, as in `"4GB"`; None is half of what is free.
        out: a folder for `weights.safetensors` (the state of the trained model) and `curve.csv`, or a function that
            gives one for the study's name; found unwritable before training. What an earlier run left there is
            replaced: a run that diverges leaves its curve alone. None leaves neither.
        progress: called with a `Progress` at the start, at every evaluation and at the end.

    Returns:
        the study of one lane.

    Raises:
        InputError: an argument is wrong, or the study holds another recipe or has finished without leaving its weights
            in `out` (they are kept by the run that trains them).
        KeyboardInterrupt: Ctrl-C; with a `store`, everything measured is in it.

    Example:
        >>> study = train("quadratic", "sgd lr=0.05", steps=20)
        >>> study.lanes[0].curve.steps
        20
    """
    settings = Settings(store, study, device, engine, executor, precision, workers, memory)
    question = Question.of_recipe(task, recipe, seed)
    loaded, total_steps = load_task(task, steps)
    grid = question.grid(total_steps)
    (lane,) = grid.ask(())
    files = None if out is None else _Files(out, loaded, study, progress)
    if files is not None:
        check_folder(files.folder, "out")
    _refuse_what_has_been(settings, lane, files)
    if files is None:
        return Study(measure(loaded, grid, settings, progress), store)
    record = measure(loaded, grid, settings, files, files.keep_weights)
    (trained,) = record.lanes
    if trained.outcome is not Outcome.FINISHED and not isinstance(task, Command):
        # Weights that lie there are another run's, and must not be taken for those of the curve.
        with writing(files.folder, "out"):
            (files.folder / WEIGHTS).unlink(missing_ok=True)
    files.written.append(write_curve(trained.curve, files.folder / CURVE))
    return Study(record, store, files.written)


class _Files:
    """What one run leaves in its folder; a listener, because a new study's name is known once it begins."""

    def __init__(
        self,
        out: Folder | Callable[[str], Folder],
        task: "Task | Command",
        study: str | None,
        listener: Listener | None,
    ) -> None:
        self._out, self._task, self._listener = out, task.name, listener
        self._study = study or slug(task.title if isinstance(task, Command) else task.name)
        self._weights_are_ours = not isinstance(task, Command)
        self.written: list[Path] = []

    def __call__(self, progress: Progress) -> None:
        self._study = progress.study
        if self._listener is not None:
            self._listener(progress)

    @property
    def folder(self) -> Path:
        return Path(self._out(self._study) if callable(self._out) else self._out)

    def keep_weights(self, lane: Lane, weights: Mapping[str, Any]) -> None:
        """Write tensors as safetensors: plain data, which executes nothing when it is read."""
        from safetensors.torch import save

        # Tied weights and slices of a bundle share memory, which the format does not have: each gets its own.
        own = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in weights.items()}
        path = self.folder / WEIGHTS
        with whole(path, "out") as beside:
            beside.write_bytes(save(own, self._origin(lane)))
        self.written.append(path)

    def has_weights_of(self, lane: Lane) -> bool:
        """Whether the weights that lie in the folder are those of this study's lane; a program keeps its own."""
        if not self._weights_are_ours:
            return True
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self.folder / WEIGHTS, framework="numpy") as file:
                return bool(file.metadata() == self._origin(lane))
        except (OSError, SafetensorError):
            return False

    def _origin(self, lane: Lane) -> dict[str, str]:
        """What the file says of itself: whose weights these are."""
        return {
            "task": self._task,
            "study": self._study,
            "recipe": lane.recipe,
            "seed": str(lane.seed),
            "total_steps": str(lane.total_steps),
        }


def _refuse_what_has_been(settings: Settings, lane: Lane, files: _Files | None) -> None:
    """A study that exists must be of this very lane, and a finished one must have left its weights among `files`."""
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
    if record.lanes[0].outcome is Outcome.FINISHED and files is not None and not files.has_weights_of(lane):
        raise InputError(
            f"`study` must be a new name to leave weights, got study={settings.study!r}, which has finished, and "
            f"{files.folder / WEIGHTS} is not of it: weights are written by the run that trains them"
        )
