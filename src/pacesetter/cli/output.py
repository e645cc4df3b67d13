"""Where words, documents and files go."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from pacesetter.errors import StoreError

if TYPE_CHECKING:
    from rich.console import Console

    from pacesetter.api.study import Study

__all__ = ["Output", "default_folder", "load_study", "new_name"]


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
        with redirect_stdout(sys.stderr):
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
            self._out.write(document)
            self._out.flush()
            return None
        path = Path(self._target)
        try:
            path.write_text(document, encoding="utf-8")
        except OSError as error:
            raise _unwritable(path, error) from error
        return path


def _try(path: Path) -> None:
    """Open the file as it will be, and leave nothing behind."""
    new = not path.exists()
    try:
        with path.open("a"):
            pass
        if new:
            path.unlink()
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"`json` must be a file that can be written, got json={str(path)!r} ({error.strerror or error}): name another"
    )


def load_study(name: str | None, store: str) -> "Study":
    """The study `name` from the store, or the newest one; also while another process trains it."""
    from pacesetter.api.study import Study

    if name is None:
        names = [summary.name for summary in Study.summaries(store)]
        if not names:
            raise StoreError(
                f"`study` must name a study, and there is none yet in {store}: pacesetter compare makes one"
            )
        name = names[-1]
        click.echo(f"the newest study, {name}:", err=True)
    return Study.load(name, store)


def new_name(task: str, store: str) -> str:
    """A name that no study in the store has, for one that must be named before it begins."""
    from pacesetter.api.packages import require

    require("train")
    from pacesetter.api.work import free_name
    from pacesetter.store import Store

    with Store.open(store) as opened:
        return free_name(opened, task)


def default_folder(study: str) -> Path:
    """Where files about a study go when nobody says."""
    from pacesetter.api.output import slug

    return Path("pacesetter-out") / slug(study)
