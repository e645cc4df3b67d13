"""Files that people asked for: found unwritable before the work is done, written whole or not at all."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pacesetter.errors import StoreError

__all__ = ["check_folder", "whole", "writing"]


@contextmanager
def writing(path: str | Path, name: str) -> Iterator[None]:
    """An operating system's error inside becomes a StoreError that names `path` and the argument `name`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreError(
            f"`{name}` must be a place that can be written to, got {name}={str(path)!r} ({reason}): name another"
        ) from error


@contextmanager
def whole(path: Path, name: str) -> Iterator[Path]:
    """A file to write to, which takes its place at `path` when the block ends well; its folder is made if need be.

    It lies beside its place until then, so that a full disk or Ctrl-C never leaves half a file, nor ends the old one.
    """
    with writing(path, name):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, made = tempfile.mkstemp(dir=path.parent, prefix=".pacesetter-", suffix=path.suffix)
        os.close(handle)
        beside = Path(made)
        try:
            yield beside
            # A temporary file is private; what people asked for gets the permissions of any file they make.
            mask = os.umask(0)
            os.umask(mask)
            beside.chmod(0o666 & ~mask)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)


def check_folder(folder: str | Path, name: str) -> Path:
    """`folder` as a path, when files can be written there; nothing is left behind, and it is not made yet.

    Raises:
        StoreError: it is a file, or it cannot be made or written to.
    """
    path = Path(folder)
    with writing(path, name):
        # Whoever can write to the nearest folder that exists can make those below it.
        place = next(place for place in (path, *path.parents) if place.is_symlink() or place.exists())
        with tempfile.TemporaryFile(dir=place):
            pass
    return path
