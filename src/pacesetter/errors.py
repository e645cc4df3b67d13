"""Every error that Pacesetter raises, and the grammar they all speak.

    PacesetterError                 the tree; catch this to catch them all
    |-- InputError                  what the caller gave is wrong         (exit code 2)
    |   |-- ParseError              a text form does not parse
    |   |-- UnknownName             a misspelt name, with "did you mean"
    |   |-- TaskError               the user's model, loss or data is at fault
    |   |-- StoreError              the store or a file is not what it should be, or cannot be written
    |   `-- MissingPackage          an optional package is not installed
    `-- WorkFailed                  the input was fine, the work was not  (exit code 1)

The grammar: what is wrong in backticks, the rule, what was got, what to do.

    `steps` must be at least 1, got steps=0

Numerical failure is no error: a lane that diverges is a result.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class PacesetterError(Exception):
    """Any error of ours. `exit_code` is what the command line ends with."""

    exit_code = 1


class InputError(PacesetterError, ValueError):
    """What the caller gave is wrong; the message says which, the rule, what was got and what to do."""

    exit_code = 2


class ParseError(InputError):
    """A text form does not parse; the message shows the place with a caret."""

    @classmethod
    def at(cls, text: str, column: int, problem: str) -> "ParseError":
        """The error for `text`, with a caret under `column` (from 0)."""
        return cls(f"{problem}\n  {text}\n  {' ' * column}^")


class UnknownName(InputError):
    """A name that is not in its registry; the message lists what is and suggests the nearest."""

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str]) -> "UnknownName":
        """The error for an unknown `kind` (say "optimizer") called `name`."""
        names = sorted(known)
        near = get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"did you mean `{near[0]}`? " if near else ""
        return cls(f"`{kind}` must name a known {kind}, got {kind}={name!r}: {hint}known: {', '.join(names)}")


class TaskError(InputError):
    """The user's model, loss, metrics or data is at fault; the message says which and where."""


class StoreError(InputError):
    """A store, checkpoint or output file is not what it should be or cannot be written."""


class MissingPackage(InputError, ImportError):
    """An optional package is needed and not installed; the message has the line that installs it."""

    @classmethod
    def of(cls, package: str, extra: str, purpose: str) -> "MissingPackage":
        """The error for `package`, which the extra `extra` brings, needed for `purpose`."""
        return cls(f"`{package}` is needed for {purpose} and is not installed: pip install 'pacesetter[{extra}]'")


class WorkFailed(PacesetterError):
    """The input was fine, the work was not (every lane failed, say)."""
