"""The loop: divergence is data, nothing is touched, batches come from any kind of data, plans are honest."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset, SubsetRandomSampler, TensorDataset, WeightedRandomSampler

import pacesetter.engine as engine
from pacesetter.engine import Plan, make_plan
from pacesetter.engine.agreement import why_not_vectorised
from pacesetter.errors import InputError, PacesetterError, TaskError, UnknownName
from pacesetter.records import Lane, Outcome
from pacesetter.tasks._task import Task, maximize
from tests.engine.helpers import LOOPED, PLANS, VECTORISED, blobs, joined, lanes_of, small_task, trained
from tests.reference.plain_loop import plain_run

CPU = torch.device("cpu")


def quadratic(curvature=4.0, steps=60) -> Task:
    """A bowl: curvature / 2 * w^2 from w = 1."""

    class Bowl(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(1, dtype=torch.float64))

    return Task(
        model=Bowl,
        objective=lambda model, batch: (curvature / 2 * model.w**2).sum(),
        train=torch.zeros(1, 1),
        valid=torch.zeros(1, 1),
        batch_size=1,
        steps=steps,
    )


@pytest.mark.parametrize("engine_name", PLANS)
def test_divergence_by_theory(engine_name):
    """On a quadratic, gradient descent converges below 2 / curvature and diverges above, in both engines."""
    task = quadratic(curvature=4.0)
    lanes = lanes_of(task, [0.1, 0.45, 0.55, 5.0], "sgd")
    outcomes = [parts[-1].outcome for parts in trained(task, lanes, PLANS[engine_name]).values()]
    assert outcomes == [Outcome.FINISHED, Outcome.FINISHED, Outcome.DIVERGED, Outcome.DIVERGED]


@pytest.mark.parametrize("engine_name", PLANS)
def test_not_finite_ends_a_lane_at_its_step(engine_name):
    """A lane whose loss overflows stops there: its curve ends with the bad step and costs no more; others go on."""
    task = quadratic(steps=400)
    lanes = lanes_of(task, [0.1, 1e6], "sgd")
    parts = trained(task, lanes, PLANS[engine_name])
    good, bad = (joined(parts[lane]) for lane in lanes)
    assert good.steps == 400
    assert 10 < bad.steps < 60
    assert not np.isfinite(bad.train_loss[-1]) or not np.isfinite(bad.grad_norm[-1])
    assert np.isfinite(bad.train_loss[:-1]).all()
    last = parts[lanes[1]][-1]
    assert (last.outcome, last.message[:8]) == (Outcome.DIVERGED, "diverged")
    assert f"step {bad.steps - 1}" in last.message


def test_engines_agree_on_divergence():
    """Both engines end the same lane at the same step with the same words."""
    task = quadratic(steps=400)
    lanes = lanes_of(task, [1e6, 1e3], "sgd")
    ends = [[(p[-1].outcome, p[-1].message) for p in trained(task, lanes, plan).values()] for plan in PLANS.values()]
    assert ends[0] == ends[1]


@pytest.mark.parametrize("engine_name", PLANS)
def test_spike_is_no_divergence(engine_name):
    """A lane that spikes far above its start and comes back has finished."""
    task = quadratic(steps=60)
    lane = lanes_of(task, [0.6], "sgd", "step(decay=0.5, every=0.2)")[0]
    parts = trained(task, [lane], PLANS[engine_name])[lane]
    curve = joined(parts)
    assert curve.train_loss.max() > 100 * curve.train_loss[0]
    assert parts[-1].outcome is Outcome.FINISHED


def test_nan_loss_diverges_at_step_zero():
    """A loss that is NaN from the start is a result: diverged at step 0."""
    task = small_task(loss=lambda output, target: F.cross_entropy(output, target) * float("nan"))
    lane = lanes_of(task, [0.1])[0]
    part = trained(task, [lane], VECTORISED)[lane][-1]
    assert (part.outcome, part.message) == (Outcome.DIVERGED, "diverged at step 0: the loss was not finite")


@pytest.mark.parametrize("engine_name", PLANS)
def test_weights_of_small_models_are_recorded(engine_name):
    """For one parameter the path holds the weight before each update and after the last."""
    task = quadratic(curvature=4.0, steps=10)
    lane = lanes_of(task, [0.05], "sgd")[0]
    path = joined(trained(task, [lane], PLANS[engine_name])[lane]).path
    np.testing.assert_allclose(path[:, 0], 0.8 ** np.arange(11), rtol=1e-12)


class Noisy(Dataset):
    """Map-style, augmenting by torch's and numpy's global generators."""

    def __init__(self, inputs, targets):
        self.inputs, self.targets = inputs, targets

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, index):
        noise = torch.randn(self.inputs.shape[1], dtype=torch.float64) * np.random.rand() * random.random()
        return self.inputs[index] + noise, self.targets[index]


@pytest.mark.parametrize("interrupt", [False, True])
def test_a_look_leaves_no_trace(interrupt):
    """Model, loader, its generator and all global random states are bit-identical afterwards, also after an error."""
    inputs, targets = blobs()
    model = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)).double()
    generator = torch.Generator().manual_seed(11)
    loader = DataLoader(Noisy(inputs, targets), batch_size=16, shuffle=True, generator=generator)
    calls = []

    def loss(output, target):
        calls.append(1)
        if interrupt and len(calls) > 40:
            raise KeyboardInterrupt
        return F.cross_entropy(output, target)

    task = Task(model=model, loss=loss, train=loader, valid=(inputs, targets), steps=12, evaluations=3)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate(), generator.get_state()
    lanes = lanes_of(task, [0.1, 0.01])
    try:
        engine.check(task)
        trained(task, lanes, make_plan(task, lanes))
        engine.provenance(task)
    except KeyboardInterrupt:
        assert interrupt
    assert model.training
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert states[2] == random.getstate()
    assert torch.equal(states[3], generator.get_state())


@pytest.mark.parametrize("engine_name", PLANS)
def test_augmentation_is_the_same_for_all_lanes(engine_name):
    """A data set that draws at random gives every lane of a seed the same examples, in either engine and any chunk."""
    inputs, targets = blobs()
    task = small_task(train=Noisy(inputs, targets), valid=(inputs, targets))
    lanes = lanes_of(task, [1e-9, 2e-9, 3e-9])
    alone = joined(trained(task, lanes[:1], LOOPED)[lanes[0]]).train_loss
    for lane, parts in trained(task, lanes, PLANS[engine_name]).items():
        np.testing.assert_allclose(joined(parts).train_loss, alone, rtol=1e-6, err_msg=str(lane.lr))


def test_loader_keeps_its_ways():
    """A DataLoader's collate function, sampler and drop_last are kept, and both engines read the same batches."""
    inputs, targets = blobs()
    seen = []

    def collate(rows):
        seen.append(len(rows))
        return {"x": torch.stack([r[0] for r in rows]), "y": torch.stack([r[1] for r in rows])}

    sampler = WeightedRandomSampler([1.0] * 32 + [0.0] * 64, 40)
    loader = DataLoader(TensorDataset(inputs, targets), batch_size=16, sampler=sampler, collate_fn=collate)
    task = Task(
        model=lambda: nn.Linear(5, 3).double(),
        objective=lambda model, batch: F.cross_entropy(model(batch["x"]), batch["y"]),
        metrics={"right": maximize(lambda model, batch: (model(batch["x"]).argmax(-1) == batch["y"]).double().mean())},
        train=loader,
        valid=DataLoader(TensorDataset(inputs[:40], targets[:40]), batch_size=16, collate_fn=collate),
        epochs=4,
        evaluations=2,
    )
    assert task.total_steps == 12
    lanes = lanes_of(task, [0.1, 0.01])
    curves = [joined(trained(task, lanes, plan)[lanes[0]]) for plan in PLANS.values()]
    assert set(seen) == {16, 8}
    np.testing.assert_allclose(curves[0].train_loss, curves[1].train_loss, rtol=1e-10)
    np.testing.assert_allclose(curves[0].metrics["right"], curves[1].metrics["right"])


