"""What is said of single lanes: the verdict, and how fast, steady, accurate and general a lane is."""

import numpy as np
import pytest

from pacesetter import findings
from pacesetter.findings.verdict import Verdict, reason_of, verdict_of
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


def test_good_means_a_small_loss_also_where_seeds_cannot_tell(lane: LaneMaker, study: StudyMaker) -> None:
    """Noise that hides a loss of 8 % makes no rate good, on either side: the verdict says that seeds cannot tell."""
    for side, word in ((1e-3, Verdict.TOO_LOW), (1e-1, Verdict.HIGH)):
        for spread in (0.3, 0.0):
            lanes = [lane(side, seed, 0.344 + spread * sign) for seed, sign in enumerate((-1, 0, 1))]
            lanes += [lane(1e-2, seed, 0.2 - 0.5 * spread * sign) for seed, sign in enumerate((-1, 0, 1))]
            judged = findings.judge(study(lanes))
            assert {verdict_of(record) for record in judged.lanes[:3]} == {word}
            assert ("3 seeds cannot tell it apart from the best" in reason_of(judged.lanes[0])) == (spread > 0)
    lanes = [lane(1e-3, seed, 0.27 + 0.3 * sign) for seed, sign in enumerate((-1, 0, 1))]
    lanes += [lane(1e-2, seed, 0.2 - 0.1 * sign) for seed, sign in enumerate((-1, 0, 1))]
    assert set(verdicts(study(lanes))) == {Verdict.GOOD}


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


OVER = [0.7, 0.6, 0.55, 0.6, 0.7, 0.9, 1.1, 1.4, 1.6, 1.8, 2.0]


def test_overfitting_is_told_from_instability(lane: LaneMaker, study: StudyMaker) -> None:
    """A lane that ends worse than untrained while its training loss fell overfitted: no word of lower rates."""
    fell = list(np.linspace(0.7, 0.0025, 100))
    over = lane(1e-2, outcome=Outcome.DIVERGED, valid=OVER, train=fell, message="diverged: it ended at 2, above 0.7")
    record = findings.judge(study([lane(1e-3, final=0.4, untrained=0.7), over])).lanes[1]
    assert verdict_of(record) is Verdict.DIVERGED
    assert "(2.00 against 0.700) while its training loss fell from 0.700 to 0.0342" in reason_of(record)
    assert "overfitting, not instability. Stop near step 20" in reason_of(record)
    divergence, stability, start = (told(record, name) for name in ("divergence", "stability", "overfitting"))
    assert divergence is not None and divergence.text.startswith("Diverged on validation data only")
    assert stability is not None and stability.level is Level.GOOD
    assert start is not None and start.value == 20
    assert not any(
        "Use " in finding.text or "ower" in finding.text.replace("lowest", "") for finding in record.findings
    )


def test_a_single_evaluation_tells_no_rise(lane: LaneMaker, study: StudyMaker) -> None:
    """A lane evaluated once, after its last update, above the untrained loss: both causes are named."""
    over = lane(1e-2, outcome=Outcome.DIVERGED, valid=[0.7, 2.0], train=list(np.linspace(0.7, 0.0025, 100)))
    assert "batch normalization" in reason_of(findings.judge(study([over])).lanes[0])


@pytest.mark.parametrize("rising", [True, False])
def test_a_short_run_is_not_blamed_on_overfitting_alone(lane: LaneMaker, study: StudyMaker, rising: bool) -> None:
    """A validation loss that jumped at once and comes down, or few steps: normalization may not have settled."""
    valid = OVER if rising else [0.7, 5.0, 4.5, 4.0, 3.5, 3.0, 2.5, 2.0, 1.8, 1.6, 1.4]
    steps = 20 if rising else 100
    train = list(np.linspace(0.7, 0.1, steps))
    over = lane(1e-2, outcome=Outcome.DIVERGED, valid=valid, train=train, steps=steps)
    reason = reason_of(findings.judge(study([over], total_steps=steps)).lanes[0])
    assert "batch normalization" in reason and "although its training loss fell from 0.700" in reason


def test_a_training_loss_that_did_not_fall_is_instability(lane: LaneMaker, study: StudyMaker) -> None:
    """Where the training loss ends higher, or any loss was not finite, a worse validation loss is instability."""
    rise, gap = list(np.linspace(0.7, 1.5, 100)), [0.7, *np.linspace(0.7, 0.1, 99)]
    gap[50] = np.inf
    for train in (rise, gap):
        bad = lane(1e-1, outcome=Outcome.DIVERGED, valid=OVER, train=train, message="diverged: it ended at 2")
        record = findings.judge(study([lane(1e-3, final=0.4, untrained=0.7), bad])).lanes[1]
        assert "overfitting" not in reason_of(record) and reason_of(record).endswith("Use 0.001 or less.")
        assert told(record, "overfitting") is None


def test_divergence_says_its_cause_once(lane: LaneMaker, study: StudyMaker) -> None:
    """The message of the engine does not repeat the word and the step of the sentence around it."""
    text = "diverged at step 3: the loss was not finite"
    dead = lane(1.0, outcome=Outcome.DIVERGED, valid=[2.0], train=[2.0, 5.0, 1e30, np.inf], message=text)
    worse = lane(2.0, final=3.0, outcome=Outcome.DIVERGED, message="diverged: it ended at validation loss 3")
    judged = findings.judge(study([dead, worse, lane(0.1), lane(0.01, final=0.5)])).lanes
    said = [finding.text for record in judged[:2] if (finding := told(record, "divergence"))]
    assert said[0] == "Diverged at step 3 of 100: the loss was not finite."
    assert all(text.lower().count("diverged") == 1 for text in said)
    assert reason_of(judged[0]) == "Lost after 4 of 100 steps, because the loss was not finite. Use 0.1 or less."
    assert reason_of(judged[1]) == "It ended at validation loss 3.00, untrained 2.00. Use 0.1 or less."


def test_a_rate_too_low_gets_no_fine_advice(lane: LaneMaker, study: StudyMaker) -> None:
    """A lane that barely learned is told to raise the rate, and nothing of overfitting or of a lower rate."""
    valid = [2.0, 1.9, 1.85, 1.86, 1.87, 1.88, 1.89, 1.9, 1.91, 1.92, 1.93]
    train = np.linspace(2, 1.8, 100) + 0.3 * np.random.default_rng(0).normal(size=100)
    lanes = [lane(1e-3, valid=valid, train=list(train)), lane(1e-2, final=0.2), lane(1e-1, final=0.5)]
    low = findings.judge(study(lanes)).lanes[0]
    swing = told(low, "oscillation")
    assert verdict_of(low) is Verdict.TOO_LOW and "Raise the rate" in reason_of(low)
    assert told(low, "overfitting") is None
    assert swing is not None and swing.level is Level.INFO and "lower rate" not in swing.text
    assert swing.value is not None and swing.value > 0.1


def test_a_low_rate_that_had_been_as_good_is_told_to_stop_earlier(lane: LaneMaker, study: StudyMaker) -> None:
    """Below the best rate, a lane that reached its loss and overfitted is not told to raise the rate."""
    valid = [2.0, 1.2, 0.8, 0.4, 0.2, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]
    over = lane(1e-3, valid=valid, train=list(np.linspace(2, 0.01, 100)))
    low = findings.judge(study([over, lane(1e-2, final=0.2), lane(1e-1, final=0.5)])).lanes[0]
    assert verdict_of(low) is Verdict.TOO_LOW and "Raise" not in reason_of(low)
    assert "as good by step 40 and overfits from there" in reason_of(low)
    assert told(low, "overfitting") is not None


@pytest.mark.parametrize("final", [1.995, 2.1])
def test_giving_up_all_has_one_wording(lane: LaneMaker, study: StudyMaker, final: float) -> None:
    """A share that rounds to all of the improvement is called all of it."""
    judged = findings.judge(study([lane(1e-2, final=0.2), lane(1e-1, final=final)]))
    assert "gives up all of the improvement" in reason_of(judged.lanes[1])
