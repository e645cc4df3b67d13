"""The LR range test: other tools' rules against plain implementations, and what ours holds whatever the losses are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lightning.pytorch.tuner.lr_finder import _LRFinder

from pacesetter import search
from pacesetter.errors import InputError
from pacesetter.findings._found import found
from pacesetter.records import Outcome
from pacesetter.search._range_rules import RULES, blow_up, ours
from pacesetter.testing.strategies import asked_problem, run, trained

COUNT = 100
LRS = 1e-5 * 10 ** (6 * np.arange(COUNT) / (COUNT - 1))


def curve(noise=0.05, edge=1.0, seed=0, count=COUNT):
    """The losses of a sweep that begins at 2.3, is lowest at 0.1 or so, and blows up at `edge`."""
    lrs = LRS[:: COUNT // count][:count]
    chance = np.random.default_rng(seed).normal(0, noise, count)
    fallen = 0.3 + 2 / (1 + (lrs / 0.01) ** 1.5) + chance
    return np.where(lrs < edge, fallen, 5 + lrs * 10)


def smoothed(losses, beta, power):
    """A mean over the past, freed of its start by the power that is given."""
    found, mean = [], 0.0
    for k, loss in enumerate(losses):
        mean = beta * mean + (1 - beta) * loss
        found.append(mean / (1 - beta ** (k + power)))
    return found


def stopped(losses, times):
    """Up to and with the first that is more than so many times the lowest."""
    for k in range(len(losses)):
        if losses[k] > times * min(losses[: k + 1]):
            return losses[: k + 1]
    return losses


def plain_fastai(losses):
    """What fastai's rules see of a sweep of 100: the first tenth and the last five are left out."""
    return np.array(stopped(smoothed(losses, 0.98, 1), 4))[10:-5]


def plain_slide(losses):
    """The window of 15 as a loop over negative places."""
    slope = np.gradient(losses)
    right, left = -1, -16
    found = LRS[10 : 10 + len(losses)][left]
    while left >= -len(losses) and abs(slope[right] - slope[left]) > 0.005:
        found = LRS[10 : 10 + len(losses)][left]
        right, left = right - 1, left - 1
    return found


SEEN = [curve(), curve(noise=0.3, seed=1), curve(edge=0.1, seed=2), curve(edge=np.inf, seed=3), 40 * curve(seed=4)]


@pytest.mark.parametrize("losses", SEEN)
def test_fastai_rules_are_their_formulas(losses):
    """Lowest loss over ten, steepest in log lr, and the slide agree with loops written from the formulas."""
    seen = plain_fastai(losses)
    lrs = LRS[10 : 10 + len(seen)]
    assert RULES["fastai_minimum"](LRS, losses, COUNT) == lrs[np.argmin(seen)] / 10
    slopes = [(seen[k + 1] - seen[k]) / (np.log(lrs[k + 1]) - np.log(lrs[k])) for k in range(len(seen) - 1)]
    assert RULES["fastai_steep"](LRS, losses, COUNT) == lrs[int(np.argmin(slopes))]
    assert RULES["fastai_slide"](LRS, losses, COUNT) == plain_slide(seen)


@pytest.mark.parametrize("losses", SEEN)
def test_valley_is_the_middle_of_the_longest_falling_run(losses):
    """The length of the run by trying every way to go on from each loss, as slowly as can be."""
    seen = plain_fastai(losses)
    longest = [1] * len(seen)
    for k in range(len(seen)):
        for before in range(k):
            if seen[before] > seen[k]:
                longest[k] = max(longest[k], longest[before] + 1)
    end = longest.index(max(longest))
    third = max(longest) / 3
    place = end - max(longest) + int(third) + int(third / 2)
    assert RULES["fastai_valley"](LRS, losses, COUNT) == LRS[10 + place]


