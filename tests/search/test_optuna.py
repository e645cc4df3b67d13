"""Optuna as a strategy: seeded anew from what is known, and told of divergence in numbers that it understands."""

import sys

import optuna as package
import pytest

from pacesetter import search
from pacesetter.errors import InputError, MissingPackage, ParseError
from pacesetter.records import Problem, Trial
from pacesetter.search.optuna import _told
from pacesetter.testing.strategies import asked_problem as problem
from pacesetter.testing.strategies import run


@pytest.mark.parametrize("sampler", ["tpe", "gp", "random"])
def test_every_sampler_makes_its_trials_one_by_one(sampler):
    """As many full runs under one seed as were asked for, no two at the same rate, one after the other."""
    strategy = search.parse(f"optuna(sampler={sampler}, trials=12)")
    assert len(strategy.ask(problem(), ())) == 1
    lanes = [record.lane for record in run(strategy, problem())]
    assert len({lane.lr for lane in lanes}) == 12
    assert {(lane.seed, lane.total_steps) for lane in lanes} == {(0, 540)}
    assert strategy.runs(problem()) == 12


def test_a_colon_names_the_sampler():
    """`optuna:gp` is `optuna(sampler=gp)`; a sampler that there is not is refused."""
    assert search.parse("optuna:gp") == search.parse("optuna(sampler=gp)")
    assert str(search.parse("optuna:gp")) == "optuna(sampler=gp)"
    with pytest.raises(ParseError, match="`sampler` must be tpe or gp or random, got sampler=tp"):
        search.parse("optuna:tp")
    with pytest.raises(InputError, match="`sampler` must be one of tpe, gp, random"):
        type(search.parse("optuna"))(sampler="tp")
    with pytest.raises(InputError, match="`trials` of `optuna` must be a whole number of at least 1, got trials=0"):
        search.parse("optuna(trials=0)")


def test_another_seed_searches_elsewhere():
    """What is drawn follows from the problem's seed and the number of trials, and from nothing else."""
    strategy = search.parse("optuna(trials=5)")
    first = [record.lane.lr for record in run(strategy, problem())]
    assert first == [record.lane.lr for record in run(strategy, problem())]
    assert not set(first) & {record.lane.lr for record in run(strategy, problem(seed=1))}


def test_divergence_is_told_just_above_the_worst():
    """A diverged trial counts a tenth of the range of values above the worst of them, the untrained one included."""
    trials = [Trial(lr, 0, 10, value, 2.0) for lr, value in ((0.1, 1.0), (1.0, float("inf")), (0.01, 1.8))]
    assert _told(trials) == [1.0, pytest.approx(2.1), 1.8]
    assert _told([Trial(1.0, 0, 10, float("inf"), float("nan"))]) == [pytest.approx(1.1)]
    assert _told([]) == []


def test_a_rate_asked_for_again_runs_under_the_next_seed():
    """Of a recording of two rates and two seeds four lanes can be replayed, each once."""
    recorded = problem(rates=(0.001, 0.01), lengths=(540,), seeds=2)
    lanes = [record.lane for record in run(search.parse("optuna"), recorded)]
    assert sorted((lane.lr, lane.seed) for lane in lanes) == [(0.001, 0), (0.001, 1), (0.01, 0), (0.01, 1)]
    assert search.parse("optuna").runs(recorded) == 4


def test_optuna_is_left_as_it_was():
    """How much Optuna logs stays what it was; a package that is not there is told with its extra."""
    package.logging.set_verbosity(package.logging.INFO)
    search.parse("optuna").ask(problem(), ())
    assert package.logging.get_verbosity() == package.logging.INFO


def test_without_optuna_its_extra_is_named(monkeypatch):
    """The strategy can be read and priced without the package; to ask it, the package must be installed."""
    monkeypatch.setitem(sys.modules, "optuna", None)
    strategy = search.parse("optuna")
    assert strategy.runs(Problem("adam", "constant", 1e-3, 1.0, 100)) == 16
    with pytest.raises(MissingPackage, match=r"pip install 'pacesetter\[optuna\]'"):
        strategy.ask(problem(), ())
