"""Keras: a schedule as a `LearningRateSchedule`, and any schedule or controller as a callback.

model.compile(keras.optimizers.Adam(LearningRate("warmup(0.05) >> cosine", 3e-3, total_steps=10_000)), loss="mse")

scheduler = Scheduler("warmup(0.05) >> cosine * plateau(patience=2)", 3e-3, total_steps=10_000, monitor="val_loss")
model.compile(keras.optimizers.Adam(), loss="mse")
model.fit(inputs, targets, validation_data=held_out, callbacks=[scheduler])

Import this module before `keras.saving.load_model` reads a model that was saved with a `LearningRate`.
"""

from collections.abc import Mapping
from typing import Any

from pacesetter import schedules
from pacesetter.connect._checks import checked_peak
from pacesetter.errors import InputError, MissingPackage
from pacesetter.schedules import Schedule

try:
    import keras
except ImportError as error:
    backend = (error.name or "").partition(".")[0]
    if backend in ("tensorflow", "jax", "torch"):
        rule = f"`{backend}` is needed for Keras, whose backend it is, and is not installed"
        raise MissingPackage(
            f"{rule}: install it, or name another before Keras is imported: KERAS_BACKEND=torch"
        ) from error
    raise MissingPackage.of("keras", "keras", "the Keras connector") from error

__all__ = ["LearningRate", "Scheduler"]


@keras.saving.register_keras_serializable(package="pacesetter")
class LearningRate(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]  # Keras has no types
    """The rate as a function of the step, for `learning_rate=` of any Keras optimizer: `peak_lr * factor(step)`.

    schedule: a pure schedule or its text.
    peak_lr: the highest rate, finite and above 0.
    total_steps: length of the whole training in updates. Past it the rate holds. Keras gives a schedule its number of
        batches: with `gradient_accumulation_steps`, count batches here (or take `Scheduler`, which counts updates).

    The factor is computed in float64 and rounded to Keras's float type at the end, by every backend that trains
    (torch, jax, tensorflow). It is saved with the model as plain text and numbers.

    Raises InputError for a controller (`Scheduler` is for these), for spans that do not fit into `total_steps`, for a
    cycled momentum, which Keras compiles in, and when a function without a place is to be saved.

    >>> rate = LearningRate("warmup(4) >> linear", 0.5, total_steps=8)
    >>> [float(rate(step)) for step in (0, 3, 6, 8)]
    [0.125, 0.5, 0.25, 0.0]
    """

    def __init__(self, schedule: Schedule | str, peak_lr: float, total_steps: int) -> None:
        self.schedule = _checked(schedule, total_steps)
        if not self.schedule.pure:
            got = f"got the controller `{self.schedule}`"
            raise InputError(
                f"`schedule` must be a function of the step alone, {got}: build the optimizer with a plain rate and "
                "give fit(callbacks=[pacesetter.connect.keras.Scheduler(...)])"
            )
        self.peak_lr = checked_peak(peak_lr)
        self.total_steps = int(total_steps)

    def __call__(self, step: Any) -> Any:
        """The rate of update `step`, as a tensor of the backend."""
        factor = self.schedule(keras.ops.convert_to_tensor(step), self.total_steps)
        return keras.ops.cast(self.peak_lr * factor, keras.config.floatx())

    def get_config(self) -> dict[str, Any]:
        """What builds it again: text and numbers."""
        text = str(self.schedule)
        try:
            schedules.parse(text)
        except InputError as error:
            rule = "`schedule` must have a text that can be read again to be saved"
            raise InputError(f'{rule}, got {text}: give its function as "module:name"') from error
        return {"schedule": text, "peak_lr": self.peak_lr, "total_steps": self.total_steps}


