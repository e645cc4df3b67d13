"""Whose fault it is: an error of the user's own code becomes one sentence with the user's own line."""

import re
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pacesetter.errors import PacesetterError, TaskError

__all__ = ["in_one_line", "told"]

OURS = str(Path(__file__).parents[1])
"""The package's own folder."""
PLACE = re.compile(r'File "(.+)", line (\d+)')
LONGEST = 200
"""Characters kept of what an error says: torch's own go on for pages after the first sentence."""


def told(
    argument: str, problem: str, work: Callable[[], Any], remedy: Callable[[BaseException], str] = lambda error: ""
) -> Any:
    """What `work` gives; whatever the user's code raises (also `sys.exit`) becomes a TaskError about `argument`.

    remedy: what to add about an error that is known well enough to say what to do.
    """
    try:
        return work()
    except PacesetterError:
        raise
    except (Exception, SystemExit) as error:
        raise TaskError(f"`{argument}` {problem}: {in_one_line(error)}{remedy(error)}") from error


def in_one_line(error: BaseException) -> str:
    """The kind of an error, the first line of what it says (torch adds pages), and the user's line.

    An error of ours says it all itself.
    """
    if isinstance(error, PacesetterError):
        return str(error)
    if there := _in_a_worker(str(error)):
        return there
    reason = str(error).strip().splitlines()
    said = f"{type(error).__name__}: {reason[0][:LONGEST] if reason else ''}".rstrip(": ")
    return f"{said}{_users_line(error)}"


def _in_a_worker(text: str) -> str:
    """The same of an error that a DataLoader's worker process sent, whose text holds its whole traceback."""
    if not (text.startswith("Caught ") and "\nOriginal Traceback" in text):
        return ""
    places = [found.groups() for found in PLACE.finditer(text) if _is_users(found[1])]
    said = text.strip().splitlines()[-1][:LONGEST]
    return said + (f" (in {places[-1][0]}, line {places[-1][1]})" if places else "")


def _users_line(error: BaseException) -> str:
    """The innermost line that is neither ours nor an installed package's."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if _is_users(frame.filename):
            return f" (in {frame.filename}, line {frame.lineno})"
    return ""


def _is_users(file: str) -> bool:
    return not ("site-packages" in file or file.startswith((OURS, "<")))
