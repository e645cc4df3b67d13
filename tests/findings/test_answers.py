"""The answer for each strategy and the findings on the whole comparison."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pacesetter import findings
from pacesetter.findings._group import _learned
from pacesetter.records import Answer, Finding, LaneRecord, Level, Outcome, StudyRecord
from tests.findings.conftest import LaneMaker, StudyMaker

Valley = Callable[..., StudyRecord]


def only(study: StudyRecord) -> Answer:
    """The one answer of a study with one strategy."""
    (answer,) = findings.judge(study).answers
    return answer


def told(found: tuple[Finding, ...], name: str) -> Finding | None:
    """The finding of that name."""
    return next((finding for finding in found if finding.name == name), None)


def dead(lane: LaneMaker, lr: float, seed: int = 0) -> LaneRecord:
    """A lane that diverged."""
    return lane(lr, seed, outcome=Outcome.DIVERGED, valid=[2.0, np.nan], train=[2.0, np.inf])


def test_a_clear_valley_is_answered_in_full(valley: Valley) -> None:
    """Best rate, interval of tried neighbours, safe range, stability edge and recipe of a plain case."""
    answer = only(valley())
    assert (answer.best_tried, answer.lr, answer.equivalent) == (1e-2, 1e-2, (1e-2,))
    assert answer.interval == (1e-3, 1e-1) and answer.confidence == 0.95
    assert answer.safe_range == (1e-2, 1e-2) and answer.stability_edge == (1e-1, 1.0)
    assert answer.valid_loss == pytest.approx(0.2, abs=0.01)
    assert answer.recipe == "sgd lr=0.01 constant"


def test_rates_drowned_in_noise_are_equivalent_and_widen_the_interval(valley: Valley) -> None:
    """When noise hides the valley the interval is not given as a narrow one: it opens, and says so."""
    answer = only(valley(jitter=0.5))
    assert len(answer.equivalent) >= 3
    assert answer.interval is None
    assert told(answer.findings, "open-interval") is not None


@pytest.mark.parametrize(("seeds", "equivalent"), [(1, ()), (2, (1e-2,))])
def test_few_seeds_give_no_interval(valley: Valley, seeds: int, equivalent: tuple[float, ...]) -> None:
    """One seed tells nothing apart, two give no interval; the claim stays and a finding says why."""
    answer = only(valley(seeds=seeds))
    assert answer.lr == 1e-2 and answer.interval is None and answer.equivalent == equivalent
    finding = told(answer.findings, "too-few-seeds")
    assert finding is not None and finding.value == seeds


def test_an_optimum_at_the_lower_edge_is_no_claim(valley: Valley) -> None:
    """The lowest rate as the best: best_tried is given, lr, interval and recipe are not, a wider range is named."""
    answer = only(valley(best_at=1e-4))
    assert (answer.best_tried, answer.lr, answer.interval, answer.recipe) == (1e-4, None, None, None)
    finding = told(answer.findings, "edge-of-range")
    assert finding is not None and finding.value == pytest.approx(1e-6)
    assert "Widen the range to 1e-6 to 1." in finding.text


def test_an_optimum_at_the_upper_edge_is_no_claim(lane: LaneMaker, study: StudyMaker) -> None:
    """The highest rate tried as the best is an edge when nothing above it was tried."""
    answer = only(study([lane(lr, final=final) for lr, final in ((1e-3, 1.0), (1e-2, 0.5), (1e-1, 0.2))]))
    assert (answer.best_tried, answer.lr) == (1e-1, None)
    finding = told(answer.findings, "edge-of-range")
    assert finding is not None and "0.001 to 10" in finding.text


def test_a_diverged_rate_bounds_the_optimum(lane: LaneMaker, study: StudyMaker) -> None:
    """The highest rate that trained is no edge when the next one diverged; a failed or running one bounds nothing."""
    good = [lane(1e-3, final=1.0), lane(1e-2, final=0.2)]
    assert only(study([*good, dead(lane, 1e-1)])).lr == 1e-2
    for outcome in (Outcome.FAILED, Outcome.RUNNING):
        assert only(study([*good, lane(1e-1, outcome=outcome)])).lr is None


def test_a_close_cliff_is_warned_of(lane: LaneMaker, study: StudyMaker) -> None:
    """A best rate within half a decade of divergence is limited by stability."""
    answer = only(study([lane(1e-3, final=1.0), lane(1e-2, final=0.2), dead(lane, 0.03)]))
    assert answer.stability_edge == (1e-2, 0.03)
    finding = told(answer.findings, "stability-limited")
    assert finding is not None and "3 times the best rate" in finding.text


def test_one_diverged_seed_takes_its_rate_out(lane: LaneMaker, study: StudyMaker) -> None:
    """A rate at which one of three seeds diverged cannot be the best, however good the others, and is the edge."""
    lanes = [lane(1e-2, seed, 0.3) for seed in range(3)] + [lane(1e-3, seed, 0.9) for seed in range(3)]
    answer = only(study([*lanes, lane(1e-1, 0, 0.1), lane(1e-1, 1, 0.1), dead(lane, 1e-1, 2)]))
    assert answer.best_tried == 1e-2 and answer.stability_edge == (1e-2, 1e-1)


def test_a_stray_divergence_below_the_best_is_no_edge(lane: LaneMaker, study: StudyMaker) -> None:
    """A rate below the best that diverged is told, and does not become the stability edge."""
    answer = only(study([dead(lane, 1e-4), lane(1e-3, final=0.9), lane(1e-2, final=0.2), lane(0.1, final=0.5)]))
    assert answer.stability_edge is None
    assert told(answer.findings, "stray-divergence") is not None


def test_one_rate_is_no_comparison(lane: LaneMaker, study: StudyMaker) -> None:
    """A single rate is given as tried, without a claim, with what to try."""
    answer = only(study([lane(1e-2, seed) for seed in range(3)]))
    assert (answer.best_tried, answer.lr) == (1e-2, None)
    finding = told(answer.findings, "one-rate")
    assert finding is not None and "0.0001 to 1" in finding.text
    assert answer.safe_range is None and told(answer.findings, "equivalent") is None


def test_nothing_learned_is_said(lane: LaneMaker, study: StudyMaker) -> None:
    """Rates that end at the untrained loss, or all diverge, give no answer and the study says so too."""
    idle = [lane(lr, seed, final=1.999) for lr in (1e-5, 1e-4, 1e-3) for seed in range(3)]
    all_dead = [dead(lane, lr) for lr in (1.0, 10.0)]
    for lanes, words in ((idle, "not below the untrained"), (all_dead, "Try rates below 1")):
        judged = findings.judge(study(lanes))
        answer = judged.answers[0]
        assert (answer.best_tried, answer.lr, answer.valid_loss, answer.recipe) == (None, None, None, None)
        finding = told(answer.findings, "nothing-learned")
        assert finding is not None and finding.level is Level.BAD and words in finding.text
        assert told(judged.findings, "nothing-learned") is not None


def test_a_loss_that_is_nan_untrained_is_not_blamed_on_the_rates(lane: LaneMaker, study: StudyMaker) -> None:
    """Where the untrained model's loss is not a number, the sentence sends people to the loss, not to lower rates."""
    nan = float("nan")
    lanes = [lane(lr, outcome=Outcome.DIVERGED, valid=[nan], train=[nan]) for lr in (1e-3, 1e-2)]
    finding = told(only(study(lanes)).findings, "nothing-learned")
    assert finding is not None and "No rate can help" in finding.text and "Try rates" not in finding.text


