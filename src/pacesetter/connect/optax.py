"""optax: a schedule as the function of the step that its optimizers take.

rate = connect.optax.schedule("warmup(500) >> cosine", peak_lr=3e-3, total_steps=10_000)
optimizer = optax.adam(rate)                                          # or
optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=rate)  # shows the rate in its state
"""

from collections.abc import Callable
from typing import Any

from pacesetter import schedules
from pacesetter.connect._checks import checked_peak
from pacesetter.errors import InputError, MissingPackage
from pacesetter.schedules import Schedule

try:
    import jax
except ImportError as error:
    raise MissingPackage.of("jax", "jax", "the optax connector") from error

__all__ = ["momentum", "schedule"]


# The verb is what people look for; the noun is what it takes.
def schedule(schedule: Schedule | str, peak_lr: float | jax.Array, total_steps: int) -> Callable[[Any], Any]:
    """The function from a step to its rate, `peak_lr * factor(step)`, that optax's optimizers take.

    schedule: a pure schedule or its text.
    peak_lr: the highest rate, finite and above 0; or an array of jax, traced ones too, so that `jax.vmap` trains with
        many peaks at once.
    total_steps: length of the whole training in updates. Past it the rate holds.

    The function gives what `jit`, `vmap`, `scan` and `grad` need. Its steps may be whole numbers up to 2**31 - 1, where
    optax's own counters end. The factor is computed in float64, also where jax is set to 32 bits, and rounded to
    float32 at the end: for whatever schedule, the rate is within 1.5e-7 of the peak from the float64 value, at every
    step. (The device must know float64, be it slowly, as CPUs and GPUs do.) A `function` of your own runs on the
    host, by `jax.pure_callback`.

    Raises InputError for a controller, which is told metrics and so is no function of the step, and for spans that do
    not fit into `total_steps`.

    >>> rate = schedule("warmup(4) >> linear", peak_lr=0.5, total_steps=8)
    >>> [float(rate(jax.numpy.int32(step))) for step in (0, 3, 6, 8)]
    [0.125, 0.5, 0.25, 0.0]
    """
    given = schedules.parse(schedule)
    if not given.pure:
        raise InputError(
            f"`schedule` must be a function of the step alone, got the controller `{given}`: build the optimizer with "
            f"optax.inject_hyperparams, and before each update set its state.hyperparams['learning_rate'] to "
            f"peak_lr * schedule.factor(state, step, total_steps), with state from schedule.init() and "
            f"schedule.update(state, metric, step, total_steps)"
        )
    given.validate(total_steps)
    peak = peak_lr if isinstance(peak_lr, jax.Array) else checked_peak(peak_lr)
    return lambda step: peak * given(step, total_steps)


def momentum(schedule: Schedule | str, total_steps: int) -> Callable[[Any], Any]:
    """The function from a step to the momentum, of a schedule that cycles it, as `one_cycle(momentum=...)` does.

    It goes where optax takes a momentum: `optax.inject_hyperparams(optax.sgd)(rate, momentum=...)`, and for Adam `b1`.

    Raises InputError where no piece of the schedule cycles a momentum.

    >>> path = momentum("one_cycle(rise=0.5, momentum=[0.8, 0.9])", total_steps=10)
    >>> round(float(path(jax.numpy.int32(5))), 6)
    0.8
    """
    given = schedules.parse(schedule)
    given.validate(total_steps)
    if given.momentum_at(0, total_steps) is None:
        hint = "try one_cycle(momentum=[0.85, 0.95])"
        raise InputError(f"`schedule` must cycle the momentum, got `{given}`, which leaves it alone: {hint}")
    return lambda step: given.momentum_at(step, total_steps)
