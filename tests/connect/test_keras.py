"""The Keras connector: a schedule inside an optimizer, a callback that drives one, resuming, saving; torch and jax."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from pacesetter import schedules
from pacesetter.errors import InputError

# Keras reads it when it is imported, and keeps it.
os.environ.setdefault("KERAS_BACKEND", "torch")
import keras

from pacesetter.connect.keras import LearningRate, Scheduler

# Keras's variables have the `__array__` of numpy 1, and Keras itself asks them for it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

WARM_PLATEAU = "warmup(5) >> cosine * plateau(factor=0.5, patience=0)"
INPUTS = np.random.default_rng(0).normal(size=(40, 3)).astype("float32")
TARGETS = INPUTS.sum(1, keepdims=True)


def compiled(optimizer, **keywords):
    """A straight line, the same at each call."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(1)])
    model.compile(optimizer, loss="mse", **keywords)
    return model


def fit(model, *callbacks, epochs=4, **keywords):
    """Trains for five updates an epoch; the validation loss, of wrong targets, gets worse. Rates and history."""
    seen = Seen()
    keywords = {"batch_size": 8, "verbose": 0, "shuffle": False, "validation_data": (INPUTS, -TARGETS)} | keywords
    history = model.fit(INPUTS, TARGETS, epochs=epochs, callbacks=[*callbacks, seen], **keywords)
    return seen.rates, history.history


class Seen(keras.callbacks.Callback):
    """The rate that the optimizer has when an update begins."""

    def __init__(self):
        super().__init__()
        self.rates = []

    def on_train_batch_begin(self, batch, logs=None):
        rate = keras.ops.convert_to_tensor(self.model.optimizer.learning_rate)
        self.rates.append(float(rate))


def wanted(text, peak_lr, total_steps, count):
    """The rates of the first updates by a pure schedule."""
    return pytest.approx([peak_lr * schedules.parse(text)(k, total_steps) for k in range(count)], abs=2e-7 * peak_lr)


@pytest.mark.parametrize("text", ["constant", "linear", "warmup(5) >> cosine(final=0.1)", "step * triangular2"])
def test_rates_are_the_schedule(text):
    """Inside the optimizer or as a callback, update k has the rate peak * factor(k), and past the end it holds."""
    inside = compiled(keras.optimizers.SGD(LearningRate(text, 0.05, 15)))
    assert fit(inside)[0] == wanted(text, 0.05, 15, 20)
    rates, history = fit(compiled(keras.optimizers.SGD(0.7)), Scheduler(text, 0.05, 15))
    assert rates == wanted(text, 0.05, 15, 20)
    assert history["learning_rate"] == rates[4::5]


def test_steps_up_to_1e9():
    """Tensors of steps, far out too, give rates within 2e-7 of the peak."""
    schedule, steps = (
        schedules.parse("warmup(0.1) >> triangular(cycle=7)"),
        np.arange(10**9 - 500, 10**9, dtype="int32"),
    )
    found = keras.ops.convert_to_numpy(LearningRate(schedule, 0.3, 10**9)(steps))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 0.3 * schedule(steps, 10**9), rtol=0, atol=2e-7 * 0.3)


def test_saved_and_loaded(tmp_path):
    """A model saved with a schedule in its optimizer comes back with it, and goes on where it was."""
    rate = LearningRate("warmup(5) >> cosine(final=0.1)", 0.05, 20)
    whole, _ = fit(compiled(keras.optimizers.Adam(rate)))
    model = compiled(keras.optimizers.Adam(rate))
    first, _ = fit(model, epochs=2)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    rest, _ = fit(again, epochs=2)
    assert first + rest == whole
    config = again.optimizer.get_config()["learning_rate"]
    assert config["registered_name"] == "pacesetter>LearningRate"
    plain = {"schedule": "warmup(5) >> cosine(final=0.1)", "peak_lr": 0.05, "total_steps": 20}
    assert json.loads(json.dumps(config["config"])) == plain


def interrupted(path, epochs=6, stop=2):
    """The rates of a training that ends after `stop` epochs and goes on from two files, with all objects new."""
    model, scheduler = compiled(keras.optimizers.Adam()), Scheduler(WARM_PLATEAU, 0.05, 30)
    first, _ = fit(model, scheduler, epochs=stop)
    model.save(path / "model.keras")
    (path / "scheduler.json").write_text(json.dumps(scheduler.state_dict()))
    model, scheduler = keras.saving.load_model(path / "model.keras"), Scheduler(WARM_PLATEAU, 0.05, 30)
    scheduler.load_state_dict(json.loads((path / "scheduler.json").read_text()))
    rest, _ = fit(model, scheduler, epochs=epochs, initial_epoch=stop)
    return first + rest


def test_controller_drives_and_resumes(tmp_path):
    """Warm-up, then cosine times plateau: its rates follow the metrics, and are the same ones after an interruption."""
    rates, history = fit(compiled(keras.optimizers.Adam()), Scheduler(WARM_PLATEAU, 0.05, 30), epochs=6)
    schedule, expected = schedules.parse(WARM_PLATEAU), []
    state = schedule.init()
    for epoch, metric in enumerate(history["val_loss"]):
        expected += [0.05 * schedule.factor(state, step, 30) for step in range(5 * epoch, 5 * epoch + 5)]
        state = schedule.update(state, metric, 5 * epoch + 5, 30)
    assert rates == pytest.approx(expected, abs=2e-7 * 0.05)
    assert rates[-1] < 0.2 * 0.05 * schedules.parse("warmup(5) >> cosine")(29, 30)
    assert interrupted(tmp_path) == rates