@pytest.mark.parametrize("rates", [1, 2, 9])
def test_chance_is_not_learning(rates: int) -> None:
    """When losses only wander around the untrained loss, a best rate is named in at most 5 % of studies."""
    rng = np.random.default_rng(0)
    for seeds, common in ((2, 0.0), (3, 0.0), (3, 0.2), (5, 0.1), (8, 0.0)):
        gains = 0.1 * rng.normal(size=(500, rates, seeds)) + common * rng.normal(size=(500, 1, seeds))
        hits = sum(_learned(one[np.argsort(-one.mean(axis=1))]) for one in gains)
        assert hits / 500 <= 0.05 + 0.03


def test_a_flat_valley_is_called_forgiving(lane: LaneMaker, study: StudyMaker) -> None:
    """A decade and more of rates within 5 % of the improvement is flat, and all of it is the safe range."""
    finals = {1e-4: 1.0, 1e-3: 0.25, 1e-2: 0.2, 1e-1: 0.24, 1.0: 1.0}
    answer = only(study([lane(lr, final=final) for lr, final in finals.items()]))
    assert answer.safe_range == (1e-3, 1e-1)
    finding = told(answer.findings, "flat")
    assert finding is not None and finding.value == pytest.approx(2.0)


def test_strategies_are_ranked_each_at_its_own_best_rate(valley: Valley) -> None:
    """A clear winner is named as such; equal strategies are said not to be distinguishable."""
    sgd, adam = valley(), valley(optimizer="adam", best_at=1e-3)
    same = findings.judge(replace(sgd, lanes=sgd.lanes + adam.lanes))
    finding = told(same.findings, "best-strategy")
    assert finding is not None and finding.value == 2 and "Not distinguishable" in finding.text
    better = [
        replace(record, curve=replace(record.curve, valid_loss=record.curve.valid_loss * 0.5)) for record in adam.lanes
    ]
    finding = told(findings.judge(replace(sgd, lanes=(*sgd.lanes, *better))).findings, "best-strategy")
    assert finding is not None and finding.value == 1 and finding.level is Level.GOOD
    assert "each strategy at its own best rate: adam at 0.001" in finding.text


