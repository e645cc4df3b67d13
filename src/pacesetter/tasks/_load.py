"""From a text to a task: a built-in name, `path/to/file.py:name` or `package.module:name`."""

import ast
import copy
import importlib
import importlib.util
import linecache
import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pacesetter.errors import InputError, TaskError, UnknownName

if TYPE_CHECKING:
    from pacesetter.tasks._task import Task

__all__ = ["about", "load", "names"]

_FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of the built-in tasks, in alphabetical order."""
    return sorted(_name(path) for path in _FOLDER.glob("*.py") if not path.name.startswith("_"))


def about(name: str) -> str:
    """One line on a built-in task; raises UnknownName."""
    if name not in names():
        raise UnknownName.of("task", name, names())
    source = (_FOLDER / f"{name.replace('-', '_')}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def load(text: "str | Task") -> "Task":
    """The task that `text` names, called by that text; a task comes back as it is.

    text: a built-in name (`names()` lists them), `path/to/file.py:name` or `package.module:name`, where `name` is a
        Task or a function without arguments that returns one. The file's own folder, or for a module the working
        folder, is put on Python's import path, as Python does for a script, so that a task's file finds its neighbours.

    Raises UnknownName (no such built-in task) or TaskError (no such file, module or name; or its code fails, and then
    the message says in which of its lines).

    >>> load("quadratic").total_steps
    100
    """
    if not isinstance(text, str):
        return _checked(text, "task")
    if text in names():
        module = _guarded(text, lambda: importlib.import_module(f"pacesetter.tasks.{text.replace('-', '_')}"))
        return _called(_made(text, module, "task"), text)
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        if text.rstrip(":").endswith(".py"):
            raise TaskError(
                f"`task` must say what in the file is the task, got task={text!r}: write {text.rstrip(':')}:task"
            )
        raise UnknownName.of("task", text, [*names(), "path/to/file.py:name"])
    module = _from_file(text, place) if place.endswith(".py") else _from_module(text, place)
    # `./file.py:task` and `file.py:task` are one task.
    return _called(_made(text, module, name), f"{Path(place)}:{name}" if place.endswith(".py") else text)


def _name(path: Path) -> str:
    return path.stem.replace("_", "-")


def _called(task: "Task", text: str) -> "Task":
    # A copy, because the user's module keeps the original.
    twin = copy.copy(task)
    object.__setattr__(twin, "name", text)
    return twin


def _checked(value: Any, text: str) -> "Task":
    from pacesetter.tasks._task import Task

    if not isinstance(value, Task):
        raise TaskError(f"`task` must be a Task or a function that returns one, got {text}={type(value).__name__}")
    return value


def _made(text: str, module: ModuleType, name: str) -> "Task":
    """The task called `name` in a module, made if it is a function."""
    from torch import nn

    from pacesetter.tasks._task import Task

    file = getattr(module, "__file__", None)  # modules that are part of Python itself have none
    if not hasattr(module, name):
        near = get_close_matches(name, [key for key in vars(module) if not key.startswith("_")], n=1, cutoff=0.5)
        hint = f": did you mean `{near[0]}`?" if near else f": define `{name}`, or name another"
        where = Path(file).name if file else module.__name__
        raise TaskError(f"`task` must name something in {where}, got task={text!r} and no `{name}` there{hint}")
    value = getattr(module, name)
    if callable(value) and not isinstance(value, Task | nn.Module | type):
        value = _guarded(text, value, file)
    return _checked(value, name)


def _from_file(text: str, place: str) -> ModuleType:
    path = Path(place).expanduser()
    if not path.is_file():
        neighbours = [str(other) for other in path.parent.glob("*.py")] if path.parent.is_dir() else []
        near = get_close_matches(str(path), neighbours, n=1, cutoff=0.5)
        hint = f": did you mean {near[0]}?" if near else ""
        raise TaskError(f"`task` must name a file that exists, got task={text!r} and no file {place}{hint}")
    path = path.resolve()
    _on_import_path(path.parent)
    # Under its own name, so that other processes can import what it defines; under a made-up one where that name
    # already belongs to another module.
    name = path.stem
    other = sys.modules.get(name)
    taken = other is not None and getattr(other, "__file__", None) != str(path)
    if taken or not name.isidentifier() or (other is None and name in sys.stdlib_module_names):
        name = f"pacesetter_task_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    loader = spec.loader
    linecache.checkcache(str(path))
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        _guarded(text, lambda: loader.exec_module(module), str(path))
    except BaseException:
        if before is None:
            del sys.modules[name]
        else:
            sys.modules[name] = before
        raise
    return module


def _from_module(text: str, place: str) -> ModuleType:
    _on_import_path(Path.cwd())
    try:
        found = importlib.util.find_spec(place)
    except ImportError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise _blamed(text, error, None) from error
        found = None
    except ValueError:
        found = None  # what Python says to names such as "a..b"
    except Exception as error:
        raise _blamed(text, error, None) from error
    if found is None:
        raise TaskError(
            f"`task` must name a module that can be imported, got task={text!r} and no module {place!r} here "
            "or installed: check its spelling, or give the file as path/to/file.py:name"
        )
    module: ModuleType = _guarded(text, lambda: importlib.import_module(place), found.origin)
    return module


def _on_import_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _guarded(text: str, work: Any, file: str | None = None) -> Any:
    """What `work()` returns; whatever the user's code raises becomes a TaskError with the line of `file`."""
    try:
        return work()
    except (Exception, SystemExit) as error:
        raise _blamed(text, error, file) from error


def _blamed(text: str, error: BaseException, file: str | None) -> TaskError:
    """The TaskError that says in which line of the user's code an error arose."""
    place = ""
    if isinstance(error, SyntaxError) and error.filename:
        place = _line(error.filename, error.lineno or 0)
    else:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith("<")]
        own = [f for f in frames if file is not None and f.filename == file]
        foreign = [f for f in frames if Path(f.filename) != Path(__file__)]
        for frame in (own or foreign)[-1:]:
            place = _line(frame.filename, frame.lineno or 0)
    if isinstance(error, InputError):
        return TaskError(f"{error} ({place})" if place else str(error))
    what = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}".rstrip(": ")
    where = f" in {place}" if place else ""
    return TaskError(f"`task` must load without an error, got task={text!r} and {what}{where}")


def _line(file: str, number: int) -> str:
    code = linecache.getline(file, number).strip()
    return f"{Path(file).name}, line {number}" + (f": `{code}`" if code else "")
