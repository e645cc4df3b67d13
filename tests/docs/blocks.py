"""What a Markdown page holds in fences."""

import re
import shlex
from pathlib import Path
from typing import Any

import click

from pacesetter.cli.entry import cli

__all__ = ["ROOT", "blocks", "commands", "options"]

ROOT = Path(__file__).parents[2]


def blocks(page: Path, language: str = "") -> list[str]:
    """The contents of the page's fences of one language; "" are those without one."""
    found = re.findall(r"^```([^\n]*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [body for name, body in found if name.strip() == language]


def commands(page: Path) -> list[str]:
    """Its lines that start with `pacesetter`, without the remark after several spaces."""
    lines = [line for block in blocks(page) for line in block.splitlines()]
    return [re.split(r"\s{4,}", line)[0] for line in lines if line.startswith("pacesetter ")]


def options(line: str) -> dict[str, Any]:
    """What a command line means to its command, which is not run; click's UsageError if it does not understand it."""
    name, *words = shlex.split(line)[1:]
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, line
    return dict(command.make_context(name, words).params)