@pytest.mark.parametrize("losses", SEEN)
def test_lightning_is_lightning(losses):
    """The package's own suggestion on the losses that it would have recorded."""
    recorded = smoothed(losses, 0.98, 2)
    for k in range(1, len(recorded)):
        if recorded[k] > 4 * min(recorded[:k]):
            recorded = recorded[: k + 1]
            break
    finder = _LRFinder("exponential", 1e-5, 10, COUNT)
    finder.results = {"lr": LRS[: len(recorded)].tolist(), "loss": recorded}
    with torch.no_grad():
        found = finder.suggestion()
    assert RULES["lightning"](LRS, losses, COUNT) == pytest.approx(found, rel=1e-6)


@pytest.mark.parametrize("losses", SEEN)
def test_steepest_is_that_of_torch_lr_finder(losses):
    """Smoothed from its first value on, to five times the lowest, the first ten and the last five left out."""
    mean = [losses[0]]
    for loss in losses[1:]:
        mean.append(0.05 * loss + 0.95 * mean[-1])
    seen = np.array(stopped(mean, 5))[10:-5]
    assert RULES["steepest"](LRS, losses, COUNT) == pytest.approx(LRS[10 + int(np.argmin(np.gradient(seen)))])


def test_defects_of_other_rules_are_kept():
    """A negative loss ends torch-lr-finder's sweep at once; where nothing learns, its rule suggests all the same."""
    assert RULES["steepest"](LRS, curve() - 10, COUNT) is None
    assert RULES["steepest"](LRS, np.random.default_rng(0).normal(2, 0.1, COUNT), COUNT) is not None


def test_ours_lies_below_the_lowest_loss():
    """0.9 decades below where the loss is lowest, and a decade below the blow-up, which is seen where it is."""
    chance = np.random.default_rng(0).normal(0, 0.01, COUNT)
    bowl = 1 + np.log10(LRS / 0.01) ** 2 / 10 + chance
    assert ours(LRS, bowl, COUNT) == pytest.approx(0.01 * 10**-0.9, rel=0.6)
    losses = curve(noise=0.0, edge=0.03)
    edge = blow_up(LRS, losses)
    assert 0.03 < edge < 0.05
    assert edge / 30 < ours(LRS, losses, COUNT) <= edge / 10
    assert blow_up(LRS, curve(edge=np.inf)) is None


def test_the_blow_up_is_seen_where_nothing_was_learned_before():
    """A loss that stays where it is and then rises for good, or is no longer finite; none where it only jumps about."""
    flat = 2 + np.random.default_rng(0).normal(0, 0.1, COUNT)
    assert ours(LRS, flat, COUNT) is None
    assert blow_up(LRS, flat) is None
    assert 0.08 < blow_up(LRS, np.where(LRS < 0.1, flat, flat + 3)) < 0.15
    assert blow_up(LRS[:80], np.append(flat[:79], np.nan)) == LRS[79]


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(0, 20))
def test_ours_does_not_depend_on_sign_and_scale(shift, scale, seed):
    """Losses times a number plus another are the same sweep."""
    losses = np.round(curve(seed=seed), 3)
    assert ours(LRS, scale * losses + shift, COUNT) == ours(LRS, losses, COUNT)


@given(st.floats(-3.5, 1), st.floats(0, 0.2), st.integers(0, 1000))
def test_ours_never_comes_near_the_blow_up(place, noise, seed):
    """Where the loss blows up for good, the suggestion lies at least half a decade below, or there is none."""
    edge = 10**place
    found = ours(LRS, curve(noise=noise, edge=edge, seed=seed), COUNT)
    assert found is None or found < edge / 3


@given(st.lists(st.integers(0, 70), max_size=5), st.sampled_from([np.nan, np.inf, -np.inf, 1e30]))
def test_ours_is_blind_to_single_spikes(places, spike):
    """Up to five batches whose loss is not finite, anywhere before the edge, move it by less than half a decade."""
    losses = curve()
    losses[places] = spike
    assert abs(np.log10(ours(LRS, losses, COUNT) / ours(LRS, curve(), COUNT))) < 0.5


