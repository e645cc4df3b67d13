"""The plan follows from times: the way that ends first, within what was asked for and the memory there is."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pacesetter import optimizers
from pacesetter.engine import Plan, make_plan, planning
from pacesetter.engine.memory import needs
from pacesetter.engine.planning import _Measuring
from pacesetter.engine.train import bundles_of
from pacesetter.engine.workload import Work
from pacesetter.errors import InputError, UnknownName
from pacesetter.records import Lane
from tests.engine.helpers import lanes_of, small_task

NO_COMPILER = "this machine has no C++ compiler called c++"
SPEEDS = {"looped": 1e-3, "vectorised": 2e-4, "compiled": 1e-4}
"""Seconds for one update of one lane."""


def lanes(count: int = 16, steps: int = 1000, rules=("sgd",), seeds: int = 1) -> list[Lane]:
    """So many lanes of each rule and seed."""
    return [
        Lane(rule, "constant", 0.01 * (k + 1), seed, steps)
        for seed in range(seeds)
        for rule in rules
        for k in range(count)
    ]


@pytest.fixture
def times(monkeypatch, tmp_path):
    """Instead of measuring, a way takes as long as its speed says; what was asked is listed. One core, empty cache."""
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path))
    table = Times()

    def timed(self, way, rule):
        table.asked.append(way)
        if way.compiled and table.no_compiler:
            self._why_not_compiled = NO_COMPILER
            return float("inf")
        seconds = table.speeds["compiled" if way.compiled else way.engine]
        return seconds / (table.gain_of_threads if way.threads > 1 else 1)

    def is_kept(self, *way):
        table.looked += 1
        return table.kept

    monkeypatch.setattr(_Measuring, "_timed", timed)
    monkeypatch.setattr(_Measuring, "_is_kept", is_kept)
    monkeypatch.setattr(torch, "get_num_threads", lambda: table.cores)
    return table


class Times:
    """What the machine of a test is like."""

    def __init__(self) -> None:
        self.speeds = dict(SPEEDS)
        self.cores = 1
        self.gain_of_threads = 1.0
        self.kept = self.no_compiler = False
        self.looked = 0
        self.asked: list[Plan] = []

    @property
    def compiled(self) -> bool:
        """Whether any compiled way was timed."""
        return any(way.compiled for way in self.asked)


# ------------------------------------------------------------------------------------------------------ which engine


def test_the_fastest_way_is_taken_and_said(times):
    """Stacked or one by one, as times say; the reason tells how many lanes, how many times as fast, and where."""
    plan = make_plan(small_task(), lanes())
    assert (plan.engine, plan.compiled, plan.lanes_per_chunk, plan.threads, plan.workers) == (
        "vectorised",
        False,
        8,
        1,
        1,
    )
    assert plan.reason == "8 lanes in one pass train 5.0 times as fast as one by one, on 1 thread"
    times.speeds["vectorised"] = 2e-3
    plan = make_plan(small_task(batch_size=8), lanes())
    assert (plan.engine, plan.lanes_per_chunk) == ("looped", 1)
    assert plan.reason == "one by one, lanes train faster than in one pass, on 1 thread"


def test_one_lane_runs_looped(times):
    """A lane alone has nothing to be stacked with."""
    plan = make_plan(small_task(), lanes(1, rules=("sgd", "adam"), seeds=2, steps=10))
    assert (plan.engine, plan.compiled) == ("looped", False)
    assert plan.reason.startswith("each optimizer and seed has one lane, so there is nothing to stack")


def test_compiling_has_to_pay(times):
    """Little work is not compiled for, nor is it looked whether code is kept; much work is."""
    assert not make_plan(small_task(), lanes(steps=100)).compiled
    assert times.looked == 0
    assert not times.compiled
    plan = make_plan(small_task(), lanes(steps=100_000))
    assert (plan.engine, plan.compiled, plan.lanes_per_chunk) == ("vectorised", True, 16)
    assert "16 lanes compiled train 10.0 times as fast as one by one" in plan.reason


def test_compiling_pays_less_for_more_rules(times):
    """Each rule's step is compiled by itself, so that the same work under more rules must save more."""
    many = tuple(f"sgd(momentum=0.{k})" for k in range(1, 9))
    steps = 80_000  # 16 lanes save 96 s of 256 s: once the price of one compile, but not eight times
    assert make_plan(small_task(), lanes(16, steps)).compiled
    assert not make_plan(small_task(), lanes(2, steps, many)).compiled


