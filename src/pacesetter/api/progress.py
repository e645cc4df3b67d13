"""What a running study tells whoever watches it."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["Listener", "Progress"]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a study is; sent at its start, at every evaluation and at its end.

    study: its name in the store; "" as long as a new study has none.
    lanes, ended, diverged: lanes to train in this call, those that have ended, and those of them that diverged.
    steps, settled, total: updates made in this call; updates that need no more work (made, or given up by a lane
        that ended early); all updates that were asked for.
    seconds: wall time since training began.
    note: something to tell people once ("" for none); the numbers hold as well.
    """

    study: str
    lanes: int
    ended: int = 0
    diverged: int = 0
    steps: int = 0
    settled: int = 0
    total: int = 0
    seconds: float = 0.0
    note: str = ""

    @property
    def seconds_left(self) -> float | None:
        """Time left if every update costs what the updates so far did; None before the first."""
        return self.seconds * (self.total - self.settled) / self.steps if self.steps else None


Listener = Callable[[Progress], None]
