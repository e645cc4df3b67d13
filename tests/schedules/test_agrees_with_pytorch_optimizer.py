"""Our schedules against those of pytorch_optimizer, step by step, and where they differ on purpose."""

import numpy as np
import pytest

pytest.importorskip("pytorch_optimizer", reason="a peer to agree with")

from pytorch_optimizer import lr_scheduler as peer
from torch.optim import lr_scheduler as torch_peer

from pacesetter import schedules
from tests.schedules import peers
from tests.schedules.peers import STEPS, assert_row_agrees, evaluated, new_optimizer, torch_rates


@pytest.mark.parametrize("row", peers.PYTORCH_OPTIMIZER, ids=lambda row: row.theirs)
def test_agrees_with_pytorch_optimizer(row):
    """At every step the factor is the rate of pytorch_optimizer's scheduler, within 1e-12 of the peak."""
    assert_row_agrees(row, torch_rates(row.theirs, peer))


def test_every_scheduler_of_pytorch_optimizer_has_a_row_or_a_reason():
    """Of its sixteen names eight are torch's own classes, six have rows, two a reason why they cannot."""
    rows = " ".join(row.theirs for row in peers.PYTORCH_OPTIMIZER)
    assert len(peer.LR_SCHEDULERS) == 16
    for name, kind in peer.LR_SCHEDULERS.items():
        if name in peers.SAME_AS_TORCH:
            assert kind is getattr(torch_peer, peers.SAME_AS_TORCH[name])
        elif name not in peers.NOT_HERE["pytorch_optimizer"]:
            assert f"{kind.__name__}(optimizer" in rows, name
    assert len(peers.SAME_AS_TORCH) + len(peers.NOT_HERE["pytorch_optimizer"]) == 10


@pytest.mark.parametrize("name", ["LinearScheduler", "CosineScheduler"])
def test_first_update_has_the_lowest_rate_in_pytorch_optimizer(name):
    """Until `step()` was called its rate is `min_lr`, not the peak; ours begins with the first rate of the formula."""
    text = f"{name}(optimizer, t_max=200, max_lr=1, min_lr=0.1)"
    theirs = torch_rates(text, peer)
    assert theirs[:2].tolist() == [0.1, 1.0]
    assert schedules.parse("cosine(final=0.1)")(0, STEPS) == 1.0


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("REXScheduler(optimizer, 200, max_lr=1, min_lr=0.1)", 0.1),
        ("CosineAnnealingWarmupRestarts(optimizer, 50, max_lr=1, min_lr=0.1)", 0.1),
    ],
)
def test_schedulers_without_warmup_lose_their_peak(text, first):
    """Without a warm-up its first update has `min_lr`, and the peak itself is never used."""
    theirs = torch_rates(text, peer, count=50)
    assert theirs[0] == first and theirs.max() < 1.0


def test_poly_of_pytorch_optimizer_grows_without_end():
    """`PolyScheduler` is a power of the number of steps, not of their share: soon far above its `max_lr`."""
    theirs = torch_rates("PolyScheduler(optimizer, t_max=200, max_lr=1, min_lr=0, warmup_steps=20)", peer)
    np.testing.assert_allclose(theirs[22:], np.sqrt(np.arange(1, 179)), rtol=0, atol=1e-12)
    assert theirs.max() > 13


def test_proportion_of_pytorch_optimizer_is_another_value():
    """`ProportionScheduler` leaves the rate alone: it gives the value between two others that the rate lies at."""
    scheduler = peer.LinearScheduler(new_optimizer(), t_max=10, max_lr=1, min_lr=0.1)
    found = peer.ProportionScheduler(scheduler, max_lr=1, min_lr=0.1, max_value=2, min_value=1)
    scheduler.step()
    assert (found.step(), scheduler.optimizer.param_groups[0]["lr"]) == (2.0, 1.0)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("LinearScheduler(optimizer, t_max=100, max_lr=1)", "linear(100)"),
        ("CosineScheduler(optimizer, t_max=100, max_lr=1)", "cosine(100)"),
    ],
)
def test_past_the_end_pytorch_optimizer_goes_on_and_ours_holds(theirs, ours):
    """Past `t_max` its straight line falls below 0 and its cosine climbs; ours stays at its end."""
    expected, found = torch_rates(theirs, peer)[1:], peers.our_factors(ours)
    np.testing.assert_allclose(found[:101], expected[:101], rtol=0, atol=1e-12)
    assert (found[100:] == 0).all() and abs(expected[180]) > 0.7