def test_code_that_is_kept_needs_not_pay(times):
    """From a second of work on, code from before is used; a second's gain is looked for, and less is not."""
    assert not make_plan(small_task(), lanes(steps=1000)).compiled
    assert times.looked > 0
    times.kept = True
    assert make_plan(small_task(), lanes(steps=1000)).compiled
    assert not make_plan(small_task(), lanes(steps=100)).compiled


def test_compiled_code_that_is_slower_is_not_used(times):
    """Whether compiled lanes are faster is measured, not believed."""
    times.speeds["compiled"] = 3e-4
    plan = make_plan(small_task(), lanes(steps=100_000))
    assert times.compiled
    assert not plan.compiled


def test_a_compiler_that_is_missing_is_no_failure(times):
    """Without a compiler lanes are stacked; where compiled code was asked for, the reason says what is missing."""
    times.no_compiler = True
    plan = make_plan(small_task(), lanes(steps=100_000))
    assert (plan.engine, plan.compiled) == ("vectorised", False)
    plan = make_plan(small_task(), lanes(), engine="compiled")
    assert (plan.engine, plan.compiled) == ("vectorised", False)
    assert f"the compiled engine was asked for, but {NO_COMPILER}" in plan.reason


@pytest.mark.parametrize("name", ["looped", "vectorised", "compiled"])
def test_an_engine_that_is_asked_for_is_taken(times, name):
    """However slow it is, and for one lane as well; the reason says that it was asked for."""
    times.speeds = {engine: 9.0 if engine == name else 1e-3 for engine in SPEEDS}
    for count in (16, 1):
        plan = make_plan(small_task(), lanes(count), engine=name)
        assert (plan.engine, plan.compiled) == ("looped" if name == "looped" else "vectorised", name == "compiled")
        assert f"the {name} engine was asked for" in plan.reason


# ------------------------------------------------------------------------------------------- threads and processes


@pytest.mark.parametrize(("gain", "threads"), [(1.29, 1), (1.31, 4)])
def test_all_threads_have_to_be_worth_it(times, gain, threads):
    """All threads are used from 1.3 times the speed of one on, and one thread below."""
    times.cores, times.gain_of_threads = 4, gain
    plan = make_plan(small_task(), lanes(), workers=1)
    assert (plan.threads, plan.workers) == (threads, 1)
    assert plan.reason.endswith(f"on {threads} thread{'s' * (threads > 1)}")


def test_long_work_is_spread_over_processes(times):
    """Work that takes longer than processes take to start is spread over one on each core, of one thread each."""
    times.cores = 4
    plan = make_plan(small_task(), lanes(steps=20_000))
    assert (plan.workers, plan.threads) == (4, 1)
    assert plan.reason.endswith("on 4 processes")
    assert make_plan(small_task(), lanes(steps=100)).workers == 1


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("steps", [100, 100_000])
def test_the_number_of_workers_is_the_users(times, workers, steps):
    """Asked for one or three, that many are planned, whatever would be faster."""
    times.cores = 4
    assert make_plan(small_task(), lanes(steps=steps, seeds=3), workers=workers).workers == workers


@pytest.mark.parametrize(("seeds", "count", "sizes"), [(1, 40, [20] * 2), (3, 40, [20] * 6), (8, 10, [10] * 8)])
def test_bundles_are_even_over_processes(times, seeds, count, sizes):
    """Over 2 processes each has as many lanes of a study to train as the other; whole seeds where that is even."""
    work = lanes(count, 50_000, seeds=seeds)
    plan = make_plan(small_task(), work, workers=2)
    assert [len(bundle) for bundle in bundles_of(work, plan)] == sizes


