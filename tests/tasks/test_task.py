"""A task of anybody's: what is taken, how its data is split and evaluated, and what is refused."""

import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset, WeightedRandomSampler

from pacesetter.errors import TaskError
from pacesetter.tasks import Task, accuracy, maximize

INPUT, TARGET = torch.arange(20.0).reshape(10, 2), torch.arange(10.0).reshape(10, 1)


class Stream(IterableDataset[int]):
    """Examples that come once."""

    def __iter__(self) -> Iterator[int]:
        """Three numbers."""
        return iter(range(3))


class Rows(Dataset[tuple[Tensor, Tensor]]):
    """A map-style data set."""

    def __len__(self) -> int:
        """Ten examples."""
        return len(INPUT)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """One example."""
        return INPUT[index], TARGET[index]


def make(**changes: Any) -> Task:
    """A small task, changed; None leaves an argument out."""
    arguments: dict[str, Any] = {
        "model": lambda: nn.Linear(2, 1),
        "loss": mse_loss,
        "train": (INPUT, TARGET),
        "batch_size": 4,
        "steps": 5,
    }
    return Task(**{name: value for name, value in (arguments | changes).items() if value is not None})


@pytest.mark.parametrize(
    "train",
    [(INPUT, TARGET), [INPUT, TARGET], (INPUT.numpy(), TARGET.numpy()), INPUT, TensorDataset(INPUT, TARGET), Rows()],
    ids=["tuple", "list", "numpy", "tensor", "TensorDataset", "Dataset"],
)
def test_data_of_any_kind(train: Any) -> None:
    """Tensors, arrays and map-style data sets are taken, and a fifth is split off for validation."""
    task = make(train=train, batch_size=4)
    assert (task.train_source.length, task.valid_source.length) == (8, 2)
    assert task.train_source.batches_per_epoch == 2


def test_loader() -> None:
    """A DataLoader brings its own batch size and whether it drops the last batch."""
    loader = DataLoader(Rows(), batch_size=3, shuffle=True)
    task = make(train=loader, valid=(INPUT, TARGET), batch_size=None, steps=None, epochs=2)
    assert task.train_source.batch_size == 3
    assert task.total_steps == 8


def test_epochs() -> None:
    """Epochs are whole passes over the training examples, without an incomplete batch."""
    assert make(steps=None, epochs=3).total_steps == 6
    assert make(steps=None, epochs=3, valid=(INPUT, TARGET), batch_size=3).total_steps == 9


def test_epochs_of_accumulated_batches() -> None:
    """Updates are whole groups of the batches of all epochs together: 3 epochs of 2 batches are 1 update of 4."""
    assert make(steps=None, epochs=3, accumulate=4).total_steps == 1
    assert make(steps=None, epochs=3, accumulate=3).total_steps == 2
    assert make(steps=7, accumulate=3).total_steps == 7


def test_ratios_of_parameters() -> None:
    """A ratio is for whole parts of a name, the longest beginning counts, and what none fits has ratio 1."""
    task = make(lr_ratios={"encoder": 0.1, "encoder.1": 0.5, "head.bias": 2})
    names = ("encoder.0.weight", "encoder.1.weight", "encoder.10.weight", "encoders.1.weight", "head.bias", "head.w")
    assert [task.ratio_of(name) for name in names] == [0.1, 0.5, 0.1, 1.0, 2.0, 1.0]


def test_the_split_is_the_same_each_time() -> None:
    """Validation examples are a fixed choice, none of them is trained on, and all examples are used."""
    before = torch.random.get_rng_state()
    first, second = make(), make()
    parts = [source.tensors for task in (first, second) for source in (task.train_source, task.valid_source)]
    assert all(part is not None for part in parts)
    train, valid, train_again, valid_again = [part[1].flatten().tolist() for part in parts if part is not None]
    assert (train, valid) == (train_again, valid_again)
    assert sorted(train + valid) == list(range(10))
    assert torch.equal(before, torch.random.get_rng_state())


@given(total=st.integers(1, 5000), evaluations=st.integers(1, 60))
def test_evaluations_at_equal_shares(total: int, evaluations: int) -> None:
    """A run ends with an evaluation, has as many as were asked for if it is that long, and never two at one step."""
    steps = make(evaluations=evaluations).evaluation_steps(total)
    assert steps[-1] == total
    assert steps[0] >= 1
    assert len(steps) == min(evaluations, total)
    gaps = [after - before for before, after in zip([0, *steps[:-1]], steps, strict=True)]
    assert max(gaps) - min(gaps) <= 1


def test_a_given_module_is_copied() -> None:
    """Each model made from a module starts from its weights and is not the module itself."""
    module = nn.Linear(2, 1)
    task = make(model=module)
    made = task.make_model()
    assert made is not module
    assert torch.equal(made.get_parameter("weight"), module.weight)
    with torch.no_grad():
        made.get_parameter("weight").zero_()
    assert not torch.equal(made.get_parameter("weight"), module.weight)


