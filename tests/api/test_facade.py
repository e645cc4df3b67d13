"""What `import pacesetter` offers."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import pacesetter

HEAVY = ["torch", "numpy", "sqlalchemy", "altair", "pandas", "rich", "click", "scipy"]


def test_every_public_name_is_there():
    """Each name of `__all__` can be looked up, and `dir` lists exactly these."""
    for name in pacesetter.__all__:
        assert getattr(pacesetter, name) is not None
    assert dir(pacesetter) == sorted(pacesetter.__all__)


def test_names_are_the_objects_of_their_homes():
    """A facade's name is the very object of the module it comes from."""
    for name, home in pacesetter._HOMES.items():
        assert getattr(pacesetter, name) is getattr(importlib.import_module(home), name)
    assert set(pacesetter.__all__) == {*pacesetter._HOMES, *pacesetter._MODULES, "__version__"}


def test_every_modules_public_names_exist():
    """Whatever a module of the package lists in `__all__`, it has."""
    for module in pkgutil.walk_packages(pacesetter.__path__, "pacesetter."):
        if module.name.endswith("__main__"):
            continue
        found = importlib.import_module(module.name)
        missing = [name for name in getattr(found, "__all__", ()) if not hasattr(found, name)]
        assert not missing, f"{module.name}: {missing}"


def test_an_unknown_name_is_an_attribute_error():
    """A misspelt name fails as it does in any module."""
    with pytest.raises(AttributeError, match="no attribute 'compair'"):
        _ = pacesetter.compair


@pytest.mark.parametrize(
    "code",
    [
        "import pacesetter",
        "import pacesetter; pacesetter.log_grid(1e-3, 1); pacesetter.PacesetterError",
        "from pacesetter.cli import run; run(['--help'])",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(code):
    """Importing the package, and the grid, import no large package; `--help` imports click alone."""
    light = {"click"} if "cli" in code else set()
    check = f"import sys\n{code}\nprint([m for m in {sorted(set(HEAVY) - light)} if m in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_schedules_and_recipes_need_no_torch():
    """Schedules are of use to every framework: they are read and called without torch."""
    code = "ps.schedules.parse('warmup(0.1) >> cosine')(5, 100); print('torch' in sys.modules)"
    ran = subprocess.run(
        [sys.executable, "-c", "import sys, pacesetter as ps; " + code], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "False"
