"""Our schedules against the formulas of timm (as of 1.0), written out plainly, and where they differ on purpose.

timm does not import beside a torch without torchvision; so its formulas are here, under its names and arguments.
"""

import bisect
import math

import numpy as np
import pytest
from torch.optim.lr_scheduler import ReduceLROnPlateau

from pacesetter import schedules
from tests.schedules import peers
from tests.schedules.peers import STEPS, assert_controller_agrees, assert_row_agrees, metrics


def waves(shape):
    """A schedule of cycles, each of which goes down by `shape(t, length)` from 1 to 0."""

    def scheduler(
        optimizer,
        t_initial,
        lr_min=0.0,
        cycle_mul=1,
        cycle_decay=1.0,
        cycle_limit=1,
        warmup_t=0,
        warmup_prefix=False,
        **more,
    ):
        def rate(t):
            if t < warmup_t:
                return t / warmup_t
            if warmup_prefix:
                t -= warmup_t
            cycle, length = 0, t_initial
            while t >= length:
                cycle, t, length = cycle + 1, t - length, length * cycle_mul
            if cycle >= cycle_limit:
                return lr_min
            return lr_min + (cycle_decay**cycle - lr_min) * shape(t, length, **more)

        return rate

    return scheduler


CosineLRScheduler = waves(lambda t, n, k_decay=1.0: 0.5 * (1 + math.cos(math.pi * t**k_decay / n**k_decay)))
TanhLRScheduler = waves(lambda t, n, lb=-7.0, ub=3.0: 0.5 * (1 - math.tanh(lb * (1 - t / n) + ub * t / n)))
PolyLRScheduler = waves(lambda t, n, power=0.5, k_decay=1.0: (1 - t**k_decay / n**k_decay) ** power)


def prefixed(rate, warmup_t):
    """`rate` behind a warm-up."""
    return lambda t: t / warmup_t if t < warmup_t else rate(t - warmup_t)


def StepLRScheduler(optimizer, decay_t, decay_rate=1.0, warmup_t=0):  # noqa: N802 (timm's name)
    """Down by a ratio after every so many."""
    return prefixed(lambda t: decay_rate ** (t // decay_t), warmup_t)


def MultiStepLRScheduler(optimizer, decay_t, decay_rate=1.0, warmup_t=0):  # noqa: N802 (timm's name)
    """Down by a ratio at each milestone, less one."""
    return prefixed(lambda t: decay_rate ** bisect.bisect_right(decay_t, t + 1), warmup_t)


def WSDLRScheduler(optimizer, t_initial, decay_t, lr_min=0.0, stable_fn="constant", decay_fn="1-sqrt", warmup_t=0):  # noqa: N802
    """Warm-up, stable, decay."""

    def rate(t):
        level = max((1 + t / warmup_t) ** -0.5 if stable_fn == "rsqrt" else 1.0, lr_min)
        done = min(max(t - (t_initial - decay_t), 0) / decay_t, 1.0)
        left = {"1-sqrt": 1 - math.sqrt(done), "linear": 1 - done}[decay_fn]
        return lr_min + (level - lr_min) * left

    return prefixed(rate, warmup_t)


def timm_rates(text):
    """The rates of a formula at every step."""
    rate = eval(text, {**globals(), "optimizer": None})
    return np.array([rate(t) for t in range(STEPS)])


@pytest.mark.parametrize("row", peers.TIMM, ids=lambda row: row.theirs)
def test_agrees_with_timm(row):
    """At every step the factor is what timm's formula gives for a peak of 1, within 1e-12."""
    assert_row_agrees(row, timm_rates(row.theirs))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("row", peers.TIMM_CONTROLLERS, ids=lambda row: row.theirs)
def test_plateau_agrees_with_timm(row, seed):
    """On the same metrics the factor is the rate of torch's plateau that hears nothing until the warm-up is over."""
    told = metrics(seed)

    def plateau_lr_scheduler(optimizer, decay_rate, patience_t, warmup_t):
        base = ReduceLROnPlateau(optimizer, "max", decay_rate, patience_t, eps=0.0)
        found = []
        for epoch in range(1, STEPS + 1):
            found.append((epoch - 1) / warmup_t if epoch <= warmup_t else optimizer.param_groups[0]["lr"])
            if epoch > warmup_t:
                base.step(told[epoch - 1])
        return found

    names = {"PlateauLRScheduler": plateau_lr_scheduler, "optimizer": peers.new_optimizer()}
    assert_controller_agrees(row, eval(row.theirs, names), told)


def test_every_scheduler_of_timm_has_a_row():
    """Each of timm's six classes, and its newer one of warm-up, stable and decay, has a row."""
    rows = " ".join(row.theirs for row in peers.TIMM + peers.TIMM_CONTROLLERS)
    for name in ("Cosine", "MultiStep", "Plateau", "Poly", "Step", "Tanh", "WSD"):
        assert f"{name}LRScheduler(" in rows


def test_warmup_without_prefix_jumps():
    """Without `warmup_prefix` timm's rate falls to where the cosine would have been by then; ours begins it there."""
    theirs = timm_rates("CosineLRScheduler(optimizer, t_initial=200, warmup_t=20)")
    ours = schedules.parse("warmup(20, counts=from_zero) >> cosine")(np.arange(STEPS), STEPS)
    np.testing.assert_allclose(theirs[:20], ours[:20], rtol=0, atol=1e-12)
    assert (ours[20], theirs[20]) == pytest.approx((1.0, 0.975528258))


def test_waves_of_timm_begin_lower_where_they_do_not_end_at_zero():
    """With `cycle_decay` and `lr_min` timm's wave begins at decay, ours and Keras's at that share of what is above."""
    theirs = timm_rates("CosineLRScheduler(optimizer, t_initial=100, lr_min=0.1, cycle_decay=0.5, cycle_limit=2)")
    ours = schedules.parse("cosine_restarts(cycle=100, decay=0.5, final=0.1)")(np.arange(STEPS), STEPS)
    np.testing.assert_allclose(theirs[:100], ours[:100], rtol=0, atol=1e-12)
    assert (theirs[100], ours[100]) == pytest.approx((0.5, 0.55))


def test_past_its_end_tanh_of_timm_drops():
    """Past its cycle timm has `lr_min`; ours holds the end of the tangent, 0.0025 of the way above `final`."""
    assert timm_rates("TanhLRScheduler(optimizer, t_initial=100)")[100] == 0
    assert schedules.parse("tanh(100)")(150, STEPS) == pytest.approx(0.5 - 0.5 * math.tanh(3))
