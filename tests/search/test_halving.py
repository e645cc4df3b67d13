"""Successive halving, Hyperband and ASHA against the tables and rules of their papers."""

import numpy as np
import pytest

from pacesetter import search
from pacesetter.errors import InputError
from pacesetter.records import Outcome
from pacesetter.testing.strategies import asked_problem, run, trained

# Li et al. 2018, R = 81 and eta = 3: (how many, how long) of each rung, bracket by bracket.
HYPERBAND = (
    ((81, 1), (27, 3), (9, 9), (3, 27), (1, 81)),
    ((34, 3), (11, 9), (3, 27), (1, 81)),
    ((15, 9), (5, 27), (1, 81)),
    ((8, 27), (2, 81)),
    ((5, 81),),
)


def test_all_brackets_are_hyperband():
    """The table of the paper, as planned and as asked for."""
    strategy, problem = search.parse("halving(rates=81, rungs=5, brackets=5)"), asked_problem(total_steps=81, low=1e-8)
    assert strategy.ladders(problem) == HYPERBAND
    lengths = [record.lane.total_steps for record in run(strategy, problem)]
    rungs = [rung for bracket in HYPERBAND for rung in bracket]
    planned = {n: sum(count for count, length in rungs if length == n) for n in (1, 3, 9, 27)}
    assert {n: lengths.count(n) for n in planned} == planned


@pytest.mark.parametrize(("factor", "rates", "rungs"), [(2, 16, 5), (3, 27, 4), (3, 10, 3), (4, 100, 3), (3, 5, 4)])
def test_each_rung_has_the_best_of_the_one_below(factor, rates, rungs):
    """Rung i has floor(rates / factor**i) rates, at least one, and they are the best of rung i - 1."""
    strategy = search.parse(f"halving(factor={factor}, rates={rates}, rungs={rungs})")
    problem = asked_problem(total_steps=factor ** (rungs - 1) * 10, high=0.5)
    known = run(strategy, problem)
    below = None
    for rung in range(rungs):
        here = [record for record in known if record.lane.total_steps == 10 * factor**rung]
        assert len(here) == max(1, rates // factor**rung)
        if below is not None:
            ranked = sorted(below, key=lambda record: record.curve.valid_loss[-1])
            assert {record.lane.lr for record in here} == {record.lane.lr for record in ranked[: len(here)]}
        below = here


def test_a_diverged_rate_never_climbs():
    """Where half of a rung diverged, those above it hold the living only; where all did, nothing is above."""
    problem = asked_problem(low=0.1, high=10.0)
    known = run(search.parse("halving(rates=5, factor=2, rungs=2)"), problem)
    longer = [record.lane.lr for record in known if record.lane.total_steps == 540]
    living = {record.lane.lr for record in known if record.outcome is Outcome.FINISHED}
    assert set(longer) == living == {0.1, 0.316228}
    known = run(search.parse("halving"), asked_problem(low=2.0))
    assert {record.lane.total_steps for record in known} == {20}


def test_a_rung_waits_for_all_of_it():
    """With one lane of a rung missing, that one is asked for and nothing above it."""
    strategy, problem = search.parse("halving"), asked_problem()
    asked = strategy.ask(problem, ())
    known = list(map(trained, asked))
    assert strategy.ask(problem, known[1:]) == asked[:1]


def test_asha_promotes_the_top_floor_of_what_is_known():
    """Of n known lanes of a rung, floor(n / 3) may climb: none of two, one of three to five, two of six."""
    strategy, problem = search.parse("halving(asynchronous=True)"), asked_problem(high=0.5)
    order = [record.lane for record in run(strategy, problem) if record.lane.total_steps == 20]
    for count in range(1, 12):
        known = list(map(trained, order[:count]))
        climbing = [lane for lane in strategy.ask(problem, known) if lane.total_steps > 20]
        ranked = sorted(known, key=lambda record: record.curve.valid_loss[-1])
        expected = [record.lane.lr for record in ranked[: count // 3]]
        assert [lane.lr for lane in climbing] == expected[:3]
        assert {lane.total_steps for lane in climbing} <= {60}


def test_asha_asks_for_climbers_first_and_a_few_at_a_time():
    """Every turn asks for at most `factor` lanes, those of higher rungs before new rates; all rates are tried."""
    strategy, problem = search.parse("halving(asynchronous=True)"), asked_problem(high=0.5)
    known = []
    while asked := strategy.ask(problem, known):
        assert len(asked) <= 3
        lengths = [lane.total_steps for lane in asked]
        assert lengths == sorted(lengths, reverse=True)
        known += map(trained, asked)
    counts = {steps: sum(record.lane.total_steps == steps for record in known) for steps in (20, 60, 180, 540)}
    assert counts[20] == 27
    assert counts[540] >= 1
    assert counts[60] >= counts[20] // 3


def test_the_top_is_reached_where_no_rung_is_full():
    """Two rates promote nobody by the rule; the better of them is trained to the end all the same."""
    known = run(search.parse("halving(rates=2, asynchronous=True)"), asked_problem(high=0.5))
    longest = [record for record in known if record.lane.total_steps == max(r.lane.total_steps for r in known)]
    assert len(longest) == 1
    assert longest[0].lane.total_steps > 20


def test_a_budget_has_fewer_rates_and_the_same_rungs():
    """Half the price of 27 rates has about half as many, and still ends with a full run."""
    strategy, problem = search.parse("halving"), asked_problem(budget=2.0)
    ((lowest, *_, top),) = strategy.ladders(problem)
    assert 5 <= lowest[0] < 27
    assert top == (1, 540)
    assert strategy.runs(problem) <= 2.0
    assert strategy.runs(asked_problem()) == pytest.approx(4.0)


def test_brackets_try_different_rates():
    """Each bracket draws its own, one from each equal part of the range."""
    known = run(search.parse("halving(brackets=3)"), asked_problem())
    first = {record.lane.lr for record in known if record.lane.total_steps == 20}
    third = sorted({r.lane.lr for r in known if r.lane.total_steps == 180} - first)
    assert np.log10(third[-1] / third[0]) > 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("halving(factor=1)", "`factor` of `halving` must be a whole number of at least 2, got factor=1"),
        ("halving(rungs=13)", "`rungs` of `halving` must be at most 12, got rungs=13"),
        ("halving(brackets=5)", "`brackets` of `halving` must not be more than its rungs, got brackets=5 rungs=4"),
        ("halving(brackets=2, asynchronous=True)", "must be 1 with asynchronous=True, got brackets=2"),
    ],
)
def test_ladders_that_lead_nowhere_are_refused(text, message):
    """In the one grammar."""
    with pytest.raises(InputError, match=message):
        search.parse(text)
