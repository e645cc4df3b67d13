"""Verdicts agree with theory on a quadratic, and nothing that a study can hold breaks the judge."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pacesetter import findings
from pacesetter.findings.verdict import Verdict, verdict_of
from pacesetter.records import Curve, Finding, Lane, LaneRecord, Outcome, StudyRecord
from tests.findings.conftest import LaneMaker, StudyMaker

EIGENVALUES = np.array([1.0, 20.0])
STEPS = 200


def descend(lr: float) -> LaneRecord:
    """Gradient descent on 0.5 sum(lambda w^2) from (1, 1): loss, gradient and outcome as a trained lane has them."""
    weights = (1 - lr * EIGENVALUES) ** np.arange(STEPS + 1)[:, None]
    losses = 0.5 * (EIGENVALUES * weights**2).sum(axis=1)
    evaluations = np.arange(0, STEPS + 1, 10)
    curve = Curve(
        lr=np.full(STEPS, lr),
        train_loss=losses[:-1],
        grad_norm=np.linalg.norm(EIGENVALUES * weights, axis=1)[:-1],
        eval_steps=evaluations,
        valid_loss=losses[evaluations],
    )
    outcome = Outcome.DIVERGED if not losses[-1] <= 1.1 * losses[0] else Outcome.FINISHED
    return LaneRecord(Lane("sgd", "constant", lr, 0, STEPS), outcome, curve)


def test_gradient_descent_diverges_exactly_above_two_over_lambda_max() -> None:
    """On a quadratic the verdict is diverged if and only if lr > 2 / lambda_max, and the stability edge encloses it."""
    limit = 2 / EIGENVALUES.max()
    rates = [share * limit for share in (1e-4, 0.01, 0.1, 0.5, 0.9, 0.98, 1.02, 1.1, 2.0)]
    study = StudyRecord("law", "quadratic", STEPS, tuple(descend(lr) for lr in rates))
    judged = findings.judge(study)
    for record in judged.lanes:
        assert (verdict_of(record) is Verdict.DIVERGED) == (record.lane.lr > limit)
    assert judged.answers[0].stability_edge == (rates[5], rates[6])
    assert verdict_of(judged.lanes[0]) is Verdict.TOO_LOW
    assert verdict_of(judged.lanes[4]) is Verdict.GOOD


losses = st.lists(st.one_of(st.floats(), st.just(math.nan), st.just(math.inf), st.just(0.0)), max_size=25)


@st.composite
def any_lane(draw: st.DrawFn) -> LaneRecord:
    """A lane with any outcome and any numbers, finite or not, in curves of any length."""
    train, valid = np.array(draw(losses)), np.array(draw(losses))
    start = draw(st.integers(0, 1))
    lane = Lane("sgd", "constant", draw(st.sampled_from([1e-3, 1e-2, 1e-1])), draw(st.integers(0, 3)), 25)
    curve = Curve(
        lr=np.ones(len(train)),
        train_loss=train.astype(np.float64),
        grad_norm=train.astype(np.float64),
        eval_steps=np.arange(start, start + len(valid)),
        valid_loss=valid.astype(np.float64),
        metrics={"accuracy": valid.astype(np.float64)},
        valid_spread=draw(st.floats()),
    )
    return LaneRecord(lane, draw(st.sampled_from(list(Outcome))), curve)


@settings(max_examples=150)
@given(st.lists(any_lane(), max_size=8, unique_by=lambda record: record.lane))
def test_any_study_can_be_judged(lanes: list[LaneRecord]) -> None:
    """Whatever the numbers, every lane gets one verdict, every text is a sentence and every number is finite."""
    judged = findings.judge(StudyRecord("any", "any", 25, tuple(lanes), metrics={"accuracy": "max"}))
    found: list[Finding] = [*judged.findings]
    for record in judged.lanes:
        assert sum(finding.name == "verdict" for finding in record.findings) == 1
        found += record.findings
    for answer in judged.answers:
        found += answer.findings
        assert answer.lr is None or answer.lr == answer.best_tried
        assert (answer.recipe is None) == (answer.lr is None)
        assert answer.valid_loss is None or math.isfinite(answer.valid_loss)
        assert answer.best_tried is not None or answer.findings
    for finding in found:
        assert finding.text[-1] in ".!?" and "nan" not in finding.text.lower().split()
        assert finding.value is None or math.isfinite(finding.value)


@pytest.mark.parametrize("lanes", [0, 3])
def test_a_study_without_any_curve_is_judged(lane: LaneMaker, study: StudyMaker, lanes: int) -> None:
    """No lanes at all, or only failed ones, still give a judged study."""
    judged = findings.judge(study([lane(10.0**-k, outcome=Outcome.FAILED) for k in range(lanes)]))
    assert len(judged.answers) == (lanes > 0)
    assert all(answer.best_tried is None for answer in judged.answers)


def test_an_unmeasured_untrained_loss_leaves_rates_comparable(lane: LaneMaker, study: StudyMaker) -> None:
    """Without the untrained loss shares are not known, but the best rate still is."""
    lanes = [lane(lr, final=f, valid=[math.nan, 1.0, f]) for lr, f in ((1e-3, 0.9), (1e-2, 0.2), (1e-1, 0.5))]
    judged = findings.judge(study(lanes))
    assert judged.answers[0].lr == 1e-2 and judged.answers[0].safe_range is None
    assert [verdict_of(record) for record in judged.lanes] == [Verdict.TOO_LOW, Verdict.GOOD, Verdict.HIGH]


def test_judging_twice_changes_nothing(lane: LaneMaker, study: StudyMaker) -> None:
    """A judged study judged again has the same findings: they are replaced, not added."""
    once = findings.judge(study([lane(1e-3, final=0.9), lane(1e-2), lane(1e-1, final=0.5)]))
    twice = findings.judge(once)
    assert [r.findings for r in twice.lanes] == [r.findings for r in once.lanes]
    assert (twice.answers, twice.findings) == (once.answers, once.findings)


def test_every_file_has_one_finding_and_no_torch() -> None:
    """The registry finds each public file by name, in order of telling."""
    assert findings.names()[0] in {"verdict", "learning", "ranking"}
    assert {"verdict", "convergence", "stability", "accuracy", "generalization", "edge"} <= set(findings.names())
