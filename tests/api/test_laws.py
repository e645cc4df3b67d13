"""Laws: on a bowl of known curvature, what `compare` says of a rate is what theory says."""

import pytest

import pacesetter as ps
from pacesetter.records import Outcome
from pacesetter.tasks import quadratic

EDGE = 2 / max(quadratic.EIGENVALUES)
VERDICTS = {
    1e-4: "too low",
    1e-3: "too low",
    3e-3: "too low",
    0.2 * EDGE: "good",
    0.9 * EDGE: "good",
    0.99 * EDGE: "good",
    0.995 * EDGE: "high but stable",
    0.9995 * EDGE: "too high",
    1.005 * EDGE: "diverged",
    1.05 * EDGE: "diverged",
    2 * EDGE: "diverged",
    10 * EDGE: "diverged",
}


def loss_after(lr: float, steps: int) -> float:
    """The loss after so many steps of gradient descent: along each axis a step multiplies the weight by 1 - lr * k."""
    axes = zip(quadratic.EIGENVALUES, quadratic.START, strict=True)
    return sum(k * w**2 / 2 * (1 - lr * k) ** (2 * steps) for k, w in axes)


@pytest.fixture(scope="module")
def study():
    """Gradient descent on `quadratic` at rates on both sides of the edge."""
    return ps.compare("quadratic", lr=VERDICTS, optimizers="sgd", seeds=2, engine="looped")


def test_gradient_descent_diverges_just_above_two_over_the_largest_curvature(study):
    """A lane diverged exactly when lr > 2 / lambda_max, and the answer's stability edge lies there."""
    for record in study.lanes:
        assert (record.outcome is Outcome.DIVERGED) == (record.lane.lr > EDGE), record.lane.lr
    assert study.answers[0].stability_edge is not None
    low, high = study.answers[0].stability_edge
    assert low < EDGE < high


@pytest.mark.parametrize("lr", VERDICTS)
def test_each_verdict_is_the_one_of_theory(study, lr):
    """Final losses are those of the closed form, and the verdict is the share of the improvement that they give up."""
    lost = loss_after(lr, quadratic.STEPS) / loss_after(lr, 0)
    lanes = [record for record in study.lanes if record.lane.lr == lr]
    assert len(lanes) == 2
    for record in lanes:
        verdict = next(finding.text for finding in record.findings if finding.name == "verdict")
        assert verdict.startswith(f"{VERDICTS[lr]}:"), verdict
        if record.outcome is Outcome.FINISHED:
            untrained = record.curve.untrained_loss
            assert untrained == pytest.approx(loss_after(lr, 0), rel=1e-5)
            assert record.curve.final_valid_loss / untrained == pytest.approx(lost, rel=1e-3, abs=1e-8)
    limits = {"too low": (0.05, 1), "good": (0, 0.05), "high but stable": (0.05, 0.5), "too high": (0.5, 1)}
    low, high = limits.get(VERDICTS[lr], (1, float("inf")))
    assert low < lost <= high


def test_the_best_rate_is_the_one_that_theory_ranks_first(study):
    """The rate with the lowest loss of the closed form is `best_tried`."""
    assert study.answers[0].best_tried == min(VERDICTS, key=lambda lr: loss_after(lr, quadratic.STEPS))
