"""The shapes of a way down, for a cooldown by itself and within a schedule of phases; and powers of a share."""

import math
from typing import Any, Literal, get_args

from pacesetter.schedules._arrays import Namespace

__all__ = ["DOWN", "Down", "down", "raised"]

Down = Literal["linear", "cosine", "sqrt", "square"]
DOWN: tuple[str, ...] = get_args(Down)


def down(u: Any, shape: str, final: float, xp: Namespace) -> Any:
    """From 1 to `final` as `u` goes from 0 to 1."""
    if shape == "linear":
        height = 1.0 - u
    elif shape == "cosine":
        height = 0.5 + 0.5 * xp.cos(math.pi * u)
    elif shape == "sqrt":
        height = 1.0 - raised(u, 0.5, xp)
    else:
        height = 1.0 - u * u
    # Written as a mean of both ends, it meets each of them exactly.
    return height + final * (1.0 - height)


def raised(u: Any, power: float, xp: Namespace) -> Any:
    """`u ** power` for `u` in [0, 1] and a power above 0, with a slope that is a number where `u` is held at 0 too."""
    # The bound is far below any step's share, and its root is lost beside 1.
    return xp.where(u > 0.0, xp.clip(u, 1e-36, 1.0) ** power, 0.0)
