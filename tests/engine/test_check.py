"""The check finds what is wrong with a task before anything is trained, and names it."""

import copy
import functools
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Sampler

from pacesetter import engine, optimizers
from pacesetter.engine.batches import validation_batches
from pacesetter.engine.looped import Looped
from pacesetter.engine.making import made, where_else
from pacesetter.engine.program import fresh_program
from pacesetter.errors import InputError, TaskError
from pacesetter.records import Outcome
from tests.engine.helpers import PLANS, blobs, joined, lanes_of, small_task, trained

CPU, META = torch.device("cpu"), torch.device("meta")
INPUTS, TARGETS = blobs()


class Odd(nn.Module):
    """A linear model that holds something beside its weights."""

    def __init__(self, held: Any = None) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3).double()
        self.held = held

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        held: Any = self.held
        while isinstance(held, list | dict):
            held = held["in"] if isinstance(held, dict) else held[0]
        out = self.linear(x)
        return out + held if isinstance(held, torch.Tensor) else held(out)


def elsewhere() -> torch.Tensor:
    """Three numbers on another device."""
    return torch.zeros(3, dtype=torch.float64, device="meta")


def test_a_weight_without_numbers_is_named() -> None:
    """A model made on the device meta is refused with the name of its parameter and what to do."""
    with pytest.raises(TaskError, match=r"`model` must hold numbers, got 1.weight on the device meta.*`to_empty`"):
        engine.check(small_task(lambda: nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3, device="meta"))))


@pytest.mark.parametrize(
    ("held", "says"),
    [
        (elsewhere, r"`held` is a tensor on meta, the model on cpu: register it by register_buffer"),
        (lambda: {"in": [elsewhere()]}, r"`held\['in'\]\[0\]` is a tensor on meta"),
        (
            lambda: [nn.Linear(3, 3, dtype=torch.float64, device="meta")],
            r"`held\[0\].weight` is a tensor on meta, the model on cpu: keep such modules in an nn.ModuleList",
        ),
        (lambda: lambda out: out + elsewhere(), "make new tensors on the device of those that they meet"),
    ],
    ids=["tensor", "in containers", "hidden layer", "constant"],
)
def test_a_tensor_on_another_device_is_named(held: Any, says: str) -> None:
    """Tensors that are no buffers, layers in lists and constants: each by its name, with its device and remedy."""
    with pytest.raises(TaskError, match=f"`model` could not be run on a batch of shape .*{says}"):
        engine.check(small_task(lambda: Odd(held())))


def test_other_errors_get_no_word_on_devices() -> None:
    """What has nothing to do with devices is told as before."""
    assert where_else(Odd(elsewhere()), CPU, RuntimeError("shapes differ")) == ""
    assert where_else(Odd(), CPU, RuntimeError("two devices")) != ""


def test_a_device_that_is_not_there_is_refused_by_the_check() -> None:
    """The check runs where training will, and refuses a place that is none."""
    with pytest.raises(InputError, match="`device` must be one that this machine has, got device='nowhere'"):
        engine.check(small_task(), "nowhere")


def _sharing() -> dict[str, Any]:
    """Factories whose models share something with each other, and the user's own module in it."""
    torch.manual_seed(0)
    whole = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    part = nn.Linear(5, 8).double()
    weight = nn.Parameter(torch.randn(8, 5, dtype=torch.float64))

    def with_part() -> nn.Module:
        return nn.Sequential(part, nn.Tanh(), nn.Linear(8, 3).double())

    def with_weight() -> nn.Module:
        model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
        model[0].weight = weight
        return model

    return {
        "the same model": (lambda: whole, whole),
        "a cached model": (functools.cache(lambda: whole), whole),
        "a part": (with_part, part),
        "a weight": (with_weight, nn.ParameterList([weight])),
    }


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("name", _sharing())
def test_lanes_share_no_weights_with_each_other_or_with_the_user(name: str, plan: Any) -> None:
    """Whatever a factory shares between its models, each lane starts from it untrained, and it stays as it was."""
    factory, own = _sharing()[name]
    before = copy.deepcopy(own.state_dict())
    task = small_task(factory)
    engine.check(task)
    lanes = [lane for seed in (0, 1) for lane in lanes_of(task, [0.5, 0.1], seed=seed)]
    together = trained(task, lanes, plan)
    alone = trained(small_task(_sharing()[name][0]), lanes[-1:], plan)
    assert all(torch.equal(tensor, before[key]) for key, tensor in own.state_dict().items())
    assert joined(together[lanes[-1]]).train_loss == pytest.approx(joined(alone[lanes[-1]]).train_loss, rel=1e-9)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_weights_outside_the_model_get_no_gradient(plan: Any) -> None:
    """A layer of the user's that the model runs through and does not own is left as it was, its gradient too."""
    outside = nn.Linear(5, 5).double()

    class Through(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.own = nn.Linear(5, 3).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.own(outside(x))

    before = copy.deepcopy(outside.state_dict())
    task = small_task(Through)
    parts = trained(task, lanes_of(task, [0.5, 0.1]), plan)
    assert all(len(joined(own).train_loss) == task.total_steps for own in parts.values())
    assert all(torch.equal(tensor, before[key]) for key, tensor in outside.state_dict().items())
    assert all(p.grad is None for p in outside.parameters())


def test_an_evaluation_with_gradients_holds_no_history() -> None:
    """A model that turns gradients on for itself, as for forces, is evaluated to plain numbers."""

    class Forces(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(5, 3).double()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.enable_grad():
                return self.body(x)

    task = small_task(Forces, metrics={"mean": lambda output, target: output.mean()})
    program = fresh_program(task, 0, CPU)
    loss, metrics = Looped(program, optimizers.parse("sgd")).judge(next(validation_batches(task.valid_source, CPU)))
    assert not loss.requires_grad
    assert not metrics["mean"].requires_grad


def test_frozen_weights_that_a_factory_shares_are_not_copied() -> None:
    """A frozen part that all models share is held once; its buffers, which may change, are each model's own."""
    frozen = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8)).double().requires_grad_(False)
    task = small_task(lambda: nn.Sequential(frozen, nn.Linear(8, 3).double()))
    one, other = (fresh_program(task, 0, CPU).model for _ in range(2))
    assert one[0][0].weight is other[0][0].weight is frozen[0].weight
    assert one[0][1].running_mean is not other[0][1].running_mean
    assert one[1].weight is not other[1].weight


