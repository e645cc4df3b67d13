"""What a method says, and what it took."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A learning rate and its price.

    lr: None where the method gives none.
    lane_steps: updates made, of whatever rate.
    seconds: wall time.
    interval: (low, high), where the method says how sure it is.
    """

    lr: float | None
    lane_steps: int
    seconds: float
    interval: tuple[float, float] | None = None
