"""The README and the pages: their code runs, their command lines are understood, their links lead somewhere."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT, blocks, commands, options

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_readme_example_runs(tmp_path: Path) -> None:
    """The README's Python block, saved with fewer rates and else as it is, answers and leaves a report."""
    (code,) = blocks(ROOT / "README.md", "python")
    (tmp_path / "my_task.py").write_text(code.replace("1e-4:10:2", "1e-3:1e-1:1"), encoding="utf-8")
    done = subprocess.run([sys.executable, "my_task.py"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "learning rate" in done.stdout
    assert (tmp_path / "report.html").stat().st_size > 100_000


def test_the_readme_example_is_short() -> None:
    """The README's example has at most 20 lines of code."""
    (code,) = blocks(ROOT / "README.md", "python")
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 20


def test_the_readme_task_is_one_for_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's compare, train and show lines work one after the other on the file that it shows."""
    (code,) = blocks(ROOT / "README.md", "python")
    (tmp_path / "my_task.py").write_text(code, encoding="utf-8")
    lines = [line for line in commands(ROOT / "README.md") if "my_task.py" in line]
    short = {
        "compare": ["--steps", "3", "--seeds", "1", "--lr", "1e-3,1e-2"],
        "train": ["--steps", "3"],
        "find": ["--steps", "54", "--quick", "--engine", "looped", "--workers", "1"],
    }
    for line in lines:
        words = shlex.split(line)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "pacesetter.cli", *words, *short[words[0]]],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode in (0, 3), done.stderr
    assert (tmp_path / "results" / "report.html").exists()
    assert (tmp_path / "run-1" / "weights.safetensors").exists()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_command_lines_are_understood(page: Path) -> None:
    """Every line that starts with `pacesetter` names a command of ours, and only options that it has."""
    from pacesetter import search
    from pacesetter.api.programs import read_recipe, refuse_asked
    from pacesetter.optimizers import parse as parse_rule
    from pacesetter.recipes import Recipe, Strategy
    from pacesetter.schedules import parse as parse_schedule
    from pacesetter.tasks import Command

    readers = {"optimizer": parse_rule, "schedule": parse_schedule, "strategy": Strategy.parse, "recipe": Recipe.parse}
    for line in commands(page):
        values = options(line)
        readers["strategy"] = search.parse if "find" in line.split()[:2] else Strategy.parse
        if values.get("command"):
            command = Command(values["command"])
            if "recipe" in values:
                read_recipe(command, values.pop("recipe"))
            else:
                refuse_asked(command, optimizers=values["optimizers"], schedules=values["schedules"])
        for option, read in readers.items():
            given = next((value for key, value in values.items() if key.startswith(option)), None)
            for text in [given] if isinstance(given, str) else given or []:
                assert str(read(str(read(text)))) == str(read(text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every file that a page links to or shows is there."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", text) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []
