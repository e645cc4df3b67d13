"""Tasks: what is trained. `Task` for your own model, `Command` for a program, and built-in ones, found by file name.

Importing this does not import torch; a built-in task is imported when it is loaded.
"""

from typing import TYPE_CHECKING, Any

from pacesetter.tasks._command import Command
from pacesetter.tasks._load import about, load, names

if TYPE_CHECKING:
    from pacesetter.tasks._task import Maximize, Task, accuracy, maximize

__all__ = ["Command", "Maximize", "Task", "about", "accuracy", "load", "maximize", "names"]


def __getattr__(name: str) -> Any:
    # These need torch, which listing the tasks must not wait for.
    if name in ("Maximize", "Task", "accuracy", "maximize"):
        from pacesetter.tasks import _task

        return getattr(_task, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
