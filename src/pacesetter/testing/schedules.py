"""The conformance suite of schedules: subclass `ScheduleConformance`, give it the fixture `schedule`.

class TestMySchedule(ScheduleConformance):
    @pytest.fixture(params=[my_schedule(), my_schedule(0.5), my_schedule(7)], ids=str)
    def schedule(self, request):
        return request.param
"""

import copy
import json
import pickle
from dataclasses import FrozenInstanceError, fields, is_dataclass
from typing import Any

import numpy as np
import pytest

from pacesetter import schedules
from pacesetter.errors import InputError
from pacesetter.schedules import Schedule

__all__ = ["ScheduleConformance", "examples", "metrics"]

TOTALS = (1, 2, 10, 37, 1000)


def examples(name: str) -> list[Schedule]:
    """Schedules of one registered name that the suite should see: bare, of given spans, in a chain, in a product."""

    def of(span: str) -> str:
        # The only one that must be given something else first.
        return f"function('pacesetter.testing.schedules:halved', {span})" if name == "function" else f"{name}({span})"

    texts = [of("0.25"), of("1.0"), of("1"), f"{of('0.4')} >> constant(0.3, value=0.5) >> linear"]
    texts += [f"{of('0.5')} * cosine(final=0.1)", f"inverse_sqrt(0.5) >> {of('0.3')} >> cooldown"]
    if name != "warmup":  # the only one whose length must always be said
        texts += [of("None"), f"warmup(0.1) >> {of('None')}"]
    return [schedules.parse(text) for text in texts]


def halved(step: float, length: int) -> float:
    """A function such as a user might write: half the rate in the second half."""
    return 1.0 if 2 * step < length else 0.5


def metrics(count: int) -> list[float]:
    """A loss that improves, stalls, jumps and is lost: enough to make any controller act."""
    noise = np.random.default_rng(0).normal(0.0, 0.02, count)
    values = np.maximum(np.exp(-np.arange(count) / 4.0), 0.2) + noise
    return [float("inf") if place % 11 == 7 else float(value) for place, value in enumerate(values)]


def states(schedule: Schedule, total_steps: int) -> list[dict[str, Any]]:
    """The states that a schedule goes through while it hears of `metrics` at every step."""
    found = [schedule.init()]
    for step, metric in enumerate(metrics(total_steps)):
        found.append(schedule.update(found[-1], metric, step, total_steps))
    return found


