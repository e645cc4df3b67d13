"""Equations that hold for every schedule, over random ones from the whole space."""

import inspect
import json

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from pacesetter import schedules
from tests.schedules import space
from tests.schedules.space import any_schedule, bounded, given_spans, metrics, pure, shares, totals


def told(schedule, values, total_steps):
    """The states of `schedule` before, and after each of `values`, told at equal distances over the run."""
    states = [schedule.init()]
    for place, value in enumerate(values):
        states.append(schedule.update(states[-1], value, total_steps * (place + 1) // (len(values) + 1), total_steps))
    return states


def test_every_family_is_drawn():
    """Each registered name but `function` can be drawn from the space, so that the laws are about all of them."""
    source = inspect.getsource(space)
    assert [name for name in schedules.names() if f"schedules.{name}" not in source] == ["function"]


@given(any_schedule)
def test_text_round_trip(schedule):
    """The text of any schedule parses back to an equal one with the same text."""
    again = schedules.parse(str(schedule))
    assert again == schedule
    assert str(again) == str(schedule)


@given(any_schedule, metrics, totals)
def test_factors_are_finite_shares_for_numbers_arrays_and_tensors(schedule, values, total_steps):
    """In any state any schedule gives finite shares of the peak, the same for numbers, arrays and tensors."""
    schedule.validate(total_steps)
    steps = np.unique(np.linspace(0, 1.2 * total_steps, 40).round(3))
    for state in told(schedule, values, total_steps)[:: len(values)]:
        found = schedule.factor(state, steps, total_steps)
        alone = np.array([schedule.factor(state, float(step), total_steps) for step in steps])
        assert (alone >= 0.0).all() and (alone <= 1.0).all()
        np.testing.assert_allclose(found, alone, rtol=1e-13, atol=1e-15)
        tensor = schedule.factor(state, torch.from_numpy(steps), total_steps)
        assert tensor.dtype == torch.float64
        np.testing.assert_allclose(tensor.numpy(), alone, rtol=1e-12, atol=1e-15)


@given(any_schedule, metrics, totals, st.floats(0, 1e6))
def test_end_is_held(schedule, values, total_steps, later):
    """From the first step after the run on the factor stays as it is, in any state."""
    state = told(schedule, values, total_steps)[-1]
    end = schedule.factor(state, total_steps, total_steps)
    assert schedule.factor(state, total_steps + later, total_steps) == end


@given(pure, totals, totals, st.data())
def test_value_does_not_depend_on_how_one_got_there(schedule, total_steps, other_total, data):
    """A pure factor is one of (step, total_steps) alone: in any order, after other lengths, and read from its text."""
    steps = data.draw(st.lists(st.integers(0, total_steps), min_size=1, max_size=10))
    fresh = {k: schedules.parse(str(schedule))(k, total_steps) for k in steps}
    forward = {}
    for k in sorted(steps):
        forward[k] = schedule(k, total_steps)
        # A run that was longer or shorter before, and evaluations out of order, leave nothing behind.
        schedule(min(k, other_total), other_total)
    assert forward == fresh
    assert {k: schedule(k, total_steps) for k in reversed(steps)} == fresh


@given(any_schedule, metrics, totals, totals, st.integers(0, 25))
def test_resumed_and_extended_as_if_never_stopped(schedule, values, total_steps, new_total, stop):
    """State saved as JSON at any time goes on as if nothing had been, also where the run is given another length."""
    stop = min(stop, len(values))
    state = told(schedule, values[:stop], total_steps)[-1]
    kept = json.dumps(state, allow_nan=False)
    resumed, again = json.loads(kept), schedules.parse(str(schedule))
    assert resumed == state
    for place, value in enumerate(values[stop:]):
        k = new_total * place // len(values)
        state, resumed = schedule.update(state, value, k, new_total), again.update(resumed, value, k, new_total)
        assert resumed == state
        assert again.factor(resumed, k, new_total) == schedule.factor(state, k, new_total)


def steepest_step(schedule, state, n):
    """The largest difference of two neighbours of a fine grid over the run and a little more, and where it is."""
    steps = np.linspace(0, 1.05 * n, 4001)
    found = np.abs(np.diff(schedule.factor(state, steps, n)))
    return found.max(), steps[found.argmax()]


@given(space.smooth(st.none()) | space.warmups(given_spans), totals)
def test_smooth_families_have_no_jump(schedule, total_steps):
    """What promises a curve has no jump: halving the distance of two steps again and again makes them meet."""
    largest, place = steepest_step(schedule, {}, total_steps)
    assume(largest > 1e-3)
    low, high = place, place + 1.05 * total_steps / 4000
    for _ in range(60):
        middle = (low + high) / 2
        halves = [abs(schedule(middle, total_steps) - schedule(end, total_steps)) for end in (low, high)]
        low, high = (low, middle) if halves[0] > halves[1] else (middle, high)
    assert abs(schedule(high, total_steps) - schedule(low, total_steps)) < 1e-3


@given(st.sampled_from(["linear", "cosine"]), shares, st.integers(2, 1000))
def test_no_step_is_larger_than_its_slope_allows(name, final, n):
    """Two updates of a line differ by its slope, (1 - final) / n, and of a cosine by at most half pi times that."""
    found = np.abs(np.diff(schedules.parse(f"{name}(final={final!r})")(np.arange(n + 5), n)))
    assert found.max() <= (1 - final) / n * (1 if name == "linear" else np.pi / 2) + 1e-15


ways_down = st.builds(schedules.cooldown, st.just(0.1), st.sampled_from(space.SHAPES), shares)


@given(any_schedule, ways_down, metrics, totals)
def test_a_cooldown_ends_at_a_share_of_where_it_began(schedule, cooldown, values, total_steps):
    """Behind anything, in any state, `>> cooldown` walks its own curve down from the factor that was reached."""
    chain = schedule >> cooldown
    *_, last = lengths = chain._lengths(total_steps)
    begin = sum(lengths) - last
    state = told(chain, values, total_steps)[-1]
    reached = chain.factor(state, begin, total_steps)
    for k in (0, last // 2, last):
        expected = reached * schedules.cooldown(None, cooldown.shape, cooldown.final)(k, last)
        assert chain.factor(state, begin + k, total_steps) == pytest.approx(expected, rel=1e-12, abs=1e-300)


@given(
    space.smooth(space.spans) | space.warmups(given_spans) | space.controllers(space.spans), ways_down, metrics, totals
)
def test_a_cooldown_goes_on_without_a_jump(schedule, cooldown, values, total_steps):
    """Where the piece before it has no jump at its end, `>> cooldown` makes none, and neither behind a controller."""
    chain = schedule >> cooldown
    begin = chain._lengths(total_steps)[0]
    state = told(chain, values, total_steps)[-1]
    before = chain.factor(state, begin * (1 - 1e-13), total_steps)
    assert chain.factor(state, begin, total_steps) == pytest.approx(before, abs=1e-5)


@given(space.chained, space.chained, totals, st.floats(0, 1.2))
def test_times_multiplies(a, b, total_steps, place):
    """(a * b)(k) is a(k) * b(k), in either order."""
    k = place * total_steps
    assert (a * b)(k, total_steps) == pytest.approx(a(k, total_steps) * b(k, total_steps), rel=1e-14, abs=1e-300)
    assert (b * a)(k, total_steps) == pytest.approx((a * b)(k, total_steps), rel=1e-14, abs=1e-300)


@given(bounded, bounded, bounded)
def test_then_groups_either_way(a, b, c):
    """(a >> b) >> c is a >> (b >> c)."""
    assert (a >> b) >> c == a >> (b >> c)


@given(space.leaves(st.none()), st.integers(1, 500), st.integers(60, 500), st.integers(0, 700))
def test_then_shifts(piece, before, length, k):
    """After a piece of `before` steps, a schedule of the rest walks as it does alone in a run of that length."""
    chain = schedules.constant(before) >> piece
    assert chain(before + k, before + length) == piece(k, length)


@given(
    st.sampled_from(
        ["linear", "polynomial", "cosine", "flat_cosine", "exponential", "step", "multistep", "inverse_time",
         "inverse_sqrt", "anytime", "power", "rex", "cooldown"]
    ),
    st.integers(2, 300),
)  # fmt: skip
def test_decays_start_at_the_peak_and_never_rise(name, total_steps):
    """A decay's first update has the full rate, and no rate lies above the one before."""
    found = schedules.parse(name)(np.arange(total_steps + 5), total_steps)
    assert found[0] == 1.0
    assert (np.diff(found) <= 0.0).all()


@given(st.integers(1, 300), shares, st.integers(0, 50))
def test_end_value_is_met_exactly(n, final, later):
    """What has an end value is exactly `final` from the first step after the span on; with ends="last" one earlier."""
    for family in (schedules.linear, schedules.cosine, schedules.polynomial, schedules.rex):
        assert family(n, final=final)(n + later, 1000) == final
        if n > 1:
            assert family(n, final=final, ends="last")(n - 1 + later, 1000) == final
    for family in (schedules.flat_cosine, schedules.cooldown):
        assert family(n, final=final)(n + later, 1000) == final


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


@given(given_spans, st.sampled_from(["linear", "cosine", "sqrt"]), totals)
def test_a_warmup_is_a_cooldown_backwards(span, shape, total_steps):
    """The way up of a shape, counted from zero, is the way down of that shape walked backwards."""
    up, down = schedules.warmup(span, shape, counts="from_zero"), schedules.cooldown(span, shape)
    n = next(k for k in range(1, total_steps + 1) if down(k, total_steps) == 0)
    steps = np.arange(n + 1.0)
    np.testing.assert_allclose(up(steps, total_steps), down(n - steps, total_steps), rtol=0, atol=1e-7)
