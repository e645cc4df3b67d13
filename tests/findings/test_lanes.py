"""What is said of single lanes: the verdict, and how fast, steady, accurate and general a lane is."""

import numpy as np
import pytest

from pacesetter import findings
from pacesetter.findings.verdict import Verdict, verdict_of
from pacesetter.records import Finding, LaneRecord, Level, Outcome, StudyRecord
from tests.findings.conftest import LaneMaker, StudyMaker


def told(record: LaneRecord, name: str) -> Finding | None:
    """The lane's finding of that name."""
    return next((finding for finding in record.findings if finding.name == name), None)


def verdicts(study: StudyRecord) -> list[Verdict]:
    """The verdict of each lane, in the study's order."""
    return [verdict_of(record) for record in findings.judge(study).lanes]


def test_verdicts_follow_the_lost_share(lane: LaneMaker, study: StudyMaker) -> None:
    """Below the best: too low. Above: high while it loses up to half of the improvement, then too high, diverged."""
    finals = {1e-4: 1.0, 1e-3: 0.26, 1e-2: 0.2, 1e-1: 0.5, 0.3: 1.5}
    lanes = [lane(lr, final=final) for lr, final in finals.items()]
    lanes.append(lane(1.0, outcome=Outcome.DIVERGED, valid=[2.0, np.nan], train=[2.0, np.inf]))
    expected = [Verdict.TOO_LOW, Verdict.GOOD, Verdict.GOOD, Verdict.HIGH, Verdict.TOO_HIGH, Verdict.DIVERGED]
    assert verdicts(study(lanes)) == expected


def test_the_verdict_carries_the_lost_share(lane: LaneMaker, study: StudyMaker) -> None:
    """Value and text of a verdict give (final - best) / (untrained - best)."""
    judged = findings.judge(study([lane(1e-3, final=0.65), lane(1e-2, final=0.2)]))
    verdict = told(judged.lanes[0], "verdict")
    assert verdict is not None and verdict.value == pytest.approx(0.25)
    assert verdict.text.startswith("too low: it gives up 25 % of the improvement")


def test_a_rate_that_cannot_be_told_from_the_best_is_good(lane: LaneMaker, study: StudyMaker) -> None:
    """Noise that hides a loss of 8 % makes a rate good; the same loss without noise does not."""
    for spread, verdict in ((0.3, Verdict.GOOD), (0.0, Verdict.TOO_LOW)):
        lanes = [lane(1e-3, seed, 0.344 + spread * sign) for seed, sign in enumerate((-1, 0, 1))]
        lanes += [lane(1e-2, seed, 0.2 - 0.5 * spread * sign) for seed, sign in enumerate((-1, 0, 1))]
        assert set(verdicts(study(lanes))[:3]) == {verdict}


def test_an_erratic_rate_is_not_called_good(lane: LaneMaker, study: StudyMaker) -> None:
    """A rate that lost half on average is not good merely because its seeds differ too much to prove it."""
    lanes = [lane(1e-2, seed, 0.2) for seed in range(3)] + [
        lane(1e-1, seed, final) for seed, final in enumerate((0.2, 0.25, 3.0))
    ]
    assert verdicts(study(lanes))[3:] == [Verdict.TOO_HIGH] * 3


def test_a_seed_that_got_through_is_still_too_high(lane: LaneMaker, study: StudyMaker) -> None:
    """Where another seed of the same rate diverged, a finished lane above the best is too high."""
    dead = lane(1e-1, 1, outcome=Outcome.DIVERGED, valid=[2.0, np.nan], train=[2.0, np.inf])
    lanes = [lane(1e-2, 0), lane(1e-2, 1), lane(1e-1, 0, 0.15), dead]
    judged = findings.judge(study(lanes))
    assert verdict_of(judged.lanes[2]) is Verdict.TOO_HIGH
    assert judged.answers[0].best_tried == 1e-2


