"""Where words, documents and files go."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click
from click.core import ParameterSource

from pacesetter.api import defaults
from pacesetter.cli.streams import aside, write_utf8
from pacesetter.errors import StoreError
from pacesetter.files import writing

if TYPE_CHECKING:
    from rich.console import Console

    from pacesetter.api.study import Study

__all__ = ["Output", "load_study", "no_studies", "note", "nothing_here"]


class Output:
    """Words for people and, with `--json`, a document for programs: `-` takes standard output for itself alone."""

    def __init__(self, json_target: str | None) -> None:
        """Find out now whether the document can be written, before any work is done for it."""
        self._target = json_target
        self._out: TextIO = sys.stdout
        if json_target is not None and json_target != "-":
            _try(Path(json_target))

    @property
    def for_programs(self) -> bool:
        """Whether standard output belongs to the document."""
        return self._target == "-"

    @contextmanager
    def guarded(self) -> Iterator[None]:
        """Inside, nothing but the document reaches standard output: also not what a user's own task prints."""
        if not self.for_programs:
            yield
            return
        with aside(self._out), redirect_stdout(sys.stderr):
            yield

    @property
    def console(self) -> "Console":
        """Where words for people go."""
        from rich.console import Console

        return Console(file=sys.stderr if self.for_programs else self._out, highlight=False)

    def write(self, document: str) -> Path | None:
        """Write the JSON text where it was asked for, if it was; the file."""
        if self._target is None:
            return None
        if self.for_programs:
            write_utf8(self._out, document)
            return None
        path = Path(self._target)
        with writing(path, "json"):
            path.write_text(document, encoding="utf-8")
        return path


def _try(path: Path) -> None:
    """Open the file as it will be, and leave nothing behind."""
    new = not path.exists()
    with writing(path, "json"):
        with path.open("a"):
            pass
        if new:
            path.unlink()


def note(line: str) -> None:
    """Tell people what goes on; whoever was reading may have gone, and the work goes on."""
    with suppress(OSError):
        click.echo(line, err=True)


def nothing_here(store: str) -> bool:
    """Whether no store was named and this folder has none."""
    return store == defaults.STORE and not Path(store.removeprefix("sqlite:///")).exists() and not _named("store")


def no_studies(store: str) -> str:
    """What is said where a store has no study, or where there is no store."""
    where = f"in {store}" if _named("store") else "here"
    return f"no studies {where} yet: run `pacesetter compare`, or name a store with --store"


def _named(option: str) -> bool:
    """Whether the option was typed."""
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT


def load_study(name: str | None, store: str) -> "Study":
    """The study `name` from the store, or the newest one; also while another process trains it."""
    from pacesetter.api.study import Study

    if nothing_here(store):
        raise StoreError(no_studies(store))
    if name is None:
        names = [summary.name for summary in Study.summaries(store)]
        if not names:
            raise StoreError(no_studies(store))
        name = names[-1]
        click.echo(f"the newest study, {name}:", err=True)
    return Study.load(name, store)
