"""Stacked lanes: none knows of the others, however many there are, and however they came together."""

import copy
import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pacesetter import engine, optimizers
from pacesetter.engine.agreement import why_not_vectorised
from pacesetter.engine.looped import Looped
from pacesetter.engine.program import fresh_program
from pacesetter.engine.vectorised import Vectorised
from pacesetter.tasks._load import load
from tests.engine.helpers import LOOPED, VECTORISED, blobs, joined, lanes_of, small_task, trained

CPU = torch.device("cpu")
MOMENTUM = optimizers.parse("sgd(momentum=0.9, weight_decay=0.1)")


def perceptron() -> nn.Module:
    """A hidden layer, dropout and running statistics."""
    return nn.Sequential(nn.Linear(5, 16), nn.BatchNorm1d(16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 3))


def convolutional() -> nn.Module:
    """Convolutions over the 5 numbers of an example."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 5)),
        nn.Conv1d(1, 4, 3, padding=1),
        nn.GELU(),
        nn.Conv1d(4, 2, 2),
        nn.Flatten(),
        nn.Linear(8, 3),
    )


class Attentive(nn.Module):
    """Each number of an example is a word; the words look at each other."""

    def __init__(self) -> None:
        super().__init__()
        self.word = nn.Linear(1, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 3)

    def forward(self, x):
        seen = self.word(x[:, :, None])
        return self.head(self.norm(seen + self.attention(seen, seen, seen, need_weights=False)[0]).mean(1))


def plain_perceptron() -> nn.Module:
    """A hidden layer and dropout."""
    return nn.Sequential(nn.Linear(5, 16), nn.Dropout(0.3), nn.ReLU(), nn.Linear(16, 3))


MODELS = {"mlp": plain_perceptron, "conv": convolutional, "attention": Attentive}


def task_of(make_model, dtype=torch.float64, **changes):
    """A small task in this dtype."""
    inputs, targets = blobs(dtype=dtype)
    data = {"train": (inputs[:72], targets[:72]), "valid": (inputs[72:], targets[72:])}
    return small_task(lambda: make_model().to(dtype), **{**data, "steps": 10, "evaluations": 2, **changes})


def chunk_of(task, lanes: int, rule=MOMENTUM, width: int = 0) -> Vectorised:
    """An untrained chunk; the random state is that after its making."""
    return Vectorised(fresh_program(task, 0, CPU), rule, lanes, width, threads=0)


def stepped(chunk: Vectorised, task, rates, first: int = 0):
    """Train a chunk by each row of `rates` [steps, lanes]: (losses, norms). Every step draws from its own seed."""
    inputs, targets = task.train
    chunk.begin(np.asarray(rates))
    for step in range(len(rates)):
        rows = (torch.arange(16) + 3 * (first + step)) % len(inputs)
        torch.manual_seed(first + step)
        chunk.step(step, [(inputs[rows], targets[rows])])
    return chunk.told()


def tensors(chunk: Vectorised) -> list[torch.Tensor]:
    """All that changes in a chunk, of its lanes alone."""
    tree = chunk.tree()
    return [t for part in (tree["params"], tree["buffers"], *tree["state"].values()) for t in _leaves(part)]


def _leaves(tree):
    return [leaf for value in tree.values() for leaf in _leaves(value)] if isinstance(tree, dict) else [tree]


def same(ones, others) -> bool:
    """Whether two rows of tensors are equal bit by bit."""
    return len(ones) == len(others) and all(map(torch.equal, ones, others))


# ----------------------------------------------------------------------------------- how many, and which of them


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_lanes_have_the_same_bits_in_any_company(name, dtype):
    """Among 2, 5, 8 or 13, and in chunks of any size of at least 2, a lane's numbers have the same bits."""
    task = task_of(MODELS[name], dtype)
    lanes = lanes_of(task, np.geomspace(1e-3, 1, 13))
    found = []
    for count, size in ((13, 13), (13, 5), (13, 8), (8, 8), (5, 3), (5, 5), (2, 2)):
        plan = engine.Plan("vectorised", size, 1, "cpu", "a test")
        parts = trained(task, lanes[:count], plan)
        found.append([joined(parts[lane]) for lane in lanes[:count]])
    for curves in found[1:]:
        for one, other in zip(curves, found[0], strict=False):
            for column in ("train_loss", "grad_norm", "valid_loss"):
                assert np.array_equal(getattr(one, column), getattr(other, column)), (column, len(curves))


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("make_model", [perceptron, *MODELS.values()])
def test_company_changes_no_more_than_the_order_of_sums(make_model, count):
    """Whatever its layers, and also alone, a lane agrees with itself among 13 as closely as sums do.

    Torch takes other kernels for one lane, and may sum in an order that depends on how much lies beside: that is the
    last bit of a float64 sum, of which ten steps make no more than 1e-9.
    """
    task = task_of(make_model)
    lanes = lanes_of(task, np.geomspace(1e-3, 0.1, 13))
    some, every = trained(task, lanes[:count], VECTORISED), trained(task, lanes, VECTORISED)
    for lane in lanes[:count]:
        for column in ("train_loss", "grad_norm", "valid_loss"):
            one, other = (getattr(joined(parts[lane]), column) for parts in (some, every))
            np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("name", ["mlp", "conv"])
