"""Side effects: what a step changes beside weights and buffers is named, and what only looks like it is not."""

import functools
import itertools
import random
import threading
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pacesetter import tasks
from pacesetter.engine import make_plan
from pacesetter.engine.batches import Batches
from pacesetter.engine.program import fresh_program
from pacesetter.engine.side_effects import side_effects
from tests.engine.helpers import joined, lanes_of, small_task, trained

CPU = torch.device("cpu")
CALLS, SEEN, HELD = 0, [], types.SimpleNamespace(steps=0)
GLOBAL_NORM = nn.BatchNorm1d(3).double()


def found(make_model: Any = None, **changes: Any) -> str:
    """What is found in a small task with this model."""
    task = small_task(make_model, **changes)
    return side_effects(task, fresh_program(task, 0, CPU), next(Batches(task.train_source, 0, CPU)))


class Base(nn.Module):
    """A linear model that does something on the side before it answers."""

    calls = 0

    def __init__(self, odd: Any = None) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 3).double()
        self.odd = odd
        self.steps = 0
        self.history: list[float] = []
        self.settings = {"seen": {"batches": 0}}
        self.plain = torch.zeros(3, dtype=torch.float64)
        self.layers = [nn.BatchNorm1d(3).double()]
        self.state: Any = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.linear(x)
        return out if (other := self.aside(out)) is None else other

    def aside(self, out: torch.Tensor) -> Any:
        """Nothing."""


class _Counts(Base):
    def aside(self, out):
        self.steps += 1


class _CountsInEvaluation(Base):
    def aside(self, out):
        self.steps += not self.training


class _Grows(Base):
    def aside(self, out):
        self.history.append(1.0)


class _CountsDeep(Base):
    def aside(self, out):
        self.settings["seen"]["batches"] += 1


class _MovesPlain(Base):
    def aside(self, out):
        self.plain.add_(out.detach().mean(0))


class _Recurs(Base):
    def aside(self, out):
        self.state = out if self.state is None else (out + 0.1 * self.state.detach())
        return self.state


class _HidesALayer(Base):
    def aside(self, out):
        return self.layers[0](out)


class _CountsInItsClass(Base):
    def aside(self, out):
        _CountsInItsClass.calls += 1


class _DrawsItself(Base):
    def aside(self, out):
        return out * random.random()


class _DrawsFromNumpy(Base):
    def aside(self, out):
        return out * np.random.rand()


class _DrawsFromItsOwn(Base):
    def aside(self, out):
        self.odd = self.odd or np.random.default_rng(0)
        return out * self.odd.random()


class _CountsGlobally(Base):
    def aside(self, out):
        global CALLS  # noqa: PLW0603  # just this is what is looked for
        CALLS += 1


class _GrowsGlobally(Base):
    def aside(self, out):
        SEEN.append(out.shape)


class _CountsInAnObject(Base):
    def aside(self, out):
        HELD.steps += 1


class _NormsGlobally(Base):
    def aside(self, out):
        return GLOBAL_NORM(out)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (_Counts, "training changes `steps` of the model"),
        (_CountsInEvaluation, "`steps` of the model"),
        (_Grows, "`history`"),
        (_CountsDeep, "`settings['seen']['batches']` of the model"),
        (_MovesPlain, "`plain` of the model"),
        (_Recurs, "`state` of the model"),
        (_HidesALayer, "`layers[0].running_mean`"),
        (lambda: nn.Sequential(nn.Linear(5, 5).double(), _Counts()), "`1.steps` of the model"),
        (_CountsInItsClass, "`calls` of the class `_CountsInItsClass`, which all lanes share"),
        (_DrawsItself, "the model draws from Python's `random`"),
        (_DrawsFromNumpy, "the model draws from numpy's `random`"),
        (_DrawsFromItsOwn, "`odd` of the model"),
        (_CountsGlobally, f"`CALLS` in {__file__}, which all lanes share"),
        (_GrowsGlobally, f"in {__file__}, which all lanes share"),
        (_CountsInAnObject, f"`HELD.steps` in {__file__}, which all lanes share"),
        (_NormsGlobally, "`GLOBAL_NORM.running_mean`, `GLOBAL_NORM.running_var` and"),
    ],
)
def test_what_a_step_changes_is_named(model: Any, says: str) -> None:
    """Attributes, containers, plain tensors, hidden layers, classes, globals and host randomness: each by its name."""
    told = found(model)
    assert says in told
    assert told.endswith("so the model runs looped")
    assert "\n" not in told