@pytest.mark.parametrize("engine_name", PLANS)
def test_metric_in_plain_python(engine_name):
    """A metric that leaves torch (`.item()`, numpy) is measured for each lane alone, and right."""
    task = small_task(metrics={"python": lambda output, target: float((output.argmax(-1) == target).numpy().mean())})
    other = small_task(metrics={"python": lambda output, target: (output.argmax(-1) == target).double().mean()})
    lanes = lanes_of(task, [0.1, 0.01])
    for lane in lanes:
        mine, theirs = (joined(trained(t, lanes, PLANS[engine_name])[lane]).metrics["python"] for t in (task, other))
        np.testing.assert_allclose(mine, theirs)


def test_frozen_and_tied_weights():
    """Frozen weights stay as they were and are shared; tied weights stay one; both engines agree."""

    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Linear(5, 5).double()
            self.second = nn.Linear(5, 5).double()
            self.second.weight = self.first.weight
            self.head = nn.Linear(5, 3).double()
            self.head.requires_grad_(False)

        def forward(self, x):
            return self.head(torch.tanh(self.second(torch.tanh(self.first(x)))))

    task = small_task(Tied)
    lanes = lanes_of(task, [0.1, 0.01])
    weights: dict[str, dict] = {}
    curves = []
    for name, plan in PLANS.items():
        parts = trained(
            task, lanes, plan, on_weights=lambda lane, w, name=name: weights.setdefault(name, {}).update({lane: w})
        )
        curves.append(joined(parts[lanes[0]]))
    np.testing.assert_allclose(curves[0].train_loss, curves[1].train_loss, rtol=1e-10)
    for lane in lanes:
        one, other = weights["vectorised"][lane], weights["looped"][lane]
        torch.manual_seed(0)
        torch.testing.assert_close(one["head.weight"], Tied().head.weight.detach(), rtol=0, atol=0)
        torch.testing.assert_close(one["first.weight"], other["first.weight"])


