"""What holds for every search strategy: it ends, asks the same of the same, and keeps to what there is."""

import numpy as np
import pytest

from pacesetter import search
from pacesetter.errors import UnknownName
from pacesetter.records import LaneRecord, Problem
from pacesetter.testing.strategies import trained

TOTAL = 540


def run(strategy: search.Strategy, problem: Problem) -> list[LaneRecord]:
    """All that a strategy asks for."""
    known: list[LaneRecord] = []
    while asked := strategy.ask(problem, known):
        assert strategy.ask(problem, known) == asked
        assert not {record.lane for record in known} & set(asked)
        known += map(trained, asked)
        assert len(known) < 300
    return known


def problem(**given: object) -> Problem:
    """A search from 1e-5 to 10."""
    asked = {"optimizer": "adam", "schedule": "constant", "low": 1e-5, "high": 10.0, "total_steps": TOTAL, **given}
    return Problem(**asked)


@pytest.fixture(params=[*search.names(), "halving(asynchronous=True)", "halving(brackets=4)"])
def strategy(request):
    """Each strategy there is, and forms of them."""
    return search.parse(request.param)


def test_it_finds_the_decade_of_the_best_rate(strategy):
    """In a clean valley the suggestion lies within half a decade of the bottom, and never beyond the cliff."""
    known = run(strategy, problem())
    found = strategy.suggest(problem(), known)
    assert found is not None
    assert abs(np.log10(found) + 2) <= 0.6


def test_it_reads_back_from_its_text(strategy):
    """What is kept with a study is the strategy."""
    assert search.parse(search.text_of(strategy)) == strategy


@pytest.mark.parametrize("budget", [2.0, 4.0, 10.0])
def test_it_keeps_to_the_budget(strategy, budget):
    """All lanes together cost no more than what may be spent."""
    known = run(strategy, problem(budget=budget))
    assert sum(record.lane.total_steps for record in known) / TOTAL <= budget + 1e-9
    assert known


def test_it_keeps_to_the_rates_and_lengths_that_there_are(strategy):
    """Of a recording nothing else can be asked for."""
    rates = tuple(float(f"{10**x:.6g}") for x in np.arange(-5, 1.1, 0.5))
    known = run(strategy, problem(rates=rates, lengths=(20, 60, 180, 540), seeds=2))
    assert {record.lane.lr for record in known} <= set(rates)
    assert {record.lane.total_steps for record in known} <= {20, 60, 180, 540}
    assert {record.lane.seed for record in known} <= {0, 1}


def test_a_name_that_is_none_is_answered_with_the_nearest():
    """In the one grammar."""
    with pytest.raises(UnknownName, match="did you mean `halving`"):
        search.parse("halfing")


def test_successive_halving_keeps_a_third_of_each_rung():
    """27 rates of a 27th, 9 of a 9th, 3 of a third and one in full: four full trainings."""
    known = run(search.parse("halving"), problem())
    counts = {steps: sum(r.lane.total_steps == steps for r in known) for steps in (20, 60, 180, 540)}
    assert counts == {20: 27, 60: 9, 180: 3, 540: 1}