@pytest.mark.parametrize(
    ("by_seed", "room", "workers", "size"),
    [((40,), 512, 1, 40), ((40,), 7, 1, 7), ((9,) * 9, 512, 2, 9), ((2,), 512, 8, 1), ((2000,), 10**6, 1, 512)],
)
def test_lanes_of_a_bundle(by_seed, room, workers, size):
    """No more than there is memory for or than share batches with a gain, no less than one, and no finer than even."""
    assert Work(1, by_seed, max(by_seed), ("sgd",)).per_bundle(room, workers) == size


def test_the_work_is_counted():
    """Updates of all lanes, lanes of each seed and length, and the most that can be stacked."""
    work = Work.of([*lanes(3, 10, ("sgd", "adam")), *lanes(2, 5), *lanes(1, 10, seeds=2)[1:]])
    assert (work.steps, work.by_seed, work.together, work.rules) == (80, (6, 2, 1), 3, ("sgd", "adam"))


# ----------------------------------------------------------------------------------------------------------- memory


def wide() -> nn.Module:
    """A model of some size."""
    return nn.Sequential(nn.Linear(5, 500), nn.Tanh(), nn.Linear(500, 3)).double()


@pytest.mark.parametrize("room", [1, 3, 20])
def test_memory_bounds_chunks_and_bundles(times, room):
    """Chunks and bundles are such that what lanes need fits into the memory that was given."""
    task = small_task(wide)
    need = needs(task, optimizers.parse("adam"), torch.device("cpu"))
    given = need.shared + room * (need.per_lane + need.per_chunk_lane)
    work = lanes(40, rules=("sgd", "adam"))
    plan = make_plan(task, work, engine="vectorised", memory=str(given))
    assert plan.lanes_per_chunk <= room
    assert need.shared + plan.lanes_per_bundle * need.per_lane + plan.lanes_per_chunk * need.per_chunk_lane <= given
    assert plan.lanes_per_bundle >= plan.lanes_per_chunk
    assert make_plan(task, work, engine="vectorised", memory="50GB").lanes_per_bundle == 80


def test_memory_is_for_all_processes_together(times):
    """Two processes may each take half."""
    task = small_task(wide)
    need = needs(task, optimizers.parse("sgd"), torch.device("cpu"))
    given = 2 * (need.shared + 4 * (need.per_lane + need.per_chunk_lane))
    plan = make_plan(task, lanes(40), engine="vectorised", memory=str(given), workers=2)
    assert plan.lanes_per_chunk <= 4
    taken = need.shared + plan.lanes_per_bundle * need.per_lane + plan.lanes_per_chunk * need.per_chunk_lane
    assert 2 * taken <= given


def test_memory_bounds_the_processes(times):
    """No more processes are planned than have memory for a lane each, and to ask for more is refused."""
    times.cores = 4
    task = small_task(wide)
    one = needs(task, optimizers.parse("sgd"), torch.device("cpu")).one_lane
    long = lanes(40, 20_000)
    assert [make_plan(task, long, memory=str(count * one)).workers for count in (1, 2, 8)] == [1, 2, 4]
    with pytest.raises(InputError, match=r"takes in each of 3 workers, .*: give more, fewer workers, a smaller"):
        make_plan(task, long, memory=str(3 * one - 1), workers=3)


def test_memory_for_one_lane_is_the_reason(times):
    """Where many lanes could be stacked and memory is for one at a time, the reason says that."""
    task = small_task(wide)
    need = needs(task, optimizers.parse("sgd"), torch.device("cpu"))
    plan = make_plan(task, lanes(40), memory=str(need.one_lane))
    assert (plan.engine, plan.lanes_per_bundle) == ("looped", 1)
    assert plan.reason.startswith("there is memory for one lane at a time")


