"""Our schedules against torch's own, step by step, and where they differ on purpose."""

import math
import sys
import types

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from pacesetter import schedules
from tests.schedules import peers
from tests.schedules.peers import STEPS, assert_controller_agrees, assert_row_agrees, metrics, torch_rates

NAMES = types.SimpleNamespace(
    **{name: getattr(lr_scheduler, name) for name in lr_scheduler.__all__}, SWALR=torch.optim.swa_utils.SWALR
)


@pytest.fixture(autouse=True)
def my_module(monkeypatch):
    """The module that the rows name."""
    monkeypatch.setitem(sys.modules, "my_module", peers)


@pytest.mark.parametrize("row", peers.TORCH, ids=lambda row: row.theirs)
def test_agrees_with_torch(row):
    """At every step the factor is the rate of torch's scheduler with a peak of 1, within 1e-12."""
    count = 151 if "CosineAnnealingLR(optimizer, 150)" in row.theirs else STEPS
    assert_row_agrees(row, torch_rates(row.theirs, NAMES, count))


@pytest.mark.parametrize("row", [row for row in peers.TORCH if "momentum=[" in row.ours], ids=lambda row: row.theirs)
def test_momentum_agrees_with_torch(row):
    """Where `one_cycle` cycles the momentum, it is OneCycleLR's at every step."""
    ours = schedules.parse(row.ours).momentum_at(np.arange(STEPS), STEPS)
    theirs = torch_rates(row.theirs, NAMES, key="momentum")
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-12)
    assert (ours.min(), ours.max()) == pytest.approx((0.85, 0.95), abs=1e-4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("row", peers.TORCH_CONTROLLERS, ids=lambda row: row.theirs)
def test_controllers_agree_with_torch(row, seed):
    """On the same metrics the factor is the rate of torch's controller at every step."""
    told = metrics(seed)
    assert_controller_agrees(row, torch_rates(row.theirs, NAMES, metrics=told), told)


@pytest.mark.parametrize(
    ("theirs", "ours", "end"),
    [
        ("CosineAnnealingLR(optimizer, 50)", "cosine(50)", 50),
        ("StepLR(optimizer, 25)", "step(50, every=25)", 50),
        ("ExponentialLR(optimizer, 0.95)", "exponential(50, every=1)", 50),
        ("CyclicLR(optimizer, 0.1, 1, 5, cycle_momentum=False)", "triangular(50, cycle=10)", 50),
    ],
)
def test_past_the_end_torch_goes_on_and_ours_holds(theirs, ours, end):
    """Up to the end of the span both agree; after it torch's rate changes and ours is held."""
    found, expected = peers.our_factors(ours), torch_rates(theirs, NAMES)
    np.testing.assert_allclose(found[: end + 1], expected[: end + 1], rtol=0, atol=1e-12)
    assert (found[end:] == found[end]).all()
    assert np.abs(expected[end:] - expected[end]).max() > 0.005


def test_where_restarts_end_torch_begins_another_wave():
    """At the end of its last wave torch's rate is the peak again, ours is the end value, and both agree before it."""
    expected = torch_rates("CosineAnnealingWarmRestarts(optimizer, 50)", NAMES)
    found = peers.our_factors("cosine_restarts(100, cycle=50)")
    np.testing.assert_allclose(found[:100], expected[:100], rtol=0, atol=1e-12)
    assert (found[100], expected[100]) == (0.0, 1.0)


def test_one_cycle_goes_on_where_torch_raises():
    """A step past `total_steps` is an error of OneCycleLR; ours holds its end."""
    with pytest.raises(ValueError, match="Tried to step"):
        torch_rates("OneCycleLR(optimizer, 1, total_steps=20)", NAMES, count=30)
    schedule = schedules.parse("one_cycle(20, ends=last)")
    assert schedule(29, 30) == schedule(19, 30) == pytest.approx(4e-6)


def test_torch_refuses_a_plateau_after_a_warmup_and_ours_takes_it():
    """Neither SequentialLR nor ChainedScheduler takes a ReduceLROnPlateau; `warmup >> plateau` works."""
    for text in ("SequentialLR(optimizer, [{}], [5])", "ChainedScheduler([{}])"):
        with pytest.raises(ValueError, match="ReduceLROnPlateau"):
            torch_rates(text.format("LinearLR(optimizer), ReduceLROnPlateau(optimizer)"), NAMES)
    schedule = schedules.parse("warmup(5) >> plateau(factor=0.5, patience=0)")
    state = schedule.init()
    for step in (6, 7):
        state = schedule.update(state, 1.0, step, 20)
    assert [schedule.factor(state, step, 20) for step in (0, 4, 8)] == [0.2, 1.0, 0.5]


@pytest.mark.parametrize("warmup_steps", [1, 2, 8, 100])
def test_warmup_by_formula(warmup_steps):
    """Warm-up is (k+1)/W up to the peak: the k/W of other libraries one step earlier, so no update is lost."""
    ours = schedules.warmup(warmup_steps)
    for k in range(120):
        assert ours(k, 120) == min((k + 1) / warmup_steps, 1.0)


def losses(seed):
    """A loss curve with falls, plateaus, jumps and two infinite ones."""
    random = np.random.default_rng(seed)
    values = 2.0 * np.exp(-np.arange(STEPS) / random.uniform(5, 40)) + random.normal(0, 0.05, STEPS)
    values[random.integers(0, STEPS, size=2)] = math.inf
    values[60:80] = values[60]
    return [float(value) for value in values]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"factor": 0.5, "patience": 0},
        {"patience": 2, "cooldown": 3},
        {"patience": 1, "threshold": 0.2},
        {"patience": 1, "threshold": 0.05, "threshold_mode": "abs"},
        {"patience": 1, "factor": 0.3, "min_factor": 0.2},
        {"mode": "max", "patience": 1},
        {"mode": "max", "patience": 2, "threshold": 0.1, "threshold_mode": "abs", "cooldown": 1},
        {"factor": 0.0, "patience": 8},
    ],
    ids=str,
)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_plateau_agrees_with_torch(settings, seed, sign):
    """On the same metrics, of either sign and infinite too, the factor is exactly the rate of ReduceLROnPlateau."""
    told = [sign * value if math.isfinite(value) else value for value in losses(seed)]
    if settings.get("mode") == "max":
        told = [-value if value == math.inf else value for value in told]
    theirs = {"factor": 0.1, "patience": 5, "eps": 0.0, **settings}
    theirs["min_lr"] = theirs.pop("min_factor", 0.0)
    expected = torch_rates(f"ReduceLROnPlateau(optimizer, **{theirs!r})", NAMES, metrics=told)
    schedule = schedules.plateau(**settings)
    state, found = schedule.init(), []
    for step, metric in enumerate(told):
        found.append(schedule.factor(state, step, STEPS))
        state = schedule.update(state, metric, step, STEPS)
    assert found == expected.tolist()