def test_idle_rows_change_nothing(name, dtype):
    """Rows beyond the lanes, which fill a compiled step, change no bit of what lanes record, hold and end in."""
    task = task_of(MODELS[name], dtype)
    rates = np.tile(np.geomspace(1e-3, 1, 5), (6, 1))
    one, padded = chunk_of(task, 5), chunk_of(task, 5, width=8)
    assert same(stepped(one, task, rates), stepped(padded, task, rates))
    assert same(tensors(one), tensors(padded))
    assert padded.finite().shape == (5,)
    assert torch.equal(one.flat(), padded.flat())
    ends = [chunk.judge(task.valid)[0] for chunk in (one, padded)]
    assert torch.equal(*ends)


@pytest.mark.parametrize("kept", [18, 17, 15, 14, 3])
def test_a_few_lost_lanes_leave_idle_rows(kept):
    """From three quarters on rows are computed on in vain, below they are given up; lanes go on as if alone."""
    task = task_of(perceptron)
    rates = np.geomspace(1e-3, 1, 20)
    which = sorted(random.Random(0).sample(range(20), kept))
    chunk, alone = chunk_of(task, 20), chunk_of(task, kept)
    stepped(chunk, task, np.tile(rates, (4, 1)))
    chunk.keep(which)
    assert chunk.lanes == kept
    assert len(chunk._moving[0]) == (20 if kept > 15 else kept)
    stepped(alone, task, np.tile(rates[which], (4, 1)))
    more = [stepped(one, task, np.tile(rates[which], (3, 1)), first=4) for one in (chunk, alone)]
    assert same(*more)
    assert same(tensors(chunk), tensors(alone))
    # Once more, with rows idle from before.
    left = list(range(0, kept, 2))
    for one in (chunk, alone):
        one.keep(left)
    assert same(*(stepped(one, task, np.tile(rates[which][left], (2, 1)), first=7) for one in (chunk, alone)))


@pytest.mark.parametrize("width", [0, 8])
def test_joined_chunks_were_never_apart(width):
    """Two chunks made one have the bits of one that held all their lanes from the start, and go on so."""
    task = task_of(perceptron)
    rates = np.geomspace(1e-3, 1, 6)
    whole = chunk_of(task, 6, width=width)
    left, right = chunk_of(task, 4, width=width), chunk_of(task, 4, width=width)
    stepped(whole, task, np.tile(rates, (3, 1)))
    stepped(left, task, np.tile(rates[:4], (3, 1)))
    stepped(right, task, np.tile([rates[0], *rates[4:], rates[0]], (3, 1)))
    right.keep([1, 2])
    left.join(right)
    assert left.lanes == 6
    assert same(tensors(left), tensors(whole))
    more = [stepped(chunk, task, np.tile(rates, (3, 1)), first=3) for chunk in (left, whole)]
    assert same(*more)
    assert same(tensors(left), tensors(whole))