class ScheduleConformance:
    """Every fact that a schedule or controller must hold, whatever its shape."""

    def test_text_parses_back(self, schedule: Schedule) -> None:
        """Its text parses back to an equal schedule with the same text and hash."""
        again = schedules.parse(str(schedule))
        assert again == schedule
        assert str(again) == str(schedule)
        assert hash(again) == hash(schedule)

    def test_is_frozen(self, schedule: Schedule) -> None:
        """It is a dataclass that refuses to be changed."""
        value: Any = schedule
        assert is_dataclass(value)
        for entry in fields(value):
            with pytest.raises((FrozenInstanceError, AttributeError)):
                setattr(value, entry.name, None)

    def test_survives_copies_and_processes(self, schedule: Schedule) -> None:
        """A deep copy and a pickled copy are equal to it and give the same factors."""
        sent = pickle.loads(pickle.dumps(schedule))
        for other in (copy.deepcopy(schedule), sent):
            assert other == schedule
            assert other.factor(other.init(), 3, 100) == schedule.factor(schedule.init(), 3, 100)

    def test_factors_are_finite_shares(self, schedule: Schedule) -> None:
        """Every factor is a Python float in [0, 1], at whole and at fractional steps."""
        for total_steps in TOTALS:
            schedule.validate(total_steps)
            state = schedule.init()
            for step in np.linspace(0, total_steps, 2 * total_steps + 1)[:401]:
                factor = schedule.factor(state, float(step), total_steps)
                assert type(factor) is float
                assert 0.0 <= factor <= 1.0

    def test_end_is_held(self, schedule: Schedule) -> None:
        """From the first step after the run on, the factor stays as it is."""
        for total_steps in TOTALS:
            state = schedule.init()
            end = schedule.factor(state, total_steps, total_steps)
            for later in (0.5, 1, 10, 1e6):
                assert schedule.factor(state, total_steps + later, total_steps) == end

    def test_array_equals_numbers(self, schedule: Schedule) -> None:
        """A numpy array of steps gives, in float64 and the same shape, what its numbers give one by one."""
        for total_steps in TOTALS:
            steps = np.linspace(0, 1.5 * total_steps, 60).reshape(3, 20)
            for state in states(schedule, min(total_steps, 40))[::13]:
                found = schedule.factor(state, steps, total_steps)
                assert found.dtype == np.float64
                alone = [schedule.factor(state, float(step), total_steps) for step in steps.ravel()]
                np.testing.assert_allclose(found.ravel(), alone, rtol=1e-13, atol=1e-15)

    def test_tensor_equals_numbers(self, schedule: Schedule) -> None:
        """A torch tensor gives what its numbers give, and whole numbers become float64."""
        torch = pytest.importorskip("torch", reason="tensors need torch")
        state, steps = schedule.init(), torch.arange(150)
        alone = [schedule.factor(state, step, 100) for step in range(150)]
        found = schedule.factor(state, steps, 100)
        assert found.dtype == torch.float64
        np.testing.assert_allclose(found.numpy(), alone, rtol=1e-13, atol=1e-15)
        assert schedule.factor(state, steps.float(), 100).dtype == torch.float32

    def test_traced_steps_equal_numbers(self, schedule: Schedule) -> None:
        """Under `vmap` a step gives what its number gives; a Python function needs the number, and says so."""
        torch = pytest.importorskip("torch", reason="tensors need torch")
        state, steps = schedule.init(), torch.arange(150)

        def traced() -> Any:
            return torch.func.vmap(lambda step: schedule.factor(state, step, 100))(steps)

        if "function(" in str(schedule):
            with pytest.raises(InputError, match="got one that is being traced"):
                traced()
        else:
            alone = [schedule.factor(state, step, 100) for step in range(150)]
            np.testing.assert_allclose(traced().numpy(), alone, rtol=1e-13, atol=1e-15)

    def test_input_is_not_changed(self, schedule: Schedule) -> None:
        """Neither the array of steps nor the state that it is given is changed by any call."""
        steps, state = np.arange(10.0), schedule.init()
        kept = copy.deepcopy(state)
        schedule.factor(state, steps, 10)
        schedule.update(state, 0.5, 2, 10)
        assert (steps == np.arange(10.0)).all()
        assert state == kept

    def test_metric_must_be_a_number(self, schedule: Schedule) -> None:
        """A metric that is NaN is refused: no rate can follow from it."""
        with pytest.raises(InputError, match="`metric` must be a number to compare by, got metric=nan at step 2"):
            schedule.update(schedule.init(), float("nan"), 2, 10)

    def test_step_must_be_a_step(self, schedule: Schedule) -> None:
        """A negative or non-finite step is refused with the number in the message."""
        for step in (-1, -1e-9, float("nan"), float("inf")):
            with pytest.raises(InputError, match=rf"`step` must be .*got step={step}"):
                schedule.factor(schedule.init(), step, 100)

    def test_length_must_be_steps(self, schedule: Schedule) -> None:
        """A length that is no whole number from 1 is refused."""
        lengths: tuple[Any, ...] = (0, -5, 1.5, "ten", None, True)
        for total_steps in lengths:
            with pytest.raises(InputError, match=f"`total_steps` must be .*got total_steps={total_steps!r}"):
                schedule.validate(total_steps)

    def test_state_is_plain_data(self, schedule: Schedule) -> None:
        """Each state is strict JSON that comes back equal, and a pure schedule's is empty."""
        for state in states(schedule, 60):
            assert json.loads(json.dumps(state, allow_nan=False)) == state
            assert not (schedule.pure and state)

    def test_same_metrics_same_factors(self, schedule: Schedule) -> None:
        """The states depend on the metrics alone, and a state taken up again from JSON goes on alike."""
        history = states(schedule, 60)
        assert states(schedule, 60) == history
        resumed = json.loads(json.dumps(history[30]))
        for step in range(30, 60):
            resumed = schedule.update(resumed, metrics(60)[step], step, 60)
        assert resumed == history[60]

    def test_call_needs_no_state_or_says_so(self, schedule: Schedule) -> None:
        """A pure schedule can be called; a controller refuses the call and names what it needs."""
        if schedule.pure:
            assert schedule(3, 100) == schedule.factor({}, 3, 100)
        else:
            with pytest.raises(InputError, match="controller and needs its state"):
                schedule(3, 100)

    def test_kind_is_known(self, schedule: Schedule) -> None:
        """Its kind is one of the four that tables are ordered by."""
        assert schedule.kind in ("constant", "decay", "cyclical", "plateau")