def test_ours_says_so_where_nothing_learns():
    """Of 500 sweeps of pure noise fewer than 2 % suggest a rate; a flat, rising, broken or short one never does."""
    chance = np.random.default_rng(0)
    said = [ours(LRS, chance.standard_t(4, COUNT), COUNT) is not None for _ in range(500)]
    assert np.mean(said) < 0.02
    for losses in (np.full(COUNT, 2.0), 2 + LRS, np.full(COUNT, np.nan)):
        assert ours(LRS, losses, COUNT) is None
    assert ours(LRS[:10], curve()[:10], COUNT) is None


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("count", [1, 2, 5, 12, 17, 27, 40])
def test_no_rule_breaks_on_a_sweep_that_ended_early(rule, count):
    """However soon a sweep diverged, a rule gives a rate of the sweep, or less, or none."""
    for losses in (curve()[:count], np.append(curve()[: count - 1], np.nan)):
        found = RULES[rule](LRS[:count], losses, COUNT)
        assert found is None or 0 < found <= LRS[count - 1]


def test_sweeps_come_first_then_a_short_run_then_full_ones():
    """Three sweeps; a run of a 27th at what they suggest; in full two seeds of that, and half and twice of it."""
    strategy, problem = search.parse("range_test"), asked_problem()
    sweeps = strategy.ask(problem, ())
    assert {(lane.schedule, lane.lr, lane.total_steps) for lane in sweeps} == {("sweep", 10.0, 100)}
    assert [lane.seed for lane in sweeps] == [0, 1, 2]
    known = list(map(trained, sweeps))
    rate = strategy.suggest(problem, known)
    (short,) = strategy.ask(problem, known)
    assert (short.schedule, short.lr, short.total_steps) == ("constant", rate, 20)
    known.append(trained(short))
    full = strategy.ask(problem, known)
    assert [(lane.lr, lane.seed, lane.total_steps) for lane in full] == [
        (rate, 0, 540),
        (rate, 1, 540),
        (pytest.approx(rate / 2, rel=1e-5), 0, 540),
        (pytest.approx(rate * 2, rel=1e-5), 0, 540),
    ]
    known += map(trained, full)
    assert strategy.ask(problem, known) == ()
    assert strategy.suggest(problem, known) == rate
    assert strategy.runs(problem) == pytest.approx((3 * 100 + 20 + 4 * 540) / 540)
    assert len(run(strategy, asked_problem(quick=True))) == 4


def blown_up(lanes, edge=0.1):
    """Records of sweeps whose loss never falls, and rises tenfold from a rate on."""
    made = []
    for record in map(trained, lanes):
        chance = np.random.default_rng(record.lane.seed).normal(0, 0.1, record.curve.steps)
        record.curve.train_loss[:] = np.where(record.curve.lr < edge, 2.0, 20.0) + chance
        made.append(record)
    return made


def test_sweeps_that_learn_nothing_are_followed_by_a_longer_run():
    """A decade below where they blow up is a guess, to be shown by a third of the length; else there is no answer."""
    strategy, problem = search.parse("range_test"), asked_problem(quick=True)
    known = blown_up(strategy.ask(problem, ()))
    (long,) = strategy.ask(problem, known)
    assert (long.total_steps, long.lr) == (180, pytest.approx(0.01, rel=0.3))
    assert found(problem, [*known, trained(long)])[0].lr == long.lr
    flat = trained(long)
    flat.curve.valid_loss[:] = 2.0
    assert found(problem, [*known, flat])[0].lr is None


@pytest.mark.parametrize("rule", ["fastai_slide", "fastai_valley", "lightning"])
def test_a_constant_loss_has_no_answer_whatever_the_rule_says(rule):
    """Rules of other tools suggest a rate there too; neither the sweeps nor the short run have shown that it trains."""

    def constant(lane):
        record = trained(lane)
        record.curve.train_loss[:] = record.curve.valid_loss[:] = 2.0
        return replace(record, outcome=Outcome.FINISHED)

    strategy, problem = search.parse(f"range_test:{rule}"), asked_problem(quick=True)
    known = run(strategy, problem, constant)
    assert strategy.suggest(problem, known) is not None
    assert found(problem, known)[0].lr is None


