"""Optimizers of other libraries in lanes: as in a plain loop, beside rules of ours, and on from where they stopped."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from pacesetter import engine, optimizers
from pacesetter.engine.batches import Batches
from pacesetter.engine.looped import Looped
from pacesetter.engine.planning import make_plan
from pacesetter.engine.vectorised import Vectorised
from pacesetter.errors import InputError
from tests.engine.helpers import LOOPED, VECTORISED, joined, lanes_of, small_task, trained

LBFGS = "torch:LBFGS(max_iter=3)"
SCHEDULE_FREE = "schedulefree:AdamWScheduleFree(warmup_steps=5)"
PRODIGY = "prodigyopt:Prodigy(d0=0.001)"


def plainly(task, make):
    """Losses by step, and the last validation loss, of a loop that calls an optimizer as its library says."""
    torch.manual_seed(0)
    model = task.model()
    optimizer = make(list(model.parameters()))
    batches = Batches(task.train_source, 0, torch.device("cpu"))
    losses = []
    for _ in range(task.total_steps):
        inputs, targets = next(batches)

        def closure(inputs=inputs, targets=targets):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(inputs), targets)
            loss.backward()
            return loss

        losses.append(float(closure().detach()))
        optimizer.step(closure) if isinstance(optimizer, torch.optim.LBFGS) else optimizer.step()
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    with torch.no_grad():
        return losses, float(F.cross_entropy(model(task.valid[0]), task.valid[1]))


def of_schedulefree(params):
    """Schedulefree's AdamW, ready to train."""
    from schedulefree import AdamWScheduleFree

    made = AdamWScheduleFree(params, lr=0.05, warmup_steps=5)
    made.train()
    return made


def of_prodigy(params):
    """The package's Prodigy."""
    from prodigyopt import Prodigy

    return Prodigy(params, lr=0.05, d0=0.001)


@pytest.mark.parametrize(
    ("text", "make"),
    [
        ("torch:Adadelta", lambda p: torch.optim.Adadelta(p, lr=0.05)),
        (LBFGS, lambda p: torch.optim.LBFGS(p, lr=0.05, max_iter=3)),
        (SCHEDULE_FREE, of_schedulefree),
        (PRODIGY, of_prodigy),
    ],
)
@pytest.mark.parametrize("plan", [LOOPED, VECTORISED], ids=lambda plan: plan.engine)
def test_trains_as_a_plain_loop_does(text, make, plan):
    """A lane's losses are those of the library's own way: with a closure, or with its switch for evaluation."""
    task = small_task()
    (lane,) = lanes_of(task, [0.05], text)
    curve = joined(trained(task, [lane], plan)[lane])
    losses, valid = plainly(task, make)
    np.testing.assert_allclose(curve.train_loss, losses, rtol=1e-9)
    assert curve.final_valid_loss == pytest.approx(valid, rel=1e-9)


def test_the_rate_that_an_optimizer_works_out_is_recorded():
    """Prodigy's rate is its estimate times the lane's rate; a rule of ours that takes the rate as it is tells none."""
    task = small_task()
    lanes = [*lanes_of(task, [1.0], PRODIGY), *lanes_of(task, [0.01], "adam")]
    of_prodigy, of_adam = (trained(task, lanes, VECTORISED)[lane] for lane in lanes)
    rates = np.concatenate([part.curve.effective_lr for part in of_prodigy])
    assert len(rates) == task.total_steps
    assert rates[0] == pytest.approx(0.001, rel=1e-6)
    assert rates[-1] > 2 * rates[0]
    assert all(len(part.curve.effective_lr) == 0 for part in of_adam)


def test_lanes_of_others_train_beside_stacked_ones():
    """In one bundle, lanes of a rule are stacked and those of another library's optimizer train one by one."""
    task = small_task()
    lanes = [*lanes_of(task, [0.1, 0.01], "torch:Adadelta"), *lanes_of(task, [0.1, 0.01, 0.001], "adam")]
    bundle = engine.start(task, lanes, VECTORISED)
    assert [(type(chunk), chunk.lanes) for chunk in bundle.chunks] == [(Vectorised, 3), (Looped, 1), (Looped, 1)]
    together, alone = trained(task, lanes, VECTORISED), trained(task, lanes, LOOPED)
    for lane in lanes:
        np.testing.assert_allclose(
            joined(together[lane]).valid_loss, joined(alone[lane]).valid_loss, rtol=1e-9, err_msg=str(lane)
        )


@pytest.mark.parametrize("text", [PRODIGY, SCHEDULE_FREE, "torch:NAdam"])
def test_goes_on_from_where_it_was_saved(text):
    """Saved half way, with what an optimizer keeps of its own, a lane ends as if it had never stopped."""
    task = small_task()
    lanes = lanes_of(task, [0.5], text)
    whole = engine.start(task, lanes, LOOPED)
    losses = [part.curve.train_loss for part in engine.advance(whole, task.total_steps)]
    bundle = engine.start(task, lanes, LOOPED)
    engine.advance(bundle, 12)
    again = engine.load(task, LOOPED, engine.save(bundle))
    rest = np.concatenate([part.curve.train_loss for part in engine.advance(again, task.total_steps)])
    np.testing.assert_array_equal(np.concatenate(losses)[12:], rest)


def test_a_plan_for_others_alone_is_looped():
    """Where no rule can be stacked, the plan says so; stacking them when asked for is refused."""
    task = small_task()
    lanes = lanes_of(task, [0.1, 0.01], "torch:Adadelta")
    plan = make_plan(task, lanes)
    assert (plan.engine, "other libraries" in plan.reason) == ("looped", True)
    with pytest.raises(InputError, match="optimizers of other libraries"):
        make_plan(task, lanes, engine="vectorised")


WRAPPERS = {"clip": "clip(adam, norm=0.5)", "decay": "decay(lion, 0.1)"}


@pytest.mark.parametrize("text", [WRAPPERS.get(name, name) for name in optimizers.names()])
def test_every_rule_trains_alike_in_both_engines(text):
    """Stacked lanes of a rule train as its optimizer does one by one: losses, evaluations and the rates worked out."""
    task = small_task()
    lanes = lanes_of(task, [0.3, 0.03], text)
    stacked, alone = (trained(task, lanes, plan) for plan in (VECTORISED, LOOPED))
    within = 1e-5 if text == "nadam" else 1e-8  # torch's keeps a product of momenta in single precision
    for lane in lanes:
        one, other = joined(stacked[lane]), joined(alone[lane])
        np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=within)
        np.testing.assert_allclose(one.valid_loss, other.valid_loss, rtol=within)
        rates = [np.concatenate([part.curve.effective_lr for part in parts[lane]]) for parts in (stacked, alone)]
        assert len(rates[0]) == (task.total_steps if optimizers.parse(text).sets_rate else 0)
        np.testing.assert_allclose(*rates, rtol=1e-8)
