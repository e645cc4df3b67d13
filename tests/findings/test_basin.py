"""The model of loss against rate over several lengths: known bottoms, the drift, and how sure it is."""

from dataclasses import replace

import numpy as np
import pytest

from pacesetter.findings._basin import Basin, basin
from pacesetter.findings._reading import trials_of
from pacesetter.findings._trials import learned, learned_at, looks
from pacesetter.records import Curve, Lane, LaneRecord, Outcome, Problem, Trial

TOTAL = 270


LEARNING = (0.6, 0.9, 1.0)
"""What the best runs of the three lengths improve by, where longer ones learn more."""


def trials(
    best: float,
    drift: float,
    noise: float = 0.0,
    seed: int = 0,
    sharp: float = 0.3,
    gains: tuple[float, float, float] = LEARNING,
) -> list[Trial]:
    """Runs at thirteen rates of a 27th of the length, three of a third and three full ones, around a known bottom."""
    chance = np.random.default_rng(seed)
    made = []
    around = best + np.array([-0.5, 0, 0.5])
    for steps, places, gain in zip((10, 90, 270), (np.arange(-5, 1.1, 0.5), around, around), gains, strict=True):
        bottom = best - drift * np.log10(steps / TOTAL)
        for place in places:
            share = min(1.0, sharp * (place - bottom) ** 2) + noise * abs(chance.normal())
            made.append(Trial(float(10**place), 0, steps, 2 - gain * (1 - share), 2.0))
    return made


@pytest.mark.parametrize("best", [-3.0, -2.0, -1.0])
@pytest.mark.parametrize("drift", [0.0, 0.5, 1.0])
def test_the_bottom_at_the_full_length_is_found(best: float, drift: float) -> None:
    """To a tenth of a decade where there is no noise, however far the bottom moves with the length."""
    assert np.log10(Basin(trials(best, drift), TOTAL).best) == pytest.approx(best, abs=0.1)


def test_the_drift_is_told_from_the_runs() -> None:
    """A valley that stays has a lower drift than one that falls as fast as runs get longer."""
    stays, falls = (Basin(trials(-2, drift), TOTAL).drift for drift in (0.0, 1.0))
    assert stays < 0.25
    assert falls > 0.75


def test_where_longer_runs_improve_no_more_the_way_is_expected_to_count() -> None:
    """The same runs are expected to drift further, and where nothing is measured the best full rate to lie lower."""
    learning, done = (Basin(trials(-2, 0.5, gains=gains)[:16], TOTAL) for gains in (LEARNING, (1.0, 1.0, 1.0)))
    assert done.drift > learning.drift + 0.15
    assert done.bottom() < learning.bottom()


def test_scale_and_offset_of_the_loss_do_not_matter() -> None:
    """Losses may be negative and of any size: only the share of the improvement counts."""
    plain = trials(-2, 0.5)
    moved = [Trial(t.lr, t.seed, t.steps, 1e4 * t.value - 1e6, 1e4 * t.untrained - 1e6) for t in plain]
    assert Basin(moved, TOTAL).best == pytest.approx(Basin(plain, TOTAL).best)


def test_diverged_runs_push_the_bottom_away() -> None:
    """A rate that diverged is as bad as untrained, and the bottom keeps its distance from it."""
    made = [Trial(10.0**x, 0, TOTAL, 1.5 - 0.1 * x if x < -1 else float("inf"), 2.0) for x in (-4, -3, -2, -1, 0)]
    assert -3.5 < np.log10(Basin(made, TOTAL).best) < -1.0


@pytest.mark.parametrize(("lost", "steps", "best"), [(-0.75, TOTAL, -1.5), (-0.75, 10, -1.5), (-0.5, TOTAL, -1.0)])
def test_a_rate_close_below_one_that_diverged_is_not_the_best(lost: float, steps: int, best: float) -> None:
    """However well it did, and however short the run that diverged; half a decade is far enough."""
    values = {-2.0: 1.2, -1.5: 1.1, -1.0: 1.0}
    made = [Trial(10.0**x, 0, TOTAL, value, 2.0) for x, value in values.items()]
    made.append(Trial(10.0**lost, 0, steps, float("inf"), 2.0))
    assert np.log10(Basin(made, TOTAL).best_run() or 1) == pytest.approx(best)


def test_a_rate_close_below_one_that_diverged_is_the_best_where_it_is_alone() -> None:
    """It is all that is known to train."""
    made = [Trial(10.0**x, 0, TOTAL, value, 2.0) for x, value in ((-1.0, 1.0), (-0.75, float("inf")))]
    assert np.log10(Basin(made, TOTAL).best_run() or 1) == pytest.approx(-1.0)