def test_a_spiky_lane_above_the_best_is_high_but_stable(lane: LaneMaker, study: StudyMaker) -> None:
    """Losing under 5 % is good, but with spikes above the best rate it is high but stable."""
    calm = np.linspace(2, 0.2, 100)
    wild = calm.copy()
    wild[[50, 80]] += 3.0
    lanes = [lane(1e-2, final=0.2), lane(1e-1, final=0.23, train=list(calm)), lane(0.2, final=0.23, train=list(wild))]
    judged = findings.judge(study(lanes))
    assert [verdict_of(record) for record in judged.lanes] == [Verdict.GOOD, Verdict.GOOD, Verdict.HIGH]
    stability = told(judged.lanes[2], "stability")
    assert stability is not None and stability.value == 2 and stability.level is Level.WARNING
    assert "2 spikes (the first at step 50)" in stability.text


def test_no_verdict_without_a_comparison(lane: LaneMaker, study: StudyMaker) -> None:
    """One rate, an unfinished lane, a failed lane: each gets no verdict, with the reason."""
    single = findings.judge(study([lane(1e-2)])).lanes[0]
    assert verdict_of(single) is Verdict.NONE
    verdict = told(single, "verdict")
    assert verdict is not None and "one rate alone" in verdict.text
    lanes = [lane(1e-3), lane(1e-2), lane(1e-1, outcome=Outcome.FAILED, message="out of memory")]
    lanes.append(lane(1.0, outcome=Outcome.RUNNING))
    judged = findings.judge(study(lanes))
    assert [verdict_of(record) for record in judged.lanes[2:]] == [Verdict.NONE, Verdict.NONE]
    failed = told(judged.lanes[2], "verdict")
    assert failed is not None and "out of memory" in failed.text


def test_a_lane_too_low_and_still_improving_says_so(lane: LaneMaker, study: StudyMaker) -> None:
    """A straight fall to the end is still improving: a fifth of its gain came in the last fifth."""
    slow = lane(1e-3, valid=list(np.linspace(2, 1, 11)))
    verdict = told(findings.judge(study([slow, lane(1e-2)])).lanes[0], "verdict")
    assert verdict is not None and "still improving: 20 % of its gain" in verdict.text


def test_convergence_counts_steps_to_the_target(lane: LaneMaker, study: StudyMaker) -> None:
    """The target lies 90 % of the way from untrained to the best rate's loss; the first evaluation below counts."""
    fast = lane(1e-2, valid=[2, 1, 0.5, 0.39, 0.3, 0.25, 0.22, 0.21, 0.2, 0.2, 0.2])
    judged = findings.judge(study([fast, lane(1e-3, final=1.0)]))
    reached, missed = told(judged.lanes[0], "convergence"), told(judged.lanes[1], "convergence")
    assert reached is not None and reached.value == 40 and reached.level is Level.GOOD
    assert "0.380 (90 %" in reached.text and "step 40 of 100, checked every 10 steps" in reached.text
    assert missed is not None and missed.value is None and missed.text.startswith("Did not reach")


def test_divergence_names_its_step(lane: LaneMaker, study: StudyMaker) -> None:
    """The first step with a loss that is not finite is named, also where the curve has no evaluation after it."""
    dead = lane(1.0, outcome=Outcome.DIVERGED, valid=[2.0], train=[2.0, 5.0, 1e30, np.inf])
    divergence = told(findings.judge(study([dead, lane(0.1)])).lanes[0], "divergence")
    assert divergence is not None and divergence.value == 3 and "step 3 of 100" in divergence.text


def test_ending_above_untrained_is_a_divergence_at_the_last_step(lane: LaneMaker, study: StudyMaker) -> None:
    """A lane that diverged with finite numbers is told with both losses."""
    worse = lane(1.0, final=3.0, outcome=Outcome.DIVERGED)
    divergence = told(findings.judge(study([worse, lane(0.1)])).lanes[0], "divergence")
    assert divergence is not None and divergence.value == 100
    assert "its validation loss is 3.00, and untrained it was 2.00" in divergence.text


