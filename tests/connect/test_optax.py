"""The optax connector: rates and momentum as functions of the step, in real training loops of jax."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pacesetter import schedules
from pacesetter.connect import optax as connect
from pacesetter.errors import InputError
from pacesetter.testing.schedules import examples

WARM_COSINE = "warmup(5) >> cosine(final=0.1)"


def trained(optimizer, steps, rate_of):
    """Trains a straight line for so many steps in one compiled scan: the weights, and `rate_of(state)` each time."""
    inputs = jax.random.normal(jax.random.key(0), (20, 3))

    def loss(params):
        return jnp.mean((inputs @ params["w"] - inputs.sum(1)) ** 2)

    def update(carry, _):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, updates), state), rate_of(state)

    params = {"w": jnp.zeros(3)}
    (params, _), rates = jax.jit(lambda p, s: jax.lax.scan(update, (p, s), None, steps))(params, optimizer.init(params))
    return params["w"], rates


@pytest.mark.parametrize("name", schedules.names())
def test_within_2e_7_of_the_peak(name):
    """Up to step 1e9 the rate is within 2e-7 of the peak from float64's, also for a peak that float32 rounds worst."""
    schedule, peak_lr, total_steps = examples(name)[3], 1.0 + 2.0**-24, 10**9
    if schedule.pure:
        steps = np.random.default_rng(1).integers(0, total_steps, 30 if name == "function" else 3000).astype(np.int32)
        rate = jax.jit(jax.vmap(connect.schedule(schedule, peak_lr, total_steps)))
        found = np.asarray(rate(jnp.asarray(steps)), np.float64)
        assert np.abs(found - peak_lr * schedule(steps, total_steps)).max() <= 2e-7 * peak_lr


def test_rates_of_a_training_are_the_schedule():
    """In a compiled training, the rate in the optimizer's state is ours at every update, and held past the end."""
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=connect.schedule(WARM_COSINE, 0.3, 40))
    _, rates = trained(optimizer, 50, lambda state: state.hyperparams["learning_rate"])
    wanted = [0.3 * schedules.parse(WARM_COSINE)(k, 40) for k in range(50)]
    np.testing.assert_allclose(rates, wanted, rtol=0, atol=2e-7 * 0.3)


def test_same_training_as_optax_schedules():
    """Trained with optax's own warm-up and cosine, the weights are the same to single precision."""
    theirs = optax.warmup_cosine_decay_schedule(0.0, 0.3, 5, 40, end_value=0.03)
    ours = connect.schedule("warmup(5, counts=from_zero) >> cosine(final=0.1)", 0.3, 40)
    found = [trained(optax.adam(rate), 45, lambda _: 0)[0] for rate in (ours, theirs)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_many_peaks_at_once():
    """The peak may be an array that is being traced: under vmap one training each gives what it gives alone."""

    def train(peak_lr):
        return trained(optax.sgd(connect.schedule(WARM_COSINE, peak_lr, 20)), 20, lambda _: 0)[0]

    peaks = jnp.asarray([0.01, 0.1])
    np.testing.assert_allclose(jax.vmap(train)(peaks), [train(0.01), train(0.1)], rtol=1e-5)


def test_gradient_through_a_training():
    """A training may be differentiated by its peak: the slope is that of finite differences."""

    def reached(peak_lr):
        return jnp.sum(trained(optax.sgd(connect.schedule(WARM_COSINE, peak_lr, 10)), 10, lambda _: 0)[0] ** 2)

    slope = float(jax.grad(reached)(jnp.float32(0.05)))
    assert slope == pytest.approx(float(reached(0.052) - reached(0.048)) / 0.004, rel=1e-2)


def test_momentum_cycles():
    """A momentum cycle drives optax's momentum beside the rate."""
    text = "one_cycle(momentum=[0.85, 0.95])"
    cycle = schedules.parse(text)
    rate, momentum = connect.schedule(text, 0.05, 20), connect.momentum(text, 20)
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=rate, momentum=momentum)
    _, found = trained(optimizer, 25, lambda state: state.hyperparams["momentum"])
    np.testing.assert_allclose(found, [cycle.momentum_at(k, 20) for k in range(25)], rtol=2e-7)


def test_controller_by_hand():
    """As the error says, a controller drives `inject_hyperparams` from the host: its rates are those it should have."""
    schedule, peak_lr = schedules.parse("warmup(4) >> plateau(factor=0.5, patience=0)"), 0.1
    optimizer = optax.inject_hyperparams(optax.sgd)(learning_rate=peak_lr)
    update = jax.jit(lambda params, state: optimizer.update({"w": params["w"]}, state, params))
    params = {"w": jnp.ones(2)}
    state, heard, rates = optimizer.init(params), schedule.init(), []
    for step in range(10):
        state.hyperparams["learning_rate"] = jnp.float32(peak_lr * schedule.factor(heard, step, 10))
        updates, state = update(params, state)
        rates.append(float(-updates["w"][0] / params["w"][0]))
        params = optax.apply_updates(params, updates)
        if step % 2:
            heard = schedule.update(heard, 1.0, step + 1, 10)
    wanted = [0.025, 0.05, 0.075, 0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025]
    np.testing.assert_allclose(rates, wanted, rtol=1e-5)


def test_bad_input_is_said():
    """A controller, a peak that is none, spans that do not fit and a momentum that is not there: each is said."""
    with pytest.raises(
        InputError, match=r"got the controller `plateau`: build the optimizer with\s+optax.inject_hyper"
    ):
        connect.schedule("plateau", 0.1, 10)
    for peak_lr in (0, -1.0, float("nan"), float("inf"), "0.1", True, None):
        with pytest.raises(InputError, match="`peak_lr` must be a finite number above 0, got peak_lr="):
            connect.schedule("linear", peak_lr, 10)
    with pytest.raises(InputError, match="`span` must fit into `total_steps`"):
        connect.schedule("linear(20)", 0.1, 10)
    with pytest.raises(InputError, match="`schedule` must cycle the momentum, got `linear`"):
        connect.momentum("linear", 10)


def test_missing_package_is_said():
    """Without jax the error has the line that installs it."""
    code = "import sys; sys.modules['jax'] = None; import pacesetter.connect.optax"
    said = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True).stderr
    assert "`jax` is needed for the optax connector and is not installed: pip install 'pacesetter[jax]'" in said
