"""A recorded step is the function itself, bit for bit, without its Python code; what no graph can say is refused."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, vmap

from pacesetter.engine.recording import Unrecordable, record


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    """Standard normal float64 numbers, the same every time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def same(ones, others) -> bool:
    """Whether two rows of tensors are equal bit by bit."""
    return len(ones) == len(others) and all(map(torch.equal, ones, others))


def copied(leaves) -> list[torch.Tensor]:
    """The same values elsewhere, for what a function changes in place."""
    return [leaf.clone() for leaf in leaves]


def stacked_step(module: nn.Module):
    """A step of plain descent on stacked lanes of a module: (function, leaves) of weights, buffers, inputs, targets."""
    names, weights = zip(*((name, p.detach()) for name, p in module.named_parameters()), strict=True)
    kept = [name for name, _ in module.named_buffers()]
    buffers = [b.detach() for _, b in module.named_buffers()]

    def step(*leaves):
        params = [p.detach().requires_grad_() for p in leaves[: len(names)]]
        state = [b.clone() for b in leaves[len(names) : -2]]

        def loss(params, state):
            named = {**dict(zip(names, params, strict=True)), **dict(zip(kept, state, strict=True))}
            return F.cross_entropy(functional_call(module, named, (leaves[-2],)), leaves[-1]), state

        losses, state = vmap(loss, randomness="same")(params, state)
        found = torch.autograd.grad(losses.sum(), params)
        return [losses.detach(), *(p.detach() - 0.1 * g for p, g in zip(params, found, strict=True)), *state]

    rows = [t.expand(3, *t.shape).clone() for t in (*weights, *buffers)]
    return step, [*rows, numbers(4, 5), torch.tensor([0, 1, 2, 0])]