def test_a_tree_is_all_there_is():
    """What `tree` gives sets another chunk to the same place, idle rows or not, from where both go on alike."""
    task = task_of(perceptron)
    rates = np.tile(np.geomspace(1e-3, 1, 3), (4, 1))
    one, other = chunk_of(task, 3), chunk_of(task, 3, width=4)
    stepped(one, task, rates)
    other.set_tree(copy.deepcopy(one.tree()))
    assert same(*(stepped(chunk, task, rates, first=4) for chunk in (one, other)))
    assert same(tensors(one), tensors(other))


# ------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("make_model", [perceptron, convolutional])
@pytest.mark.parametrize(("rows", "tried"), [(8, [13, 7, 6]), (5, [13, 7, 4, 4, 4, 1]), (1, [13, 7, 4, 2])])
def test_when_memory_runs_out_lanes_go_in_more_passes(monkeypatch, make_model, rows, tried):
    """Memory that runs out in a step halves its passes until they fit, from then on, and changes no bit of a lane."""
    task = task_of(make_model)
    rates = np.tile(np.geomspace(1e-3, 1, 13), (4, 1))
    expected = chunk_of(task, 13)
    whole = stepped(expected, task, rates)
    real, seen = Vectorised._pass, []

    def small(self, moving, rates, batches):
        seen.append(len(rates))
        if len(rates) > rows:
            torch.rand(3)  # as a forward pass that was begun
            raise MemoryError
        return real(self, moving, rates, batches)

    monkeypatch.setattr(Vectorised, "_pass", small)
    chunk = chunk_of(task, 13)
    assert same(stepped(chunk, task, rates), whole)
    assert same(tensors(chunk), tensors(expected))
    assert seen[: len(tried)] == tried
    assert max(seen[len(seen) // 2 :]) <= rows


def test_at_one_row_memory_is_out(monkeypatch):
    """A single lane that does not fit is an error, after each smaller pass was tried; other errors come at once."""
    task = task_of(perceptron)
    seen = []

    def none(self, moving, rates, batches):
        seen.append(len(rates))
        raise error

    monkeypatch.setattr(Vectorised, "_pass", none)
    error: Exception = MemoryError("all is full")
    with pytest.raises(MemoryError, match="all is full"):
        stepped(chunk_of(task, 5), task, np.full((1, 5), 0.1))
    assert seen == [5, 3, 2, 1]
    seen.clear()
    error = RuntimeError("something else")
    with pytest.raises(RuntimeError, match="something else"):
        stepped(chunk_of(task, 5), task, np.full((1, 5), 0.1))
    assert seen == [5]


# ------------------------------------------------------------------------------------------- weights and buffers


def test_frozen_weights_are_one_tensor():
    """Weights that are not trained are held once, shared with all lanes and chunks of a bundle, and stay."""

    def model():
        made = perceptron().double()
        made[0].requires_grad_(False)
        return made

    task = small_task(model)
    plan = engine.Plan("vectorised", 2, 1, "cpu", "a test")
    bundle = engine.start(task, lanes_of(task, [0.1, 0.2, 0.3, 0.4]), plan, with_weights=True)
    first, second = bundle.chunks
    frozen = first._frozen["model.0.weight"]
    assert frozen.shape == (16, 5)
    assert frozen.data_ptr() == second._frozen["model.0.weight"].data_ptr()
    assert not [name for name in first.trained if name.startswith("model.0.")]
    before = frozen.clone()
    ends = [part.weights for part in engine.advance(bundle, 24) if part.weights is not None]
    assert len(ends) == 4
    assert all(torch.equal(weights["0.weight"], before) for weights in ends)


class HalfUsed(nn.Module):
    """Has a layer that its loss does not use."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Linear(5, 3).double()
        self.unused = nn.Linear(5, 3).double()

    def forward(self, x):
        return self.used(x)


@pytest.mark.parametrize("plan", [VECTORISED, LOOPED], ids=["vectorised", "looped"])
@pytest.mark.parametrize("rule", ["sgd(momentum=0.9, weight_decay=0.1)", "adamw(weight_decay=0.5)", "rmsprop"])
def test_weights_that_the_loss_does_not_use_stay(plan, rule):
    """A weight without a gradient is not decayed, as torch does; the others are trained as without it."""
    task, plain = small_task(HalfUsed), small_task(lambda: nn.Linear(5, 3).double())
    lanes = lanes_of(task, [0.1, 0.01], rule)
    weights: dict = {}
    trained(task, lanes, plan, on_weights=weights.__setitem__)
    torch.manual_seed(0)
    start = HalfUsed().state_dict()
    for lane in lanes:
        assert torch.equal(weights[lane]["unused.weight"], start["unused.weight"])
        assert torch.equal(weights[lane]["unused.bias"], start["unused.bias"])
        assert not torch.equal(weights[lane]["used.weight"], start["used.weight"])
    # The layer that is used is the first to be made, so that it starts from the plain one's weights.
    expected: dict = {}
    trained(plain, lanes, plan, on_weights=expected.__setitem__)
    for lane in lanes:
        torch.testing.assert_close(weights[lane]["used.weight"], expected[lane]["weight"], rtol=1e-12, atol=0)


class Guessing(nn.Module):
    """Draws when it is evaluated as well."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3).double()

    def forward(self, x):
        return self.layer(F.dropout(x, 0.5, training=True))


def test_a_model_that_draws_when_it_is_evaluated():
    """Each lane sees the random numbers of its own plain loop, also where a metric has lanes evaluated one by one."""
    python = {"right": lambda output, target: float((output.argmax(-1) == target).numpy().mean())}
    lanes = lanes_of(small_task(), [0.1, 0.01, 0.001])
    found = []
    for metrics, plan in (({}, VECTORISED), (python, VECTORISED), (python, LOOPED)):
        parts = trained(small_task(Guessing, metrics=metrics, batch_size=8), lanes, plan)
        found.append([joined(parts[lane]) for lane in lanes])
    for together, alone, plain in zip(*found, strict=True):
        for column in ("train_loss", "valid_loss"):
            np.testing.assert_allclose(getattr(together, column), getattr(plain, column), rtol=1e-10)
            np.testing.assert_allclose(getattr(alone, column), getattr(plain, column), rtol=1e-10)


# ------------------------------------------------------------------------------------------------- bfloat16


BFLOAT16 = 2.0**-8
"""The relative error of a number rounded to bfloat16: 8 bits of precision, the first of them implied."""


def in_float32(**changes):
    """A task as people train it in bfloat16: in float32."""
    model = lambda: nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))
    return task_of(model, torch.float32, **{"steps": 24, "evaluations": 4, **changes})