def test_metric_directions() -> None:
    """Metrics are minimised unless they are wrapped, and accuracy is."""
    task = make(metrics={"error": mse_loss, "score": maximize(mse_loss), "accuracy": accuracy})
    assert task.metric_directions == {"error": "min", "score": "max", "accuracy": "max"}


def test_accuracy() -> None:
    """Accuracy is the share of largest outputs that are the target, over any number of leading axes."""
    output = torch.tensor([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    target = torch.tensor([1, 0, 0, 0])
    assert accuracy(output, target) == 0.75
    assert accuracy(output.reshape(2, 2, 2), target.reshape(2, 2)) == 0.75


HOLED = torch.tensor([[0.0, 1.0], [2.0, math.nan]])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": 3}, "`model` must be an nn.Module or a function that makes one, got model=3"),
        ({"loss": None}, "exactly one of `loss` and `objective` must be given, got neither"),
        ({"objective": mse_loss}, "exactly one of `loss` and `objective` must be given, got both"),
        ({"loss": "mse"}, "`loss` must be a function, got loss='mse'"),
        ({"steps": None}, "exactly one of `steps` and `epochs` must be given, got neither"),
        ({"epochs": 3}, "exactly one of `steps` and `epochs` must be given, got both"),
        ({"steps": 0}, "`steps` must be a whole number of at least 1, got steps=0"),
        ({"evaluations": 0}, "`evaluations` must be a whole number of at least 1, got evaluations=0"),
        ({"batch_size": 2.5}, "`batch_size` must be a whole number of at least 1, got batch_size=2.5"),
        ({"batch_size": None}, "`batch_size` must be given"),
        ({"batch_size": 11}, "`batch_size` must be at most the number of training examples, got batch_size=11"),
        ({"batch_size": 9}, "got batch_size=9 and 8 examples after 20% were split off"),
        ({"valid_share": 1.0}, "`valid_share` must lie between 0 and 1, got valid_share=1.0"),
        ({"accumulate": 0}, "`accumulate` must be a whole number of at least 1, got accumulate=0"),
        ({"accumulate": True}, "`accumulate` must be a whole number of at least 1, got accumulate=True"),
        ({"steps": None, "epochs": 2, "accumulate": 5}, "number of batches in the whole training, 4, got accumulate=5"),
        ({"clip_norm": 0}, "`clip_norm` must be a finite number above 0 or None, got clip_norm=0"),
        ({"clip_norm": math.nan}, "`clip_norm` must be a finite number above 0 or None, got clip_norm=nan"),
        ({"clip_norm": "1"}, "`clip_norm` must be a finite number above 0 or None, got clip_norm='1'"),
        ({"lr_ratios": [("head", 2)]}, "`lr_ratios` must map parameter names to factors, got lr_ratios=[('head', 2)]"),
        ({"lr_ratios": {1: 2.0}}, "`lr_ratios` must have the beginnings of parameter names as keys, got 1"),
        ({"lr_ratios": {"": 2.0}}, "`lr_ratios` must have the beginnings of parameter names as keys, got ''"),
        ({"lr_ratios": {"head": math.inf}}, "`lr_ratios` must have finite factors above 0, got lr_ratios['head']=inf"),
        (
            {"lr_ratios": {"head": 0}},
            "got lr_ratios['head']=0: freeze what is not trained by `requires_grad_(False)`",
        ),
        ({"metrics": {"error": 3}}, "`metrics` must map names to functions, got metrics['error']=3"),
        ({"train": (INPUT[:0], TARGET[:0])}, "`train` must hold at least one example"),
        ({"valid": (INPUT[:0], TARGET[:0])}, "`valid` must hold at least one example"),
        ({"train": HOLED, "batch_size": 1}, "`train` must not hold NaN, got NaN in tensor 0, first in example 1"),
        ({"valid": HOLED}, "`valid` must not hold NaN"),
        ({"train": (INPUT, TARGET[:4])}, "`train` must be tensors of one length, got lengths [4, 10]"),
        ({"train": torch.tensor(3.0)}, "`train` must have examples along the first axis"),
        ({"train": 3}, "`train` must be tensors, a map-style Dataset or a DataLoader, got train=int"),
        ({"train": INPUT[:1], "batch_size": 1, "valid_share": 0.9}, "`train` must leave examples to train on"),
        ({"train": DataLoader(Stream()), "batch_size": None}, "`train` must be a map-style dataset"),
        (
            {"train": DataLoader(Rows(), 2, sampler=WeightedRandomSampler([1.0] * 10, 10)), "batch_size": None},
            "`valid` must be given when `train` is a DataLoader with its own sampler",
        ),
    ],
)
def test_what_is_refused(changes: dict[str, Any], message: str) -> None:
    """Each part of a task that cannot be trained is refused with its name, the rule and what was got."""
    with pytest.raises(TaskError) as caught:
        make(**changes)
    assert message in str(caught.value)


def test_a_factory_must_make_a_module() -> None:
    """A factory that makes something else is named by what it makes."""
    with pytest.raises(TaskError, match=r"`model` must make an nn\.Module, got int"):
        make(model=lambda: 3).make_model()