def test_what_never_improved_is_not_learned() -> None:
    """Runs that end within a hundredth of the untrained value, or diverge, say nothing of a best rate."""
    flat = [Trial(1e-3, 0, TOTAL, 1.995, 2.0), Trial(1e-1, 0, TOTAL, float("inf"), 2.0)]
    assert not learned(flat)
    assert learned([*flat, Trial(1e-2, 0, TOTAL, 1.5, 2.0)])
    assert not learned([])


def between(made: list[Trial]) -> tuple[float, float]:
    """log10 of the lowest and the highest of the rates that are likely to hold the best of them."""
    basin = Basin(made, TOTAL)
    places = np.log10(basin.told_apart)
    good = places[basin.likely(places, 0.95)]
    return float(good.min()), float(good.max())


def test_the_likely_rates_hold_the_bottom_as_often_as_they_say() -> None:
    """By simulation, over bottoms, drifts, widths and noise: to half the distance of rates, nine times in ten."""
    chance = np.random.default_rng(1)
    held = []
    for seed in range(120):
        best, drift = chance.uniform(-3, -1), chance.uniform(0, 1)
        made = trials(
            best, drift, noise=chance.choice([0.003, 0.01, 0.03]), seed=seed, sharp=chance.choice([0.1, 0.3, 1])
        )
        low, high = between(made)
        held.append(low - 0.125 <= best <= high + 0.125)
    assert np.mean(held) >= 0.9


def test_the_likely_rates_are_the_fewest() -> None:
    """Together they have the chance that was asked for, and without the least likely of them they have not."""
    basin = Basin(trials(-2, 0.5, noise=0.03, sharp=0.1), TOTAL)
    places = np.log10(basin.told_apart)
    chances = basin.chances(places)
    assert chances.sum() == pytest.approx(1)
    for share in (0.5, 0.9, 0.98, 1.0):
        kept = chances[basin.likely(places, share)]
        assert kept.sum() >= share - 1e-9 > kept.sum() - kept.min()
        assert kept.min() >= chances[~basin.likely(places, share)].max(initial=0.0)


def test_noise_and_flatness_widen_the_interval() -> None:
    """The bottom of a flat valley is known less well than that of a sharp one."""
    widths = [np.ptp(between(trials(-2, 0.5, 0.01, sharp=sharp))) for sharp in (0.03, 1.0)]
    assert widths[0] > 1.5 * widths[1]


def test_what_a_seed_has_in_common_at_all_rates_says_nothing() -> None:
    """Runs of a second seed that are all better or worse by the same change nothing, at the rates of both."""
    first = trials(-2, 0.5)
    bottoms = []
    for shift in (-0.3, 0.0, 0.3):
        second = [replace(t, seed=1, value=t.value + shift) for t in first[-3:]]
        bottoms.append(Basin([*first, *second], TOTAL).valley(np.linspace(-4, 0, 9)))
    assert np.allclose(bottoms[0], bottoms[1])
    assert np.allclose(bottoms[2], bottoms[1])


def test_a_second_seed_that_ends_badly_speaks_against_its_rate() -> None:
    """Of two rates that are alike under the first seed, one that loses a tenth under the second is not the best."""
    values = {-3.0: 1.3, -2.5: 1.01, -2.0: 1.0, -1.5: 1.3}
    first = [Trial(10.0**x, 0, TOTAL, value, 2.0) for x, value in values.items()]
    assert np.log10(Basin(first, TOTAL).best_run() or 1) == pytest.approx(-2.0)
    again = Trial(10.0**-2.0, 1, TOTAL, 1.1, 2.0)
    assert np.log10(Basin([*first, again], TOTAL).best_run() or 1) == pytest.approx(-2.5)


def test_a_run_has_shorter_runs_within_it_where_the_schedule_does_not_look_at_its_end() -> None:
    """At thirds of thirds, from the shortest run on; what was run by itself is not counted twice."""
    way = ((5, 1.9), (10, 1.8), (20, 1.7), (30, 1.6), (90, 1.4))
    made = [
        Trial(1e-2, 0, 270, 1.2, 2.0, on_the_way=way),
        Trial(1e-3, 0, 270, 1.3, 2.0, on_the_way=way),
        Trial(1e-3, 0, 30, 1.65, 2.0, on_the_way=way[:3]),
    ]

    def within(schedule: str) -> list[tuple[float, int, float]]:
        return [(t.lr, t.steps, t.value) for t in basin(Problem("sgd", schedule, 1e-3, 1, 270), made).trials[3:]]

    expected = [(1e-2, 30, 1.6), (1e-2, 90, 1.4), (1e-3, 90, 1.4)]
    assert within("constant") == expected
    assert within("warmup(5) >> constant") == expected
    for other in ("cosine", "warmup(0.1) >> constant", "reduce_on_plateau", "of a recording"):
        assert within(other) == []