class Replaces(nn.Module):
    """Re-binds a buffer in forward, which a functional call silently drops."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3).double()
        self.register_buffer("mean", torch.zeros(3, dtype=torch.float64))

    def forward(self, x):
        out = self.layer(x)
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * out.detach().mean(0)
        return out - self.mean


class Branches(nn.Module):
    """Control flow that depends on the data."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 3).double()

    def forward(self, x):
        out = self.layer(x)
        return out * 2 if out.sum() > 0 else out


def spectral() -> nn.Module:
    """A layer that iterates on its own weights in forward."""
    return nn.Sequential(nn.utils.parametrizations.spectral_norm(nn.Linear(5, 4)), nn.Linear(4, 3)).double()


@pytest.mark.parametrize(
    ("make_model", "word"), [(Replaces, "mean"), (Branches, "data-dependent"), (spectral, "cannot")]
)
def test_models_that_cannot_be_vectorised_run_looped(make_model, word):
    """`auto` runs such a model looped, says why, and it trains; asking for the vectorised engine is refused."""
    task = small_task(make_model)
    lanes = lanes_of(task, [0.1, 0.01])
    plan = make_plan(task, lanes)
    assert plan.engine == "looped"
    assert word in plan.reason
    assert "looped" in plan.reason
    assert {p[-1].outcome for p in trained(task, lanes, plan).values()} == {Outcome.FINISHED}
    with pytest.raises(InputError, match="`engine` must be looped"):
        make_plan(task, lanes, engine="vectorised")


@pytest.mark.parametrize(
    "layer",
    [
        lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3)).double(),
        lambda: nn.Sequential(nn.Unflatten(1, (5, 1)), nn.LSTM(1, 3, batch_first=True), TakeLast()).double(),
        lambda: nn.Sequential(
            nn.Unflatten(1, (5, 1)), nn.Linear(1, 4), SelfAttention(), nn.Flatten(), nn.Linear(20, 3)
        ).double(),
    ],
)
def test_common_models_are_vectorised(layer):
    """BatchNorm, dropout, LSTM and attention pass the comparison of the two engines."""
    assert why_not_vectorised(small_task(layer), CPU) == ""


