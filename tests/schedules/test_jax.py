"""Steps that are arrays of jax: every family agrees with its float64 value, traced or not, whatever jax's settings."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pacesetter import schedules
from pacesetter.errors import InputError
from pacesetter.testing.schedules import examples, states

# Half the distance of two neighbouring float32 below 1: what rounding the float64 value once may change.
ROUNDED = 2.0**-25


def telling_steps(total_steps, count=100):
    """Steps at random, and next to where the examples' pieces begin and end; whole numbers of 32 bits."""
    drawn = np.random.default_rng(total_steps).integers(0, int(1.1 * total_steps) + 2, count)
    places = [int(total_steps * share) for share in (0, 0.02, 0.1, 0.25, 0.3, 0.4, 0.5, 0.7, 0.75, 0.8, 0.9, 1)]
    near = np.add.outer(places, [-2, -1, 0, 1, 2]).ravel()
    steps = np.unique(np.concatenate([drawn, near, [10**9 - 1, 10**9]]))
    return steps[steps >= 0].astype(np.int32)


@pytest.mark.parametrize("name", schedules.names())
def test_agrees_with_float64(name):
    """Under jit, each family by itself, in chains and in products is float64's value, rounded once, up to step 1e9."""
    for place, schedule in enumerate(examples(name)):
        state = schedule.init() if schedule.pure else states(schedule, 20)[-1]
        for total_steps in (10, 1000, 10**6, 10**9) if place == 0 else (10**9,):
            steps = telling_steps(total_steps, 20 if name == "function" else 100)
            found = jax.jit(lambda k, s=schedule, n=total_steps: s.factor(state, k, n))(jnp.asarray(steps))  # noqa: B023
            assert found.dtype == jnp.float32
            wanted = schedule.factor(state, steps, total_steps)
            np.testing.assert_allclose(np.asarray(found, np.float64), wanted, rtol=0, atol=1.001 * ROUNDED)


@pytest.mark.parametrize(
    "text",
    [
        "step(decay=0.5, every=1)",
        "exponential(decay=0.9999999, every=1)",
        "triangular(cycle=2)",
        "cosine_restarts(cycle=1, growth=1.0001)",
        "tanh(low=-100, high=100)",
        "polynomial(power=0.01)",
        "power(exponent=10)",
        "chebyshev(low=1e-6)",
        "one_cycle(rise=0.999999)",
        "multistep(at=[0.3, 0.30000001, 999999999])",
    ],
)
def test_steep_ones_too(text):
    """Where single precision would be lost, at cliffs, in waves of a few steps and in high powers, nothing is."""
    schedule, steps = schedules.parse(text), telling_steps(10**9)
    found = np.asarray(schedule(jnp.asarray(steps), 10**9), np.float64)
    np.testing.assert_allclose(found, schedule(steps, 10**9), rtol=0, atol=1.001 * ROUNDED)


TEXTS = ["warmup(5) >> cosine(final=0.1)", "step * triangular2", "function('pacesetter.testing.schedules:halved')"]


@pytest.mark.parametrize("text", TEXTS)
def test_any_transformation(text):
    """One by one, under vmap, in a scan and in a loop, compiled or not, the factors are the same."""
    schedule, steps = schedules.parse(text), jnp.arange(60)

    def factor(k):
        return schedule(k, 50)

    wanted = np.array([factor(k) for k in range(60)]).astype(np.float32)
    last = jax.lax.fori_loop(0, 60, lambda k, _: factor(k), jnp.float32(0))
    for found in (
        factor(steps),
        jnp.stack([factor(k) for k in steps]),
        jax.vmap(factor)(steps),
        jax.jit(jax.vmap(factor))(steps),
        jax.lax.scan(lambda carry, k: (carry, factor(k)), 0, steps)[1],
    ):
        assert found.dtype == jnp.float32
        np.testing.assert_allclose(found, wanted, rtol=1.2e-7)
    np.testing.assert_allclose(last, wanted[-1], rtol=1.2e-7)


BENT = ["polynomial(power=0.5)", "cosine(power=0.5)", "warmup(0.1) >> cooldown(shape=sqrt)", "exponential(decay=0)"]


@pytest.mark.parametrize("text", [str(examples(name)[0]) for name in schedules.names()] + BENT)
def test_slopes_are_finite(text):
    """The slope is a finite number at fractional steps, at the ends of a span and past it, also of roots."""
    schedule = schedules.parse(text)
    if schedule.pure:
        slope = jax.jit(jax.vmap(jax.grad(lambda k: schedule(k, 100))))
        assert np.isfinite(slope(jnp.asarray([0.0, 0.5, 3.0, 10.0, 24.5, 50.25, 99.5, 100.0, 150.0]))).all()


def test_slope_is_right():
    """The slope of a straight line is what it is."""
    schedule = schedules.parse("linear(final=0.2)")
    assert jax.grad(lambda k: schedule(k, 100))(30.0) == pytest.approx(-0.008)


def test_momentum():
    """A momentum cycle follows its step like the rate does, and where none is cycled it is None."""
    cycle = schedules.parse("one_cycle(momentum=[0.85, 0.95])")
    found = jax.jit(lambda k: cycle.momentum_at(k, 100))(jnp.arange(100))
    np.testing.assert_allclose(found, [cycle.momentum_at(k, 100) for k in range(100)], rtol=1.2e-7)
    assert schedules.parse("linear").momentum_at(jnp.int32(3), 10) is None


def test_kinds_of_steps():
    """Steps of all real types are taken: whole ones give jax's default float, floating ones keep their type."""
    schedule = schedules.parse("linear")
    for kind in (jnp.int8, jnp.uint8, jnp.int32, jnp.uint32):
        assert schedule(jnp.asarray([1, 2], kind), 10).dtype == jnp.float32
    for kind in (jnp.float32, jnp.bfloat16):
        assert schedule(jnp.asarray([1, 2], kind), 10).dtype == kind
    with pytest.raises(InputError, match="`step` must be a number, a numpy array"):
        schedule(jnp.asarray([True]), 10)


def test_settings_of_jax():
    """With 64 bits enabled the factors are float64's own; without, nothing of ours leaves them enabled."""
    schedule = schedules.parse("warmup(5) >> cosine")
    with jax.enable_x64(True):
        found = jax.jit(lambda k: schedule(k, 50))(jnp.arange(60))
        assert found.dtype == jnp.float64
        np.testing.assert_allclose(found, [schedule(k, 50) for k in range(60)], rtol=1e-14)
    schedule(jnp.arange(3), 50)
    assert jnp.asarray(1.0).dtype == jnp.float32


def test_error_of_a_function_is_said():
    """What is wrong with a function's value is said also from within a compiled program."""
    schedule = schedules.function(lambda k, n: -1.0)
    with pytest.raises(Exception, match="`of` must return a finite number"):
        jax.block_until_ready(jax.jit(lambda k: schedule(k, 10))(jnp.int32(3)))


def test_old_jax_is_refused(monkeypatch):
    """A jax without the setting that the exact value needs is refused, with what to install."""
    monkeypatch.delattr(jax, "enable_x64")
    with pytest.raises(InputError, match=r"`jax` must be 0\.8 or later, got jax="):
        schedules.parse("linear")(jnp.int32(3), 10)


def test_schedules_do_not_import_it():
    """Schedules look for jax and tensorflow among what is imported, and import neither."""
    code = (
        "import sys; from pacesetter import schedules; schedules.parse('linear')(3, 10)\n"
        "print([name for name in ('jax', 'keras', 'tensorflow', 'torch') if name in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True).stdout.strip() == "[]"
    )
