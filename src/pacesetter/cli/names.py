"""`pacesetter tasks`, `optimizers` and `schedules`: the names that other commands take."""

import inspect
from collections.abc import Mapping

import click

from pacesetter.errors import UnknownName

__all__ = ["optimizers", "schedules", "tasks"]


@click.command(short_help="List the built-in tasks.")
def tasks() -> None:
    """List the built-in tasks; your own is path/to/file.py:name.

    \b
    Example:
      pacesetter tasks
    """
    from pacesetter import tasks as known

    _list({name: known.about(name) for name in known.names()})


@click.command(short_help="List the optimizers, or explain one.")
@click.argument("name", required=False)
def optimizers(name: str | None) -> None:
    """List the optimizers, or explain one: its formula, arguments and source.

    \b
    Examples:
      pacesetter optimizers
      pacesetter optimizers adam
    """
    from pacesetter import optimizers as known

    _tell("optimizer", name, {each: inspect.getdoc(getattr(known, each)) or "" for each in known.names()})


@click.command(short_help="List the schedules, or explain one.")
@click.argument("name", required=False)
def schedules(name: str | None) -> None:
    """List the schedules, or explain one: its formula, arguments and source.

    \b
    Examples:
      pacesetter schedules
      pacesetter schedules cosine
    """
    from pacesetter import schedules as known

    _tell("schedule", name, {each: inspect.getdoc(getattr(known, each)) or "" for each in known.names()})


def _tell(kind: str, name: str | None, texts: Mapping[str, str]) -> None:
    if name is None:
        _list({each: text.partition("\n")[0] for each, text in texts.items()})
    elif name in texts:
        click.echo(texts[name])
    else:
        raise UnknownName.of(kind, name, texts)


def _list(lines: Mapping[str, str]) -> None:
    width = max(map(len, lines), default=0)
    for name, line in lines.items():
        click.echo(f"{name:<{width}}  {line}")