def test_trials_know_what_was_evaluated_on_the_way() -> None:
    """Numbers alone, with the sign of the metric; neither the untrained value nor the last."""
    curve = Curve(
        lr=np.ones(4), train_loss=np.ones(4), grad_norm=np.ones(4), eval_steps=np.array([0, 1, 2, 3, 4]),
        valid_loss=np.array([2.0, 1.5, np.nan, 1.2, 1.0]), metrics={"accuracy": np.array([0.1, 0.2, np.nan, 0.3, 0.4])},
    )  # fmt: skip
    record = LaneRecord(Lane("sgd", "constant", 0.1, 0, 4), Outcome.FINISHED, curve)
    (by_loss,) = trials_of(Problem("sgd", "constant", 1e-3, 1, 4), [record])
    (by_metric,) = trials_of(Problem("sgd", "constant", 1e-3, 1, 4, metric="accuracy", maximize=True), [record])
    assert by_loss.on_the_way == ((1, 1.5), (3, 1.2))
    assert by_metric.on_the_way == ((1, -0.2), (3, -0.3))


def test_a_bend_between_lengths_is_followed() -> None:
    """The best rate falls a decade among short runs and then stays: full runs find it, and the drift is told late."""
    made = []
    around = np.array([-2.5, -2, -1.5])
    for steps, places, bottom, gain in zip(
        (10, 90, 270), (np.arange(-5, 1.1, 0.5), around, around), (-1.0, -2.0, -2.0), LEARNING, strict=True
    ):
        shares = np.minimum(1.0, 0.3 * (places - bottom) ** 2)
        made += [Trial(float(10**p), 0, steps, 2 - gain * (1 - w), 2.0) for p, w in zip(places, shares, strict=True)]
    assert np.log10(Basin(made, TOTAL).best) == pytest.approx(-2.0, abs=0.1)
    assert Basin(made, TOTAL).drift < 0.5


def test_only_what_every_seed_of_a_rate_learned_is_learned() -> None:
    """Of full runs, those under several seeds have the last word; a rate that lost one has none."""

    def ends(lr: float, *values: float) -> list[Trial]:
        return [Trial(lr, seed, TOTAL, value, 2.0) for seed, value in enumerate(values)]

    assert learned_at(ends(0.1, 1.5), TOTAL)
    assert not learned_at([*ends(0.1, 1.5, 2.1), *ends(0.2, 1.6)], TOTAL)
    assert learned_at([*ends(0.1, 1.5, 1.6), *ends(0.2, 2.2)], TOTAL)
    assert learned_at([*ends(0.1, 1.5, float("inf")), *ends(0.05, 1.6)], TOTAL)


def test_a_gain_within_what_runs_jump_about_by_is_none() -> None:
    """A value that jumps by 0.1 between evaluations has not improved by 0.3, and has by 0.5."""
    assert not learned([Trial(0.1, 0, TOTAL, 1.7, 2.0, unrest=0.1)])
    assert learned([Trial(0.1, 0, TOTAL, 1.5, 2.0, unrest=0.1)])
    assert learned([Trial(0.1, 0, TOTAL, 1.7, 2.0)])


def test_unrest_is_what_a_slope_does_not_explain() -> None:
    """A steady fall has none; noise about it has its own standard deviation."""
    noise = np.random.default_rng(0).normal(0, 0.1, 2000)
    steady = np.linspace(3, 1, 2000)
    for values, expected in ((steady, 0.0), (steady + noise, 0.1)):
        curve = Curve(eval_steps=np.arange(2000), valid_loss=values)
        record = LaneRecord(Lane("sgd", "constant", 0.1, 0, TOTAL), Outcome.FINISHED, curve)
        (trial,) = trials_of(Problem("sgd", "constant", 1e-3, 1, TOTAL), [record])
        assert trial.unrest == pytest.approx(expected, abs=0.01)


def test_uneven_evaluations_of_a_steady_fall_are_no_unrest() -> None:
    """What lies on a line is no jump, wherever it was evaluated."""
    steps = np.array([0, 100, 150, 180, 190, 200])
    curve = Curve(eval_steps=steps, valid_loss=2.0 - steps / 200)
    record = LaneRecord(Lane("sgd", "constant", 0.1, 0, 200), Outcome.FINISHED, curve)
    (trial,) = trials_of(Problem("sgd", "constant", 1e-3, 1, 200), [record])
    assert trial.unrest == pytest.approx(0.0, abs=1e-12)