def test_coverage_counts_diverged_failed_unfinished_and_other_lanes(lane: LaneMaker, study: StudyMaker) -> None:
    """Each kind of lane that limits the comparison is counted once for the study."""
    lanes = [lane(1e-2), lane(1e-1, final=0.5), dead(lane, 1.0), dead(lane, 3.0), dead(lane, 10.0)]
    lanes += [lane(1e-3, outcome=Outcome.FAILED, message="bad shape"), lane(1e-4, outcome=Outcome.RUNNING)]
    lanes.append(lane(1e-2, 5, steps=50))
    found = findings.judge(study(lanes)).findings
    values = {finding.name: finding.value for finding in found}
    assert values["diverged-share"] == pytest.approx(3 / 7)
    assert (values["failed-lanes"], values["unfinished"], values["other-lengths"]) == (1, 1, 1)
    failed = told(found, "failed-lanes")
    assert failed is not None and failed.text.endswith("bad shape.")


def test_an_unfinished_study_compares_the_seeds_it_has(lane: LaneMaker, study: StudyMaker) -> None:
    """While the last seed still trains, rates are compared on the seeds that are done everywhere."""
    lanes = [lane(lr, seed, final) for lr, final in ((1e-3, 0.9), (1e-2, 0.2), (1e-1, 0.5)) for seed in range(2)]
    lanes += [lane(1e-3, 2, 0.9), lane(1e-2, 2, outcome=Outcome.RUNNING), lane(1e-1, 2, outcome=Outcome.RUNNING)]
    answer = only(study(lanes))
    assert answer.lr == 1e-2 and answer.equivalent == (1e-2,)
    finding = told(answer.findings, "too-few-seeds")
    assert finding is not None and finding.value == 2


