"""What the user's code warns of is said once, though it runs at every step of every lane."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

__all__ = ["warned_once"]


@contextmanager
def warned_once() -> Iterator[None]:
    """Each warning that is to be shown is shown the first time only.

    Python's own memory of what was shown is lost whenever filters change, which torch does within a step.
    """
    seen: set[tuple[str, type[Warning], str, int]] = set()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def show_once(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            key = (str(message), category, filename, lineno)
            if key not in seen:
                seen.add(key)
                show(message, category, filename, lineno, file, line)

        warnings.showwarning = show_once
        yield
