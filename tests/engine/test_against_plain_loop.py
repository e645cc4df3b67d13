"""Every lane of either engine is the plain PyTorch loop with torch.optim: same seed, same batches, same numbers."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from pacesetter import optimizers, schedules, tasks
from pacesetter.tasks._task import Task
from tests.engine.helpers import PLANS, joined, lanes_of, small_task, trained
from tests.reference.plain_loop import plain_run

RTOL = 1e-9
"""Float64: sums taken in another order differ by 1e-16 a step; 20 steps of a rule that divides by square roots of
small numbers make less than 1e-9 of that."""

RULES = {
    "sgd": 0.1,
    "sgd(momentum=0.9, nesterov=True, weight_decay=0.01)": 0.05,
    "adam": 3e-3,
    "adamw": 3e-3,
    "rmsprop": 1e-3,
    "adagrad": 1e-2,
}
BUILT_IN = ["digits-mlp", "digits-cnn", "docs-gpt"]
STEPS = {"digits-mlp": 24, "digits-cnn": 8, "docs-gpt": 4}


@cache
def in_double(name: str) -> Task:
    """A built-in task in float64, short, with a small validation set."""
    task = tasks.load(name)

    def data(pair):
        return tuple((t.double() if t.is_floating_point() else t)[:150] for t in pair)

    return Task(
        model=lambda: task.make_model().double(),
        loss=task.loss,
        train=data(task.train),
        valid=tuple(t[:40] for t in data(task.valid)),
        batch_size=16 if name != "docs-gpt" else 4,
        steps=STEPS[name],
        evaluations=2,
        metrics=task.metrics,
    )


def plain(task: Task, lane, factors):
    """The plain run of a lane."""
    name, arguments = optimizers.parse(lane.optimizer).torch_optimizer()
    return plain_run(
        task.make_model,
        task.loss,
        task.train,
        task.valid,
        task.batch_size,
        lane.total_steps,
        lane.seed,
        lambda parameters: getattr(torch.optim, name)(parameters, lr=lane.lr, **arguments),
        [lane.lr * f for f in factors],
        task.evaluation_steps(lane.total_steps),
    )


@pytest.mark.parametrize("engine_name", PLANS)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", BUILT_IN)
def test_lane_equals_plain_loop(name, rule, engine_name):
    """For every rule and built-in task, a lane's losses, gradients, validations and weights are the plain loop's."""
    task = in_double(name)
    rule_text = str(optimizers.parse(rule))
    lanes = lanes_of(task, [RULES[rule], RULES[rule] / 10, RULES[rule] / 100], rule_text, seed=3)
    weights = {}
    parts = trained(task, lanes, PLANS[engine_name], on_weights=weights.__setitem__)
    for lane in lanes if name == "digits-mlp" else lanes[:2]:
        curve = joined(parts[lane])
        expected = plain(task, lane, [1.0] * task.total_steps)
        np.testing.assert_allclose(curve.train_loss, expected.losses, rtol=RTOL)
        np.testing.assert_allclose(curve.grad_norm, expected.norms, rtol=RTOL * 100)
        assert dict(zip(curve.eval_steps.tolist(), curve.valid_loss, strict=True)) == pytest.approx(
            expected.valid, rel=RTOL
        )
        for key, value in expected.model.state_dict().items():
            torch.testing.assert_close(weights[lane][key], value, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("engine_name", PLANS)
@pytest.mark.parametrize("text", ["warmup(0.25) >> cosine(final=0.1)", "triangular(cycle=0.5)", "step(every=0.3)"])
def test_schedules_are_applied_step_by_step(text, engine_name):
    """The recorded rate of update k is lr * schedule(k), and training at those rates is what happened."""
    task = small_task()
    lane = lanes_of(task, [0.3], schedule=text)[0]
    factors = [schedules.parse(text)(k, task.total_steps) for k in range(task.total_steps)]
    curve = joined(trained(task, [lane], PLANS[engine_name])[lane])
    np.testing.assert_allclose(curve.lr, [0.3 * f for f in factors], rtol=1e-12)
    np.testing.assert_allclose(curve.train_loss, plain(task, lane, factors).losses, rtol=RTOL)


@pytest.mark.parametrize("engine_name", PLANS)
def test_plateau_hears_the_validation_loss(engine_name):
    """A plateau lane's recorded rates are what torch's ReduceLROnPlateau sets from the recorded validation losses."""
    task = small_task(steps=40, evaluations=20)
    lane = lanes_of(task, [1.0], schedule="plateau(factor=0.5, patience=1)")[0]
    curve = joined(trained(task, [lane], PLANS[engine_name])[lane])
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
    rates = []
    for loss in curve.valid_loss[1:]:
        rates += [optimizer.param_groups[0]["lr"]] * 2
        peer.step(loss)
    assert min(rates) < 1.0
    np.testing.assert_allclose(curve.lr, rates, rtol=1e-12)


def with_dropout() -> nn.Module:
    """Random layers."""
    return nn.Sequential(nn.Linear(5, 16), nn.Dropout(0.4), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3)).double()


def with_batch_norm() -> nn.Module:
    """Layers that keep statistics."""
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double()


@pytest.mark.parametrize("engine_name", PLANS)
@pytest.mark.parametrize("make_model", [with_dropout, with_batch_norm])
def test_statistics_and_dropout_are_right_per_lane(make_model, engine_name):
    """Each lane has the running statistics and the dropout masks of its own plain loop, whatever its neighbours do."""
    task = small_task(make_model)
    lanes = lanes_of(task, [1e-3, 0.1, 30.0])
    weights = {}
    parts = trained(task, lanes, PLANS[engine_name], on_weights=weights.__setitem__)
    for lane in lanes[:2]:
        expected = plain(task, lane, [1.0] * task.total_steps)
        np.testing.assert_allclose(joined(parts[lane]).train_loss, expected.losses, rtol=RTOL)
        for key, value in expected.model.state_dict().items():
            torch.testing.assert_close(weights[lane][key], value, rtol=1e-7, atol=1e-10)


def test_lane_count_changes_no_bit():
    """A lane's numbers are the same to the last bit alone, among three and among nine lanes."""
    task = small_task()
    rates = list(np.geomspace(1e-3, 1, 9))
    curves = [
        joined(trained(task, lanes_of(task, some), PLANS["vectorised"])[lanes_of(task, [0.001])[0]])
        for some in (rates[:1], rates[:3], rates)
    ]
    for curve in curves[1:]:
        assert np.array_equal(curve.train_loss, curves[0].train_loss)
        assert np.array_equal(curve.valid_loss, curves[0].valid_loss)


def test_lanes_of_a_seed_are_paired():
    """All lanes of a seed start from the same weights and see the same first batch; another seed sees another."""
    task = small_task()
    lanes = lanes_of(task, [1e-3, 1e-2]) + lanes_of(task, [1e-3], "adam") + lanes_of(task, [1e-3], seed=1)
    first = [joined(parts).train_loss[0] for parts in trained(task, lanes, PLANS["vectorised"]).values()]
    assert first[0] == first[1] == first[2] != first[3]