class TakeLast(nn.Module):
    """The last output of an LSTM."""

    def forward(self, told):
        return told[0][:, -1]


class SelfAttention(nn.Module):
    """Multi-head attention of a sequence to itself."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]


def test_one_lane_needs_no_stack():
    """A single lane runs looped, without measuring, and the plan says so."""
    task = small_task()
    plan = make_plan(task, lanes_of(task, [0.1]))
    assert (plan.engine, plan.lanes_per_chunk) == ("looped", 1)
    assert "one lane" in plan.reason


def test_plan_is_plain_data():
    """A plan survives its JSON form."""
    assert Plan.from_json(VECTORISED.to_json()) == VECTORISED


def test_model_error_fails_the_lanes_and_no_others():
    """An error in the model's code in mid-run fails that bundle with its words; the other bundles finish."""
    calls = []

    def loss(output, target):
        calls.append(1)
        if len(calls) == 20:
            raise RuntimeError("the cat sat on the keyboard")
        return F.cross_entropy(output, target)

    task = small_task(loss=loss)
    lanes = lanes_of(task, [0.1, 0.01]) + lanes_of(task, [0.1, 0.01], seed=1)
    ends = [parts[-1] for parts in trained(task, lanes, LOOPED).values()]
    assert [end.outcome for end in ends] == [Outcome.FAILED] * 2 + [Outcome.FINISHED] * 2
    assert "the cat sat on the keyboard" in ends[0].message


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"make_model": lambda: nn.Linear(4, 3).double()}, "`model` could not be run on a batch of shape (16, 5)"),
        (
            {"make_model": lambda: nn.Linear(5, 2).double()},
            "`loss` could not be computed from an output of shape (16, 2)",
        ),
        ({"make_model": lambda: 3}, "`model` must make an nn.Module, got int"),
        ({"make_model": nn.Identity}, "at least one parameter"),
        (
            {"loss": lambda o, t: F.cross_entropy(o, t, reduction="none")},
            "`loss` must give a scalar, got a tensor of shape (16,)",
        ),
        ({"loss": lambda o, t: 1.0}, "`loss` must give a scalar tensor, got float"),
        ({"loss": lambda o, t: o.detach().mean()}, "without a gradient"),
        ({"loss": lambda o, t: F.mse_loss(o[:, :1], t.double())}, "target size"),
        ({"metrics": {"all": lambda o, t: o}}, "`metrics` must give one number each, got all of shape"),
        ({"train": torch.zeros(32, 5, dtype=torch.float64)}, "(input, target) pairs"),
    ],
)
def test_check_says_what_is_wrong(changes, words):
    """Each mistake in a task is named in one sentence before any training."""
    with pytest.raises(TaskError) as told:
        engine.check(small_task(**changes))
    assert words in str(told.value)
    assert "\n" not in str(told.value)


def test_nan_in_a_data_set_is_found():
    """A NaN that only a Dataset's items hold is found when it is read."""
    inputs, targets = blobs()
    inputs = inputs.clone()
    inputs[5] = float("nan")

    class Plain(Noisy):
        def __getitem__(self, index):
            return self.inputs[index], self.targets[index]

    task = small_task(train=Plain(inputs, targets), valid=(inputs[:4], targets[:4]))
    with pytest.raises(PacesetterError, match="must not hold NaN"):
        trained(task, lanes_of(task, [0.1]), LOOPED)


def test_unknown_engine_and_device():
    """Misspelt engines get a hint and missing devices a sentence."""
    task = small_task()
    with pytest.raises(UnknownName, match="did you mean `vectorised`"):
        make_plan(task, lanes_of(task, [0.1]), engine="vectorized")
    with pytest.raises(InputError, match="`device` must be one that this machine has"):
        make_plan(task, lanes_of(task, [0.1]), device="gpu9")


