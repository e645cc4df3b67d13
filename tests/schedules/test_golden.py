"""Numbers, texts and rules at the edges that must never change."""

import subprocess
import sys

import numpy as np
import pytest

from pacesetter import schedules
from pacesetter.errors import InputError, ParseError, UnknownName


def factors(text, total_steps, count=None):
    """The factors of the first updates, rounded so that they can be read."""
    schedule = schedules.parse(text)
    return [round(schedule(step, total_steps), 6) for step in range(total_steps + 1 if count is None else count)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("constant(value=0.5)", [0.5, 0.5, 0.5, 0.5, 0.5]),
        ("linear", [1, 0.75, 0.5, 0.25, 0]),
        ("linear(final=0.2)", [1, 0.8, 0.6, 0.4, 0.2]),
        ("linear(2)", [1, 0.5, 0, 0, 0]),
        ("linear(0.5)", [1, 0.5, 0, 0, 0]),
        ("linear(ends=last)", [1, 0.666667, 0.333333, 0, 0]),
        ("linear(1, ends=last)", [1, 0, 0, 0, 0]),
        ("cosine", [1, 0.853553, 0.5, 0.146447, 0]),
        ("cosine(final=0.1)", [1, 0.868198, 0.55, 0.231802, 0.1]),
        ("step(every=2)", [1, 1, 0.1, 0.1, 0.01]),
        ("step(decay=0.5, every=0.25)", [1, 0.5, 0.25, 0.125, 0.0625]),
        ("exponential(decay=0.5, every=1)", [1, 0.5, 0.25, 0.125, 0.0625]),
        ("exponential(2, decay=0.5, every=1)", [1, 0.5, 0.25, 0.25, 0.25]),
        ("triangular(cycle=2, low=0.5)", [0.5, 1, 0.5, 1, 0.5]),
        ("triangular(cycle=1.0, low=0)", [0, 0.5, 1, 0.5, 0]),
        ("triangular(cycle=4, low=0, rise=1)", [0, 1, 0.666667, 0.333333, 0]),
        ("triangular(cycle=2, low=0, rise=0.25)", [0, 0.666667, 0, 0.666667, 0]),
        ("triangular2(cycle=4, low=0, rise=3)", [0, 0.333333, 0.666667, 1, 0]),
        ("exp_range(cycle=4, low=0, decay=0.5, every=1, rise=1)", [0, 0.5, 0.166667, 0.041667, 0]),
        ("cooldown(shape=square)", [1, 0.9375, 0.75, 0.4375, 0]),
        ("cooldown(shape=sqrt)", [1, 0.5, 0.292893, 0.133975, 0]),
        ("warmup(4, shape=sqrt, counts=from_zero)", [0, 0.133975, 0.292893, 0.5, 1]),
        ("warmup(4, shape=cosine, counts=from_zero)", [0, 0.146447, 0.5, 0.853553, 1]),
        ("sweep(low=0.001)", [0.001, 0.01, 0.1, 1, 1]),
        ("sweep(3, low=0.0001)", [0.0001, 0.01, 1, 1, 1]),
        ("sweep(1, low=0.5)", [0.5, 1, 1, 1, 1]),
        ("warmup(4)", [0.25, 0.5, 0.75, 1, 1]),
        ("warmup(0.5) >> linear", [0.5, 1, 1, 0.5, 0]),
        ("warmup(1) >> constant >> linear(1)", [1, 1, 1, 1, 0]),
        ("warmup(2) >> constant(1, value=0.8) >> linear", [0.5, 1, 0.8, 1, 0]),
        ("constant(1, value=0.5) >> linear(2)", [0.5, 1, 0.5, 0, 0]),
        ("linear * linear", [1, 0.5625, 0.25, 0.0625, 0]),
        ("warmup(0.5) * linear", [0.5, 0.75, 0.5, 0.25, 0]),
        ("linear(2) * linear(2) >> constant", [1, 0.25, 1, 1, 1]),
        ("warmup(2) >> linear(0.5) * constant", [0.5, 1, 1, 0, 0]),
    ],
)
def test_factors_of_four_steps(text, expected):
    """The factors at steps 0 to 4 of a run of four are these."""
    assert factors(text, 4) == expected


