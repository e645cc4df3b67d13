"""The conformance suite of tasks: subclass `TaskConformance`, give it the fixture `task`, and every fact is tested.

class TestMyTask(TaskConformance):
    @pytest.fixture
    def task(self):
        return my_task()
"""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pacesetter.tasks import Task

__all__ = ["TaskConformance", "first_batch", "loss_of"]


def first_batch(task: Task, which: str = "train") -> Any:
    """The first batch of the training or validation examples, in their stored order."""
    source = task.train_source if which == "train" else task.valid_source
    if source.tensors is not None:
        return source.pack([tensor[: source.batch_size] for tensor in source.tensors])
    return next(iter(source.loader(None)))


def loss_of(task: Task, model: nn.Module, batch: Any) -> Tensor:
    """What the task minimises, on one batch."""
    if task.objective is not None:
        return task.objective(model, batch)
    assert task.loss is not None
    value: Tensor = task.loss(model(batch[0]), batch[1])
    return value


def make(task: Task, seed: int) -> nn.Module:
    """The untrained model under a seed, without a trace in the global random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return task.make_model()


class TaskConformance:
    """What every task must do. A subclass gives the fixture `task`."""

    @pytest.fixture
    def task(self) -> Task:
        """The task under test."""
        raise RuntimeError("a subclass of TaskConformance must define the fixture `task`")

    def test_model_is_a_function_of_the_seed(self, task: Task) -> None:
        """The same seed makes the same model, to the bit."""
        first, second = make(task, 5).state_dict(), make(task, 5).state_dict()
        assert list(first) == list(second)
        assert all(torch.equal(first[name], second[name]) for name in first)

    def test_has_something_to_train(self, task: Task) -> None:
        """The model has weights that take gradients, the data is not empty, and training has a length."""
        assert any(parameter.requires_grad for parameter in make(task, 0).parameters())
        assert task.train_source.length >= 1
        assert task.valid_source.length >= 1
        assert task.total_steps >= 1

    @pytest.mark.parametrize("which", ["train", "valid"])
    def test_loss_is_a_finite_scalar(self, task: Task, which: str) -> None:
        """The untrained model has a finite loss without dimensions, on training and on validation examples."""
        value = loss_of(task, make(task, 0), first_batch(task, which))
        assert value.shape == ()
        assert torch.isfinite(value)

    def test_loss_does_not_change_by_looking(self, task: Task) -> None:
        """In eval mode the same weights and batch have the same loss twice."""
        model = make(task, 0).eval()
        batch = first_batch(task, "valid")
        with torch.no_grad():
            assert torch.equal(loss_of(task, model, batch), loss_of(task, model, batch))

    def test_metrics_are_finite_scalars(self, task: Task) -> None:
        """Each metric of the untrained model is one finite number."""
        model, batch = make(task, 0).eval(), first_batch(task, "valid")
        for metric in task.metrics.values():
            with torch.no_grad():
                value = metric(model, batch) if task.objective else metric(model(batch[0]), batch[1])
            assert torch.isfinite(torch.as_tensor(value))
            assert torch.as_tensor(value).shape == ()

    def test_every_weight_is_reached(self, task: Task) -> None:
        """The loss has a finite gradient for every weight that is to be trained."""
        model = make(task, 0)
        weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
        found = torch.autograd.grad(loss_of(task, model, first_batch(task)), weights)
        assert all(torch.isfinite(gradient).all() for gradient in found)

    def test_can_be_learned(self, task: Task) -> None:
        """At one rate of a coarse grid, 30 steps of Adam lower the loss of a batch."""
        batch = first_batch(task)
        untrained = float(loss_of(task, make(task, 0), batch).detach())
        ends = []
        for lr in (0.1, 0.01, 0.001):
            model = make(task, 0)
            weights = [parameter for parameter in model.parameters() if parameter.requires_grad]
            optimizer = torch.optim.Adam(weights, lr=lr)
            for _ in range(30):
                optimizer.zero_grad()
                value = loss_of(task, model, batch)
                value.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
                optimizer.step()
            ends.append(float(loss_of(task, model, batch).detach()))
        assert min(ends) < untrained
