"""What people see while lanes train: a bar on a terminal, plain lines elsewhere; always on standard error."""

import sys
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pacesetter.api.progress import Progress
from pacesetter.words import duration

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

__all__ = ["Watch", "duration"]

# Lines in a log file: enough to see that it moves, few enough to read.
SHARES_BETWEEN_LINES = 0.1


class Watch:
    """A listener that shows how far training is. `last` is the last thing it heard, None before the first."""

    def __init__(self) -> None:
        """Draw a bar when standard error is a terminal."""
        self.last: Progress | None = None
        self._bar: Bar | None = None
        self._row: TaskID | None = None
        self._next_line = 0.0

    def __enter__(self) -> Self:
        if sys.stderr.isatty():
            self._bar = _bar()
            self._bar.start()
            self._row = self._bar.add_task("preparing", total=None, lanes="", left="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, progress: Progress) -> None:
        """Show it."""
        self.last = progress
        if progress.note:
            self._say(progress.note)
        elif self._bar is not None and self._row is not None:
            self._bar.update(
                self._row,
                description="training",
                total=progress.total,
                completed=progress.settled,
                lanes=_lanes(progress),
                left=_left(progress),
            )
        elif progress.total and progress.settled >= min(self._next_line, progress.total):
            self._next_line = progress.settled + SHARES_BETWEEN_LINES * progress.total
            self._say(f"{_lanes(progress)}, {_steps(progress)}{_left(progress)}")

    def _say(self, line: str) -> None:
        if self._bar is not None:
            self._bar.console.print(line, style="dim", markup=False)
        else:
            # Whoever was reading may have gone; the work goes on.
            with suppress(OSError):
                print(line, file=sys.stderr, flush=True)


def _bar() -> "Bar":
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[lanes]}"),
        MofNCompleteColumn(),
        TextColumn("steps{task.fields[left]}"),
    )
    return Bar(*columns, console=Console(stderr=True, highlight=False), transient=True)


def _lanes(progress: Progress) -> str:
    diverged = f" ({progress.diverged} diverged)" if progress.diverged else ""
    return f"{progress.ended}/{progress.lanes} lanes{diverged}"


def _steps(progress: Progress) -> str:
    return f"{progress.settled}/{progress.total} steps"


def _left(progress: Progress) -> str:
    if progress.total and progress.settled == progress.total:
        return f", {duration(progress.seconds)}"
    return "" if progress.seconds_left is None else f", {duration(progress.seconds_left)} left"