def test_bundle_lanes_must_agree():
    """A bundle of different seeds is refused."""
    with pytest.raises(InputError, match="must share seed"):
        engine.start(
            small_task(), [Lane("sgd", "constant", 0.1, 0, 24), Lane("sgd", "constant", 0.1, 1, 24)], VECTORISED
        )


def test_advance_in_other_strides_changes_nothing():
    """Advancing 24 steps at once, or 1, 5 and 18, records the same curve to the last bit."""
    task = small_task(lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Linear(8, 3)).double())
    lanes = lanes_of(task, [0.1, 0.01], schedule="plateau(patience=0)")
    whole = engine.start(task, lanes, VECTORISED)
    pieces = engine.start(task, lanes, VECTORISED)
    one = [p for p in engine.advance(whole, 24) if p.lane == lanes[0]]
    other = [p for n in (1, 5, 18) for p in engine.advance(pieces, n) if p.lane == lanes[0]]
    a, b = joined(one), joined(other)
    for name in ("lr", "train_loss", "grad_norm", "eval_steps", "valid_loss"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


def test_keep_goes_on_with_some():
    """After `keep`, the lanes that stay train as if the others had never been there."""
    task = small_task()
    lanes = lanes_of(task, [0.1, 0.01, 0.001])
    bundle = engine.start(task, lanes, VECTORISED)
    first = engine.advance(bundle, 12)
    engine.keep(bundle, [2])
    assert bundle.lanes == [lanes[2]]
    parts = [p for p in [*first, *engine.advance(bundle, 12)] if p.lane == lanes[2]]
    expected = joined(trained(task, lanes, VECTORISED)[lanes[2]])
    assert np.array_equal(joined(parts).train_loss, expected.train_loss)


def test_surface_holds_the_paths():
    """The loss surface of a small model covers what its lanes walked and has its lowest point at the minimum."""
    from pacesetter.records import LaneRecord, StudyRecord

    task = quadratic(steps=20)
    lanes = lanes_of(task, [0.05, 0.45], "sgd")
    records = tuple(LaneRecord(lane, p[-1].outcome, joined(p)) for lane, p in trained(task, lanes, VECTORISED).items())
    found = engine.surface(task, StudyRecord("s", "t", 20, records))
    assert found["x"][0] < -0.8
    assert found["x"][-1] > 1.0
    assert abs(found["x"][int(np.argmin(found["loss"]))]) < 0.05
    assert engine.surface(small_task(), StudyRecord("s", "t", 20, ())) is None


@pytest.mark.parametrize("engine_name", PLANS)
@pytest.mark.parametrize("data", ["tensors", "dataset"])
def test_a_saved_bundle_goes_on_as_if_it_had_never_stopped(data, engine_name):
    """Saved as bytes in mid-run and loaded, a bundle records the same curve and ends in the same weights, bit by bit.

    It has momentum, running statistics, dropout, a controller, and data that draw from all global generators.
    """
    inputs, targets = blobs()
    model = lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3)).double()
    task = small_task(model, **({"train": Noisy(inputs, targets)} if data == "dataset" else {}))
    lanes = lanes_of(task, [0.1, 0.01], "adam", "plateau(patience=0, threshold=0.99)")
    ends = []
    for stop in (False, True):
        bundle = engine.start(task, lanes, PLANS[engine_name], with_weights=True)
        parts = engine.advance(bundle, 12)
        if stop:
            torch.manual_seed(99)
            bundle = engine.load(task, PLANS[engine_name], engine.save(bundle), with_weights=True)
        parts += engine.advance(bundle, 12)
        ends.append([[p for p in parts if p.lane == lane] for lane in lanes])
    for one, other in zip(*ends, strict=True):
        a, b = joined(one), joined(other)
        assert a.lr[-1] < a.lr[0]
        for name in ("lr", "train_loss", "grad_norm", "eval_steps", "valid_loss"):
            assert np.array_equal(getattr(a, name), getattr(b, name)), name
        assert all(torch.equal(one[-1].weights[k], other[-1].weights[k]) for k in one[-1].weights)