def test_an_interval_open_at_both_ends_names_both(lane, study):
    """Where no rate can be told from the best, up to both ends of the range, lower and higher rates are advised."""
    finals = {0.01: (0.30, 0.31, 0.35), 0.1: (0.31, 0.30, 0.30), 1.0: (0.32, 0.35, 0.31)}
    lanes = [lane(lr, seed, final) for lr, row in finals.items() for seed, final in enumerate(row)]
    (answer,) = findings.judge(study(lanes)).answers
    assert answer.equivalent == (0.01, 0.1, 1.0)
    assert answer.interval is None
    (found,) = (finding for finding in answer.findings if finding.name == "open-interval")
    assert "even the lowest and highest rate tried, 0.01 and 1," in found.text
    assert "Try lower and higher rates too." in found.text


def over(lane: LaneMaker, lr: float, seed: int = 0) -> LaneRecord:
    """A lane that ended worse than untrained while its training loss fell."""
    valid = [2.0, 1.0, 0.9, 1.0, 1.3, 1.6, 2.0, 2.5, 3.0, 3.5, 4.0]
    return lane(lr, seed, outcome=Outcome.DIVERGED, valid=valid, train=list(np.linspace(2, 0.01, 100)))


def test_overfitted_rates_make_no_stability_edge(lane: LaneMaker, study: StudyMaker) -> None:
    """They bound the optimum and cannot win, but are no sign of instability; an edge above them lies above them."""
    good = [lane(1e-3, final=0.9), lane(1e-2, final=0.2)]
    judged = findings.judge(study([*good, over(lane, 0.02), over(lane, 0.05)]))
    answer = judged.answers[0]
    assert (answer.lr, answer.stability_edge) == (1e-2, None)
    assert told(answer.findings, "stability-limited") is None
    finding, share = told(answer.findings, "overfitted"), told(judged.findings, "diverged-share")
    assert finding is not None and finding.value == 2 and "2 lanes at 0.02 and 0.05" in finding.text
    assert share is not None and share.value == 0.5 and share.text.startswith("2 of 4 lanes diverged (50 %). All of")
    assert "move it down" not in share.text and "overfitted" in share.text
    answer = only(study([*good, over(lane, 0.1), dead(lane, 1.0)]))
    finding = told(answer.findings, "stability-edge")
    assert answer.stability_edge == (0.1, 1.0)
    assert finding is not None and "does not diverge up to 0.1 (overfitting aside), and does at 1" in finding.text


def test_overfitting_everywhere_is_not_blamed_on_high_rates(lane: LaneMaker, study: StudyMaker) -> None:
    """Where every lane overfitted, or the lowest rate did, lower rates and more steps are not advised."""
    idle = [lane(1e-5, final=1.999)]
    for lanes in ([over(lane, 1e-3), over(lane, 1e-2)], [over(lane, 1e-3), dead(lane, 1.0)], [*idle, over(lane, 1e-2)]):
        finding = told(only(study(lanes)).findings, "nothing-learned")
        assert finding is not None and "overfit" in finding.text
        assert "Try rates below" not in finding.text and "more steps" not in finding.text


def test_not_diverging_is_not_called_useful(lane: LaneMaker, study: StudyMaker) -> None:
    """Beside the edge stands the largest rate that is still useful, and how many seeds decide the edge."""
    finals = {1e-3: 0.9, 1e-2: 0.2, 1e-1: 0.5, 0.3: 1.9}
    lanes = [lane(lr, seed, final) for lr, final in finals.items() for seed in range(3)]
    answer = only(study([*lanes, lane(1.0, 0), lane(1.0, 1), dead(lane, 1.0, 2)]))
    finding = told(answer.findings, "stability-edge")
    assert finding is not None and finding.value == 1.0
    assert "does not diverge up to 0.3, and does at 1 for 1 of 3 seeds, 100 times the best rate" in finding.text
    assert "still useful, giving up at most 50 % of the improvement, is 0.1." in finding.text


def test_a_safe_range_of_one_rate_is_called_coarse(valley: Valley) -> None:
    """When only the best rate is safe, the rates halfway to its neighbours are named."""
    finding = told(only(valley()).findings, "coarse-grid")
    assert finding is not None and finding.text.endswith("Try 0.00316 and 0.0316 too.")


