"""The command `pacesetter`: finds its subcommands, and turns every end into an exit code.

0 answered; 1 the work failed; 2 bad usage or bad input; 3 honestly no answer; 130 interrupted, nothing lost.
"""

import atexit
import errno
import os
import sys
import threading
import traceback
from collections.abc import Sequence
from importlib import import_module

import click

from pacesetter.cli.exits import INTERRUPTED
from pacesetter.cli.streams import prepare
from pacesetter.errors import MissingPackage, PacesetterError, StoreError, UnknownName
from pacesetter.packages import extra_of

__all__ = ["cli", "main", "run"]

# Seeing where an error comes from is for whoever repairs it, not for whoever mistyped an option.
TRACEBACK = "PACESETTER_TRACEBACK"

# In the order that `--help` lists them: the main job first.
_COMMANDS = {
    "compare": "compare",
    "find": "find",
    "train": "train",
    "studies": "studies",
    "show": "show",
    "report": "report",
    "export": "export",
    "schedule": "schedule",
    "replay": "replay",
    "tasks": "names",
    "optimizers": "names",
    "schedules": "names",
}


class _ReaderGone(Exception):
    """Whoever was reading has seen enough (`| head`), which click would call a failure."""


class _Commands(click.Group):
    """Subcommands by name, each imported when it is asked for."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise _ReaderGone from error
        except SystemExit as error:  # what rich makes of it
            raise (_ReaderGone if isinstance(error.__context__, BrokenPipeError) else error) from error

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in _COMMANDS:
            raise UnknownName.of("command", cmd_name, _COMMANDS)
        command = getattr(import_module(f"pacesetter.cli.{_COMMANDS[cmd_name]}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="pacesetter", message="%(prog)s %(version)s")
def cli() -> None:
    """Which learning rate? An answer with evidence: measured on your own task, side by side.

    \b
    Start here:
      pacesetter compare --seeds 2 --steps 100      a first look, on handwritten digits
      pacesetter compare my_task.py:task            your own model
      pacesetter compare --help                     everything it can compare
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line (`sys.argv` when `arguments` is None); its exit code."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    try:
        ended = cli.main(args=list(typed), prog_name="pacesetter", standalone_mode=False, obj=typed)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED
    except _ReaderGone:
        # What is still buffered must not fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # noqa: BLE001  # whatever it is, a person gets a line and an exit code
        return _explain(error)
    return ended if isinstance(ended, int) else 0


def _explain(error: Exception) -> int:
    """Say on standard error what went wrong; the exit code."""
    if os.environ.get(TRACEBACK):
        traceback.print_exception(error)
    if isinstance(error, ModuleNotFoundError) and not isinstance(error, PacesetterError):
        error = _missing(error) or error
    if isinstance(error, PacesetterError):
        click.echo(f"error: {error}", err=True)
        return error.exit_code
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        click.echo(
            "error: the output must go to a disk with room, got a full one: make room and run the same command again; "
            "what was measured is kept in the store",
            err=True,
        )
        return StoreError.exit_code
    click.echo(f"error: {type(error).__name__}: {error} (unexpected; {TRACEBACK}=1 shows where)", err=True)
    return 1


def _missing(error: ModuleNotFoundError) -> MissingPackage | None:
    """What to install, when the package that is not there is one of an extra's."""
    extra = extra_of(error.name or "")
    return MissingPackage.of(error.name or "", extra, "this command") if extra else None


def main() -> None:
    """The entry point: run, and exit with the code."""
    prepare()
    _leave(run())


def _leave(code: int) -> None:
    """Exit, without taking apart half a million objects of torch's one by one: that takes as long as importing it."""
    if any(not thread.daemon for thread in threading.enumerate() if thread is not threading.main_thread()):
        sys.exit(code)
    atexit._run_exitfuncs()  # noqa: SLF001  # what whoever trains has registered, as at any other exit
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(code)  # which says what is wrong with them
    os._exit(code)
