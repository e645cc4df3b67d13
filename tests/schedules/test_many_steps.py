"""A million steps at once are worked through in blocks, which nobody can see in the values."""

import numpy as np
import pytest

from pacesetter import schedules
from pacesetter.schedules._arrays import BLOCK

TEXTS = [
    *(name for name in schedules.names() if name not in ("warmup", "function", "plateau", "greedy")),
    "warmup(0.05) >> cosine_restarts(growth=2) >> cooldown(0.1)",
    "one_cycle(0.5, momentum=[0.85, 0.95]) >> triangular * linear",
]


@pytest.mark.parametrize("text", TEXTS)
def test_blocks_leave_no_trace(text: str) -> None:
    """A large array of any shape has the very values that its parts have, beyond the end as well."""
    schedule, n = schedules.parse(text), 2 * BLOCK + 6
    steps = np.arange(n).reshape(-1, 2)[::-1] / 1.5
    for ask in (schedule, schedule.momentum_at):
        parts = [ask(part, n // 2) for part in np.array_split(steps, 5)]
        whole = ask(steps, n // 2)
        if parts[0] is None:
            assert whole is None
        else:
            assert whole.shape == steps.shape
            assert np.array_equal(whole, np.concatenate(parts))


def test_a_controller_too() -> None:
    """A controller's factor in one state is that of each part."""
    schedule = schedules.parse("warmup(0.05) >> cosine * plateau(factor=0.5, patience=0)")
    state = schedule.update(schedule.update(schedule.init(), 1.0, 900, 1000), 1.0, 950, 1000)
    steps = np.linspace(0, 1100, 2 * BLOCK + 1)
    parts = [schedule.factor(state, part, 1000) for part in np.array_split(steps, 4)]
    assert np.array_equal(schedule.factor(state, steps, 1000), np.concatenate(parts))
