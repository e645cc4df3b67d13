"""Our schedules against torch's own, step by step, and where they differ on purpose."""

import math

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from pacesetter import schedules

STEPS = 120


def torch_rates(make, count, metrics=None):
    """The rates of torch's scheduler over `count` updates with a peak of 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    rates = []
    for step in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step(*(() if metrics is None else (metrics[step],)))
    return rates


PURE = [
    ("constant(5, value=0.25) >> constant", lambda o: lr_scheduler.ConstantLR(o, 0.25, 5), STEPS),
    ("linear(50, final=0.2)", lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, 50), STEPS),
    ("linear", lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, STEPS), STEPS),
    ("cosine(100, final=0.1)", lambda o: lr_scheduler.CosineAnnealingLR(o, 100, 0.1), 101),
    ("cosine", lambda o: lr_scheduler.CosineAnnealingLR(o, STEPS), STEPS),
    ("step(every=30)", lambda o: lr_scheduler.StepLR(o, 30, 0.1), STEPS),
    ("step(decay=0.5, every=7)", lambda o: lr_scheduler.StepLR(o, 7, 0.5), STEPS),
    ("exponential(decay=0.97, every=1)", lambda o: lr_scheduler.ExponentialLR(o, 0.97), STEPS),
    (
        "triangular(cycle=20, low=0.1)",
        lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, step_size_up=10, cycle_momentum=False),
        STEPS,
    ),
    # torch's warm-up starts at k/W of its way, ours at (k+1)/W: a start of 1/W and W-1 steps make the two one.
    ("warmup(10) >> constant", lambda o: lr_scheduler.LinearLR(o, 0.1, 1.0, 9), STEPS),
    (
        "warmup(10) >> cosine",
        lambda o: lr_scheduler.SequentialLR(
            o, [lr_scheduler.LinearLR(o, 0.1, 1.0, 9), lr_scheduler.CosineAnnealingLR(o, STEPS - 10)], [10]
        ),
        STEPS,
    ),
    (
        "exponential(decay=0.97, every=1) * step(every=30)",
        lambda o: lr_scheduler.ChainedScheduler([lr_scheduler.ExponentialLR(o, 0.97), lr_scheduler.StepLR(o, 30)]),
        STEPS,
    ),
]


@pytest.mark.parametrize(("text", "make", "count"), PURE, ids=[row[0] for row in PURE])
def test_agrees_with_torch(text, make, count):
    """At every step the factor is the rate of torch's scheduler with a peak of 1."""
    schedule = schedules.parse(text)
    ours = schedule(np.arange(count), STEPS)
    np.testing.assert_allclose(ours, torch_rates(make, count), rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("cosine(10)", lambda o: lr_scheduler.CosineAnnealingLR(o, 10)),
        ("step(10, every=5)", lambda o: lr_scheduler.StepLR(o, 5)),
        ("exponential(10, every=1)", lambda o: lr_scheduler.ExponentialLR(o, 0.95)),
        ("triangular(10, cycle=4)", lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, 2, cycle_momentum=False)),
    ],
)
def test_past_the_end_torch_goes_on_and_ours_holds(text, make):
    """Up to the end of the span both agree; after it torch's rate changes and ours is held."""
    schedule, theirs = schedules.parse(text), torch_rates(make, 21)
    ours = schedule(np.arange(21), STEPS)
    np.testing.assert_allclose(ours[:11], theirs[:11], rtol=1e-11, atol=1e-14)
    assert (ours[10:] == ours[10]).all()
    assert max(abs(theirs[step] - theirs[10]) for step in range(10, 21)) > 0.005


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
    """On the same metrics, of either sign, the factor is the rate of ReduceLROnPlateau at every evaluation."""
    metrics = [sign * value if math.isfinite(value) else value for value in losses(seed)]
    if settings.get("mode") == "max":
        metrics = [-value if value == math.inf else value for value in metrics]
    theirs = {"patience": 5, **settings}
    theirs["min_lr"] = theirs.pop("min_factor", 0.0)
    expected = torch_rates(
        lambda o: lr_scheduler.ReduceLROnPlateau(o, eps=0.0, **({"factor": 0.1} | theirs)), STEPS, metrics
    )
    schedule = schedules.plateau(**settings)
    state, found = schedule.init(), []
    for step, metric in enumerate(metrics):
        found.append(schedule.factor(state, step, STEPS))
        state = schedule.update(state, metric, step, STEPS)
    assert found == expected


def test_infinitely_good_metric_is_no_improvement():
    """A loss of minus infinity is broken, so it counts as no improvement; torch takes it for the best ever."""
    schedule = schedules.plateau(factor=0.5, patience=0)
    state = schedule.update(schedule.init(), -math.inf, 0, 10)
    assert schedule.factor(state, 1, 10) == 0.5
    assert state["best"] is None


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
