"""The examples run, from any folder, and leave files only where they say."""

import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

FOLDER = Path(__file__).parents[2] / "examples"
SAYS = {
    "any_program.py": "run it with --lr",
    "own_model.py": "recipe: adam lr=",
    "own_loop.py": "step 300",
    "compare_schedules.py": "report.html",
    "train_a_recipe.py": "accuracy of the weights",
}


def test_every_script_is_tried() -> None:
    """There is no example that these tests do not run."""
    assert {path.name for path in FOLDER.glob("*.py")} == set(SAYS)
    assert [path.name for path in FOLDER.glob("*.ipynb")] == ["first_look.ipynb"]


@pytest.mark.parametrize("name", SAYS)
def test_script(name: str, tmp_path: Path) -> None:
    """It ends well, prints what matters, and leaves nothing in the folder that it is run from."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    leaves = name in ("compare_schedules.py", "train_a_recipe.py")
    words = [sys.executable, str(FOLDER / name), *([str(there)] if leaves else [])]
    done = subprocess.run(words, cwd=here, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert SAYS[name] in done.stdout
    assert list(here.iterdir()) == []
    assert there.exists() == leaves


def test_notebook(tmp_path: Path) -> None:
    """Its cells run from top to bottom and show tables and pictures; it holds no outputs and leaves no files."""
    notebook = nbformat.read(FOLDER / "first_look.ipynb", as_version=4)  # type: ignore[no-untyped-call]  # has no types
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)
    nbformat.validate(notebook)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    shown = [output for cell in cells for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in shown)
    assert list(tmp_path.iterdir()) == []
