"""Models as people have them: every lane of either engine is what plain PyTorch makes of them."""

import gc

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from pacesetter import engine, optimizers
from pacesetter.engine.agreement import why_not_vectorised
from pacesetter.errors import InputError, TaskError
from pacesetter.records import Outcome
from pacesetter.tasks._task import Task
from tests.engine.helpers import PLANS, joined, lanes_of, trained
from tests.engine.models import CASES, TEXT_ROWS, Case, Tied, adapted, case_of, first_layer_frozen
from tests.reference.plain_training import PlainTraining, plain_training, training_batches, validation_batches

BATCH, STEPS, SEED = 16, 10, 3
RTOL = 1e-9
"""Double precision, sums in another order, ten updates."""


def task_of(case: Case, **changes) -> Task:
    """The case as a task."""
    parts = {"model": case.make_model, "loss": case.loss, "objective": case.objective}
    parts |= {"train": case.train, "valid": case.valid, "steps": STEPS, "evaluations": 2}
    own = isinstance(case.train, DataLoader)
    return Task(**{**parts, "batch_size": None if own else BATCH, **case.updates, **changes})


def plain(case: Case, task: Task, lane) -> PlainTraining:
    """The case by torch alone, at the rate of a lane."""
    name, arguments = optimizers.parse(lane.optimizer).torch_optimizer()
    return plain_training(
        case.make_model,
        case.of,
        training_batches(case.train, BATCH, lane.seed),
        lambda: validation_batches(case.valid, BATCH),
        lambda groups: getattr(torch.optim, name)(groups, lr=lane.lr, **arguments),
        [lane.lr] * lane.total_steps,
        lane.seed,
        task.evaluation_steps(lane.total_steps),
        accumulate=case.updates.get("accumulate", 1),
        clip_norm=case.updates.get("clip_norm"),
        ratios=case.ratios,
    )


def lanes_for(case: Case, task: Task):
    """Two lanes of the case."""
    return lanes_of(task, [case.lr, case.lr / 10], str(optimizers.parse(case.rule)), seed=SEED)


def check_against_plain(case: Case, plan, rtol: float = RTOL) -> None:
    """Losses, norms, validations, weights and buffers of each lane are those of the plain loop."""
    task = task_of(case)
    lanes = lanes_for(case, task)
    weights = {}
    parts = trained(task, lanes, plan, on_weights=weights.__setitem__)
    for lane in lanes:
        assert parts[lane][-1].outcome is Outcome.FINISHED, parts[lane][-1].message
        curve, expected = joined(parts[lane]), plain(case, task, lane)
        np.testing.assert_allclose(curve.train_loss, expected.losses, rtol=rtol)
        np.testing.assert_allclose(curve.grad_norm, expected.norms, rtol=rtol * 100)
        assert dict(zip(curve.eval_steps.tolist(), curve.valid_loss, strict=True)) == pytest.approx(
            expected.valid, rel=rtol
        )
        state = expected.model.state_dict()
        assert set(weights[lane]) == set(state)
        for name, value in state.items():
            torch.testing.assert_close(weights[lane][name], value, rtol=max(1e-6, 100 * rtol), atol=max(1e-9, rtol))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.stacks])
def test_stacked_models_are_the_plain_ones(name: str) -> None:
    """Lanes that are trained in one pass have the losses, norms, weights and buffers of the plain loop."""
    check_against_plain(CASES[name], PLANS["vectorised"])


@pytest.mark.parametrize("name", CASES)
def test_looped_models_are_the_plain_ones(name: str) -> None:
    """Lanes that are trained one by one have the losses, norms, weights and buffers of the plain loop."""
    check_against_plain(CASES[name], PLANS["looped"])


@pytest.mark.parametrize("name", ["lstm", "tied weights", "weight norm", "adapters", "all three"])
def test_what_can_be_stacked_is_found_to_be(name: str) -> None:
    """The comparison that comes before a study finds nothing against training these in one pass."""
    assert why_not_vectorised(task_of(CASES[name]), "cpu") == ""


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if not case.stacks])
def test_what_cannot_be_stacked_is_looped_and_says_so(name: str) -> None:
    """A model that cannot be trained in one pass is trained one by one, and the plan tells why."""
    case = CASES[name]
    task = task_of(case)
    plan = engine.make_plan(task, lanes_for(case, task))
    assert plan.engine == "looped"
    assert "looped" in plan.reason
    with pytest.raises(InputError, match="`engine` must be looped for this model"):
        engine.make_plan(task, lanes_for(case, task), "vectorised")