def test_fractional_steps_are_in_between():
    """A run of 10 steps at a quarter of the length walks the same curve at every fourth step."""
    schedule = schedules.parse("warmup(4) >> cosine")
    assert [schedule(k * 40 / 10, 40) for k in range(10)] == [schedule(4 * k, 40) for k in range(10)]
    assert schedule(0.5, 40) == 0.375
    assert schedule(3.5, 40) == 1.0


@pytest.mark.parametrize(
    ("share", "total_steps", "steps"),
    [
        (0.05, 10, 1),
        (0.05, 30, 2),
        (0.25, 10, 3),
        (0.5, 1, 1),
        (0.001, 5, 1),
        (1.0, 7, 7),
        (0.145, 100, 15),
        (0.29, 50, 15),
    ],
)
def test_shares_round_half_up(share, total_steps, steps):
    """A share becomes steps by rounding half up, as a decimal, and is at least one."""
    assert schedules.linear(share)(steps, total_steps) == 0.0
    assert schedules.linear(share)(steps - 1, total_steps) > 0.0


def test_shares_inside_a_piece_are_of_its_own_span():
    """`every` and `cycle` given as shares count within the piece, not within the run."""
    stairs = schedules.parse("step(0.5, every=0.5) >> constant")
    assert [stairs(k, 80) for k in (19, 20, 39)] == [1.0, 0.1, 0.1]
    waves = schedules.parse("constant(40) >> triangular(cycle=0.5, low=0)")
    assert [waves(k, 80) for k in (40, 50, 60, 70)] == [0.0, 1.0, 0.0, 1.0]


def test_rounding_never_asks_for_more_steps_than_there_are():
    """Where rounded shares overrun the run, the last gives way and still meets its end at the run's end."""
    schedule = schedules.parse("linear(0.5) >> linear(0.5)")
    assert [schedule(k, 5) for k in range(7)] == pytest.approx([1, 2 / 3, 1 / 3, 1, 0.5, 0, 0])
    assert [schedules.parse("warmup(0.05) >> cosine")(k, 1) for k in (0, 1, 2)] == [1.0, 0.0, 0.0]


def test_cycle_always_reaches_the_peak():
    """A cycle whose share comes to one step is taken as two, so that the peak is reached."""
    assert [schedules.triangular(low=0.0)(k, 10) for k in range(4)] == [0.0, 1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("warmup(0.05) >> cosine()", "warmup(0.05) >> cosine"),
        ("cosine( 0.5,0.10 )", "cosine(0.5, final=0.1)"),
        ("cosine(final=0)", "cosine"),
        ("linear(final=1)", "linear(final=1.0)"),
        ("constant(1) >> linear", "constant(1) >> linear"),
        ("constant(1.0)", "constant(1.0)"),
        ("warmup(1) >> (constant(2) >> linear)", "warmup(1) >> constant(2) >> linear"),
        ("(warmup(1) >> linear) * triangular", "(warmup(1) >> linear) * triangular"),
        ("warmup(1) >> linear * triangular", "warmup(1) >> linear * triangular"),
        ("(linear * linear) * linear", "linear * linear * linear"),
        ("linear * (linear * linear)", "linear * linear * linear"),
        ("plateau(factor=.5, mode=max)", "plateau(factor=0.5, mode=max)"),
        ("step(every=100)", "step(every=100)"),
    ],
)
def test_text_is_canonical(text, canonical):
    """Equal schedules have one text: without defaults, empty parentheses, needless brackets or digits."""
    assert str(schedules.parse(text)) == canonical


def test_parse_takes_a_schedule():
    """What is a schedule already comes back as it is, and operators build what the text says."""
    schedule = schedules.warmup(500) >> schedules.constant(0.8) >> schedules.linear() * schedules.triangular()
    assert schedules.parse(schedule) is schedule
    assert schedules.parse("warmup(500) >> constant(0.8) >> linear() * triangular()") == schedule


def test_one_step_is_not_the_whole_run():
    """`constant(1)` (a step) and `constant(1.0)` (the run) differ, although 1 == 1.0 in Python."""
    assert schedules.constant(1) != schedules.constant(1.0)
    assert len({schedules.constant(1), schedules.constant(1.0), schedules.constant(1)}) == 2