def test_other_length_and_peak_after_resuming():
    """What a controller has seen is taken over into a longer training with another peak."""
    first = Scheduler("plateau(factor=0.5, patience=0)", 0.1, 10)
    for step in (2, 4):
        first.observe(1.0, step)
    second = Scheduler("plateau(factor=0.5, patience=0)", 0.3, 100)
    second.load_state_dict(first.state_dict())
    assert second.lr(50) == pytest.approx(0.15)


def test_updates_are_counted_once():
    """With gradient accumulation the callback counts updates; a schedule inside is given batches by Keras."""
    accumulating = compiled(keras.optimizers.SGD(gradient_accumulation_steps=5))
    rates, _ = fit(accumulating, Scheduler("linear", 0.05, 4))
    assert rates == pytest.approx([0.05 * (1 - k / 4) for k in range(4) for _ in range(5)])
    inside = compiled(keras.optimizers.SGD(LearningRate("linear", 0.05, 20), gradient_accumulation_steps=5))
    assert fit(inside)[0] == wanted("linear", 0.05, 20, 20)


def test_wrapped_by_a_loss_scale():
    """Through an optimizer that scales the loss, the inner one is driven, by its own count."""
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(), initial_scale=4.0)
    assert fit(compiled(optimizer), Scheduler("linear", 0.05, 20))[0] == wanted("linear", 0.05, 20, 20)


def test_bad_input_is_said():
    """What could not be driven is refused with what to do instead."""
    with pytest.raises(InputError, match="got the controller `plateau`: build the optimizer with a plain rate"):
        LearningRate("plateau", 0.1, 10)
    for kind in (LearningRate, Scheduler):
        with pytest.raises(InputError, match="`peak_lr` must be a finite number above 0, got peak_lr=0"):
            kind("linear", 0, 10)
        with pytest.raises(InputError, match="`span` must fit into `total_steps`"):
            kind("linear(20)", 0.1, 10)
        with pytest.raises(InputError, match="`momentum` cannot be cycled in Keras"):
            kind("one_cycle(momentum=[0.85, 0.95])", 0.1, 10)
    with pytest.raises(InputError, match="`optimizer` must be built with a number as its rate, got SGD"):
        fit(compiled(keras.optimizers.SGD(LearningRate("linear", 0.1, 10))), Scheduler("linear", 0.1, 10))
    with pytest.raises(InputError, match="got monitor='val_loss' where there are loss: give fit"):
        fit(compiled(keras.optimizers.SGD()), Scheduler("plateau", 0.1, 10), validation_data=None)
    with pytest.raises(InputError, match="got schedule='linear' where this one has 'plateau'"):
        Scheduler("plateau", 0.1, 10).load_state_dict(Scheduler("linear", 0.1, 10).state_dict())
    with pytest.raises(InputError, match="`schedule` must have a text that can be read again to be saved"):
        LearningRate(schedules.function(lambda k, n: 1.0), 0.1, 10).get_config()


def run(code, **environment):
    """What a fresh process prints, or else the end of its traceback. Keras's warning from above is no error there."""
    given = os.environ | {"PYTHONWARNINGS": "ignore"} | environment
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, env=given)
    return done.stdout.strip() if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def test_under_the_backend_of_jax(tmp_path):
    """Under Keras's jax backend, whose training is compiled, all rates are the same, also after an interruption."""
    code = f"""
import json, pathlib, keras
from tests.connect import test_keras as here
assert keras.backend.backend() == "jax"
text = "warmup(5) >> cosine(final=0.1)"
inside, _ = here.fit(here.compiled(keras.optimizers.SGD(here.LearningRate(text, 0.05, 15))))
whole, _ = here.fit(here.compiled(keras.optimizers.Adam()), here.Scheduler(here.WARM_PLATEAU, 0.05, 30), epochs=6)
try:
    here.fit(here.compiled(keras.optimizers.SGD(), steps_per_execution=2), here.Scheduler("linear", 0.1, 10))
except here.InputError as error:
    said = str(error)
print(json.dumps([inside, whole, here.interrupted(pathlib.Path({str(tmp_path)!r})), said]))
"""
    inside, whole, pieced, said = json.loads(run(code, KERAS_BACKEND="jax"))
    assert inside == wanted("warmup(5) >> cosine(final=0.1)", 0.05, 15, 20)
    assert whole[:5] == wanted("warmup(5)", 0.05, 30, 5)
    assert whole[-1] < 0.2 * 0.05 * schedules.parse("warmup(5) >> cosine")(29, 30)
    assert pieced == whole
    assert said.startswith(
        "`steps_per_execution` must be 1 for a callback that sets each update's rate, got 2: compile"
    )


def test_missing_package_is_said():
    """Without Keras, or without the package of its backend, the error says what to install or set."""
    said = run("import sys; sys.modules['keras'] = None; import pacesetter.connect.keras")
    assert said.endswith(
        "`keras` is needed for the Keras connector and is not installed: pip install 'pacesetter[keras]'"
    )
    said = run(
        "import sys; sys.modules['tensorflow'] = None; import pacesetter.connect.keras", KERAS_BACKEND="tensorflow"
    )
    assert "`tensorflow` is needed for Keras, whose backend it is, and is not installed: install it, or name" in said