# --------------------------------------------------------------------------------------------------- what is refused


def test_what_there_is_not_is_refused(times):
    """Unknown engines and precisions get a hint, devices and too little memory a sentence; nothing is measured."""
    task = small_task()
    with pytest.raises(UnknownName, match="did you mean `compiled`"):
        make_plan(task, lanes(), engine="compile")
    with pytest.raises(UnknownName, match="did you mean `bfloat16`"):
        make_plan(task, lanes(), precision="float16")
    for device in ("gpu9", "cuda:99", "meta"):
        with pytest.raises(InputError, match="`device` must be one that this machine has"):
            make_plan(task, lanes(), device=device)
    with pytest.raises(InputError, match="`memory` must be at least what one lane of this task takes"):
        make_plan(task, lanes(), memory="100B")
    assert times.asked == []


class Counting(nn.Module):
    """Counts its steps in Python, and does something else after some of them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3).double()
        self.steps = 0

    def forward(self, x):
        self.steps += self.training
        return self.layer(x) * (1 if self.steps < 100 else 2)


def test_a_model_with_side_effects_runs_looped(times):
    """What its code changes is named in the reason, nothing stacked is timed, and asking for it is refused."""
    plan = make_plan(small_task(Counting), lanes(steps=100_000))
    assert plan.engine == "looped"
    assert "`steps` of the model" in plan.reason
    assert {way.engine for way in times.asked} == {"looped"}
    for name in ("vectorised", "compiled"):
        with pytest.raises(InputError, match=r"`engine` must be looped for this model, got .*`steps` of the model"):
            make_plan(small_task(Counting), lanes(), engine=name)


def test_precision_is_part_of_the_plan(times):
    """What is asked for is planned, and each way is timed in it."""
    task = small_task(lambda: nn.Linear(5, 3).double())
    plan = make_plan(task, lanes(), precision="bfloat16")
    assert plan.precision == "bfloat16"
    assert {way.precision for way in times.asked} == {"bfloat16"}


def test_plans_of_the_earlier_version_are_read():
    """A plan without the keys that came later is one without what they are for."""
    old = {"engine": "vectorised", "lanes_per_chunk": 8, "threads": 2, "device": "cpu", "reason": "it was fast"}
    plan = Plan.from_json(old)
    assert plan == Plan("vectorised", 8, 2, "cpu", "it was fast", False, 512, 1, "float32")
    assert Plan.from_json(replace(plan, compiled=True, workers=3).to_json()) == replace(plan, compiled=True, workers=3)


def test_an_error_while_timing_is_the_tasks(monkeypatch, tmp_path):
    """A model that fails when it is tried is told with its own words."""
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path))
    calls = []

    def loss(output, target):
        calls.append(1)
        if len(calls) > 2:
            raise RuntimeError("the cat sat on the keyboard")
        return F.cross_entropy(output, target)

    with pytest.raises(InputError, match=r"`task` could not be trained on its first batch.*the cat sat"):
        make_plan(small_task(loss=loss), lanes(), engine="looped")


def test_real_times_make_a_plan(monkeypatch, tmp_path):
    """Measured on this machine, a plan has an engine, a reason, and leaves threads as they were."""
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path))
    monkeypatch.setattr(planning, "LEAST_TIMED", 0.001)
    before = torch.get_num_threads()
    plan = make_plan(small_task(), lanes(steps=24))
    assert plan.engine in ("looped", "vectorised")
    assert plan.lanes_per_bundle == 16
    assert torch.get_num_threads() == before


def test_a_schedule_that_cycles_the_momentum_is_refused():
    """Lanes have one momentum throughout: a one-cycle with a momentum of its own is refused."""
    task = small_task()
    with pytest.raises(InputError, match=r"`momentum` must be left out .*got one_cycle.*connect.torch"):
        make_plan(task, lanes_of(task, [0.1], schedule="one_cycle(momentum=[0.85, 0.95])"))
