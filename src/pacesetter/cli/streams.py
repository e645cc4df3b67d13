"""Standard output and error as they may really be: closed, of another encoding, shared with what a task prints."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

__all__ = ["aside", "prepare", "write_utf8"]


def prepare() -> None:
    """Make both usable: into nothing where they were closed, and with a "?" for what their encoding does not have."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # closed by whoever started us
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115  # for our whole life
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def write_utf8(stream: TextIO, text: str) -> None:
    """Write `text` as UTF-8, which JSON is (RFC 8259), whatever the stream's own encoding."""
    stream.flush()
    raw = getattr(stream, "buffer", None)
    if raw is None:
        stream.write(text)
    else:
        raw.write(text.encode())
    stream.flush()


@contextmanager
def aside(stream: TextIO) -> Iterator[None]:
    """Inside, what other programs and C code write to the stream's file goes to standard error."""
    try:
        place, elsewhere = stream.fileno(), sys.stderr.fileno()
    except (OSError, ValueError, AttributeError):  # a stream in memory
        yield
        return
    stream.flush()
    kept = os.dup(place)
    os.dup2(elsewhere, place)
    try:
        yield
    finally:
        os.dup2(kept, place)
        os.close(kept)