class Scheduler(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """A schedule or controller driving the optimizer's rate: before each update, `peak_lr * factor(updates so far)`.

    schedule: a schedule or its text.
    peak_lr: the highest rate, finite and above 0. The optimizer's own rate does not matter: a saved one is wherever the
        schedule had brought it.
    total_steps: length of the whole training in updates. Past it the rate holds.
    monitor: the metric that a controller hears of at the end of each epoch, as Keras names it.

    Updates are counted by `optimizer.iterations`, which is saved with the model, counts gradient accumulation once and
    does not count steps that a loss scale made skip. So a training that goes on from a saved model goes on at the
    right rate by itself; a controller's state goes into a file of yours by `state_dict()`, plain data, and back
    by `load_state_dict()` before `fit`. `learning_rate` in the logs of an epoch is the rate of its last update.

    Raises InputError when `fit` begins, for an optimizer that was built with a schedule and for `steps_per_execution`
    above 1, which would hold the rate over several updates; at the end of an epoch, for a metric that is not there or
    is NaN; and like `LearningRate` for spans and a cycled momentum.

    >>> scheduler = Scheduler("plateau(factor=0.5, patience=0)", 0.1, total_steps=100)
    >>> scheduler.observe(1.0, step=10); scheduler.observe(1.0, step=20)
    >>> scheduler.lr(20)
    0.05
    """

    def __init__(self, schedule: Schedule | str, peak_lr: float, total_steps: int, monitor: str = "val_loss") -> None:
        super().__init__()
        self.schedule = _checked(schedule, total_steps)
        self.peak_lr = checked_peak(peak_lr)
        self.total_steps = int(total_steps)
        self.monitor = monitor
        self.state = self.schedule.init()

    def lr(self, step: int) -> float:
        """The rate of update `step` as things stand."""
        return self.peak_lr * float(self.schedule.factor(self.state, step, self.total_steps))

    def observe(self, metric: float, step: int) -> None:
        """Tells a controller a metric that was measured after `step` updates; `fit` does it at each epoch's end."""
        self.state = self.schedule.update(self.state, float(metric), step, self.total_steps)

    def state_dict(self) -> dict[str, Any]:
        """All that a controller has seen, as plain data: text, numbers, lists and dicts."""
        return {"schedule": str(self.schedule), "state": self.state}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Takes over what `state_dict()` gave, also from a training of another peak or length.

        Raises InputError when it is of another schedule.
        """
        mine = str(self.schedule)
        if state_dict.get("schedule") != mine or "state" not in state_dict:
            got = f"got schedule={state_dict.get('schedule')!r} where this one has {mine!r}"
            raise InputError(f"`state_dict` must come from the same schedule, {got}: build the callback with that")
        self.state = dict(state_dict["state"])

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Refuses what it could not drive, and sets the first rate."""
        per_execution = getattr(self.model, "steps_per_execution", 1)
        if per_execution != 1:
            rule = "`steps_per_execution` must be 1 for a callback that sets each update's rate"
            raise InputError(f"{rule}, got {per_execution}: compile with 1, or take LearningRate for a pure schedule")
        try:
            self._set()
        except (AttributeError, TypeError) as error:
            got = f"got {type(self.model.optimizer).__name__} with one that is not settable"
            raise InputError(f"`optimizer` must be built with a number as its rate, {got}: {error}") from error

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Sets the rate of the update to come."""
        self._set()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Logs the rate of the last update, and tells a controller the metric."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(_value(self.model.optimizer.learning_rate))
        if self.schedule.pure:
            return
        if self.monitor not in logs:
            there = ", ".join(name for name in logs if name != "learning_rate")
            raise InputError(
                f"`monitor` must be a metric that is there after each epoch, got monitor={self.monitor!r} where there "
                f"are {there}: give fit() validation_data for a val_ one, or name another"
            )
        self.observe(logs[self.monitor], self._updates())

    def _updates(self) -> int:
        return int(_value(self.model.optimizer.iterations))

    def _set(self) -> None:
        self.model.optimizer.learning_rate = self.lr(self._updates())


def _value(variable: Any) -> Any:
    """What a variable of Keras holds, as a tensor of the backend, which is a number to Python."""
    return keras.ops.convert_to_tensor(variable)


def _checked(schedule: Schedule | str, total_steps: int) -> Schedule:
    given = schedules.parse(schedule)
    given.validate(total_steps)
    if given.momentum_at(0, total_steps) is not None:
        got = f"got `{given}`"
        raise InputError(f"`momentum` cannot be cycled in Keras, whose optimizers compile it in, {got}: leave it out")
    return given
