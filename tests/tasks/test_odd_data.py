"""Data and settings that cannot be a task's are refused in the grammar, never with an error of somebody else's."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, TensorDataset

from pacesetter.errors import TaskError
from pacesetter.tasks import load
from pacesetter.tasks._task import Task

INPUTS, TARGETS = torch.zeros(64, 4), torch.zeros(64, 1)


class Endless(Dataset):
    """A data set that does not know its length."""

    def __getitem__(self, index: int):
        return INPUTS[index], TARGETS[index]


def made(**changes) -> Task:
    """A task of which `changes` replace parts."""
    parts = {
        "model": lambda: torch.nn.Linear(4, 1),
        "loss": torch.nn.functional.mse_loss,
        "train": (INPUTS, TARGETS),
        "batch_size": 16,
        "steps": 10,
    }
    return Task(**{**parts, **changes})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train": "hello, this is a text of some length"}, "got train=str"),
        ({"train": {"x": INPUTS, "y": TARGETS}}, "got train=dict"),
        ({"train": np.array([None, 1], dtype=object)}, "array of object"),
        ({"train": DataLoader(Endless(), batch_size=8, sampler=range(64)), "batch_size": None}, "`train` .* length"),
        (
            {"train": DataLoader(TensorDataset(INPUTS, TARGETS), batch_size=8)},
            "DataLoader `train`, 8, got batch_size=16",
        ),
        ({"metrics": [torch.nn.functional.mse_loss]}, r"got metrics=\["),
        ({"metrics": {1: torch.nn.functional.mse_loss}}, r"got metrics\[1\]"),
        ({"valid_share": "a fifth"}, "got valid_share='a fifth'"),
        ({"name": None}, "`name` must be a text, got name=None"),
    ],
)
def test_what_is_no_data_and_no_setting_is_refused(changes, says: str) -> None:
    """Each is a TaskError that names the argument and what was got."""
    with pytest.raises(TaskError, match=says):
        made(**changes)


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    """`steps` and `batch_size` computed with numpy are taken as they are meant."""
    task = made(steps=np.int64(10), batch_size=np.int32(8))
    assert (task.steps, task.batch_size) == (10, 8)
    assert type(task.steps) is int


def test_a_module_of_pythons_own_is_no_task() -> None:
    """A name in a module without a file is refused like any other."""
    with pytest.raises(TaskError, match="no `nope` there"):
        load("sys:nope")
    with pytest.raises(TaskError, match="SystemExit"):
        load("sys:exit")
