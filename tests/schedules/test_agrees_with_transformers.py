"""Our schedules against those of transformers, step by step, and where they differ on purpose."""

import numpy as np
import pytest

pytest.importorskip("transformers", reason="a peer to agree with")

from transformers import optimization
from transformers.trainer_utils import SchedulerType

from pacesetter import schedules
from tests.schedules import peers
from tests.schedules.peers import STEPS, assert_controller_agrees, assert_row_agrees, metrics, torch_rates


@pytest.mark.parametrize("row", peers.TRANSFORMERS, ids=lambda row: row.theirs)
def test_agrees_with_transformers(row):
    """At every step the factor is the rate of transformers' scheduler with a peak of 1, within 1e-12."""
    assert_row_agrees(row, torch_rates(row.theirs, optimization))


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("row", peers.TRANSFORMERS_CONTROLLERS, ids=lambda row: row.theirs)
def test_controllers_agree_with_transformers(row, seed):
    """On the same metrics the factor is the rate of transformers' controller at every step."""
    told = metrics(seed)
    assert_controller_agrees(row, torch_rates(row.theirs, optimization, metrics=told), told)


def test_every_scheduler_of_transformers_has_a_row():
    """Each name of SchedulerType has a row."""
    rows = " ".join(row.theirs for row in peers.TRANSFORMERS + peers.TRANSFORMERS_CONTROLLERS)
    assert len(SchedulerType) == 12
    assert [kind.value for kind in SchedulerType if f'"{kind.value}"' not in rows] == []


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"patience": 0},
        {"patience": 1, "factor": 0.5},
        {"patience": 2, "cooldown": 3},
        {"patience": 1, "warmup": 4},
        {"patience": 1, "cooldown": 2, "warmup": 1, "window": 5},
        {"patience": 0, "factor": 0.5, "min_factor": 0.05, "restart": 2},
        {"patience": 0, "factor": 0.5, "min_factor": 0.1, "restart": 4, "cooldown": 3, "window": 3},
        {"patience": 1, "threshold": 0.1, "threshold_mode": "rel"},
        {"patience": 1, "threshold": 0.01, "mode": "max"},
        {"patience": 1, "threshold": 0.1, "threshold_mode": "rel", "mode": "max", "window": 10},
        {"patience": 0, "start": 0.9, "warmup": 2, "window": 2},
    ],
    ids=str,
)
def test_greedy_agrees_with_greedy_lr(settings, sign, seed):
    """On the same metrics, of either sign, the factor is the rate of GreedyLR whose ceiling is the peak."""
    told = [sign * value for value in metrics(seed)]
    ours = schedules.greedy(**{"patience": 10} | settings)
    theirs = {"max_lr": 1.0, "min_lr": 0.001, "eps": 0.0} | settings
    for name, called in {"min_factor": "min_lr", "restart": "reset_start", "window": "window_size"}.items():
        if name in theirs:
            theirs[called] = theirs.pop(name)
    optimizer = peers.new_optimizer()
    optimizer.param_groups[0]["lr"] = theirs.pop("start", 0.1)
    scheduler = optimization.GreedyLR(optimizer, smooth="window_size" in theirs, **theirs)
    state, found, expected = ours.init(), [], []
    for step, metric in enumerate(told):
        expected.append(optimizer.param_groups[0]["lr"])
        found.append(ours.factor(state, step, STEPS))
        scheduler.step(metric)
        state = ours.update(state, metric, step + 1, STEPS)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_greedy_starts_anew_as_greedy_lr():
    """After so many reductions at the floor both are back at the start, of which a metric that stays bad tells."""
    told = [1.0] + [2.0] * 30
    theirs = "GreedyLR(optimizer, max_lr=1, min_lr=0.25, factor=0.5, patience=0, reset_start=2, cooldown=1, eps=0)"
    schedule = schedules.greedy(factor=0.5, patience=0, start=1.0, min_factor=0.25, restart=2, cooldown=1)
    state, found = schedule.init(), []
    for metric in told:
        found.append(schedule.factor(state, 0, STEPS))
        state = schedule.update(state, metric, 0, STEPS)
    assert found == torch_rates(theirs, optimization, len(told), told).tolist()
    assert found[4:9] == [0.25, 0.25, 1.0, 1.0, 1.0]


