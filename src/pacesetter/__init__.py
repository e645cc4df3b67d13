"""Pacesetter shows what different learning rates do to your training, finds the one to use, and says how sure it is.

    import pacesetter as ps

    task = ps.Task(model=make_model, loss=F.cross_entropy, train=train_set, valid=valid_set, batch_size=64, steps=440)
    study = ps.compare(task, lr=ps.log_grid(1e-4, 1, per_decade=4), optimizers=["sgd(momentum=0.9)", "adam"])
    study.show()

Importing it costs next to nothing: each name is looked up when it is first used, and torch is not imported before.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pacesetter import connect as connect
    from pacesetter import errors as errors
    from pacesetter import optimizers as optimizers
    from pacesetter import records as records
    from pacesetter import schedules as schedules
    from pacesetter import tasks as tasks
    from pacesetter.api.answer import Answer as Answer
    from pacesetter.api.compare import compare as compare
    from pacesetter.api.find import find as find
    from pacesetter.api.grid import log_grid as log_grid
    from pacesetter.api.progress import Progress as Progress
    from pacesetter.api.study import Study as Study
    from pacesetter.api.train import train as train
    from pacesetter.errors import PacesetterError as PacesetterError
    from pacesetter.recipes import Recipe as Recipe
    from pacesetter.records import Outcome as Outcome
    from pacesetter.tasks._command import Command as Command
    from pacesetter.tasks._task import Task as Task
    from pacesetter.tasks._task import accuracy as accuracy
    from pacesetter.tasks._task import maximize as maximize

    __version__: str

_HOMES = {
    "Answer": "pacesetter.api.answer",
    "Command": "pacesetter.tasks._command",
    "Outcome": "pacesetter.records",
    "PacesetterError": "pacesetter.errors",
    "Progress": "pacesetter.api.progress",
    "Recipe": "pacesetter.recipes",
    "Study": "pacesetter.api.study",
    "Task": "pacesetter.tasks._task",
    "accuracy": "pacesetter.tasks._task",
    "compare": "pacesetter.api.compare",
    "find": "pacesetter.api.find",
    "log_grid": "pacesetter.api.grid",
    "maximize": "pacesetter.tasks._task",
    "train": "pacesetter.api.train",
}
_MODULES = ("connect", "errors", "optimizers", "records", "schedules", "tasks")

__all__ = [
    "Answer",
    "Command",
    "Outcome",
    "PacesetterError",
    "Progress",
    "Recipe",
    "Study",
    "Task",
    "__version__",
    "accuracy",
    "compare",
    "connect",
    "errors",
    "find",
    "log_grid",
    "maximize",
    "optimizers",
    "records",
    "schedules",
    "tasks",
    "train",
]


def __getattr__(name: str) -> Any:
    """Look a public name up when it is first used, and remember it (PEP 562)."""
    if name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    elif name in _MODULES:
        value = import_module(f"pacesetter.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version("pacesetter")
    else:
        raise AttributeError(f"module 'pacesetter' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """What a person may type, for completion."""
    return sorted(__all__)