MODULES = {
    "dropout": lambda: nn.Sequential(nn.Linear(5, 8), nn.Dropout(0.5), nn.Tanh(), nn.Linear(8, 3)).double(),
    "batch norm": lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)).double(),
    "convolution": lambda: nn.Sequential(
        nn.Unflatten(1, (1, 5)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(6, 3)
    ).double(),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_replay_is_the_step_itself(name):
    """On other values and the same random state, a replayed step of stacked lanes gives every bit of the step."""
    torch.manual_seed(0)
    step, leaves = stacked_step(MODULES[name]())
    recording = record(step, copied(leaves))
    others = [*(leaf + 0.1 for leaf in leaves[:-2]), numbers(4, 5, seed=1), torch.tensor([2, 2, 1, 0])]
    for given in (leaves, others):
        torch.manual_seed(5)
        expected = step(*copied(given))
        after = torch.get_rng_state()
        torch.manual_seed(5)
        assert same(recording(*copied(given)), expected)
        assert torch.equal(torch.get_rng_state(), after)
    assert not same(recording(*leaves), recording(*others))
    assert recording.draws == (name == "dropout")


def test_batch_norms_statistics_move_on():
    """A replayed layer changes its running statistics, given as leaves, as the layer itself does."""

    def layer(x, mean, var):
        return [F.batch_norm(x, mean, var, training=True)]

    leaves = [numbers(6, 3), numbers(3, seed=1), numbers(3, seed=2).exp()]
    recording = record(layer, copied(leaves))
    called, replayed = copied(leaves), copied(leaves)
    assert same(layer(*called), recording(*replayed))
    assert same(called, replayed)
    assert not same(called, leaves)


def test_statistics_that_nobody_reads_move_on():
    """Running statistics change also where a layer's output comes to nothing."""

    def layer(x, mean, var):
        F.batch_norm(x, mean, var, training=True)
        return [x * 2]

    leaves = [numbers(6, 3), numbers(3, seed=1), numbers(3, seed=2).exp()]
    recording = record(layer, copied(leaves))
    called, replayed = copied(leaves), copied(leaves)
    layer(*called)
    recording(*replayed)
    assert same(called, replayed)
    assert not same(called, leaves)


def test_in_place_operations_change_what_they_changed():
    """What a function writes into its leaves, and into parts of them, a replay writes."""

    def function(x, y):
        x.mul_(2)
        x[0] += y.sum()
        z = x.clone()
        z.t().relu_()
        return [z, x]

    leaves = [numbers(3, 3), numbers(4, seed=1)]
    recording = record(function, copied(leaves))
    others = [numbers(3, 3, seed=2), numbers(4, seed=3)]
    called, replayed = copied(others), copied(others)
    assert same(function(*called), recording(*replayed))
    assert same(called, replayed)


def test_operations_of_several_outputs():
    """Outputs of one operation (split, max with its places, svd) are each known, in tuples and in lists."""

    def function(x):
        left, right = x.split(2, dim=1)
        value, place = right.max(dim=0)
        u, s, _ = torch.linalg.svd(x)
        first, *_ = torch.unbind(x)
        return [left + 1, value, place, u, s, first]

    recording = record(function, [numbers(4, 4)])
    other = numbers(4, 4, seed=1)
    assert same(recording(other), function(other))


def test_an_output_may_be_a_leaf_or_a_constant():
    """What a function hands through is handed through, and an output may come twice."""
    constant = numbers(2, seed=4)
    recording = record(lambda x, y: [x, constant, x, y + 1], [numbers(2), numbers(2, seed=1)])
    other = [numbers(2, seed=2), numbers(2, seed=3)]
    assert same(recording(*other), [other[0], constant, other[0], other[1] + 1])


class Scaling(nn.Module):
    """Keeps a tensor as a plain attribute, which is no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = numbers(5, seed=9)

    def forward(self, x):
        return x * self.scale


def test_plain_attributes_are_constants():
    """A tensor that is neither leaf nor made on the way is a constant beside the graph: other values, same graph."""
    model = Scaling()
    recording = record(lambda x: [model(x)], [numbers(4, 5)])
    assert len(recording.constants) == 1
    assert recording.constants[0] is model.scale
    other = Scaling()
    other.scale = numbers(5, seed=10)
    again = record(lambda x: [other(x)], [numbers(4, 5)])
    assert again.module.code == recording.module.code
    x = numbers(4, 5, seed=1)
    assert same(recording(x), [model(x)])
    assert same(again(x), [other(x)])
    with torch.no_grad():
        model.scale.mul_(3)
    assert same(recording(x), [model(x)])


@pytest.mark.parametrize(
    "function",
    [
        lambda x: [x * x.sum().item()],
        lambda x: [x[x > 0]],
        lambda x: [x * 2 if x.sum() > 0 else x],
        lambda x: [x[: int(x[0].abs()) + 1]],
        lambda x: [torch.nonzero(x)],
        lambda x: [torch.unique(x)],
        lambda x: [torch.tensor(x.tolist())],
        lambda x: [torch.from_numpy(x.numpy() + 1)],
        lambda x: [torch.from_numpy(np.exp(x))],
        lambda x: [x * 2 if torch.equal(x, x) else x],
        lambda x: [x * 2 if torch.allclose(x, x) else x],
    ],
    ids=["item", "mask", "if", "slice by value", "nonzero", "unique", "tolist", "numpy", "array", "equal", "allclose"],
)
def test_what_values_decide_cannot_be_recorded(function):
    """Numbers read from tensors, shapes that values decide and branches on values are refused with the reason."""
    with pytest.raises(Unrecordable, match="the values of a tensor decide"):
        record(function, [numbers(4)])


def test_errors_of_the_function_are_its_own():
    """What the function raises goes up as it is, and nothing goes on being recorded."""
    with pytest.raises(RuntimeError, match="shape"):
        record(lambda x: [x @ numbers(7, 7)], [numbers(3, 3)])
    assert numbers(3).sum().item() == numbers(3).sum().item()


def test_recording_leaves_values_as_calling_does():
    """While it is recorded, a function gives its leaves and the random state the values that calling it gives."""

    def function(x):
        x.add_(torch.randn(3, dtype=torch.float64))
        return [x * 2]

    called, recorded = numbers(3), numbers(3)
    torch.manual_seed(3)
    function(called)
    after = torch.get_rng_state()
    torch.manual_seed(3)
    record(function, [recorded])
    assert torch.equal(called, recorded)
    assert torch.equal(torch.get_rng_state(), after)


def test_what_nobody_uses_is_dropped_and_random_numbers_are_kept():
    """Operations without use are not made again, but numbers are drawn: what is drawn later stays the same."""

    def function(x):
        torch.linalg.svd(x)
        (x.exp() + 3).sum()
        F.dropout(x, 0.5)
        torch.rand(2)
        return [x * 2 + torch.rand(3, 3, dtype=torch.float64)]

    recording = record(function, [numbers(3, 3)])
    made = {str(node.target) for node in recording.graph.nodes if node.op == "call_function"}
    assert not [name for name in made if "svd" in name or "exp" in name or "sum" in name]
    assert len([name for name in made if "rand" in name or "bernoulli" in name]) >= 2
    other = numbers(3, 3, seed=1)
    torch.manual_seed(4)
    expected = function(other)
    after = torch.get_rng_state()
    torch.manual_seed(4)
    assert same(recording(other), expected)
    assert torch.equal(torch.get_rng_state(), after)


def test_a_replay_makes_no_history_for_gradients():
    """Outputs need no gradient, also of leaves that do, and whatever the caller has switched on."""
    recording = record(lambda x: [x.detach() * 2], [numbers(3)])
    with torch.enable_grad():
        (out,) = recording(numbers(3).requires_grad_())
    assert not out.requires_grad


def test_training_vectorised_does_not_import_torchs_compiler():
    """Stacked lanes are trained, recorded and replayed without torch's compiler, whose import costs a second."""
    code = (
        "import sys\n"
        "from pacesetter import engine\n"
        "from tests.engine.helpers import VECTORISED, lanes_of, small_task, trained\n"
        "task = small_task()\n"
        "trained(task, lanes_of(task, [0.1, 0.01]), VECTORISED)\n"
        "sys.exit(' '.join(name for name in sys.modules if name.startswith(('torch._dynamo', 'torch._inductor'))))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, "")