@pytest.mark.parametrize("plan", [VECTORISED, LOOPED], ids=["vectorised", "looped"])
@pytest.mark.parametrize("rule", ["sgd(momentum=0.9)", "adam"])
def test_bfloat16_is_torchs_autocast(plan, rule):
    """A lane under a bfloat16 plan is the plain loop under torch.autocast, and its weights and curve are float32's.

    Both round each matrix product to bfloat16. A sum in another order may round to the next number, an error of
    2**-8 in one activation; losses average over 16 examples, and 24 steps add up to no more than a few of those.
    """
    task = in_float32()
    lanes = lanes_of(task, [0.01, 0.003], rule)
    low = plan.from_json({**plan.to_json(), "precision": "bfloat16"})
    weights: dict = {}
    parts = trained(task, lanes, low, on_weights=weights.__setitem__)
    for lane in lanes:
        losses, model = autocast_run(task, lane)
        curve = joined(parts[lane])
        np.testing.assert_allclose(curve.train_loss, losses, rtol=4 * BFLOAT16)
        assert curve.valid_loss[-1] < 0.9 * curve.valid_loss[0]
        for name, weight in model.state_dict().items():
            assert weights[lane][name].dtype == torch.float32
            assert float((weights[lane][name] - weight).abs().max()) < 4 * BFLOAT16 * float(weight.abs().max())
    exact = trained(task, lanes, plan)
    assert not np.array_equal(joined(exact[lanes[0]]).train_loss, joined(parts[lanes[0]]).train_loss)