def test_a_rate_alone_has_no_interval():
    """Where the budget has room for full runs of the suggestion alone, nothing is known of what lies beside it."""
    strategy, problem = search.parse("range_test"), replace(asked_problem(), budget=2.0)
    known = run(strategy, problem)
    assert sum(record.lane.total_steps == problem.total_steps for record in known) == 1
    answer, _ = found(problem, known)
    assert answer.lr is not None
    assert answer.interval is None


@pytest.mark.parametrize(
    ("schedule", "times"),
    [("cosine", 2.0), ("linear", 2.0), ("warmup(0.1) >> constant", 1 / 0.95), ("polynomial(power=9)", 10**0.5)],
)
def test_a_rate_that_is_lowered_may_start_higher(schedule, times):
    """As much as the mean rate lies below its peak, up to half a decade; other tools' rules do not see the schedule."""
    for rule, factor in (("ours", times), ("fastai_valley", 1.0)):
        strategy = search.parse(f"range_test:{rule}")
        plain, lowered = (
            strategy.suggest(problem, list(map(trained, strategy.ask(problem, ()))))
            for problem in (asked_problem(), replace(asked_problem(), schedule=schedule))
        )
        assert lowered / plain == pytest.approx(factor, rel=0.01)


def test_the_schedule_carries_the_range():
    """A sweep begins at the lowest rate and ends at the highest."""
    (lane, *_) = search.parse("range_test").ask(asked_problem(low=1e-4, high=0.1), ())
    assert (lane.schedule, lane.lr) == ("sweep(low=0.001)", 0.1)
    lrs = trained(lane).curve.lr
    assert (lrs[0], lrs[-1]) == (pytest.approx(1e-4), 0.1)


def test_repeats_have_a_median_and_a_spread():
    """The suggestion lies between the lowest and the highest of the sweeps, and is the middle one of three."""
    strategy, problem = search.parse("range_test:fastai_minimum"), asked_problem()
    known = list(map(trained, strategy.ask(problem, ())))
    for record, factor in zip(known, (1.0, 1.5, 4.0), strict=True):
        record.curve.lr[:] *= factor
    low, high = strategy.spread(problem, known)
    assert (high / low, strategy.suggest(problem, known) / low) == (pytest.approx(4.0), pytest.approx(1.5, rel=1e-4))
    assert strategy.spread(problem, ()) is None


def test_a_recording_has_no_sweep():
    """Where only certain rates may be tried it asks for nothing, costs nothing and suggests nothing."""
    strategy, problem = search.parse("range_test"), asked_problem(rates=(0.01, 0.1))
    assert (strategy.ask(problem, ()), strategy.suggest(problem, ()), strategy.runs(problem)) == ((), None, 0.0)


def test_a_suggestion_that_diverged_is_taken_back():
    """Where the run that was to verify it diverges, the best of those that did not is suggested."""
    strategy, problem = search.parse("range_test:fastai_steep"), asked_problem(high=100.0)
    known = run(strategy, problem)
    rate = strategy.suggest(problem, known)
    assert rate is not None
    worse = [trained(record.lane) for record in known]
    for record in worse:
        if record.lane.lr == rate and record.lane.seed == 1:
            record.curve.valid_loss[-1] = np.inf
    assert strategy.suggest(problem, worse) not in {rate, None}


@pytest.mark.parametrize(
    ("text", "message"),
    [("range_test(steps=10)", "`steps` of `range_test` must be a whole number of at least 16, got steps=10"),
     ("range_test(repeats=0)", "`repeats` of `range_test` must be a whole number of at least 1, got repeats=0")],
)  # fmt: skip
def test_sweeps_that_tell_nothing_are_refused(text, message):
    """In the one grammar."""
    with pytest.raises(InputError, match=message):
        search.parse(text)
    with pytest.raises(InputError, match="`rule` must be one of ours, fastai_valley"):
        type(search.parse("range_test"))(rule="valey")
