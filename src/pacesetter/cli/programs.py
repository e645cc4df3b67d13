"""The options that make a program the task: `--command`, and what belongs to it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

from pacesetter.errors import InputError

if TYPE_CHECKING:
    from pacesetter.tasks import Command

__all__ = ["program_options", "task_of"]

Function = TypeVar("Function", bound=Callable[..., Any])

_PROGRAM = (
    click.option(
        "--command",
        metavar="LINE",
        help="A program in place of TASK, which prints JSON lines; {lr}, {steps} and {seed} in it are filled in.",
    ),
    click.option(
        "--timeout",
        metavar="SECONDS",
        help="With --command: a program that prints nothing for so long hangs.  [default: 3600]",
    ),
    click.option("--maximize", metavar="METRIC", multiple=True, help="With --command: more of this metric is better."),
)


def program_options(function: Function) -> Function:
    """The options of commands whose task may be a program."""
    for option in reversed(_PROGRAM):
        function = option(function)
    return function


def task_of(task: str, command: str | None, timeout: str | None, maximize: tuple[str, ...]) -> "str | Command":
    """The program that `--command` names, else the task."""
    if command is None:
        for name, given in (("timeout", timeout), ("maximize", maximize)):
            if given:
                raise InputError(f"`{name}` must come with a command, got {name}={given!r}: add --command, or leave it")
        return task
    if click.get_current_context().get_parameter_source("task") is not ParameterSource.DEFAULT:
        raise InputError(f"`command` must come without a task, got task={task!r} and a command: leave one of both out")
    from pacesetter.tasks import Command

    return Command(command, maximize=maximize, **({} if timeout is None else {"timeout": _seconds(timeout)}))


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"`timeout` must be a number of seconds, got timeout={text!r}") from None
