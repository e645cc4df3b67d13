"""Our schedules against those of other libraries, step by step, and where they differ on purpose."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from pacesetter import schedules
from tests.schedules.peers import ELSEWHERE, ROWS, TOTAL, of_keras, of_torch

# jax and Keras look for what they could run on when they are first imported.
pytestmark = [pytest.mark.filterwarnings("ignore::DeprecationWarning")]

NAMES = {
    "torch": {name for name in lr_scheduler.__all__ if name != "LRScheduler"},
    "optax": {
        "constant_schedule", "linear_schedule", "polynomial_schedule", "piecewise_constant_schedule",
        "piecewise_interpolate_schedule", "exponential_decay", "cosine_decay_schedule", "linear_onecycle_schedule",
        "cosine_onecycle_schedule", "warmup_constant_schedule", "warmup_cosine_decay_schedule",
        "warmup_exponential_decay_schedule", "sgdr_schedule", "join_schedules", "reduce_on_plateau",
    },
    "keras": {
        "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay", "PiecewiseConstantDecay",
        "PolynomialDecay", "ReduceLROnPlateau", "LearningRateScheduler",
    },
    "timm": {
        "CosineLRScheduler", "TanhLRScheduler", "PolyLRScheduler", "StepLRScheduler", "MultiStepLRScheduler",
        "PlateauLRScheduler",
    },
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.library}: {row.theirs}" for row in ROWS])
def test_agrees(row):
    """At every step the factor is the other library's rate with a peak of 1."""
    ours = schedules.parse(row.ours)(np.arange(len(rates := row.rates())), row.total)
    np.testing.assert_allclose(ours, rates, rtol=0, atol=row.within)


def test_every_schedule_of_theirs_is_there():
    """Each schedule that a library lists has a row, or is named with the reason why it has none."""
    from pytorch_optimizer import get_supported_lr_schedulers
    from transformers import SchedulerType

    names = NAMES | {
        "transformers": {kind.value for kind in SchedulerType},
        "pytorch_optimizer": set(get_supported_lr_schedulers()),
    }
    for library, listed in names.items():
        rows = {row.name for row in ROWS if row.library == library}
        assert rows | ELSEWHERE[library] >= listed, library
        assert not rows & ELSEWHERE[library], library


@pytest.mark.parametrize("settings", [{}, {"patience": 2, "factor": 0.5, "cooldown": 2, "warmup": 1}, {"window": 4}])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("seed", range(3))
def test_greedy_agrees_with_transformers(settings, mode, seed):
    """On the same metrics the factor is the rate of GreedyLR, through rises, falls, waits and a new start."""
    from transformers.optimization import GreedyLR

    options = {"factor": 0.7, "patience": 1, "restart": 3} | settings
    chance = np.random.default_rng(seed)
    falling = np.exp(-np.arange(200) / 60) + chance.normal(0, 0.05, 200)
    metrics = np.where(np.arange(200) < 100, falling, 3 + np.arange(200) / 50) * (1 if mode == "min" else -1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    theirs = GreedyLR(
        optimizer, mode, options["factor"], options["patience"], cooldown=options.get("cooldown", 0), eps=0.0,
        warmup=options.get("warmup", 0), smooth="window" in options, window_size=options.get("window", 1),
        reset_start=options["restart"], min_lr=0.02, max_lr=1.0,
    )  # fmt: skip
    schedule = schedules.greedy(mode=mode, min_factor=0.02, **options)
    state = schedule.init()
    rates, factors = [], []
    for step, metric in enumerate(metrics):
        theirs.step(float(metric))
        state = schedule.update(state, float(metric), step, 200)
        rates.append(optimizer.param_groups[0]["lr"])
        factors.append(schedule.factor(state, step, 200))
    np.testing.assert_allclose(factors, rates, rtol=1e-12)
    assert min(rates) == 0.02
    assert max(rates) > 0.1 or "cooldown" in settings


@pytest.mark.parametrize("settings", [{}, {"cooldown": 3}, {"factor": 0.5, "min_factor": 0.2}])
def test_plateau_agrees_with_optax(settings):
    """The reduce_on_plateau of optax counts one evaluation less: its patience is ours and one more."""
    import jax
    import jax.numpy as jnp
    import optax

    chance = np.random.default_rng(1)
    metrics = np.maximum(np.exp(-np.arange(80) / 10), 0.2) + chance.normal(0, 0.02, 80)
    schedule = schedules.plateau(**{"patience": 2, **settings})
    theirs = optax.contrib.reduce_on_plateau(
        settings.get("factor", 0.1), 3, cooldown=settings.get("cooldown", 0), min_scale=settings.get("min_factor", 0.0)
    )
    own, state = theirs.init({"w": jnp.zeros(1)}), schedule.init()
    observe = jax.jit(lambda own, metric: theirs.update({"w": jnp.ones(1)}, own, value=metric)[1])
    scales, factors = [], []
    for step, metric in enumerate(metrics):
        own = observe(own, jnp.asarray(metric))
        state = schedule.update(state, float(metric), step, 80)
        scales.append(float(own.scale))
        factors.append(schedule.factor(state, step, 80))
    np.testing.assert_allclose(factors, scales, rtol=1e-6)
    assert min(scales) < 0.6


def test_plateau_agrees_with_keras():
    """Keras's ReduceLROnPlateau waits one evaluation less, and compares by an absolute threshold."""
    import keras

    class Model:
        """What the callback asks of a model."""

        optimizer = keras.optimizers.SGD(1.0)

    chance = np.random.default_rng(2)
    metrics = np.maximum(np.exp(-np.arange(60) / 10), 0.2) + chance.normal(0, 0.02, 60)
    callback = keras.callbacks.ReduceLROnPlateau(factor=0.5, patience=3, min_delta=1e-3, cooldown=0, min_lr=0.01)
    callback.set_model(Model())
    callback.on_train_begin()
    schedule = schedules.plateau(factor=0.5, patience=2, threshold=1e-3, threshold_mode="abs", min_factor=0.01)
    state = schedule.init()
    for step, metric in enumerate(metrics):
        callback.on_epoch_end(step, {"val_loss": float(metric)})
        state = schedule.update(state, float(metric), step, 60)
        assert schedule.factor(state, step, 60) == pytest.approx(float(Model.optimizer.learning_rate), rel=1e-6)
    assert float(Model.optimizer.learning_rate) < 0.3


def test_keras_learning_rate_scheduler_is_a_function():
    """Keras's LearningRateScheduler asks a function at each epoch; `function` gives its rates."""
    import keras

    class Model:
        """What the callback asks of a model."""

        optimizer = keras.optimizers.SGD(1.0)

    callback = keras.callbacks.LearningRateScheduler(lambda epoch: 0.5**epoch)
    callback.set_model(Model())
    schedule = schedules.function(lambda k, n: 0.5 ** (k // 10))
    for epoch in range(4):
        callback.on_epoch_begin(epoch)
        assert schedule(10 * epoch, 40) == pytest.approx(float(Model.optimizer.learning_rate))


def test_torch_climbs_again_past_the_end():
    """CosineAnnealingLR, stepped past T_max, goes up to the peak again; ours holds its end."""
    theirs = of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, 40), 81)
    ours = schedules.cosine(40)(np.arange(81), TOTAL)
    assert theirs[80] == pytest.approx(1.0)
    assert ours[40:].max() == 0.0


def test_torch_restarts_at_the_very_end():
    """CosineAnnealingWarmRestarts begins a new wave at the step after the last one; ours ends the last wave."""
    theirs = of_torch(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 30), 121)
    ours = schedules.cosine_restarts(cycle=30)(np.arange(121), 120)
    np.testing.assert_allclose(ours[:120], theirs[:120], atol=1e-12)
    assert (theirs[120], ours[120]) == (1.0, 0.0)


