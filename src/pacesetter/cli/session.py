"""What surrounds a command that trains: memory settings, the command's own line, and Ctrl-C."""

import ctypes
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import click

from pacesetter.cli.exits import INTERRUPTED
from pacesetter.cli.progress import Watch

__all__ = ["command_line", "keep_freed_memory", "training"]

# glibc's names for its settings (malloc.h), and the largest values it takes: memory that was freed stays with the
# process, instead of being given back and faulted in again at every step. Large temporary tensors cost a third less.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MMAP_BYTES, _TRIM_BYTES = 32 * 2**20, 2**30


@contextmanager
def training(watch: Watch, store: str) -> Iterator[None]:
    """A command's training: shown, its line kept in the provenance, and Ctrl-C explained."""
    from pacesetter.api.provenance import asked_by

    keep_freed_memory()
    try:
        with asked_by(command_line(None)), watch:
            yield
    except KeyboardInterrupt:
        click.echo(_kept(watch, store), err=True)
        raise click.exceptions.Exit(INTERRUPTED) from None


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees; without effect where there is no glibc."""
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_MMAP_THRESHOLD, _MMAP_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, _TRIM_BYTES)


def command_line(study: str | None) -> str:
    """The line that was typed, naming `study` if it is given and was not."""
    arguments: list[str] = list(click.get_current_context().find_root().obj or ())
    if study is not None and not any(a == "--study" or a.startswith("--study=") for a in arguments):
        arguments = [*arguments, "--study", study]
    return shlex.join(["pacesetter", *arguments])


def _kept(watch: Watch, store: str) -> str:
    last = watch.last
    if last is None:
        return "interrupted before training began: nothing new was stored"
    if not last.study:
        return "interrupted before training began: nothing new was stored"
    if not last.lanes:
        return f"interrupted: study {last.study} is finished, and kept in {store}; nothing was left to train"
    if last.ended == last.lanes:
        return f"interrupted: all {last.lanes} lanes have ended, and are kept in {store}: pacesetter show {last.study}"
    return (
        f"interrupted: {last.ended} of {last.lanes} lanes have ended, and everything measured is kept in {store}; "
        f"go on with\n  {command_line(last.study)}"
    )
