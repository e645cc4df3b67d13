"""The page on how lanes are trained: what it says of options, limits, folders and messages is what the code does."""

import re
import sys
from pathlib import Path

import click
import pytest
import torch
from torch import nn

from pacesetter.cli.entry import cli
from pacesetter.engine import ENGINES, PRECISIONS, make_plan
from pacesetter.engine.compiling import cache_folder
from pacesetter.engine.saved import LARGEST_STATE, SECONDS_BETWEEN_STATES
from pacesetter.engine.train import DEATHS
from tests.docs.blocks import ROOT, blocks
from tests.engine.helpers import lanes_of, small_task

PAGE = ROOT / "docs" / "engine.md"
TEXT = " ".join(PAGE.read_text(encoding="utf-8").split())


def test_the_options_are_those_of_the_command_line() -> None:
    """Every engine and every option of the table exists, and no engine is left out."""
    compare = cli.get_command(click.Context(cli), "compare")
    assert compare is not None
    known = {name for parameter in compare.params for name in parameter.opts}
    told = re.findall(r"^\| `(--\w+) (\S+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert {option for option, _ in told} <= known
    assert {value for option, value in told if option == "--engine"} == set(ENGINES)
    assert {value for option, value in told if option == "--precision"} < set(PRECISIONS)


def test_the_limits_are_the_engine_s() -> None:
    """How often and how much is saved, and how often a worker may die, are as the engine has them."""
    numbers = {3: "three"}
    assert f"saved every {SECONDS_BETWEEN_STATES:g} seconds" in TEXT
    assert f"more than {LARGEST_STATE // 10**6} MB are not saved" in TEXT
    assert f"has ended {numbers[DEATHS]} workers fails" in TEXT


def test_the_folder_is_the_engine_s(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled steps and times lie where the page says."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    for name, folder in {"linux": ".cache/pacesetter", "darwin": "Library/Caches/pacesetter"}.items():
        with monkeypatch.context() as there:
            there.delenv("PACESETTER_CACHE")
            there.setattr(sys, "platform", name)
            assert cache_folder() == Path.home() / folder
            assert f"`~/{folder}`" in TEXT
    monkeypatch.setenv("PACESETTER_CACHE", "elsewhere")
    assert cache_folder() == Path("elsewhere")


class _Counts(nn.Module):
    """Counts its own calls, as the model of the page's message does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3).double()
        self.steps = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.steps += 1
        out: torch.Tensor = self.layer(x)
        return out


def test_the_message_is_the_plan_s() -> None:
    """The page shows the reason that a model with a counter is given, word by word."""
    task = small_task(_Counts)
    plan = make_plan(task, lanes_of(task, [0.1, 0.2]), workers=1)
    said = re.sub(r"on \d+ threads?", "on 1 thread", plan.reason)
    assert f"engine: {plan.engine} ({said})" in [block.strip() for block in blocks(PAGE)]


def test_contributors_are_told_of_every_module() -> None:
    """The list of the engine's modules for contributors has each of them, and none that is not there."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text.split("| module of `engine` |")[1].split("\n\n")[0]
    names = [name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])]
    there = [path.stem for path in (ROOT / "src" / "pacesetter" / "engine").glob("*.py") if path.stem != "__init__"]
    assert sorted(names) == sorted(there)