def test_a_loss_a_metric_and_a_hook_are_looked_at_too() -> None:
    """What surrounds the loss, the metrics and hooks is found: closures, arguments, objects, function attributes."""
    count = 0
    kept: dict[str, int] = {"calls": 0}

    def in_closure(output, target):
        nonlocal count
        count += 1
        return F.cross_entropy(output, target)

    def with_argument(memory, output, target):
        memory["calls"] += 1
        return F.cross_entropy(output, target)

    def with_attribute(output, target):
        with_attribute.calls = getattr(with_attribute, "calls", 0) + 1
        return F.cross_entropy(output, target)

    class Loss:
        calls = 0

        def __call__(self, output, target):
            self.calls += 1
            return F.cross_entropy(output, target)

        def method(self, output, target):
            return self(output, target)

    def hooked():
        model = nn.Sequential(nn.Linear(5, 3)).double()
        model[0].register_forward_hook(lambda module, inputs, output: kept.update(calls=kept["calls"] + 1))
        return model

    assert f"`count` around `in_closure` in {__file__}" in found(loss=in_closure)
    assert "among the arguments of `loss`" in found(loss=functools.partial(with_argument, {"calls": 0}))
    assert "`its attributes['calls']` around `with_attribute`" in found(loss=with_attribute)
    assert "`Loss.calls` of `loss`" in found(loss=Loss())
    assert "`Loss.calls` of `loss`" in found(loss=Loss().method)
    assert "`count` around `in_closure`" in found(metrics={"m": tasks.maximize(in_closure)})
    assert "`kept['calls']` around `<lambda>`" in found(hooked)


class _Fills(Base):
    def aside(self, out):
        if self.state is None:
            self.state = torch.ones(3, dtype=torch.float64)
        return out * self.state


class _Keeps(Base):
    def aside(self, out):
        self.state = {"attention": [out.softmax(-1)]}


class _Collects(Base):
    def aside(self, out):
        self.history = []
        self.history.append(out.pow(2).mean())
        return out * sum(self.history)


class _Draws(Base):
    def aside(self, out):
        return F.dropout(out) + torch.rand_like(out)


class _Norms(Base):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(3).double()

    def aside(self, out):
        return self.norm(out)


@pytest.mark.parametrize("model", [Base, _Fills, _Keeps, _Collects, _Draws, _Norms])
def test_what_stays_or_is_only_written_is_no_side_effect(model: Any) -> None:
    """A cache that is filled once, tensors kept to be looked at, lists begun anew, dropout and buffers say nothing."""
    assert found(model) == ""


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn", "docs-gpt", "quadratic", "two-wells"])
def test_the_built_in_tasks_have_none(name: str) -> None:
    """None of the built-in tasks is held back."""
    task = tasks.load(name)
    assert side_effects(task, fresh_program(task, 0, CPU), next(Batches(task.train_source, 0, CPU))) == ""


class Hostile:
    """An object that answers nothing."""

    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("no")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("no")

    def __hash__(self) -> int:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


class OddList(list[Any]):
    """A list that cannot be walked."""

    def __iter__(self) -> Any:
        raise RuntimeError("no")

    def __len__(self) -> int:
        raise RuntimeError("no")


def _endless() -> list[Any]:
    inside: list[Any] = []
    inside.append(inside)
    return inside