def test_its_cooldowns_jump_to_their_end():
    """But for the cosine its cooldowns run to 0 and jump up to `min_lr_ratio` after that; ours runs to `final`."""
    text = 'get_wsd_schedule(optimizer, 20, 100, 40, min_lr_ratio=0.1, cooldown_type="linear")'
    theirs = torch_rates(text, peer)
    assert theirs[159] == pytest.approx(1 / 40) and theirs[160] == 0.1
    ours = schedules.parse('warmup(20, counts="from_zero") >> constant(100) >> cooldown(40, final=0.1)')
    assert ours(159, STEPS) == pytest.approx(0.1 + 0.9 / 40)


WAVE = "warmup(5, start=0.001, counts=from_zero) >> cosine(5, final=0.001)"


# The numbers that its own tests expect (tests/test_lr_schedulers.py of 4.1.0, Apache-2.0), with their digits.
@pytest.mark.parametrize(
    ("text", "total_steps", "peak", "digits", "expected"),
    [
        ('warmup(5, start=0.1, counts="from_zero") >> linear(final=0.01)', 10, 1e-2, 6,
         [0.001, 0.0028, 0.0046, 0.0064, 0.0082, 0.01, 0.00802, 0.00604, 0.00406, 0.00208]),
        ('warmup(5, start=0.1, counts="from_zero") >> cosine(final=0.01)', 10, 1e-2, 5,
         [0.001, 0.0028, 0.0046, 0.0064, 0.0082, 0.01, 0.00905, 0.00658, 0.00352, 0.00105]),
        (f"{WAVE} >> {WAVE}", 20, 1e-3, 6,
         [1e-6, 0.000201, 0.000401, 0.0006, 0.0008, 0.001, 0.000905, 0.000655, 0.000346, 9.6e-05] * 2),
        ("rex(5)", 7, 1.0, 5, [1.0, 0.888888, 0.749999, 0.571428, 0.333333, 0.0]),
        ('warmup(2, counts="from_zero") >> constant(2) >> cooldown(3, shape="cosine", final=0.1)', 9, 1e-3, 6,
         [0, 0.0005, 0.001, 0.001, 0.001, 0.000775, 0.000325, 0.0001, 0.0001]),
    ],
)  # fmt: skip
def test_numbers_of_pytorch_optimizer(text, total_steps, peak, digits, expected):
    """The rates that its own tests expect are ours, to the digits that they are written with."""
    found = peak * schedules.parse(text)(np.arange(len(expected)), total_steps)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1.001 * 10.0**-digits)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [("sqrt", [0.4226, 0.1835]), ("square", [0.8888, 0.5555]), ("linear", [0.6666, 0.3333])],
)
def test_numbers_of_its_cooldowns(shape, expected):
    """Inside a cooldown of three steps the factors are those that its own tests expect."""
    found = schedules.parse(f'cooldown(3, shape="{shape}")')(np.arange(1, 3), 3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def test_numbers_of_chebyshev():
    """The sixteen step sizes that its own test expects, in its order."""
    expected = [
        0.019125119558059765, 0.0010022924983586518, 0.0020901181252459123, 0.0017496032811320122,
        0.006336331139456458, 0.0011208500962143087, 0.004471008393917827, 0.0012101602977446309,
        0.014193791132074378, 0.0010208804147606497, 0.0025832131864890117, 0.0015085567867114075,
        0.009426190153875151, 0.0010594201194061095, 0.0033213041232648503, 0.001335267780289186,
    ]  # fmt: skip
    found = schedules.parse("chebyshev")(np.arange(16), 16)
    np.testing.assert_allclose(expected[0] * found, expected, rtol=1e-12)
    permutation = [0, 15, 7, 8, 3, 12, 4, 11, 1, 14, 6, 9, 2, 13, 5, 10]
    assert np.argsort(-found).argsort().tolist() == permutation
    assert evaluated("chebyshev.get_chebyshev_permutation(16)", peer).tolist() == permutation