def test_keras_changes_after_the_boundary():
    """Keras's PiecewiseConstantDecay keeps the old value at the boundary itself; ours has the new one there."""
    theirs = of_keras("PiecewiseConstantDecay", boundaries=[30], values=[1.0, 0.5])
    ours = schedules.piecewise(at=[30], values=[1, 0.5])(np.arange(TOTAL), TOTAL)
    assert (theirs[30], theirs[31], ours[29], ours[30]) == (1.0, 0.5, 1.0, 0.5)


def test_chebyshev_of_pytorch_optimizer_comes_two_steps_late():
    """Its values are ours times the first, from its third epoch on; the first three share one."""
    from pytorch_optimizer.lr_scheduler.chebyshev import get_chebyshev_lr_lambda

    theirs = np.array([get_chebyshev_lr_lambda(epoch, 64) for epoch in range(66)])
    ours = schedules.chebyshev()(np.arange(64), 64)
    assert (theirs[:3] == theirs[0]).all()
    np.testing.assert_allclose(theirs[2:] / theirs[0], ours, rtol=1e-12)


def test_timm_lowers_the_peak_towards_nothing():
    """With cycles that shrink and a floor, timm's waves may begin below the floor; ours, as Keras's, do not."""
    decay, floor = 0.2, 0.1
    theirs = [floor + 0.5 * (decay**wave - floor) * 2 for wave in range(4)]
    ours = schedules.cosine_restarts(cycle=10, decay=decay, final=floor)(np.arange(0, 40, 10), 40)
    assert min(theirs) < floor
    assert (ours >= floor).all()


def test_noam_is_the_papers():
    """Times (d * W) ** -0.5 it is d ** -0.5 * min(s ** -0.5, s * W ** -1.5), s counted from 1."""
    width, warm = 512, 40
    steps = np.arange(1, 401)
    paper = width**-0.5 * np.minimum(steps**-0.5, steps * warm**-1.5)
    ours = schedules.noam(warmup=warm)(steps - 1, 400) * (width * warm) ** -0.5
    np.testing.assert_allclose(ours, paper, rtol=1e-12)


def test_power_is_the_papers_with_a_cap():
    """`hold` is the step at which batch * a * tokens ** -0.51 falls below the peak (Shen et al. 2024)."""
    peak, batch, length, a, b = 0.02, 128, 4096, 4.6, -0.51
    rate = lambda k: np.minimum(peak, batch * a * (np.maximum(k, 1) * batch * length) ** b)
    hold = (peak / (batch * a)) ** (1 / b) / (batch * length)
    steps = np.arange(5, 400) * math.ceil(hold)
    ours = schedules.power(hold=round(hold))(steps, 10**6)
    np.testing.assert_allclose(ours, rate(steps) / peak, rtol=0.52 * abs(round(hold) / hold - 1))


def test_the_page_has_every_row():
    """The translation table of the docs has each row: their name and arguments, and our text form, in one line."""
    page = (Path(__file__).parents[2] / "docs" / "schedules-of-other-libraries.md").read_text(encoding="utf-8")
    lines = page.splitlines()
    for row in ROWS:
        ours = "function(f)" if row.ours.startswith("function") else row.ours
        assert any(f"`{row.theirs}`" in line and f"`{ours}`" in line for line in lines), row.theirs
    for library, names in ELSEWHERE.items():
        for name in names:
            assert f"`{name}" in page, (library, name)