def autocast_run(task, lane):
    """The losses and the model of a plain loop under autocast."""
    torch.manual_seed(lane.seed)
    model = task.make_model()
    name, settings = optimizers.parse(lane.optimizer).torch_optimizer()
    optimizer = getattr(torch.optim, name)(model.parameters(), lr=lane.lr, **settings)
    generator = torch.Generator().manual_seed(lane.seed)
    inputs, targets = task.train
    rows: list = []
    losses = []
    for _ in range(task.total_steps):
        if not rows:
            rows = [r for r in torch.randperm(len(inputs), generator=generator).split(16) if len(r) == 16]
        now = rows.pop(0)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = F.cross_entropy(model(inputs[now]), targets[now])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses, model


def test_bfloat16_engines_are_close():
    """Both engines train alike in bfloat16: the products that they round are the same up to the order of sums."""
    task = in_float32()
    lanes = lanes_of(task, [0.03, 0.01])
    plans = [plan.from_json({**plan.to_json(), "precision": "bfloat16"}) for plan in (VECTORISED, LOOPED)]
    stacked, plain = (trained(task, lanes, plan) for plan in plans)
    for lane in lanes:
        one, other = joined(stacked[lane]), joined(plain[lane])
        np.testing.assert_allclose(one.train_loss, other.train_loss, rtol=4 * BFLOAT16)
        np.testing.assert_allclose(one.valid_loss, other.valid_loss, rtol=4 * BFLOAT16)


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn", "docs-gpt"])
def test_rounding_to_bfloat16_is_no_obstacle(name):
    """The built-in tasks are found to train alike in one pass in bfloat16, where sums round otherwise."""
    assert why_not_vectorised(load(name), "cpu", "bfloat16") == ""


class Differs(nn.Module):
    """Re-binds a buffer, which a functional call drops, or draws a number that stacked lanes draw otherwise."""

    def __init__(self, kind):
        super().__init__()
        self.layer = nn.Linear(5, 3)
        self.register_buffer("mean", torch.zeros(3))
        self.kind = kind

    def forward(self, x):
        out = self.layer(x)
        if self.kind == "buffer":
            self.mean = 0.9 * self.mean + 0.1 * out.detach().float().mean(0)
            return out - self.mean
        torch.manual_seed(0)
        return F.dropout(out, 0.05, self.training)


@pytest.mark.parametrize("kind", ["buffer", "numbers"])
def test_what_is_wrong_is_found_in_bfloat16_too(kind):
    """What is wrong with stacked lanes is found however little it is beside the rounding of bfloat16."""
    assert "runs looped" in why_not_vectorised(in_float32(model=lambda: Differs(kind)), "cpu", "bfloat16")


@pytest.mark.parametrize("engine_name", ["vectorised", "looped"])
def test_bfloat16_rounds_products_and_not_what_is_held(engine_name):
    """Matrix products of a bfloat16 program are in bfloat16; losses, weights, state and gradients' norms are not."""
    products, outputs = [], []

    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(5, 3, bias=False)

        def forward(self, x):
            made = self.layer(x)
            products.append(made.dtype)
            return made

    def loss(output, target):
        outputs.append(output.dtype)
        return F.cross_entropy(output, target)

    task = task_of(Product, torch.float32, loss=loss)
    program = fresh_program(task, 0, CPU, "bfloat16")
    chunk = Vectorised(program, MOMENTUM, 1, threads=0) if engine_name == "vectorised" else Looped(program, MOMENTUM)
    losses, norms = stepped(chunk, task, np.full((3, 1), 0.01))
    assert set(products) == {torch.bfloat16}
    assert {t.dtype for t in (*tensors(chunk), losses, norms)} == {torch.float32}
    assert set(outputs) == {torch.float32}