def test_the_same_seed_makes_the_same_model_however_often() -> None:
    """Looking whether a factory's models share anything draws nothing from the seed."""
    task = small_task()
    first, second = (fresh_program(task, 3, CPU) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first.parameters(), second.parameters(), strict=True))
    torch.manual_seed(3)
    expected = task.make_model()
    assert torch.equal(next(expected.parameters()), next(first.parameters()))


def test_what_is_shared_and_cannot_be_copied_is_named() -> None:
    """A shared model that holds what no copy can have is refused by the name of a shared weight."""

    class Locked(Odd):
        def __deepcopy__(self, memo: Any) -> Any:
            raise TypeError("has a lock")

    whole = Locked(torch.zeros(3))
    with pytest.raises(
        TaskError, match=r"`model` must be made anew each time, .* got linear.weight in two models and Type"
    ):
        made(small_task(lambda: whole), CPU)


def test_a_batch_that_is_changed_in_place_is_refused() -> None:
    """Lanes share batches, so a model, objective or metric that changes one is named, with what it changed."""
    data = (INPUTS.float(), TARGETS)
    inplace = small_task(lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Linear(5, 3)), train=data, valid=data)
    with pytest.raises(TaskError, match=r"`model` must leave each batch as it is, .* got the batch\[0\] changed: "):
        engine.check(inplace)

    class Named(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 64

        def __getitem__(self, row: int) -> Any:
            return {"x": INPUTS[row], "y": TARGETS[row]}

    def popping(model: nn.Module, batch: Any) -> torch.Tensor:
        target = batch.pop("y")
        return F.cross_entropy(model(batch["x"]), target)

    with pytest.raises(TaskError, match=r"`objective` must leave each batch as it is, .* got the batch changed: "):
        engine.check(small_task(loss=None, objective=popping, train=Named(), valid=Named()))
    scaled = {"m": lambda output, target: (output - target.add_(0).unsqueeze(1)).mean()}
    with pytest.raises(TaskError, match=r"`metrics` must leave each batch as it is, .* got the batch\[1\]"):
        engine.check(small_task(metrics=scaled))


class Says(Sampler[int]):
    """A sampler that says one length and draws another."""

    def __init__(self, says: int, draws: int) -> None:
        self.says, self.draws = says, draws

    def __iter__(self) -> Any:
        yield from range(self.draws)

    def __len__(self) -> int:
        return self.says


@pytest.mark.parametrize(("draws", "got"), [(32, "2"), (96, "more")])
def test_a_length_that_is_wrong_is_found_before_training(draws: int, got: str) -> None:
    """Where training is counted in epochs, a sampler that draws another number than it says is found at once."""
    loader = DataLoader(torch.utils.data.TensorDataset(INPUTS, TARGETS), 16, sampler=Says(64, draws))
    whole = {"train": loader, "valid": (INPUTS, TARGETS), "batch_size": None}
    with pytest.raises(TaskError, match=f"as many batches as its length says, 4, got {got}: correct the `__len__`"):
        engine.check(small_task(**whole, steps=None, epochs=2))
    task = small_task(**whole, steps=6)
    engine.check(task)
    (lane,) = lanes_of(task, [0.1])
    assert trained(task, [lane], PLANS["looped"])[lane][-1].outcome is Outcome.FINISHED