def test_where_cycles_do_not_divide_the_steps_ours_restart_at_whole_steps():
    """With 7 cycles in 180 steps theirs restart between two steps, so that some begin below the peak; ours do not."""
    theirs = torch_rates('get_scheduler("cosine_with_restarts", optimizer, 20, 200, dict(num_cycles=7))', optimization)
    ours = peers.our_factors('warmup(20, counts="from_zero") >> cosine_restarts(cycle=26)')
    starts = [k for k in range(21, STEPS) if theirs[k] > theirs[k - 1]]
    assert starts == [46, 72, 98, 123, 149, 175]
    assert max(theirs[starts]) < 1.0
    assert (ours[[46, 72, 98, 124, 150, 176]] == 1.0).all()


def test_rounding_makes_transformers_miss_a_restart():
    """With 22 cycles of 5 steps a rounding leaves theirs at the end of wave 14 where wave 15 begins; ours begins it."""
    text = 'get_scheduler("cosine_with_restarts", optimizer, 0, 110, dict(num_cycles=22))'
    starts = 5 * np.arange(22)
    assert np.flatnonzero(torch_rates(text, optimization, count=110)[starts] < 0.01).tolist() == [15]
    assert (schedules.parse("cosine_restarts(cycle=5)")(starts, 110) == 1.0).all()


def test_past_the_end_transformers_climb_and_ours_hold():
    """After the run transformers' cosine climbs back and ours stays at its end."""
    theirs = torch_rates('get_scheduler("cosine", optimizer, 20, 120)', optimization)
    ours = peers.our_factors('warmup(20, counts="from_zero") >> cosine(100)')
    np.testing.assert_allclose(ours[:121], theirs[:121], rtol=0, atol=1e-12)
    assert (ours[120:] == 0).all() and theirs[199] > 0.8


# The rates that transformers' own tests expect (tests/optimization/test_optimization.py, Apache-2.0), to two digits.
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant", [10] * 10),
        ('warmup(4, counts="from_zero")', [0, 2.5, 5, 7.5, 10, 10, 10, 10, 10, 10]),
        ('warmup(2, counts="from_zero") >> linear', [0, 5, 10, 8.75, 7.5, 6.25, 5, 3.75, 2.5, 1.25]),
        ('warmup(2, counts="from_zero") >> cosine', [0, 5, 10, 9.61, 8.53, 6.91, 5, 3.08, 1.46, 0.38]),
        ('warmup(2, counts="from_zero") >> cosine_restarts(cycle=4)', [0, 5, 10, 8.53, 5, 1.46, 10, 8.53, 5, 1.46]),
        ('warmup(2, counts="from_zero") >> polynomial', [0, 5, 10, 7.656, 5.625, 3.906, 2.5, 1.406, 0.625, 0.156]),
    ],
)
def test_numbers_of_transformers(text, expected):
    """The rates that transformers' own tests expect are ours, to the digits that they are written with."""
    np.testing.assert_allclose(10 * schedules.parse(text)(np.arange(10), 10), expected, atol=0.01)


def test_numbers_of_greedy_lr():
    """As in transformers' tests/optimization/test_greedy_lr.py: four bad or good metrics with a patience of 3."""
    schedule = schedules.greedy(factor=0.9, patience=3, min_factor=1e-6)
    for told, expected in (([5, 10, 10, 10, 10], 0.09), ([8, 6.4, 5.12, 4.096], 0.1 / 0.9)):
        state = schedule.init()
        for step, metric in enumerate(told):
            assert schedule.factor(state, step, STEPS) == 0.1
            state = schedule.update(state, metric, step, STEPS)
        assert schedule.factor(state, 9, STEPS) == pytest.approx(expected, rel=1e-12)
