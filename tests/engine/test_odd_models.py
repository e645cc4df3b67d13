"""Models that are rare and right must train as in a plain loop; those that cannot train must be refused in words."""

import threading

import numpy as np
import pytest
import torch
from torch import nn

from pacesetter import engine
from pacesetter.engine.batches import Batches
from pacesetter.engine.surface import surface
from pacesetter.errors import TaskError
from pacesetter.records import LaneRecord, Outcome, StudyRecord
from tests.engine.helpers import LOOPED, PLANS, VECTORISED, joined, lanes_of, small_task, trained


class Scaled(nn.Module):
    """A linear model with a parameter that has no axes."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3).double()
        self.scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))

    def forward(self, x):
        return self.scale * self.linear(x)


class OneWeight(nn.Module):
    """One parameter, and code that looks at its value."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))

    def forward(self, x):
        return x[:, :1] * self.weight if self.weight.item() > -100 else x[:, :1]


class Bag(nn.Module):
    """An embedding with sparse or dense gradients."""

    def __init__(self, sparse: bool) -> None:
        super().__init__()
        self.words = nn.Embedding(12, 3, sparse=sparse).double()

    def forward(self, x):
        return self.words(x.abs().long().clamp(max=11)).mean(1)


def test_a_parameter_without_axes_trains_alike_in_both_engines() -> None:
    """A model with a scalar parameter is trained, and the engines agree on it."""
    task = small_task(Scaled)
    (lane,) = lanes_of(task, [0.05])
    one, other = (trained(task, [lane], plan)[lane] for plan in (VECTORISED, LOOPED))
    assert one[-1].outcome is Outcome.FINISHED
    np.testing.assert_allclose(joined(one).train_loss, joined(other).train_loss, rtol=1e-9)


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_a_lane_that_diverges_leaves_the_random_layers_of_the_others_alone(plan) -> None:
    """A lane draws the same dropout masks whether or not a lane beside it dies between two evaluations."""
    task = small_task(
        lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3)).double(),
        steps=24,
        evaluations=1,
    )
    lane, doomed = lanes_of(task, [0.01, 1e200])
    alone, beside = trained(task, [lane], plan), trained(task, [lane, doomed], plan)
    assert beside[doomed][-1].outcome is Outcome.DIVERGED
    np.testing.assert_allclose(joined(beside[lane]).train_loss, joined(alone[lane]).train_loss, rtol=1e-9)


def test_sparse_gradients_train_as_dense_ones() -> None:
    """An embedding with sparse gradients trains as the same embedding with dense ones."""
    curves = []
    for sparse in (True, False):
        task = small_task(lambda sparse=sparse: Bag(sparse))
        (lane,) = lanes_of(task, [0.05], optimizer="adam")
        engine.check(task)
        curves.append(joined(trained(task, [lane], LOOPED)[lane]))
    np.testing.assert_allclose(curves[0].valid_loss, curves[1].valid_loss, rtol=1e-12)


def _lazy() -> nn.Module:
    return nn.Sequential(nn.LazyLinear(3))


class Complex(nn.Module):
    """A model with a complex parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(5, 3, dtype=torch.complex128))

    def forward(self, x):
        return (x.to(torch.complex128) @ self.weight).abs()


@pytest.mark.parametrize(("model", "says"), [(_lazy, "lazy parameter 0.weight"), (Complex, "real parameters")])
def test_what_no_rule_can_update_is_refused(model, says: str) -> None:
    """Lazy and complex parameters are refused by name before any training."""
    with pytest.raises(TaskError, match=says):
        engine.check(small_task(model))


class Locked(Scaled):
    """A model that holds what cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def test_a_model_that_cannot_be_copied_is_refused() -> None:
    """A model without copies for the other lanes is the task's fault, said in a sentence."""
    task = small_task(Locked)
    with pytest.raises(TaskError, match=r"deepcopy can copy, .* got TypeError"):
        engine.make_plan(task, lanes_of(task, [0.1, 0.2]))


def test_sys_exit_in_a_model_fails_its_lanes_only() -> None:
    """A model that calls `sys.exit` in training fails with that word; the process goes on."""

    class Leaving(Scaled):
        def forward(self, x):
            if self.training:
                raise SystemExit(7)
            return super().forward(x)

    task = small_task(Leaving)
    with pytest.raises(TaskError, match="SystemExit: 7"):
        engine.check(task)
    (lane,) = lanes_of(task, [0.1])
    assert trained(task, [lane], LOOPED)[lane][-1].message.startswith("failed: SystemExit: 7 (in ")


def test_a_failure_is_told_in_one_line() -> None:
    """Of an error that goes on for lines, the first is kept."""

    class Wordy(Scaled):
        def forward(self, x):
            if self.training:
                raise RuntimeError("one\ntwo\nthree")
            return super().forward(x)

    task = small_task(Wordy)
    (lane,) = lanes_of(task, [0.1])
    message = trained(task, [lane], LOOPED)[lane][-1].message
    assert "RuntimeError: one" in message
    assert "two" not in message


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_surface_of_a_model_that_cannot_be_stacked(noise: float) -> None:
    """The loss surface is drawn for data-dependent and random code too, and never stops a finished study."""
    task = small_task(
        OneWeight,
        loss=None,
        objective=lambda model, batch: model(batch[0]).pow(2).mean() + noise * torch.randn((), dtype=torch.float64),
    )
    (lane,) = lanes_of(task, [0.01])
    curve = joined(trained(task, [lane], LOOPED)[lane])
    record = StudyRecord("one", "task", task.total_steps, (LaneRecord(lane, Outcome.FINISHED, curve),))
    drawn = surface(task, record)
    assert drawn is not None
    assert np.isfinite(drawn["loss"]).all()


def test_the_validation_data_is_blamed_for_its_own_fault() -> None:
    """A validation set that does not fit the model is named as `valid`, not as the metrics."""
    inputs = torch.zeros(8, 4, dtype=torch.float64)
    with pytest.raises(TaskError, match="`valid` could not be evaluated"):
        engine.check(small_task(valid=(inputs, torch.zeros(8, dtype=torch.long))))


def test_a_late_fault_in_the_data_is_the_tasks() -> None:
    """An example that cannot be read, beyond the first batch, is a TaskError with the user's line."""

    class Corrupt(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return 64

        def __getitem__(self, index: int):
            if index == 41:
                raise OSError("corrupt file")
            return torch.zeros(5, dtype=torch.float64), 0

    task = small_task(train=Corrupt())
    with pytest.raises(TaskError, match=r"OSError: corrupt file \(in "):
        engine.make_plan(task, lanes_of(task, [0.1, 0.2]))


def test_a_stream_of_batches_ends_when_it_is_let_go() -> None:
    """No reference cycle keeps a loader's iterator (and its worker processes) once the stream is gone."""
    ended = []

    class Telling(torch.utils.data.Sampler):
        def __iter__(self):
            try:
                yield from range(72)
            finally:
                ended.append(True)

        def __len__(self) -> int:
            return 72

    inputs = torch.zeros(72, 5)
    data = torch.utils.data.TensorDataset(inputs, inputs)
    loader = torch.utils.data.DataLoader(data, batch_size=4, sampler=Telling())
    stream = Batches(small_task(train=loader, valid=data, batch_size=None).train_source, 0, torch.device("cpu"))
    next(stream)
    del stream
    assert ended == [True]