def test_infinitely_good_metric_is_no_improvement():
    """A loss of minus infinity is broken, so it counts as no improvement; torch takes it for the best ever."""
    schedule = schedules.plateau(factor=0.5, patience=0)
    state = schedule.update(schedule.init(), -math.inf, 0, 10)
    assert schedule.factor(state, 1, 10) == 0.5
    assert state["best"] is None
    theirs = lr_scheduler.ReduceLROnPlateau(peers.new_optimizer(), patience=0)
    theirs.step(-math.inf)
    assert theirs.get_last_lr() == [1.0]


# The numbers of torch's own tests (test/optim/test_lrscheduler.py, PyTorch 2.x, BSD-3-Clause), with a peak of 1.
@pytest.mark.parametrize(
    ("text", "total_steps", "expected"),
    [
        ("step(every=3)", 10, [1] * 3 + [0.1] * 3 + [0.01] * 3 + [0.001]),
        ("multistep(at=[2, 5, 9])", 10, [1] * 2 + [0.1] * 3 + [0.01] * 4 + [0.001]),
        ("constant(5, value=0.5) >> constant", 10, [0.5] * 5 + [1] * 5),
        ('warmup(4, start=0.5, counts="from_zero")', 7, [0.5, 0.625, 0.75, 0.875, 1, 1, 1]),
        ("triangular(cycle=8, low=0.2)", 9, [0.2, 0.4, 0.6, 0.8, 1, 0.8, 0.6, 0.4, 0.2]),
        ('one_cycle(rise=0.5, start=0.04, final=0.02, shape="linear", ends=last)', 10,
         [0.04, 0.28, 0.52, 0.76, 1, 0.804, 0.608, 0.412, 0.216, 0.02]),
    ],
)  # fmt: skip
def test_numbers_of_torch(text, total_steps, expected):
    """Factors that can be computed in the head are exactly so, as in torch's own tests."""
    np.testing.assert_allclose(schedules.parse(text)(np.arange(len(expected)), total_steps), expected, atol=1e-12)


def test_plateau_in_a_chain_hears_only_while_it_runs():
    """In a chain a metric reaches the piece that the next update belongs to, and no other."""
    schedule = schedules.parse("warmup(10) >> plateau(20, factor=0.5, patience=0) >> constant(value=0.1)")
    state = schedule.init()
    for step in (5, 10, 20, 30, 40):
        state = schedule.update(state, 1.0, step, 100)
    assert state["pieces"][1] == {"factor": 0.5, "best": 1.0, "waited": 0, "cooling": 0}
    assert [schedule.factor(state, k, 100) for k in (4, 9, 10, 29, 30, 100)] == [0.5, 1.0, 0.5, 0.5, 0.1, 0.1]
    np.testing.assert_array_equal(schedule.factor(state, np.array([4, 9, 10, 29, 30]), 100), [0.5, 1.0, 0.5, 0.5, 0.1])


def test_plateau_after_its_span_holds():
    """A plateau of its own span stops listening when the span is over."""
    schedule = schedules.plateau(20, factor=0.5, patience=0)
    state = schedule.init()
    for step in (0, 10, 20, 30):
        state = schedule.update(state, 1.0, step, 100)
    assert schedule.factor(state, 50, 100) == 0.5


def test_product_of_controllers_keeps_a_state_for_each():
    """In a product each controller hears every metric, and their factors multiply."""
    schedule = schedules.parse("plateau(factor=0.5, patience=0) * plateau(factor=0.1, patience=1) * linear")
    state = schedule.init()
    for step in range(3):
        state = schedule.update(state, 1.0, step, 10)
    assert schedule.factor(state, 5, 10) == pytest.approx(0.25 * 0.1 * 0.5)