def test_batch_noise_alone_makes_no_spike(lane: LaneMaker, study: StudyMaker) -> None:
    """A noisy fall has no spikes in twenty lanes of 2,000 steps."""
    rng = np.random.default_rng(0)
    lanes = []
    for seed in range(20):
        level = 0.2 + 1.8 * np.exp(-np.linspace(0, 8, 2000))
        lanes.append(lane(1e-2, seed, train=list(level * rng.gamma(10, 0.1, size=2000)), steps=2000))
    judged = findings.judge(study(lanes, total_steps=2000))
    values = [finding.value for record in judged.lanes if (finding := told(record, "stability"))]
    assert values == [0.0] * 20


def test_late_swings_are_measured(lane: LaneMaker, study: StudyMaker) -> None:
    """A loss that swings at its end by a third of the gain is warned of, a calm one is not."""
    calm = np.linspace(2, 0.2, 200)
    swinging = calm + 0.6 * np.random.default_rng(0).normal(size=200)
    judged = findings.judge(study([lane(1e-2, train=list(calm)), lane(1e-1, train=list(swinging))]))
    levels = [finding.level for record in judged.lanes if (finding := told(record, "oscillation"))]
    assert levels == [Level.INFO, Level.WARNING]


def test_overfitting_starts_at_the_lowest_validation_loss(lane: LaneMaker, study: StudyMaker) -> None:
    """Validation loss that rises for good while training loss falls is overfitting from its lowest point."""
    valid = [2.0, 1.2, 0.8, 0.6, 0.55, 0.5, 0.56, 0.62, 0.7, 0.78, 0.85]
    over = lane(1e-2, valid=valid, train=list(np.linspace(2, 0.01, 100)))
    record = findings.judge(study([over])).lanes[0]
    finding, gap = told(record, "overfitting"), told(record, "generalization")
    assert finding is not None and finding.value == 50 and "from step 50" in finding.text
    assert gap is not None and gap.value == pytest.approx(0.85 - over.curve.final_train_loss)


@pytest.mark.parametrize("falls", [True, False])
def test_a_noisy_plateau_is_no_overfitting(lane: LaneMaker, study: StudyMaker, falls: bool) -> None:
    """Neither wobbles on a plateau nor a rise together with the training loss counts as overfitting."""
    plateau = [2.0, 1.0, 0.6, 0.5, 0.53, 0.51, 0.54, 0.5, 0.53, 0.52, 0.53]
    rising = [2.0, 1.0, 0.6, 0.5, 0.55, 0.6, 0.66, 0.7, 0.77, 0.81, 0.9]
    train = np.linspace(2, 0.2, 100) if falls else np.concatenate([np.linspace(2, 0.4, 40), np.linspace(0.4, 0.8, 60)])
    record = findings.judge(study([lane(1e-2, valid=plateau if falls else rising, train=list(train))])).lanes[0]
    assert told(record, "overfitting") is None


def test_accuracy_tells_the_metric_and_its_best(lane: LaneMaker, study: StudyMaker) -> None:
    """The last value of the metric is the finding's number, and a better one on the way is told with its step."""
    series = [0.1, 0.5, 0.7, 0.8, 0.9, 0.95, 0.94, 0.94, 0.93, 0.93, 0.92]
    judged = findings.judge(study([lane(1e-2, metrics={"accuracy": series})], metrics={"accuracy": "max"}))
    finding = told(judged.lanes[0], "accuracy")
    assert finding is not None and finding.value == 0.92
    assert "accuracy 0.920 (best 0.950 at step 50), validation loss 0.200 (untrained 2.00)" in finding.text


def test_a_bounce_at_high_noise_is_no_overfitting(lane: LaneMaker, study: StudyMaker) -> None:
    """A restless validation loss that happens to end above its lowest is not called overfitting."""
    valid = [2.0, 0.9, 0.6, 0.45, 0.55, 0.38, 0.47, 0.29, 0.36, 0.33, 0.43]
    record = findings.judge(study([lane(1e-1, valid=valid)])).lanes[0]
    assert told(record, "overfitting") is None
