"""Our schedules against those of Keras, step by step, and where they differ on purpose."""

import os
import types

import numpy as np
import pytest

# Keras asks for its backend when it is imported first.
os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras", reason="a peer to agree with")

from pacesetter import schedules  # noqa: E402
from tests.schedules import peers  # noqa: E402
from tests.schedules.peers import STEPS, assert_controller_agrees, assert_row_agrees, evaluated, metrics  # noqa: E402

PEER = keras.optimizers.schedules


@pytest.fixture
def double():
    """Keras computes in float64, as long as the test runs."""
    before = keras.config.floatx()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx(before)


def keras_rates(text, count=STEPS):
    """The rates of a schedule of Keras at the first `count` steps, in the precision that Keras is set to."""
    schedule = evaluated(text, PEER)
    return np.array([float(schedule(step)) for step in range(count)])


def callback_rates(text, told):
    """The rates that a callback of Keras leaves for each epoch, when it is told of the metric at the end of each."""
    callback = evaluated(text, keras.callbacks)
    # All that these callbacks know of a model; a real one would keep its rate in float32.
    model = types.SimpleNamespace(optimizer=types.SimpleNamespace(learning_rate=1.0))
    callback.set_model(model)
    callback.on_train_begin()
    found = []
    for epoch, metric in enumerate(told):
        callback.on_epoch_begin(epoch)
        found.append(float(model.optimizer.learning_rate))
        callback.on_epoch_end(epoch, {getattr(callback, "monitor", "loss"): metric})
    return np.array(found)


@pytest.mark.parametrize("row", peers.KERAS, ids=lambda row: row.theirs)
def test_agrees_with_keras(row, double):
    """At every step the factor is the rate of Keras's schedule with a peak of 1, within 1e-12 where it has float64."""
    assert_row_agrees(row, keras_rates(row.theirs))


# In float32 its logarithm puts a step of this one into the wave before: see below.
AS_IT_IS = [row for row in peers.KERAS if "t_mul=1.5" not in row.theirs]


@pytest.mark.parametrize("row", AS_IT_IS, ids=lambda row: row.theirs)
def test_agrees_with_keras_as_it_is(row):
    """At every step the factor is the rate of Keras's schedule in float32, within 1e-6."""
    assert_row_agrees(row, keras_rates(row.theirs), 1e-6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("row", peers.KERAS_CONTROLLERS, ids=lambda row: row.theirs)
def test_callbacks_agree_with_keras(row, seed):
    """On the same metrics, one an epoch, the factor is the rate that Keras's callback leaves, within 1e-12."""
    told = metrics(seed)
    assert_controller_agrees(row, callback_rates(row.theirs, told), told)


def test_a_function_of_the_epoch_agrees_with_keras():
    """`LearningRateScheduler(f)` sets the rate of an epoch, as `function` does where a step is an epoch."""
    found = callback_rates("LearningRateScheduler(lambda epoch: 1 / (1 + epoch))", [1.0] * 20)
    expected = schedules.function(lambda k, n: 1 / (1 + k))(np.arange(20), 20)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_every_schedule_of_keras_has_a_row():
    """Each class of keras.optimizers.schedules has a row, and so has its callback of a plateau."""
    rows = " ".join(row.theirs for row in peers.KERAS)
    names = [name for name in dir(PEER) if isinstance(getattr(PEER, name), type) and name != "LearningRateSchedule"]
    assert len(names) == 6
    assert [name for name in names if f"{name}(" not in rows] == []


def test_a_boundary_has_the_old_value_in_keras():
    """At a boundary itself Keras's piecewise schedule still has the value before it, ours the new one."""
    assert keras_rates("PiecewiseConstantDecay([3], [1.0, 0.5])", 5).tolist() == [1, 1, 1, 1, 0.5]
    assert schedules.parse("piecewise(at=[3], values=[1, 0.5])")(np.arange(5), 5).tolist() == [1, 1, 1, 0.5, 0.5]


def test_rounding_makes_keras_miss_a_restart():
    """In float32 Keras has the end of a wave, 0, at step 75 where the third one begins; ours has the peak there."""
    theirs = keras_rates("CosineDecayRestarts(1.0, 30, t_mul=1.5)")
    ours = schedules.parse("cosine_restarts(cycle=30, growth=1.5)")(np.arange(STEPS), STEPS)
    assert np.flatnonzero(np.abs(theirs - ours) > 1e-3).tolist() == [75]
    assert (theirs[75], ours[75]) == (0.0, 1.0)


def test_decay_goes_on_past_the_run_in_keras_and_is_held_here():
    """`ExponentialDecay` has no end; with a span, ours holds the value there."""
    found, expected = (
        peers.our_factors("exponential(100, decay=0.5, every=20)"),
        keras_rates("ExponentialDecay(1.0, 20, 0.5)"),
    )
    np.testing.assert_allclose(found[:101], expected[:101], rtol=0, atol=1e-6)
    assert (found[100:] == 2**-5).all() and expected[-1] < 2**-9


# What Keras's own tests expect (keras/src/optimizers/schedules/learning_rate_schedule_test.py, Apache-2.0), peak 1.
@pytest.mark.parametrize(
    ("text", "total_steps", "expected"),
    [
        ("exponential(decay=0.96, every=10)", 100, {5: 0.96**0.5}),
        ("step(decay=0.96, every=3)", 200, {1: 1, 2: 1, 100: 0.96**33}),
        ("piecewise(at=[101, 111, 121], values=[1, 0.1, 0.01, 0.001])", 1000,
         {0: 1, 100: 1, 105: 0.1, 110: 0.1, 120: 0.01, 999: 0.001}),
        ("linear(10, final=0.02)", 20, {0: 1, 5: 0.51, 10: 0.02, 15: 0.02}),
        ("polynomial(10, power=0.5, final=0.02)", 20, {5: 0.98 * 0.5**0.5 + 0.02, 10: 0.02, 15: 0.02}),
        ("inverse_time(decay=0.96, every=10)", 20, {k: 1 / (1 + k / 10 * 0.96) for k in range(11)}),
        ("cosine(1000)", 2000, {0: 1, 250: 0.8535533905932737, 500: 0.5, 1000: 0, 1250: 0}),
        ("cosine(1000, final=0.1)", 2000, {0: 1, 250: 0.8681980515339464, 500: 0.55, 1000: 0.1, 1250: 0.1}),
        ("warmup(2000, counts=from_zero) >> cosine", 3000, {0: 0, 250: 0.125, 1750: 0.875, 2000: 1, 2500: 0.5}),
        ("cosine_restarts(cycle=1000, growth=2)", 3000, {0: 1, 500: 0.5, 1000: 1, 1250: 0.9619397662556434}),
        ("cosine_restarts(cycle=1000, growth=2, decay=0.9)", 3000, {500: 0.5, 1000: 0.9, 1250: 0.865745789630079}),
        ("cosine_restarts(cycle=1000, growth=2, final=0.1)", 3000, {500: 0.55, 1000: 1, 1250: 0.9657457896300790}),
        ("cosine_restarts(cycle=1000)", 2000, {500: 0.5, 1000: 1, 1250: 0.8535533905932737}),
    ],
)  # fmt: skip
def test_numbers_of_keras(text, total_steps, expected):
    """The rates that Keras's own tests compute by hand are ours."""
    schedule = schedules.parse(text)
    assert {step: schedule(step, total_steps) for step in expected} == pytest.approx(expected, abs=1e-12)
