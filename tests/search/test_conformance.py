"""Every search strategy, bare and in other forms, through the public conformance suite; laws over random problems."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacesetter import search
from pacesetter.errors import UnknownName
from pacesetter.search import Strategy
from pacesetter.testing.strategies import StrategyConformance, asked_problem, cost, run

FORMS = [
    "grid(seeds=2)",
    "random(trials=40)",
    "halving(brackets=4)",
    "halving(asynchronous=True)",
    "halving(factor=4, rates=40, rungs=3)",
    "optuna(sampler=gp, trials=12)",
    "range_test(repeats=1, steps=50)",
]


class TestStrategies(StrategyConformance):
    """The suite over each name there is, and forms of them."""

    @pytest.fixture(params=[*search.names(), *FORMS])
    def strategy(self, request: pytest.FixtureRequest) -> Strategy:
        """One strategy."""
        return search.parse(request.param)


# Those that answer at once; each law below asks them hundreds of times.
QUICK = [
    "grid",
    "grid(seeds=3)",
    "random",
    "halving",
    "halving(brackets=3)",
    "halving(asynchronous=True)",
    "range_test",
    "pace",
]
lengths = st.lists(st.integers(1, 3000), min_size=1, max_size=5, unique=True).map(sorted)
rates = st.lists(st.floats(-6, 1), min_size=1, max_size=12, unique=True).map(
    lambda places: tuple(sorted({float(f"{10**place:.6g}") for place in places}))
)


@settings(deadline=None)
@given(st.sampled_from(QUICK), st.integers(1, 5000), st.floats(0.01, 30), st.integers(0, 2**62), st.floats(0.1, 8))
def test_no_budget_is_overspent(text, total_steps, budget, seed, decades):
    """Whatever the length, the range and the seed."""
    problem = asked_problem(total_steps=total_steps, budget=budget, seed=seed, low=1e-5, high=float(1e-5 * 10**decades))
    known = run(search.parse(text), problem)
    assert cost(known, problem) <= budget * (1 + 1e-9) + 1e-8


@settings(deadline=None)
@given(st.sampled_from(QUICK), lengths, rates, st.integers(1, 5), st.none() | st.floats(0.1, 20), st.booleans())
def test_no_recording_is_left(text, lengths, rates, seeds, budget, quick):
    """Whatever rates, lengths and seeds there are, nothing else is asked for, and what is suggested lies among them."""
    problem = asked_problem(
        rates=rates,
        low=rates[0],
        high=rates[-1],
        lengths=tuple(lengths),
        total_steps=lengths[-1],
        seeds=seeds,
        budget=budget,
        quick=quick,
    )
    known = run(search.parse(text), problem)
    assert {record.lane.lr for record in known} <= set(rates)
    assert {record.lane.total_steps for record in known} <= set(lengths)
    assert {record.lane.seed for record in known} <= set(range(seeds))
    assert search.parse(text).suggest(problem, known) in {None, *rates}
    if budget is not None:
        assert cost(known, problem) <= budget + 1e-8


@given(st.integers(1, 40), st.integers(1, 60))
def test_a_grid_that_does_not_fit_is_thinned_evenly(per_decade, room):
    """Its ends stay, and no gap between two of its rates is more than one finer interval wider than another."""
    problem = asked_problem(low=1e-3, high=1.0, budget=float(room))
    asked = [lane.lr for lane in search.parse(f"grid(per_decade={per_decade})").ask(problem, ())]
    assert len(asked) == min(room, 3 * per_decade + 1)
    if len(asked) > 1:
        assert (asked[0], asked[-1]) == (1e-3, 1.0)
        gaps = np.diff(np.log10(asked)) * per_decade
        assert gaps.max() - gaps.min() < 1.01


def test_a_name_that_is_none_is_answered_with_the_nearest():
    """In the one grammar."""
    with pytest.raises(UnknownName, match="did you mean `halving`"):
        search.parse("halfing")