def test_numpy_arguments_print_as_numbers():
    """Numbers from numpy are taken and print as plain ones."""
    schedule = schedules.cosine(np.int64(5), final=np.float64(0.1)) >> schedules.step(
        np.float64(0.5), every=np.int32(2)
    )
    assert str(schedule) == "cosine(5, final=0.1) >> step(0.5, every=2)"
    assert schedule(np.int64(5), np.int64(20)) == 1.0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("constant", "constant"),
        ("warmup(5)", "constant"),
        ("warmup(5) >> constant", "constant"),
        ("warmup(5) >> cosine", "decay"),
        ("step", "decay"),
        ("triangular * cosine", "cyclical"),
        ("warmup(5) >> triangular(5) >> linear", "cyclical"),
        ("warmup(5) >> plateau", "plateau"),
        ("plateau * triangular", "plateau"),
    ],
)
def test_kind_is_the_most_specific(text, kind):
    """A joined schedule is called after its most specific piece."""
    assert schedules.parse(text).kind == kind


def test_names():
    """These are the names; each is exported and makes a schedule of that name."""
    assert schedules.names() == [
        "constant", "cooldown", "linear", "sweep", "warmup", "polynomial", "cosine", "cosine_restarts", "flat_cosine",
        "exponential", "multistep", "piecewise", "step", "anytime", "inverse_sqrt", "inverse_time", "noam", "power",
        "tanh", "chebyshev", "rex", "exp_range", "triangular", "triangular2", "one_cycle", "wsd", "greedy", "plateau",
        "function",
    ]  # fmt: skip
    assert set(schedules.names()) < set(schedules.__all__)
    assert all(getattr(schedules, name).__name__ == name for name in schedules.names())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cosine >> linear", "`span` may be left out by one piece.*got cosine >> linear.*linear\\(0.3\\)"),
        ("cosine(0.6) >> linear(0.6)", "at most 1, got 1.2"),
        ("warmup(1.0) >> linear", "must leave something.*got 1 in"),
        ("warmup(0.5) >> constant(0.5) >> linear", "must leave something"),
        ("cosine(0)", "`span` must be .*got span=0"),
        ("cosine(-3)", "`span` must be .*got span=-3"),
        ("cosine(1.5)", "`span` must be .*got span=1.5"),
        ("cosine(0.0)", "`span` must be .*got span=0.0"),
        ("cosine(nan)", "`span` must be .*got span=nan"),
        ("cosine(final=1.5)", "`final` must be a number in \\[0, 1\\].*got final=1.5"),
        ("cosine(final=nan)", "`final` must be .*got final=nan"),
        ("linear(final=-0.1)", "`final` must be .*got final=-0.1"),
        ("constant(value=2)", "`value` must be .*got value=2.0"),
        ("step(decay=-3)", "`decay` must be .*got decay=-3.0"),
        ("step(every=0)", "`every` must be .*got every=0"),
        ("exponential(every=1.5)", "`every` must be .*got every=1.5"),
        ("triangular(cycle=1)", "`cycle` must be a whole number of steps from 2.*got cycle=1"),
        ("triangular(low=2)", "`low` must be .*got low=2.0"),
        ("triangular(rise=1.0)", "`rise` must be shorter than the cycle.*got rise=1.0 and cycle=0.1"),
        ("triangular2(cycle=4, rise=4)", "`rise` must be shorter than the cycle.*got rise=4 and cycle=4"),
        ("exp_range(rise=0)", "`rise` must be a whole number of steps from 1.*got rise=0"),
        ("warmup(5, shape=square)", "`shape` must be linear or cosine or sqrt or exponential, got shape=square"),
        ("cooldown(shape=exponential)", "`shape` must be linear or cosine or sqrt or square, got shape=exponential"),
        ("plateau(factor=1)", "`factor` must be below 1, got factor=1.0"),
        ("plateau(factor=2)", "`factor` must be a number in .*got factor=2.0"),
        ("plateau(patience=-1)", "`patience` must be .*got patience=-1"),
        ("plateau(cooldown=-1)", "`cooldown` must be .*got cooldown=-1"),
        ("plateau(threshold=-1)", "`threshold` must be .*got threshold=-1.0"),
        ("plateau(min_factor=3)", "`min_factor` must be .*got min_factor=3.0"),
    ],
)
def test_values_out_of_range_are_refused(text, words):
    """A value that makes no sense is refused when the schedule is made, with its name and number."""
    with pytest.raises(InputError, match=words):
        schedules.parse(text)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: schedules.cosine(final="0.1"), "got final='0.1'"),
        (lambda: schedules.cosine(final=True), "got final=True"),
        (lambda: schedules.cosine(span="all"), "got span='all'"),
        (lambda: schedules.cosine(span=True), "got span=True"),
        (lambda: schedules.cosine(ends="soon"), "`ends` must be after or last, got ends='soon'"),
        (lambda: schedules.warmup(None), "`span` must be given to `warmup`"),
        (lambda: schedules.plateau(patience=2.5), "got patience=2.5"),
        (lambda: schedules.plateau(mode="best"), "`mode` must be min or max, got mode='best'"),
        (lambda: schedules.plateau(threshold_mode="any"), "`threshold_mode` must be rel or abs"),
        (lambda: schedules.cosine()([1, 2], 10), "`step` must be a number, a numpy array or a torch tensor, got list"),
        (lambda: schedules.cosine()(True, 10), "got bool"),
        (lambda: schedules.cosine()("3", 10), "got str"),
        (lambda: schedules.cosine()(np.array([0.0, -1.0]), 10), "at least 0 everywhere"),
        (lambda: schedules.cosine()(np.array([np.nan]), 10), "finite and at least 0 everywhere"),
        (lambda: schedules.cosine()(np.array([1j]), 10), "got ndarray"),
        (lambda: schedules.plateau().update({}, 1.0, 0, 10), "`state` must come from init\\(\\)"),
        (lambda: schedules.plateau().factor({}, 0, 10), "`state` must come from init\\(\\)"),
        (lambda: schedules.plateau().update(schedules.plateau().init(), 1.0, np.arange(3), 10), "one number"),
    ],
)
def test_wrong_types_are_refused(make, words):
    """Python callers get the same messages as text."""
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cosine(500)", "got span=500 and total_steps=400 in cosine"),
        ("plateau(500)", "got span=500 and total_steps=400 in plateau"),
        ("warmup(500) >> linear", "got spans of 500 steps and total_steps=400 in warmup"),
        ("warmup(300) >> linear(0.9)", "got spans of 660 steps and total_steps=400 in warmup"),
        ("warmup(500) * linear", "got span=500 and total_steps=400 in warmup"),
        ("warmup(10) >> linear * cosine(400)", "got span=400 and total_steps=390 in cosine"),
    ],
)
def test_spans_longer_than_the_run_are_refused(text, words):
    """Spans that do not fit are refused, by `validate` and when they are met, with the numbers of both."""
    schedule = schedules.parse(text)
    schedule.validate(4000)
    for look in (schedule.validate, lambda total_steps: schedule.factor(schedule.init(), 390, total_steps)):
        with pytest.raises(InputError, match=words):
            look(400)


def test_only_schedules_can_be_joined():
    """`>>` and `*` with anything else is a TypeError, as in Python."""
    with pytest.raises(TypeError):
        schedules.cosine() >> 3
    with pytest.raises(TypeError):
        schedules.cosine() * 0.5


def test_parse_errors_are_of_one_tree():
    """A misspelt name and a broken text are both input errors with a hint."""
    with pytest.raises(UnknownName, match="did you mean `cosine`"):
        schedules.parse("warmup(5) >> cosin")
    with pytest.raises(ParseError, match="joined by >> or \\*"):
        schedules.parse("warmup(5) + cosine")
    with pytest.raises(InputError, match="must be text or a schedule, got schedule=5"):
        schedules.parse(5)


def test_schedules_do_not_import_torch():
    """Schedules are made, parsed and evaluated without torch being imported."""
    code = (
        "import sys; from pacesetter import schedules as s; s.parse('cosine')(1, 9); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
