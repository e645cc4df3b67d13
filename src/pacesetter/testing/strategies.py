"""The conformance suite of search strategies: subclass `StrategyConformance`, give it the fixture `strategy`.

class TestMyStrategy(StrategyConformance):
    @pytest.fixture(params=[my_strategy(), my_strategy(trials=4)], ids=str)
    def strategy(self, request):
        return request.param

Nothing is trained: lanes end as `trained` says, in a valley whose bottom lies at 1e-2, beside a cliff at 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest

from pacesetter import schedules, search
from pacesetter.records import Curve, Lane, LaneRecord, Outcome, Problem
from pacesetter.search import Strategy

__all__ = ["BEST", "CLIFF", "UNTRAINED", "StrategyConformance", "asked_problem", "run", "trained"]

BEST, CLIFF, UNTRAINED = 1e-2, 1.0, 2.0
# No search of six decades asks for more: one that does will never end.
MOST_LANES = 400
BUDGETS = (0.3, 1.0, 2.0, 4.0, 10.0)
RATES = tuple(float(f"{10**place:.6g}") for place in np.arange(-5, 1.1, 0.5))
LENGTHS = (20, 60, 180, 540)


def asked_problem(**given: Any) -> Problem:
    """A search from 1e-5 to 10 for a run of 540 updates, with what is `given` instead."""
    return replace(Problem("adam", "constant", low=1e-5, high=10.0, total_steps=540), **given)


def trained(lane: Lane) -> LaneRecord:
    """How the lane ends, with the training loss of a sweep that falls from 2 and blows up at the cliff."""
    steps = np.arange(lane.total_steps)
    rates = lane.lr * np.broadcast_to(schedules.parse(lane.schedule)(steps, lane.total_steps), steps.shape)
    losses = np.where(rates < CLIFF, 0.2 + 1.8 * np.exp(-np.cumsum(rates) / 0.1) + rates / 2, np.inf)
    alive = bool(lane.lr < CLIFF)
    end = UNTRAINED - 1.8 / (1 + np.log10(lane.lr / BEST) ** 2) if alive else np.inf
    curve = Curve(
        lr=rates,
        train_loss=losses,
        grad_norm=np.ones(len(rates)),
        eval_steps=np.array([0, len(rates)]),
        valid_loss=np.array([UNTRAINED, end]),
    )
    return LaneRecord(lane, Outcome.FINISHED if alive else Outcome.DIVERGED, curve)


def run(strategy: Strategy, problem: Problem, train: Callable[[Lane], LaneRecord] = trained) -> list[LaneRecord]:
    """All lanes that the strategy asks for, each asked for once, in their order."""
    known: list[LaneRecord] = []
    while asked := strategy.ask(problem, known):
        assert not {record.lane for record in known} & set(asked)
        assert len(set(asked)) == len(asked)
        known += map(train, asked)
        assert len(known) <= MOST_LANES
    return known


def cost(known: Sequence[LaneRecord], problem: Problem) -> float:
    """What was asked for, in full trainings."""
    return sum(record.lane.total_steps for record in known) / problem.total_steps


def _diverges(lane: Lane) -> LaneRecord:
    record = trained(lane)
    losses = np.full(lane.total_steps, np.inf)
    curve = replace(record.curve, train_loss=losses, valid_loss=np.array([UNTRAINED, np.inf]))
    return LaneRecord(lane, Outcome.DIVERGED, curve)


def _learns_nothing(lane: Lane) -> LaneRecord:
    record = trained(lane)
    losses = np.full(lane.total_steps, UNTRAINED)
    curve = replace(record.curve, train_loss=losses, valid_loss=np.array([UNTRAINED, UNTRAINED]))
    return LaneRecord(lane, Outcome.FINISHED, curve)


def _fails(lane: Lane) -> LaneRecord:
    return LaneRecord(lane, Outcome.FAILED, Curve(), "the cable came out")


class StrategyConformance:
    """Every fact that a search strategy must hold, whatever it asks for."""

    def test_text_parses_back(self, strategy: Strategy) -> None:
        """Its text parses back to an equal strategy with the same text: that is what a study keeps."""
        again = search.parse(str(strategy))
        assert again == strategy
        assert str(again) == str(strategy)

    def test_is_frozen(self, strategy: Strategy) -> None:
        """It is a dataclass that refuses to be changed."""
        value: Any = strategy
        assert is_dataclass(value)
        for entry in fields(value):
            with pytest.raises((FrozenInstanceError, AttributeError)):
                setattr(value, entry.name, None)

    def test_same_known_same_lanes(self, strategy: Strategy) -> None:
        """Asked twice with the same records it asks for the same, at every turn and from the text alone."""
        known: list[LaneRecord] = []
        while asked := strategy.ask(asked_problem(), known):
            assert strategy.ask(asked_problem(), tuple(known)) == asked
            assert search.parse(str(strategy)).ask(asked_problem(), known) == asked
            known += map(trained, asked)

    def test_it_goes_on_from_part_of_what_it_asked_for(self, strategy: Strategy) -> None:
        """After a crash some lanes of a turn are known and others not: it asks for no known one, and ends."""
        known = list(map(trained, strategy.ask(asked_problem(), ())))[::2]
        while asked := strategy.ask(asked_problem(), known):
            assert not {record.lane for record in known} & set(asked)
            known += map(trained, asked)
            assert len(known) <= MOST_LANES
        assert strategy.suggest(asked_problem(), known) is not None

    def test_it_finds_the_decade_of_the_best_rate(self, strategy: Strategy) -> None:
        """In a clean valley what it suggests lies within 0.7 decades of the bottom."""
        found = strategy.suggest(asked_problem(), run(strategy, asked_problem()))
        assert found is not None
        assert abs(np.log10(found / BEST)) <= 0.7

    @pytest.mark.parametrize("budget", BUDGETS)
    @pytest.mark.parametrize("quick", [False, True])
    def test_budget_is_kept(self, strategy: Strategy, budget: float, quick: bool) -> None:
        """All lanes together cost no more than the budget, also when it is too small for anything."""
        problem = asked_problem(budget=budget, quick=quick)
        assert cost(run(strategy, problem), problem) <= budget + 1e-9

    @pytest.mark.parametrize("budget", BUDGETS)
    def test_price_is_named_before(self, strategy: Strategy, budget: float) -> None:
        """What it says it is going to cost is finite, and more than nothing where it asks for anything."""
        problem = asked_problem(budget=budget)
        assert 0 <= strategy.runs(problem) < np.inf
        assert strategy.runs(problem) > 0 or not strategy.ask(problem, ())

    def test_permitted_rates_lengths_and_seeds_are_kept(self, strategy: Strategy) -> None:
        """Of a recording it asks for nothing that is not there, and suggests a rate inside it or none."""
        problem = asked_problem(rates=RATES, lengths=LENGTHS, seeds=2, seed=5)
        known = run(strategy, problem)
        assert {record.lane.lr for record in known} <= set(RATES)
        assert {record.lane.total_steps for record in known} <= set(LENGTHS)
        assert {record.lane.seed for record in known} <= {5, 6}
        found = strategy.suggest(problem, known)
        assert found is None or RATES[0] <= found <= RATES[-1]

    def test_rates_print_short(self, strategy: Strategy) -> None:
        """The rates it asks for have no more than six significant digits, and are numbers of Python's."""
        for record in run(strategy, asked_problem()):
            assert type(record.lane.lr) is float
            assert record.lane.lr == float(f"{record.lane.lr:.6g}")
            assert type(record.lane.seed) is int
            assert type(record.lane.total_steps) is int

    def test_a_diverged_rate_is_never_suggested(self, strategy: Strategy) -> None:
        """Whatever a lane's curve looked like before it diverged, at any length."""
        known = run(strategy, asked_problem())
        found = strategy.suggest(asked_problem(), known)
        out = {record.lane.lr for record in known if record.outcome is Outcome.DIVERGED}
        assert found not in out

    @pytest.mark.parametrize("train", [_diverges, _learns_nothing, _fails])
    def test_where_nothing_learns_it_ends(self, strategy: Strategy, train: Callable[[Lane], LaneRecord]) -> None:
        """When every lane diverges or fails it ends and suggests nothing; when all stay untrained it ends."""
        known = run(strategy, asked_problem(), train)
        found = strategy.suggest(asked_problem(), known)
        assert found is None or train is _learns_nothing

    def test_lanes_of_other_recipes_are_no_evidence(self, strategy: Strategy) -> None:
        """A study may hold lanes of another optimizer: what they ended with is not taken for its own."""
        others = [trained(Lane("sgd", "constant", rate, 0, 10)) for rate in RATES]
        assert strategy.suggest(asked_problem(), others) is None
        assert strategy.ask(asked_problem(), others)