def test_the_interval_ends_at_the_first_rate_that_diverges(lane: LaneMaker, study: StudyMaker) -> None:
    """It may reach up to that rate, which is said to be left out, and never beyond it."""
    lanes = [lane(lr, seed, final) for lr, final in ((1e-3, 0.9), (1e-2, 0.2)) for seed in range(3)]
    cliff = [lane(0.03, 0), lane(0.03, 1), dead(lane, 0.03, 2)]
    beyond = [lane(0.1, seed, final) for seed, final in enumerate((0.2, 0.205, 0.2))]
    for more in ([], beyond):  # without and with a rate beyond that cannot be told from the best
        answer = only(study([*lanes, *cliff, *more]))
        assert answer.interval == (1e-3, 0.03)
        finding = told(answer.findings, "interval")
        assert finding is not None and "0.03, the latter left out because training diverges there" in finding.text


def test_identical_strategies_are_called_identical(valley: Valley) -> None:
    """Strategies whose curves are the same run for run are identical, not merely hard to tell apart."""
    plain, idle = valley(), valley(schedule="plateau")
    finding = told(findings.judge(replace(plain, lanes=plain.lanes + idle.lanes)).findings, "best-strategy")
    assert finding is not None and finding.value == 2 and "istinguishable" not in finding.text
    assert "Identical to it, run for run: sgd with plateau at 0.01" in finding.text
    worse = valley(optimizer="adam", jitter=0.0)
    lanes = tuple(
        replace(record, curve=replace(record.curve, valid_loss=record.curve.valid_loss + 0.1)) for record in worse.lanes
    )
    finding = told(findings.judge(replace(plain, lanes=(*plain.lanes, *idle.lanes, *lanes))).findings, "best-strategy")
    assert finding is not None and finding.value == 2
    assert "All the others are worse" in finding.text and finding.text.endswith("adam at 0.01 (0.300).")


@pytest.mark.parametrize(("bad", "text"), [(False, "The only lane did not diverge"), (True, "The only lane diverged.")])
def test_one_lane_is_not_counted(lane: LaneMaker, study: StudyMaker, bad: bool, text: str) -> None:
    """A study of one lane is told without `1 of 1`, `none of 1` or `all 1`."""
    judged = findings.judge(study([dead(lane, 1.0) if bad else lane(1.0)]))
    finding = told(judged.findings, "diverged-share")
    assert finding is not None and finding.text.startswith(text)
    every = [f.text for f in (*judged.findings, *judged.answers[0].findings)]
    assert not any(words in text for text in every for words in ("of 1 ", "all 1 ", "1 lanes"))


def test_left_out_rates_are_counted_once(lane: LaneMaker, study: StudyMaker) -> None:
    """Many rates that are not trained yet are told by their ends, and their number once."""
    lanes = [lane(1e-3, final=0.9), lane(1e-2), *(lane(10.0**k, outcome=Outcome.RUNNING) for k in range(-1, 6))]
    finding = told(only(study(lanes)).findings, "incomplete")
    assert finding is not None and finding.value == 7 and finding.text.count("rates") == 1


@pytest.mark.parametrize(("untrained", "blamed"), [(2.0, True), (float("nan"), False)])
def test_the_range_is_not_blamed_for_a_loss_that_is_never_finite(
    lane: LaneMaker, study: StudyMaker, untrained: float, blamed: bool
) -> None:
    """Where all lanes diverge, moving the range is advised only if the untrained loss was finite."""
    nan = float("nan")
    lanes = [lane(lr, outcome=Outcome.DIVERGED, train=[nan], valid=[untrained]) for lr in (1e-3, 1e-2)]
    finding = told(findings.judge(study(lanes)).findings, "diverged-share")
    assert finding is not None and ("move it down" in finding.text) is blamed
