"""Options that several commands share, read in one grammar."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from pacesetter.api import defaults
from pacesetter.errors import InputError

__all__ = ["WHOLE", "json_option", "store_option", "training_options"]

Command = TypeVar("Command", bound=Callable[..., Any])


class _Whole(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.4
    """A whole number; which ones are allowed is for the verb to say."""

    name = "n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(value)
        except ValueError:
            name = param.name if param else "value"
            raise InputError(f"`{name}` must be a whole number, got {name}={value!r}") from None


WHOLE = _Whole()

store_option = click.option(
    "--store", metavar="URL", default=defaults.STORE, show_default=True, help="The store that studies lie in."
)

json_option = click.option(
    "--json",
    "json_target",
    metavar="FILE|-",
    help="Write the JSON document to a file, or with - alone on standard output.",
)

_TRAINING = (
    click.option("--steps", type=WHOLE, metavar="N", help="Length of training in updates.  [default: the task's own]"),
    click.option(
        "--seed", type=WHOLE, metavar="N", default=0, show_default=True, help="The seed, or the first of several."
    ),
    store_option,
    click.option(
        "--study", metavar="NAME", help="Name of the study; one that exists goes on where it was.  [default: a new one]"
    ),
    json_option,
    click.option("--device", metavar="NAME", default="cpu", show_default=True, help="Where to train: cpu or cuda."),
    click.option(
        "--engine",
        metavar="NAME",
        default="auto",
        show_default=True,
        help="How: vectorised (many lanes in one pass), compiled (as machine code), looped, or auto: measured.",
    ),
    click.option(
        "--executor", metavar="NAME", default="local", show_default=True, help="Who trains: local, this machine."
    ),
    click.option(
        "--precision",
        metavar="NAME",
        default="float32",
        show_default=True,
        help="float32, or bfloat16 for matrix products in bfloat16.",
    ),
    click.option("--workers", type=WHOLE, metavar="N", help="Processes that train side by side.  [default: measured]"),
    click.option(
        "--memory", metavar="SIZE", help="How much training may take, such as 4GB.  [default: half of what is free]"
    ),
)


def training_options(command: Command) -> Command:
    """The options of every command that trains."""
    for option in reversed(_TRAINING):
        command = option(command)
    return command
