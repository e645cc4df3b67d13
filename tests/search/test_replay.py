"""Recorded sweeps in the place of training: what is answered, what it costs, and how a suggestion is scored."""

import numpy as np
import pytest

from pacesetter import search
from pacesetter.findings._reading import trials_of
from pacesetter.records import Lane, Outcome
from pacesetter.search._replay import Recording, run

NAN = float("nan")


def recording(values, untrained=(2.0, 2.0), rates=(0.01, 0.1, 1.0), lengths=(100,), recorded=None):
    """A sweep of three rates and two seeds."""
    values = np.array(values, dtype=float).reshape(len(rates), -1, len(lengths))
    made = np.ones(values.shape, bool) if recorded is None else np.array(recorded).reshape(values.shape)
    seeds = tuple(range(values.shape[1]))
    return Recording("made by hand", rates, seeds, lengths, values, made, np.array(untrained))


SWEEP = recording([[1.0, 1.2], [0.4, 0.6], [0.3, NAN]])


class Says:
    """A strategy that runs one rate, and suggests what it was told to."""

    def __init__(self, lr):
        """Hold the suggestion."""
        self.lr = lr

    def ask(self, problem, known):
        """The first rate, once."""
        lanes = (Lane(problem.optimizer, problem.schedule, problem.rates[0], problem.seed, problem.total_steps),)
        return () if known else lanes

    def suggest(self, problem, known):
        """What it was told to."""
        return self.lr


def test_a_diverged_run_counts_as_untrained():
    """Means over both seeds are 1.1, 0.5 and, with one run diverged, (0.3 + 2.0) / 2 = 1.15."""
    assert SWEEP.truth == pytest.approx([1.1, 0.5, 1.15])
    assert SWEEP.best == 0.1
    assert SWEEP.start == 2.0


def test_where_no_untrained_value_is_known_divergence_counts_as_the_worst():
    """The worst finite end of the sweep, 1.2, stands for it; a share of an improvement cannot be said."""
    sweep = recording([[1.0, 1.2], [0.4, 0.6], [0.3, NAN]], untrained=(NAN, NAN))
    assert sweep.truth == pytest.approx([1.1, 0.5, 0.75])
    end = run(sweep.problem(), Says(0.01), sweep)
    assert np.isnan(end.regret)
    assert end.difference == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("suggested", "regret", "difference"),
    [(0.1, 0.0, 0.0), (0.01, 0.4, 0.6), (10**-1.5, 0.2, 0.3), (5.0, 0.65 / 1.5, 0.65), (None, 1.0, 0.65)],
)
def test_regret_is_the_share_of_the_improvement_given_up(suggested, regret, difference):
    """By hand: of 2.0 - 0.5, and linear in log between two rates; without a suggestion all of it is given up."""
    end = run(SWEEP.problem(), Says(suggested), SWEEP)
    assert end.regret == pytest.approx(regret)
    assert end.difference == pytest.approx(difference)
    assert end.runs == 1.0


def test_a_sweep_in_which_nothing_improves_has_no_regret():
    """There is no improvement to give up a share of."""
    sweep = recording([[2.0, 2.1], [2.0, 2.0], [NAN, NAN]])
    assert np.isnan(run(sweep.problem(), Says(0.01), sweep).regret)
    assert np.isnan(run(sweep.problem(), Says(None), sweep).regret)


def test_lanes_are_answered_as_if_they_had_been_trained():
    """A finished one has its end and the untrained value; a diverged one costs its whole length."""
    problem = SWEEP.problem(seed=40)
    lanes = [Lane("own", "own", 1.0, seed, 100) for seed in (40, 41)]
    finished, diverged = SWEEP.answer(problem, lanes)
    assert (finished.outcome, diverged.outcome) == (Outcome.FINISHED, Outcome.DIVERGED)
    assert finished.curve.steps == diverged.curve.steps == 100
    assert [trial.value for trial in trials_of(problem, [finished, diverged])] == [0.3, float("inf")]
    assert trials_of(problem, [finished])[0].untrained == 2.0


def test_what_was_not_recorded_is_no_divergence():
    """A run that is missing tells nothing, costs nothing, and is left out of the mean."""
    sweep = recording([[1.0, 1.2], [0.4, 0.0], [0.3, NAN]], recorded=[[True, True], [True, False], [True, True]])
    assert sweep.truth == pytest.approx([1.1, 0.4, 1.15])
    (record,) = sweep.answer(sweep.problem(), [Lane("own", "own", 0.1, 1, 100)])
    assert record.outcome is Outcome.FAILED
    end = run(sweep.problem(), search.parse("grid(seeds=2)"), sweep)
    assert (end.suggested, end.runs) == (0.1, 5.0)


def test_halving_climbs_from_recorded_length_to_length():
    """Nine rates at a ninth, three at a third, one in full: a third of the cost of a grid, and the best rate."""
    rates = tuple(10.0**k for k in range(-7, 2))
    ends = [[5.0 - k if k < 6 else 9.0 for _ in range(3)] for k in range(9)]
    sweep = recording(ends, untrained=(9.0,), rates=rates, lengths=(10, 30, 90))
    end = run(sweep.problem(), search.parse("halving(rates=9, rungs=3)"), sweep)
    assert (end.suggested, end.regret, end.runs) == (1e-2, 0.0, 3.0)


def test_what_is_drawn_follows_from_the_seed():
    """The same seed draws the same rate again; another one draws elsewhere."""
    drawn = [run(SWEEP.problem(seed), search.parse("random(trials=1)"), SWEEP).suggested for seed in (*range(9), 0)]
    assert drawn[0] == drawn[-1]
    assert len(set(drawn)) == 3