def test_weights_are_what_the_model_saves() -> None:
    """A model takes the returned weights back: tied ones under both names, none that it does not save."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(5, 3)
            self.again = nn.Linear(5, 3)
            self.again.weight = self.body.weight
            self.register_buffer("kept", torch.ones(3))
            self.register_buffer("unsaved", torch.zeros(3), persistent=False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.body(x) + self.again(x) * self.kept + self.unsaved

    case = case_of(Counting)
    task = task_of(case)
    lanes = lanes_for(case, task)
    for plan in PLANS.values():
        weights = {}
        trained(task, lanes, plan, on_weights=weights.__setitem__)
        for of_lane in weights.values():
            assert torch.equal(of_lane["body.weight"], of_lane["again.weight"])
            task.make_model().load_state_dict(of_lane, strict=True)


@pytest.mark.parametrize(
    ("make_model", "ratios", "says"),
    [
        (Tied, {"raed": 2}, "got 'raed': did you mean 'read'?"),
        (Tied, {"read.weigth": 2}, "got 'read.weigth': did you mean 'read.weight'?"),
        (Tied, {"mid": 2, "xyz": 3}, "got 'mid': did you mean 'middle'?"),
        (Tied, {"xyz": 3}, "got 'xyz': the model has read.weight, middle.weight, middle.bias, say.bias"),
        (Tied, {"say.weight": 2}, "got 'say.weight', tied to read.weight: give the ratio to that name"),
        (first_layer_frozen, {"0": 2}, "got '0', whose parameters need no gradient: leave it out, or train them"),
    ],
)
def test_ratios_of_no_trained_weight_are_refused(make_model, ratios, says: str) -> None:
    """Each key of `lr_ratios` must begin a trained parameter's name; the message says what was meant."""
    case = case_of(make_model, **TEXT_ROWS) if make_model is Tied else case_of(make_model)
    with pytest.raises(TaskError) as caught:
        engine.check(task_of(case, lr_ratios=ratios))
    assert says in str(caught.value)


FROZEN = 200
"""Width of a frozen layer that is large beside its adapter."""


def live_bytes() -> int:
    """What all tensors that exist take in memory, each place counted once."""
    gc.collect()
    found = [thing for thing in gc.get_objects() if type(thing) in (torch.Tensor, nn.Parameter)]
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in found}.values())


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_frozen_weights_are_shared_between_lanes(plan) -> None:
    """More lanes take memory for their adapters only, while they train and when they are saved."""
    case = case_of(lambda: adapted(FROZEN))
    task = task_of(case)
    trained_bytes = 8 * sum(p.numel() for p in task.make_model().parameters() if p.requires_grad)
    frozen_bytes = 8 * FROZEN * FROZEN
    taken = {}
    for count in (2, 8):
        before = live_bytes()
        bundle = engine.start(task, lanes_of(task, np.geomspace(1e-3, 1e-1, count)), plan)
        engine.advance(bundle, 3)
        taken[count] = live_bytes() - before
        # Weights and momentum, and little else.
        assert engine.size(bundle) <= count * 2 * trained_bytes + 1000
        assert len(engine.save(bundle)) < count * 2 * trained_bytes + 50_000
        del bundle
    assert 6 * trained_bytes < frozen_bytes
    assert taken[8] - taken[2] < frozen_bytes


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_saved_adapters_go_on_where_they_were(plan) -> None:
    """A bundle with frozen weights, saved and loaded, ends in the same bits as one that was never stopped."""
    case = case_of(adapted, updates={"accumulate": 2, "clip_norm": 0.5, "lr_ratios": {"4": 3}}, rule="adam", lr=0.01)
    task = task_of(case)
    lanes = lanes_for(case, task)
    ends = []
    for stops in (False, True):
        bundle = engine.start(task, lanes, plan, with_weights=True)
        engine.advance(bundle, 4)
        if stops:
            bundle = engine.load(task, plan, engine.save(bundle), with_weights=True)
        ends.append([part.weights for part in engine.advance(bundle, STEPS) if part.weights])
    assert len(ends[0]) == len(lanes)
    for one, other in zip(*ends, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)
