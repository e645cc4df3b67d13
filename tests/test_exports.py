"""What Pacesetter exports, and what importing it costs."""

import re
import subprocess
import sys
import tomllib
from importlib import import_module, metadata
from inspect import isclass, isfunction
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType

import pytest

import pacesetter

ROOT = Path(__file__).parents[1]

# Importing this one runs the command line.
PROGRAM = "pacesetter.cli.__main__"


def public_modules() -> list[str]:
    """Every module that has no underscore in its path."""
    found = [module.name for module in walk_packages(pacesetter.__path__, "pacesetter.")]
    return ["pacesetter", *(name for name in found if not re.search(r"\._", name) and name != PROGRAM)]


def defined_in(module: ModuleType) -> list[str]:
    """The public classes and functions that a module itself defines."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and (isclass(value) or isfunction(value)) and value.__module__ == module.__name__
    ]


@pytest.mark.parametrize("name", public_modules())
def test_what_is_exported_is_there(name: str) -> None:
    """Every name in a module's `__all__` exists, and is listed once."""
    module = import_module(name)
    exported = list(getattr(module, "__all__", []))
    assert len(exported) == len(set(exported))
    assert [public for public in exported if not hasattr(module, public)] == []


@pytest.mark.parametrize("name", [name for name in public_modules() if name.count(".") <= 1 or ".schedules." in name])
def test_what_is_not_hidden_is_exported(name: str) -> None:
    """In the modules that people import, a class or function is in `__all__` or has an underscore."""
    module = import_module(name)
    if hasattr(module, "__all__"):
        assert [public for public in defined_in(module) if public not in module.__all__] == []


@pytest.mark.parametrize("name", public_modules())
def test_what_is_public_says_what_it_is(name: str) -> None:
    """Every public module, and every class and function that it exports, has a docstring."""
    module = import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for public in getattr(module, "__all__", []):
        value = getattr(module, public)
        if callable(value) and getattr(value, "__module__", "").startswith("pacesetter"):
            assert value.__doc__, f"{name}.{public} has no docstring"


def test_the_facade_exports_what_people_type() -> None:
    """The root holds at most 40 names, all found by completion, and an unknown one is an AttributeError."""
    assert len(pacesetter.__all__) <= 40
    assert dir(pacesetter) == sorted(pacesetter.__all__)
    with pytest.raises(AttributeError, match="no_such_name"):
        pacesetter.no_such_name  # noqa: B018  (looking it up is the test)


def test_names_are_the_objects_of_their_homes() -> None:
    """A facade's name is the very object of the module it comes from."""
    for name, home in pacesetter._HOMES.items():
        assert getattr(pacesetter, name) is getattr(import_module(home), name)
    assert set(pacesetter.__all__) == {*pacesetter._HOMES, *pacesetter._MODULES, "__version__"}


HEAVY = {"torch", "numpy", "sqlalchemy", "altair", "pandas", "scipy", "rich", "click"}


@pytest.mark.parametrize(
    ("statement", "light"),
    [
        ("import pacesetter", set()),
        ("import pacesetter; pacesetter.log_grid(1e-3, 1); pacesetter.PacesetterError", set()),
        ("from pacesetter.cli import run; run(['--help'])", {"click"}),
        ("from pacesetter.cli import run; run(['compare', '--help'])", {"click"}),
        ("import pacesetter.schedules; pacesetter.schedules.parse('warmup(0.1) >> cosine')(5, 100)", {"numpy"}),
        ("import pacesetter.optimizers; pacesetter.optimizers.names()", set()),
        ("import pacesetter.tasks; pacesetter.tasks.names()", set()),
        ("import pacesetter.recipes", {"numpy"}),
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(statement: str, light: set[str]) -> None:
    """Whoever wants a schedule, a recipe or `--help` does not wait for torch, nor for what draws or stores."""
    code = f"import sys; {statement}; print([name for name in {sorted(HEAVY - light)!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_no_module_but_those_that_train_needs_torch() -> None:
    """With torch out of reach, everything that does not train still imports."""
    light = "schedules optimizers tasks recipes records errors textform findings store report cli"
    lines = [f"import pacesetter.{name}" for name in light.split()]
    code = "\n".join(["import sys", "sys.modules['torch'] = None", *lines])
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_version_is_the_same_everywhere() -> None:
    """pyproject.toml, the installed package, the facade and the newest entry of the changelog agree."""
    stated = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    newest = re.search(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert newest is not None
    assert newest.group(1) == stated
    assert metadata.version("pacesetter") == stated
    assert pacesetter.__version__ == stated