@pytest.mark.parametrize("engine_name", PLANS)
def test_a_metric_of_one_number_may_have_an_axis(engine_name):
    """A metric of shape (1,) is one number, in validation sets of several batches too."""
    one = small_task(metrics={"m": lambda output, target: F.cross_entropy(output, target).reshape(1)}, batch_size=7)
    lanes = lanes_of(one, [0.1, 0.01])
    for parts in trained(one, lanes, PLANS[engine_name]).values():
        curve = joined(parts)
        np.testing.assert_allclose(curve.metrics["m"], curve.valid_loss)


def test_validation_loader_keeps_its_sampler():
    """Two loaders over one data set, each with its own subset, validate on the validation subset alone."""
    inputs, targets = blobs()
    whole = TensorDataset(inputs, targets)
    train = DataLoader(whole, batch_size=16, sampler=SubsetRandomSampler(range(72)))
    valid = DataLoader(whole, batch_size=16, sampler=SubsetRandomSampler(range(72, 96)))
    by_sampler = small_task(train=train, valid=valid, batch_size=None)
    by_tensors = small_task(train=train, valid=(inputs[72:], targets[72:]), batch_size=None)
    assert by_sampler.valid_source.length == 24
    lane = lanes_of(by_sampler, [0.1])[0]
    curves = [joined(trained(task, [lane], LOOPED)[lane]) for task in (by_sampler, by_tensors)]
    np.testing.assert_allclose(curves[0].valid_loss, curves[1].valid_loss, rtol=1e-12)


def test_data_sets_of_ready_batches():
    """A DataLoader with batch_size=None hands out the data set's items as batches, in training and validation."""
    inputs, targets = blobs()
    ready = [(inputs[i : i + 16], targets[i : i + 16]) for i in range(0, 96, 16)]
    task = small_task(
        train=DataLoader(ready, batch_size=None, shuffle=True),
        valid=DataLoader(ready, batch_size=None),
        batch_size=None,
        steps=None,
        epochs=4,
    )
    assert task.total_steps == 24
    same = small_task(valid=(inputs, targets), batch_size=16)
    lane = lanes_of(task, [0.1])[0]
    curve = joined(trained(task, [lane], LOOPED)[lane])
    untrained = joined(trained(same, [lane], LOOPED)[lane]).valid_loss[0]
    assert curve.valid_loss[0] == pytest.approx(untrained)
    assert curve.valid_loss[-1] < untrained / 2


def test_surface_of_a_model_that_cannot_be_stacked():
    """A small model with data-dependent control flow has its surface drawn point by point."""
    from pacesetter.records import LaneRecord, StudyRecord

    class Bent(nn.Module):
        def __init__(self):
            super().__init__()
            self.w = nn.Parameter(torch.ones(1, dtype=torch.float64))

    task = Task(
        model=Bent,
        objective=lambda model, batch: (model.w**2).sum() if model.w.sum() > 0 else (3 * model.w**2).sum(),
        train=torch.zeros(1, 1),
        valid=torch.zeros(1, 1),
        batch_size=1,
        steps=5,
    )
    lane = lanes_of(task, [0.6], "sgd")[0]
    parts = trained(task, [lane], LOOPED)[lane]
    found = engine.surface(task, StudyRecord("s", "t", 5, (LaneRecord(lane, parts[-1].outcome, joined(parts)),)))
    x, loss = np.array(found["x"]), np.array(found["loss"])
    np.testing.assert_allclose(loss, np.where(x > 0, x**2, 3 * x**2), atol=1e-12)


def test_an_error_of_the_caller_is_the_callers():
    """An error while weights are handed over goes up as it is, after the lanes' last parts were handed out."""
    task = small_task()
    lanes = lanes_of(task, [0.1, 0.01])
    seen = []

    def fails(lane, weights):
        raise OSError("disk on fire")

    def read():
        for parts in engine.train(task, lanes, VECTORISED, fails):
            seen.extend(parts)

    with pytest.raises(OSError, match="disk on fire"):
        read()
    assert [part.outcome for part in seen[-2:]] == [Outcome.FINISHED] * 2


