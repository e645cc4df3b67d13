"""Ends the programs of a Pacesetter that was killed: a small process that outlives it, and waits for its end.

It is run as a script of its own, without the package: `python _guard.py`. Each line on its standard input is `+N` (the
process group N has been started) or `-N` (it has ended); when the input ends, so has whoever wrote it.
"""

import os
import signal
import sys
import time

GRACE = 5.0
"""Seconds that a program has between being asked to end (SIGTERM) and being ended (SIGKILL): enough for a launcher to
end the processes it has started elsewhere, and for a checkpoint."""


def main() -> None:
    """Read until the input ends, then end the groups that are left."""
    groups: set[int] = set()
    for line in sys.stdin:
        number = int(line[1:])
        if line[0] == "+":
            groups.add(number)
        else:
            groups.discard(number)
    for kind in (signal.SIGTERM, signal.SIGKILL):
        groups = {group for group in groups if _send(group, kind)}
        deadline = time.monotonic() + GRACE
        while groups and kind is signal.SIGTERM and time.monotonic() < deadline:
            time.sleep(0.05)
            groups = {group for group in groups if _send(group, 0)}


def _send(group: int, kind: int) -> bool:
    """Whether the group is still there, and could be sent a signal."""
    try:
        os.killpg(group, kind)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