ODD = {
    "hostile": lambda: [Hostile()],
    "odd list": lambda: OddList([1]),
    "odd keys": lambda: {Hostile: 1, (1, 2): 3},
    "endless": _endless,
    "lock": threading.Lock,
    "array of objects": lambda: np.array([object()]),
    "nan": lambda: float("nan"),
    "count": itertools.count,
    "generator": lambda: (i for i in range(3)),
    "module": lambda: types,
    "numpy's generator": lambda: np.random.RandomState(0),
    "Python's generator": lambda: random.Random(1),
    "torch's generator": torch.Generator,
    "bytes": lambda: memoryview(b"x"),
    "set": lambda: frozenset({1}),
    "class": lambda: nn.Linear,
}


@pytest.mark.parametrize("name", ODD)
def test_odd_objects_are_looked_at_and_left_alone(name: str) -> None:
    """Whatever lies about is no change as long as it stays, and never an error."""
    assert found(lambda: Base(ODD[name]())) == ""


@pytest.mark.parametrize(
    "odd", [itertools.count(), np.random.RandomState(0), random.Random(1), torch.Generator(), np.zeros(3)]
)
def test_what_moves_inside_is_seen(odd: Any) -> None:
    """Counters, generators and arrays of the model's own that move are named, though they stay the same object."""

    class Moves(Base):
        def aside(self, out):
            if isinstance(self.odd, itertools.count):
                next(self.odd)
            elif isinstance(self.odd, torch.Generator):
                torch.rand(1, generator=self.odd)
            elif isinstance(self.odd, np.ndarray):
                self.odd += 1
            else:
                self.odd.random() if isinstance(self.odd, random.Random) else self.odd.rand()

    assert "`odd` of the model" in found(lambda: Moves(odd))


class _Slots:
    __slots__ = ("count", "never")

    def __init__(self) -> None:
        self.count = 0


def _numbers() -> Iterator[int]:
    yield from range(10**6)


@pytest.mark.parametrize(
    ("make", "move"),
    [
        (lambda: iter(range(10**6)), next),
        (lambda: iter([0] * 100), next),
        (itertools.count, next),
        (_numbers, next),
        (_Slots, lambda odd: setattr(odd, "count", odd.count + 1)),
    ],
    ids=["range", "list", "count", "generator", "slots"],
)
def test_what_is_left_of_an_iterator_and_slots_are_seen(make: Any, move: Any) -> None:
    """A global iterator, generator or object with slots that moves on at each step is named."""
    around = make()

    class Moves(Base):
        def aside(self, out):
            move(around)

    assert "training changes `around" in found(Moves)


def test_the_look_is_bounded_and_leaves_no_trace() -> None:
    """Huge containers are not walked, and the global random state is as before."""
    huge = {"rows": list(range(10**6)), "nested": [[[[[[1]]]]]] * 1000}
    task = small_task(_DrawsItself)
    program, batch = fresh_program(task, 0, CPU), next(Batches(task.train_source, 0, CPU))

    def state() -> Any:
        return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()

    assert found(lambda: Base(huge)) == ""
    before = state()
    assert side_effects(task, program, batch) != ""
    assert state() == before


class _Cools(Base):
    def aside(self, out):
        self.steps += self.training
        return out / (1 + 0.1 * self.steps)


def test_each_lane_of_such_a_model_has_a_copy_of_its_own() -> None:
    """`auto` runs it looped and says why, and a lane comes out as it does alone."""
    task = small_task(_Cools)
    lanes = lanes_of(task, [0.1, 0.01])
    plan = make_plan(task, lanes)
    assert plan.engine == "looped"
    assert "training changes `steps` of the model" in plan.reason
    together, alone = trained(task, lanes, plan), trained(task, lanes[1:], plan)
    assert np.array_equal(joined(together[lanes[1]]).train_loss, joined(alone[lanes[1]]).train_loss)
    assert np.array_equal(joined(together[lanes[1]]).valid_loss, joined(alone[lanes[1]]).valid_loss)
