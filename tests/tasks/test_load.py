"""From a text to a task: built-in names, files and modules, and what is said when one is wrong."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pacesetter import tasks
from pacesetter.errors import TaskError, UnknownName
from pacesetter.tasks import Task

GOOD = """\
import torch
from pacesetter.tasks import Task

def make_model():
    return torch.nn.Linear(2, 1)

def half_squares(output, target):
    return (output - target).square().mean() / 2

def my_task():
    return Task(model=make_model, loss=half_squares, train=(torch.ones(8, 2), torch.ones(8, 1)), batch_size=4, steps=3)

ready = my_task()
number = 7
"""


@pytest.fixture(autouse=True)
def same_imports() -> Iterator[None]:
    """Leaves Python's import path and modules as they were."""
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith(("torch", "numpy", "pacesetter.")):
            del sys.modules[name]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A task file as a user would write it."""
    path = tmp_path / "my_first_task.py"
    path.write_text(GOOD)
    return path


def message(text: str) -> str:
    """What loading says when it fails."""
    with pytest.raises(TaskError) as caught:
        tasks.load(text)
    return str(caught.value)


@pytest.mark.parametrize("name", ["ready", "my_task"])
def test_file(file: Path, name: str) -> None:
    """A Task or a function that returns one is loaded from a file and called by the text that named it."""
    text = f"{file}:{name}"
    task = tasks.load(text)
    assert isinstance(task, Task)
    assert task.name == text
    assert task.total_steps == 3


def test_the_original_keeps_its_name(file: Path) -> None:
    """Naming the loaded task does not touch the one in the user's module."""
    tasks.load(f"{file}:ready")
    assert sys.modules["my_first_task"].ready.name == "task"


def test_relative_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is found from the working folder."""
    monkeypatch.chdir(file.parent)
    assert tasks.load("my_first_task.py:my_task").name == "my_first_task.py:my_task"


def test_a_changed_file_is_read_again(file: Path) -> None:
    """Loading reads the file as it is now."""
    tasks.load(f"{file}:ready")
    file.write_text(GOOD.replace("steps=3", "steps=44"))
    assert tasks.load(f"{file}:ready").total_steps == 44


def test_a_file_finds_its_neighbours(file: Path) -> None:
    """A task's file can import a module that lies beside it."""
    (file.parent / "my_neighbour_module.py").write_text("STEPS = 5\n")
    file.write_text("from my_neighbour_module import STEPS\n" + GOOD.replace("steps=3", "steps=STEPS"))
    assert tasks.load(f"{file}:ready").total_steps == 5


def test_a_file_may_have_the_name_of_a_module(tmp_path: Path) -> None:
    """A file called like a module that Python or torch has is loaded without hiding that module."""
    for name in ("torch.py", "statistics.py"):
        path = tmp_path / "own" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("def my_task(): return 3\n")
        kept = sys.modules.get(path.stem)
        assert "got my_task=int" in message(f"{path}:my_task")
        assert sys.modules.get(path.stem) is kept