def test_threads_are_the_plans():
    """While lanes train, torch uses the plan's number of threads, and afterwards as many as before."""
    seen = set()

    def loss(output, target):
        seen.add(torch.get_num_threads())
        return F.cross_entropy(output, target)

    before = torch.get_num_threads()
    task = small_task(loss=loss)
    trained(task, lanes_of(task, [0.1]), Plan("looped", 1, before + 1, "cpu", "a test"))
    assert seen == {before + 1}
    assert torch.get_num_threads() == before


class Either(nn.Module):
    """Uses one of two layers, by the data."""

    def __init__(self):
        super().__init__()
        self.one = nn.Linear(5, 3).double()
        self.other = nn.Linear(5, 3).double()

    def forward(self, x):
        return self.one(x) if x[0, 0] > 0 else self.other(x)


@pytest.mark.parametrize("rule", ["sgd(momentum=0.9, weight_decay=0.1)", "adagrad", "rmsprop"])
def test_weights_that_a_step_does_not_use_are_left_alone(rule):
    """As in torch, weights without a gradient in a step keep their values and their momentum in that step."""
    from pacesetter import optimizers

    task = small_task(Either)
    lane = lanes_of(task, [0.05], str(optimizers.parse(rule)))[0]
    name, arguments = optimizers.parse(rule).torch_optimizer()
    expected = plain_run(
        Either,
        task.loss,
        task.train,
        task.valid,
        task.batch_size,
        task.total_steps,
        0,
        lambda parameters: getattr(torch.optim, name)(parameters, lr=0.05, **arguments),
        [0.05] * task.total_steps,
        [],
    )
    np.testing.assert_allclose(joined(trained(task, [lane], LOOPED)[lane]).train_loss, expected.losses, rtol=1e-9)


def test_global_switches_of_the_caller_change_nothing():
    """Lanes train under `no_grad` as well, and a default dtype that a model sets does not outlive the look."""

    def loss(output, target):
        torch.set_default_dtype(torch.float64)
        return F.cross_entropy(output, target)

    task = small_task(loss=loss)
    lanes = lanes_of(task, [0.1, 0.01])
    free = joined(trained(task, lanes, VECTORISED)[lanes[0]])
    with torch.no_grad():
        engine.check(task)
        switched_off = [joined(trained(task, lanes, plan)[lanes[0]]) for plan in PLANS.values()]
        assert not torch.is_grad_enabled()
    assert torch.get_default_dtype() == torch.float32
    for curve in switched_off:
        np.testing.assert_allclose(curve.train_loss, free.train_loss, rtol=1e-10)


def test_provenance_tells_data_and_weights_apart():
    """The hashes change with the data and with the initial weights, and with nothing else."""
    inputs, targets = blobs()
    one, again = engine.provenance(small_task()), engine.provenance(small_task())
    assert one == again
    data = engine.provenance(small_task(train=(inputs[:72] + 1e-9, targets[:72])))
    assert (data["weights_sha256"], data["data_sha256"] != one["data_sha256"]) == (one["weights_sha256"], True)
    model = engine.provenance(small_task(lambda: nn.Linear(5, 3).double()))
    assert (model["data_sha256"], model["weights_sha256"] != one["weights_sha256"]) == (one["data_sha256"], True)
    rows = [(inputs[i].numpy(), int(targets[i])) for i in range(96)]
    listed = engine.provenance(small_task(train=Rows(rows), valid=(inputs, targets)))
    rows[0] = (rows[0][0] + 1, rows[0][1])
    assert engine.provenance(small_task(train=Rows(rows), valid=(inputs, targets))) != listed


class Rows(Dataset):
    """Examples as numpy arrays and plain numbers."""

    def __init__(self, rows):
        self.rows = list(rows)

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]
