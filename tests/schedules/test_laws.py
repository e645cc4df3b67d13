"""Equations that hold for every schedule, over random ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pacesetter import schedules

shares = st.sampled_from([0.0, 0.1, 1 / 3, 0.25, 0.5, 0.9, 1e-8, 1.0]) | st.floats(0.0, 1.0)
small = st.integers(1, 40)
parts = st.floats(0.01, 0.2)
spans = st.none() | small | parts
given_spans = small | parts
ends = st.sampled_from(["after", "last"])
# Long enough that four pieces of up to 40 steps, or of up to a fifth, always fit.
totals = st.integers(800, 3000)


def leaves(length):
    """Schedules of one piece whose span is drawn from `length`."""
    return st.one_of(
        st.builds(schedules.constant, length, shares),
        st.builds(schedules.linear, length, shares, ends),
        st.builds(schedules.cosine, length, shares, ends),
        st.builds(schedules.step, length, shares, given_spans),
        st.builds(schedules.exponential, length, shares, given_spans),
        st.builds(schedules.sweep, length, st.floats(1e-12, 1.0)),
        st.builds(schedules.triangular, length, st.integers(2, 50) | parts, shares),
    )


bounded = leaves(given_spans) | st.builds(schedules.warmup, given_spans)
controllers = st.builds(
    schedules.plateau,
    given_spans,
    st.floats(0.0, 0.99),
    st.integers(0, 4),
    st.floats(0.0, 0.5),
    st.sampled_from(["rel", "abs"]),
    st.sampled_from(["min", "max"]),
    st.integers(0, 3),
    shares,
)


@st.composite
def chains(draw, pieces=bounded):
    """Up to three pieces with spans, and mostly one that takes the rest, anywhere."""
    found = draw(st.lists(pieces, min_size=1, max_size=3))
    if draw(st.booleans()):
        found.insert(draw(st.integers(0, len(found))), draw(leaves(st.none())))
    joined = found[0]
    for piece in found[1:]:
        joined = joined >> piece
    return joined


@st.composite
def products(draw, pieces):
    """Two of `pieces`, multiplied."""
    return draw(pieces) * draw(pieces)


pure = leaves(spans) | bounded | chains() | products(chains()) | products(leaves(spans))
any_schedule = pure | controllers | chains(bounded | controllers) | products(chains(bounded | controllers))


@given(any_schedule)
def test_text_round_trip(schedule):
    """The text of any schedule parses back to an equal one with the same text."""
    again = schedules.parse(str(schedule))
    assert again == schedule
    assert str(again) == str(schedule)


@given(pure, totals)
def test_array_is_its_numbers_and_stays_in_range(schedule, total_steps):
    """Any schedule gives finite shares of the peak, the same for an array as for its numbers, and holds its end."""
    schedule.validate(total_steps)
    steps = np.unique(np.linspace(0, 1.2 * total_steps, 50).round(3))
    found = schedule(steps, total_steps)
    np.testing.assert_allclose(found, [schedule(step, total_steps) for step in steps], rtol=1e-13, atol=1e-15)
    assert (found >= 0.0).all()
    assert (found <= 1.0).all()
    np.testing.assert_allclose(found[steps >= total_steps], schedule(total_steps, total_steps), rtol=1e-13)


@given(chains(), chains(), totals, st.floats(0, 1.2))
def test_times_multiplies(a, b, total_steps, place):
    """(a * b)(k) is a(k) * b(k), in either order."""
    k = place * total_steps
    assert (a * b)(k, total_steps) == a(k, total_steps) * b(k, total_steps) == (b * a)(k, total_steps)


@given(bounded, bounded, bounded)
def test_then_groups_either_way(a, b, c):
    """(a >> b) >> c is a >> (b >> c)."""
    assert (a >> b) >> c == a >> (b >> c)


@given(leaves(st.none()), st.integers(1, 500), st.integers(1, 500), st.floats(0, 1.5))
def test_then_shifts(piece, before, length, place):
    """After a piece of `before` steps, a schedule of the rest walks as it does alone in a run of that length."""
    k = place * length
    chain = schedules.constant(before) >> piece
    np.testing.assert_allclose(
        chain(before + k, before + length), piece(before + k - before, length), rtol=1e-9, atol=1e-12
    )


@given(st.sampled_from(["linear", "cosine", "exponential", "step"]), st.integers(2, 300))
def test_decays_start_at_the_peak_and_never_rise(name, total_steps):
    """A decay's first update has the full rate, and no rate lies above the one before."""
    found = schedules.parse(name)(np.arange(total_steps + 5), total_steps)
    assert found[0] == 1.0
    assert (np.diff(found) <= 0.0).all()


@given(st.integers(1, 300), shares, st.integers(0, 50))
def test_end_value_is_met_exactly(n, final, later):
    """`linear` and `cosine` are exactly `final` from the first step after the span on; with ends="last" one earlier."""
    for family in (schedules.linear, schedules.cosine):
        assert family(n, final=final)(n + later, 1000) == final
        if n > 1:
            assert family(n, final=final, ends="last")(n - 1 + later, 1000) == final


@given(st.integers(1, 300), st.integers(1, 20))
def test_a_short_run_is_a_whole_run(h, times):
    """A run of h of T steps sees factors of the whole curve: factor(k * T / h, T)."""
    total = h * times
    schedule = schedules.cosine(final=0.1)
    short = [schedule(k * total / h, total) for k in range(h + 1)]
    np.testing.assert_allclose(short, [schedule(k, h) for k in range(h + 1)], rtol=1e-12)


@given(st.integers(2, 300), st.floats(1e-9, 0.9))
def test_a_sweep_rises_by_one_ratio_and_ends_at_the_peak(n, low):
    """`sweep` begins at `low`, ends its span at the peak exactly, and every step multiplies by the same ratio."""
    found = schedules.sweep(low=low)(np.arange(n), n)
    assert (found[0], found[-1]) == (low, 1.0)
    np.testing.assert_allclose(found[1:] / found[:-1], low ** (-1 / (n - 1)), rtol=1e-12)
