"""Families that no other library has, against their papers' formulas, written out plainly one step at a time."""

import math

import numpy as np
import pytest

from pacesetter import schedules

STEPS = 200


def noam(k, width=64, warmup=20):
    """The paper's rate (Vaswani et al.), whose steps count from 1, by its peak."""
    step = k + 1
    return width**-0.5 * min(step**-0.5, step * warmup**-1.5) / (width * warmup) ** -0.5


def power_scheduler(k, peak=0.02, slope=4.6, batch=1.0, exponent=0.51):
    """The paper's rate (Shen et al.) by its peak, where a step is a token."""
    return min(peak, batch * slope * k**-exponent) / peak if k else 1.0


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        ("noam(warmup=20)", noam),
        # Where both sides of the paper's minimum are equal: (peak / slope) ** (-1 / exponent) steps.
        ("power(hold=25, exponent=0.5)", lambda k: power_scheduler(k, peak=0.2, slope=1.0, exponent=0.5)),
        ("anytime(alpha=50)", lambda k: math.sqrt(50 / (50 + k))),
        ("inverse_sqrt(timescale=50)", lambda k: math.sqrt(50 / (50 + k))),
        ("sweep(low=0.001)", lambda k: 0.001 ** (1 - k / (STEPS - 1))),
        ("rex(final=0.1)", lambda k: 0.1 + 0.9 * (1 - k / STEPS) / (0.5 + 0.5 * (1 - k / STEPS))),
    ],
)
def test_is_the_formula_of_its_paper(text, formula):
    """At every step the factor is what the paper's own formula gives."""
    found = schedules.parse(text)(np.arange(STEPS), STEPS)
    np.testing.assert_allclose(found, [formula(k) for k in range(STEPS)], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("one", "chain"),
    [
        ("flat_cosine(final=0.1)", "constant(0.72) >> cosine(final=0.1)"),
        ("wsd", "warmup(0.05) >> constant >> cooldown(0.2, shape=sqrt)"),
        (
            "wsd(warmup=7, decay=40, shape=square, final=0.1)",
            "warmup(7) >> constant >> cooldown(40, shape=square, final=0.1)",
        ),
        ("one_cycle(rise=0.25, start=0, final=0, shape=linear)", "warmup(0.25, counts=from_zero) >> linear"),
        ("cooldown(shape=cosine)", "cosine"),
    ],
)
def test_one_name_is_a_chain_of_others(one, chain):
    """What has a name of its own and is also a chain of others gives the same factors as that chain."""
    steps = np.arange(1.1 * STEPS)
    np.testing.assert_allclose(
        schedules.parse(one)(steps, STEPS), schedules.parse(chain)(steps, STEPS), rtol=0, atol=1e-12
    )


def test_cooldowns_one_after_the_other_multiply():
    """Each cooldown takes its share of what the one before it left."""
    chain = schedules.parse("constant(50, value=0.8) >> cooldown(50, final=0.5) >> cooldown(50, final=0.5) >> cooldown")
    found = [chain(k, STEPS) for k in (0, 50, 75, 100, 125, 150, 175, 200)]
    assert found == pytest.approx([0.8, 0.8, 0.6, 0.4, 0.3, 0.2, 0.1, 0.0], abs=1e-12)
    np.testing.assert_allclose(chain(np.array([50, 100, 150, 175]), STEPS), [0.8, 0.4, 0.2, 0.1], atol=1e-12)