def test_what_other_rates_jump_about_by_does_not_hide_what_one_has_learned() -> None:
    """A run is measured by its own unrest."""
    calm = Trial(0.01, 0, TOTAL, 1.0, 2.0, unrest=0.01)
    assert learned([calm, *(Trial(rate, 0, TOTAL, 1.5, 2.0, unrest=0.5) for rate in (0.03, 0.1, 0.3))])


def test_a_run_whose_rate_stays_high_is_judged_by_its_last_tenth() -> None:
    """And by its last evaluation where the rate comes down; what is not a number is left out."""
    steps = np.array([0, 40, 50, 80, 90, 95, 100])
    values = np.array([3.0, 2.0, 1.8, np.nan, 1.0, 1.2, 1.7])

    def judged(rates: np.ndarray) -> Trial:
        curve = Curve(lr=rates, train_loss=rates, grad_norm=rates, eval_steps=steps, valid_loss=values)
        record = LaneRecord(Lane("sgd", "constant", 0.1, 0, 100), Outcome.FINISHED, curve)
        (trial,) = trials_of(Problem("sgd", "constant", 1e-3, 1, 100), [record])
        return trial

    held, lowered = judged(np.full(100, 0.1)), judged(np.linspace(0.1, 0.0, 100))
    assert (held.value, lowered.value) == pytest.approx((1.3, 1.7))
    assert held.on_the_way == lowered.on_the_way == ((40, 2.0), (50, 1.8), (90, 1.0), (95, 1.2))
    assert held.untrained == lowered.untrained == 3.0


def test_a_run_that_is_worse_than_untrained_over_its_last_tenth_is_lost() -> None:
    """Though its last evaluation happens to be good; for a metric of any size there is no such rule."""
    rates = np.full(100, 0.1)
    curve = Curve(
        lr=rates, train_loss=rates, grad_norm=rates, eval_steps=np.array([0, 90, 95, 100]),
        valid_loss=np.array([2.0, 4.0, 3.0, 1.0]), metrics={"error": np.array([2.0, 4.0, 3.0, 1.0])},
    )  # fmt: skip
    record = LaneRecord(Lane("sgd", "constant", 0.1, 0, 100), Outcome.FINISHED, curve)
    ends = [trials_of(Problem("sgd", "constant", 1e-3, 1, 100, metric=m), [record])[0].value for m in (None, "error")]
    assert ends == [np.inf, pytest.approx(8 / 3)]


def test_one_spike_under_one_of_two_seeds_is_not_chance() -> None:
    """What a rate jumps about by is that of its calmest seed; both must have gained more."""

    def seeds(*ends: float) -> list[Trial]:
        return [Trial(0.1, k, TOTAL, v, 2.0, unrest=u) for k, (v, u) in enumerate(zip(ends, (0.02, 0.9), strict=True))]

    assert learned_at(seeds(0.5, 1.2), TOTAL)
    assert not learned_at(seeds(0.5, 1.95), TOTAL)


def test_runs_are_looked_at_over_their_ends_where_the_rate_is_still_high() -> None:
    """Short runs, and those within longer ones, once; as all are where the rate comes down or is not known."""

    def at(schedule: str, steps: int = 270) -> tuple[int, ...]:
        return looks(Problem("sgd", schedule, 1e-3, 1, 270), steps)

    assert at("constant") == (10, 30, 90, 243, 256, 270)
    assert at("constant", 90) == (10, 30, 81, 86, 90)
    assert at("constant", 30) == (10, 30)
    assert at("warmup(0.1) >> constant") == (243, 256, 270)
    assert at("cosine") == at("reduce_on_plateau") == at("of a recording") == (270,)


def test_evaluations_of_the_first_half_are_no_unrest() -> None:
    """Those of few updates lie close together, and a fall that slows down is not what a run jumps about by."""
    curve = Curve(eval_steps=np.array([0, 10, 30, 90, 180, 270]), valid_loss=np.array([2.3, 1.2, 0.5, 0.2, 0.15, 0.1]))
    record = LaneRecord(Lane("sgd", "constant", 0.1, 0, TOTAL), Outcome.FINISHED, curve)
    (trial,) = trials_of(Problem("sgd", "constant", 1e-3, 1, TOTAL), [record])
    assert np.isnan(trial.unrest)
    assert learned([trial])