def test_module(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A task is loaded from a module in the working folder, also inside a package."""
    package = file.parent / "my_package_of_tasks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "inner.py").write_text(GOOD)
    monkeypatch.chdir(file.parent)
    assert tasks.load("my_first_task:my_task").total_steps == 3
    assert tasks.load("my_package_of_tasks.inner:ready").name == "my_package_of_tasks.inner:ready"


def test_a_task_is_taken_as_it_is(file: Path) -> None:
    """A Task given instead of text comes back as it is."""
    task = tasks.load(f"{file}:ready")
    assert tasks.load(task) is task
    with pytest.raises(TaskError, match="must be a Task or a function that returns one, got task=int"):
        tasks.load(3)  # type: ignore[arg-type]  # what it is about


def test_unknown_name() -> None:
    """A misspelt built-in name gets a suggestion, and the other ways to name a task are listed."""
    with pytest.raises(UnknownName, match=r"got task='digits-mpl': did you mean `digits-mlp`\?.*path/to/file.py:name"):
        tasks.load("digits-mpl")
    with pytest.raises(UnknownName, match="did you mean `two-wells`"):
        tasks.about("two-well")
    for text in ("", ":", "digits-mlp:", ":task"):
        with pytest.raises(UnknownName):
            tasks.load(text)


def test_file_without_a_name(file: Path) -> None:
    """A file alone does not say which task: the message writes the text to use."""
    assert message("my_task.py").endswith("write my_task.py:task")
    assert message("my_task.py:").endswith("write my_task.py:task")


def test_no_such_file(file: Path) -> None:
    """A missing file is named, with the nearest one beside it."""
    text = str(file.with_name("my_frist_task.py"))
    assert f"no file {text}: did you mean {file}?" in message(f"{text}:my_task")
    assert "no file nowhere/at_all.py" in message("nowhere/at_all.py:task")


def test_no_such_name(file: Path) -> None:
    """A missing name gets the nearest one in the file."""
    assert message(f"{file}:my_tsak").endswith("no `my_tsak` there: did you mean `my_task`?")
    assert message(f"{file}:zzzzzz").endswith("define `zzzzzz`, or name another")


@pytest.mark.parametrize("module", ["no_such_module_at_all", "no_such_package_at_all.inner", "json.no_such", "a..b"])
def test_no_such_module(module: str) -> None:
    """A missing module is named."""
    assert f"no module {module!r}" in message(f"{module}:task")


def test_what_is_no_task(file: Path) -> None:
    """Something else under that name is named by its type."""
    assert message(f"{file}:number") == "`task` must be a Task or a function that returns one, got number=int"
    assert "got make_model=Linear" in message(f"{file}:make_model")
    assert "missing 2 required positional arguments" in message(f"{file}:half_squares")


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            "x = 1\n\nimport no_such_module_of_mine\n",
            "ModuleNotFoundError: No module named 'no_such_module_of_mine' in",
        ),
        ("x = 1\n\nx.missing\n", "AttributeError: 'int' object has no attribute 'missing' in"),
        ("x = 1\n\nx = = 3\n", "SyntaxError: invalid syntax in"),
        ("x = 1\n\nimport sys; sys.exit(4)\n", "SystemExit: 4 in"),
        ("x = 1\n\nimport json; json.loads('{')\n", "JSONDecodeError"),
        ("def deep():\n    raise RuntimeError\ndeep()\n", "RuntimeError in broken_file_of_tasks.py, line 2: `raise"),
    ],
)
def test_file_that_fails_to_import(tmp_path: Path, code: str, said: str) -> None:
    """A file whose own code fails is blamed with the error, the file and its line."""
    path = tmp_path / "broken_file_of_tasks.py"
    path.write_text(code)
    text = message(f"{path}:task")
    assert said in text
    assert "broken_file_of_tasks.py, line " + ("2" if "deep" in code else "3") in text
    assert "broken_file_of_tasks" not in sys.modules


def test_module_that_fails_to_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module whose own code fails is blamed like a file, also when what it lacks is another module."""
    (tmp_path / "broken_module_of_tasks.py").write_text("x = 1\nimport no_such_module_of_mine\n")
    monkeypatch.chdir(tmp_path)
    text = message("broken_module_of_tasks:task")
    assert "No module named 'no_such_module_of_mine' in broken_module_of_tasks.py, line 2" in text


def test_function_that_fails(file: Path) -> None:
    """A task function that fails is blamed with its line; our own refusals keep their words."""
    file.write_text(GOOD.replace("batch_size=4, steps=3", "batch_size=99, steps=3").replace("ready = my_task()", ""))
    text = message(f"{file}:my_task")
    assert text.startswith("`batch_size` must be at most the number of training examples, got batch_size=99")
    assert "my_first_task.py, line 11" in text
    file.write_text("def my_task():\n    return 1 / 0\n")
    assert "ZeroDivisionError: division by zero in my_first_task.py, line 2: `return 1 / 0`" in message(
        f"{file}:my_task"
    )
