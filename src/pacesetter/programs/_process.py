"""A program in a process group of its own: what it prints, and an end that leaves nothing of it running."""

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pacesetter.programs._guard import GRACE

__all__ = ["Guard", "Process"]

LOOK_EVERY = 0.1
"""Seconds between two looks at whether a quiet program has ended, hangs or shall be stopped."""
LAST_WORDS = 1.0
"""Seconds after a program's end in which what it has printed is read; far more than a full pipe takes."""
LONGEST_LINE = 2**20
"""Bytes; what a program prints without a line break beyond this is dropped, so that it cannot fill the memory."""
ERROR_BYTES = 2**13
"""Bytes kept of the end of standard error, for its last line."""


class Guard:
    """Ends the process groups it watches when this process is killed, which can then no longer do it itself."""

    def __enter__(self) -> Self:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("_guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._input.close()
        self._process.wait()

    def watch(self, group: int) -> None:
        """Remember a group that has been started."""
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        """Forget a group that has ended, before its number can be another's."""
        self._tell(f"-{group}\n")

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def _tell(self, line: str) -> None:
        # Without a guard, if somebody ended it, the work goes on.
        with self._lock, suppress(OSError):
            self._input.write(line.encode())
            self._input.flush()


class Process:
    """One program, started; `with` ends it, and whatever it has started in its group.

    status: how it ended, as `Popen.returncode`; known after the block. hangs: whether it was silent for too long.
    """

    def __init__(self, arguments: Sequence[str], guard: Guard) -> None:
        """Start it; raises OSError or ValueError when that is not possible."""
        self._guard = guard
        self._lines, self._errors = _Lines(), bytearray()
        self.hangs = False
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            # Python would else keep its lines back until there are many.
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            # A group of its own, so that its children end with it, and that Ctrl-C reaches it through us alone.
            start_new_session=True,
        )
        guard.watch(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End it: a signal to its group that it can heed, and after a while one that it cannot."""
        if not self._ended():
            self._send(signal.SIGTERM)
            deadline = time.monotonic() + GRACE
            while not self._ended() and time.monotonic() < deadline:
                time.sleep(LOOK_EVERY / 2)
        # While it has not been waited for, no other process can have its number.
        self._send(signal.SIGKILL)
        self._guard.forget(self._process.pid)
        self._process.wait()
        for pipe in self._pipes:
            pipe.close()

    @property
    def status(self) -> int:
        """The exit status, or minus the number of the signal that ended it."""
        return self._process.returncode

    @property
    def last_error(self) -> str:
        """The last line of standard error that is not empty."""
        lines = self._errors.decode(errors="replace").replace("\r", "\n").splitlines()
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def lines(self, timeout: float, stop: threading.Event) -> Iterator[str]:
        """The lines of its standard output, until it ends, prints nothing for `timeout` seconds or `stop` is set."""
        heard, ended = time.monotonic(), None
        with selectors.DefaultSelector() as selector:
            for pipe in self._pipes:
                selector.register(pipe, selectors.EVENT_READ)
            while not stop.is_set():
                # Before looking for output: what it prints last is there once it has ended.
                if ended is None and self._ended():
                    ended = time.monotonic()
                if selector.get_map():
                    ready = selector.select(LOOK_EVERY)
                else:
                    ready = []
                    stop.wait(0 if ended else LOOK_EVERY / 10)
                for key, _ in ready:
                    data = os.read(key.fd, 2**16)
                    heard = time.monotonic()
                    if not data:
                        selector.unregister(key.fileobj)
                    elif key.fileobj is self._process.stdout:
                        yield from self._lines.add(data)
                    else:
                        self._errors = (self._errors + data)[-ERROR_BYTES:]
                # What it started may hold its output open after its end, and even write to it.
                if ended is not None and (not ready or time.monotonic() - ended > LAST_WORDS):
                    yield from self._lines.rest()
                    return
                if time.monotonic() - heard >= timeout:
                    self.hangs = True
                    return

    @property
    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        return self._process.stdout, self._process.stderr

    def _ended(self) -> bool:
        """Whether the program has ended; it is left there, so that its number stays its own."""
        if self._process.returncode is not None:
            return True
        return os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def _send(self, kind: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, kind)


class _Lines:
    """Bytes cut into lines of text."""

    def __init__(self) -> None:
        self._open, self._dropping = bytearray(), False

    def add(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *whole, rest = (self._open + data).split(b"\n")
        if self._dropping and whole:
            whole, self._dropping = whole[1:], False
        self._dropping = self._dropping or len(rest) > LONGEST_LINE
        self._open = bytearray() if self._dropping else bytearray(rest)
        return [line.decode(errors="replace") for line in whole]

    def rest(self) -> list[str]:
        """What stands after the last line break."""
        rest, self._open = self._open, bytearray()
        return [rest.decode(errors="replace")] if rest else []
