"""Our schedules against optax's own, step by step, and where they differ on purpose."""

import types

import numpy as np
import pytest

jax = pytest.importorskip("jax", reason="optax needs jax")
optax = pytest.importorskip("optax", reason="a peer to agree with")

from optax import contrib  # noqa: E402

from pacesetter import schedules  # noqa: E402
from tests.schedules import peers  # noqa: E402
from tests.schedules.peers import STEPS, assert_controller_agrees, assert_row_agrees, evaluated, metrics  # noqa: E402


def optax_rates(text, count=STEPS):
    """The rates of optax's schedule at the first `count` steps, in the precision that jax is set to."""
    schedule = evaluated(text, optax.schedules)
    return np.array([float(schedule(step)) for step in range(count)])


def optax_scales(text, told):
    """What optax's controller multiplies each update by; it hears of the metric of an update before that update."""
    controller = evaluated(text, contrib)
    state, found = controller.init(1.0), []
    update = jax.jit(controller.update)
    for metric in told:
        found.append(float(state.scale))
        _, state = update(1.0, state, value=metric)
    return np.array(found)


@pytest.mark.parametrize(("double", "tolerance"), [(False, 1e-6), (True, 1e-12)], ids=["float32", "float64"])
@pytest.mark.parametrize("row", peers.OPTAX, ids=lambda row: row.theirs)
def test_agrees_with_optax(row, double, tolerance):
    """At every step the factor is the rate of optax's schedule: within 1e-6 as it is, 1e-12 where jax has float64."""
    with jax.enable_x64(double):
        assert_row_agrees(row, optax_rates(row.theirs), tolerance)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("row", peers.OPTAX_CONTROLLERS, ids=lambda row: row.theirs)
def test_controllers_agree_with_optax(row, seed):
    """On the same metrics the factor is the scale of optax's controller at every step."""
    told = metrics(seed)
    with jax.enable_x64(True):
        assert_controller_agrees(row, optax_scales(row.theirs, told), told)


def test_every_schedule_of_optax_has_a_row_or_a_reason():
    """Each public function of optax.schedules, and its plateau, has a row, or a reason why not."""
    rows = " ".join(row.theirs for row in peers.OPTAX + peers.OPTAX_CONTROLLERS)
    # The rest are types, and the same wrapper under a second name.
    names = [name for name in vars(optax.schedules) if isinstance(vars(optax.schedules)[name], types.FunctionType)]
    names = [name for name in names if "inject" not in name] + ["reduce_on_plateau"]
    assert len(names) == 15
    assert [name for name in names if f"{name}(" not in rows] == []


def test_without_patience_optax_reduces_when_the_metric_improves():
    """With `patience=0` optax reduces at every improvement and never else; ours at every evaluation without one."""
    told = [3.0, 2.0, 2.0, 2.0]
    assert optax_scales("reduce_on_plateau(0.5, patience=0)", told) == pytest.approx([1, 0.5, 0.25, 0.25])
    schedule = schedules.plateau(factor=0.5, patience=0)
    state, found = schedule.init(), []
    for step, metric in enumerate(told):
        found.append(schedule.factor(state, step, STEPS))
        state = schedule.update(state, metric, step, STEPS)
    assert found == [1, 1, 1, 0.5]


def test_exponential_decay_by_zero_is_constant_in_optax():
    """A `decay_rate` of 0 makes optax's rate constant; ours is the peak once and then 0, as the formula says."""
    assert optax_rates("exponential_decay(1.0, 20, 0.0)", 5) == pytest.approx([1] * 5)
    assert schedules.parse("exponential(decay=0, every=1)")(np.arange(3), 10).tolist() == [1, 0, 0]


def test_past_the_end_optax_decays_on_and_ours_holds():
    """`exponential_decay` has no end; with a span, ours holds the value there."""
    found, expected = (
        peers.our_factors("exponential(100, decay=0.5, every=20)"),
        optax_rates("exponential_decay(1.0, 20, 0.5)"),
    )
    np.testing.assert_allclose(found[:101], expected[:101], rtol=0, atol=1e-6)
    assert (found[100:] == 2**-5).all() and expected[-1] < 2**-9


# The numbers of optax's own tests (optax/schedules/_schedule_test.py and _join_test.py, 0.2.8, Apache-2.0).
@pytest.mark.parametrize(
    ("text", "peak", "expected"),
    [
        ('warmup(10, start=0.5, counts="from_zero")', 20, [*range(10, 20), *[20] * 5]),
        ("piecewise(at=[3, 6], values=[0.5, 1, 0.5])", 0.2, [0.1] * 3 + [0.2] * 3 + [0.1] * 4),
        ("exponential(decay=0.5, every=1)", 32, [32, 16, 8, 4, 2]),
        ('piecewise(at=[5, 10], values=[0.6666666666666666, 1, 0.25], shape="linear")', 300,
         [200, 220, 240, 260, 280, 300, 255, 210, 165, 120, 75, 75, 75]),
        ('piecewise(at=[3, 5, 7], values=[1, 0.6, 0.72, 0.72], shape="cosine")', 400,
         [400, 360, 280, 240, 264, 288, 288, 288, 288]),
        ('piecewise(at=[3, 7, 10], values=[0.1, 1, 0.1, 0.001], shape="linear")', 1000,
         [100, 400, 700, 1000, 775, 550, 325, 100, 67, 34, 1, 1]),
        ("one_cycle(5, rise=2, start=0.1, final=0.001)", 1000, [100, 550, 1000, 750.25, 250.75, 1, 1]),
        ("constant(3, value=0.5) >> constant(3) >> constant(value=0.5)", 2, [1, 1, 1, 2, 2, 2, 1]),
    ],
)  # fmt: skip
def test_numbers_of_optax(text, peak, expected):
    """The rates that optax's own tests expect are ours, as exactly as they are written there."""
    found = peak * schedules.parse(text)(np.arange(len(expected)), 20)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_numbers_of_reduce_on_plateau():
    """As in optax's _reduce_on_plateau_test.py: reduced when the patience is out, then cooling, floored at the end."""
    schedule = schedules.parse("plateau(factor=0.1, patience=4, cooldown=5, min_factor=0.01)")
    state = schedule.init()
    for step in range(6):
        state = schedule.update(state, 1.0, step, STEPS)
    assert state == {"factor": 0.1, "best": 1.0, "waited": 0, "cooling": 5}
    assert schedule.update(state, 1.0, 6, STEPS) == {"factor": 0.1, "best": 1.0, "waited": 0, "cooling": 4}
    waiting = {"factor": 0.1, "best": 1.0, "waited": 3, "cooling": 0}
    assert schedule.update(waiting, 0.1, 6, STEPS) == {"factor": 0.1, "best": 0.1, "waited": 0, "cooling": 0}
    cooling = {"factor": 0.1, "best": 1.0, "waited": 0, "cooling": 3}
    assert schedule.update(cooling, 2.0, 6, STEPS) == {"factor": 0.1, "best": 1.0, "waited": 0, "cooling": 2}
    floored = {"factor": 0.01, "best": 1.0, "waited": 0, "cooling": 0}
    for step in range(6):
        floored = schedule.update(floored, 0.1, step, STEPS)
    assert floored == {"factor": 0.01, "best": 0.1, "waited": 0, "cooling": 5}
