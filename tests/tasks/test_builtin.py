"""The built-in tasks: their data, their laws, and that each learns what it is there to show."""

import ast
import subprocess
import sys
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np
import pytest
import torch

from pacesetter import optimizers, schedules, tasks
from pacesetter.tasks import Task, docs_gpt, quadratic, two_wells
from pacesetter.testing.tasks import TaskConformance, first_batch, loss_of

FOLDER = Path(tasks.__file__).parent


@pytest.mark.parametrize("name", tasks.names())
class TestConformance(TaskConformance):
    """Every built-in task."""

    @pytest.fixture
    def task(self, name: str) -> Task:
        """The task of that name."""
        return tasks.load(name)


def descend(
    task: Task, rule: str, lr: float, schedule: str = "constant", seed: int = 0
) -> tuple[torch.nn.Module, float]:
    """A plain loop: the trained model and its validation loss."""
    torch.manual_seed(seed)
    model = task.make_model()
    source, total = task.train_source, task.total_steps
    assert source.tensors is not None
    generator = torch.Generator().manual_seed(seed)
    params = {name: weight.detach() for name, weight in model.named_parameters()}
    update = optimizers.parse(rule)
    state = update.init(params)
    factor = schedules.parse(schedule)
    order: list[torch.Tensor] = []
    for step in range(total):
        if not order:
            shuffled = torch.randperm(source.length, generator=generator)
            order = list(torch.split(shuffled[: source.batches_per_epoch * source.batch_size], source.batch_size))
        batch = order.pop()
        value = loss_of(task, model, source.pack([tensor[batch] for tensor in source.tensors]))
        found = dict(zip(params, torch.autograd.grad(value, list(model.parameters())), strict=True))
        moved, state = update.update(found, state, params, lr * factor(step, total))
        assert isinstance(moved, dict)
        params = moved
        with torch.no_grad():
            for name, weight in model.named_parameters():
                weight.copy_(params[name])
    with torch.no_grad():
        assert task.valid_source.tensors is not None
        valid = task.valid_source.pack(list(task.valid_source.tensors))
        return model, float(loss_of(task, model.eval(), valid))


def test_names() -> None:
    """The five tasks of this version, each with one line about it that does not need torch."""
    assert tasks.names() == ["digits-cnn", "digits-mlp", "docs-gpt", "quadratic", "two-wells"]
    assert all(len(tasks.about(name)) > 20 for name in tasks.names())
    code = (
        "import sys; from pacesetter import tasks as t; print([t.about(n) for n in t.names()], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith(" False")


def test_each_stands_alone() -> None:
    """Without `task` and its one import, a built-in task's source runs without Pacesetter being imported."""
    parts = []
    for name in tasks.names():
        file = FOLDER / f"{name.replace('-', '_')}.py"
        tree = ast.parse(file.read_text(encoding="utf-8"))
        kept = [
            node
            for node in tree.body
            if not (isinstance(node, ast.ImportFrom) and node.module == "pacesetter.tasks._task")
            and not (isinstance(node, ast.FunctionDef) and node.name == "task")
        ]
        parts.append(f"__file__ = {str(file)!r}\n{ast.unparse(ast.Module(kept, []))}\nmake_model()\nmake_data()\n")
    parts.append("import sys\nprint([name for name in sys.modules if name.startswith('pacesetter')])")
    done = subprocess.run([sys.executable, "-c", "\n".join(parts)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["digits-mlp", "digits-cnn"])
def test_digits_are_those_of_uci(name: str) -> None:
    """The images and targets are scikit-learn's copy of the UCI digits, each once, split by a fixed permutation."""
    load_digits = pytest.importorskip("sklearn.datasets").load_digits
    theirs = load_digits()
    task = tasks.load(name)
    train, valid = task.train_source.tensors, task.valid_source.tensors
    assert train is not None
    assert valid is not None
    assert (len(train[0]), len(valid[0])) == (1437, 360)
    images = torch.cat([train[0], valid[0]]).numpy().reshape(1797, 64) * 16
    targets = torch.cat([train[1], valid[1]]).numpy()
    order = np.random.RandomState(0).permutation(1797)
    np.testing.assert_array_equal(images, theirs.data[order])
    np.testing.assert_array_equal(targets, theirs.target[order])


@pytest.mark.parametrize(("name", "lr"), [("digits-mlp", 0.003), ("digits-cnn", 0.01)])
def test_digits_are_learned(name: str, lr: float) -> None:
    """At a good rate Adam reaches more than nine right in ten, from one in ten."""
    task = tasks.load(name)
    model, valid_loss = descend(task, "adam", lr)
    assert task.valid_source.tensors is not None
    images, targets = task.valid_source.tensors
    with torch.no_grad():
        assert task.metrics["accuracy"](model(images), targets) > 0.9
    assert valid_loss < 0.3


def test_docs_gpt_text() -> None:
    """This Python's documentation is long enough, its characters are known, and targets are the next characters."""
    text = "\n".join(topics[name] for name in sorted(topics))
    assert len(text) > docs_gpt.LENGTH
    assert sum(character not in docs_gpt.CHARACTERS for character in text) < 0.002 * len(text)
    (now, then), (valid, _) = docs_gpt.make_data()
    assert torch.equal(now[:, 1:], then[:, :-1])
    assert torch.equal(now[1:, 0], then[:-1, -1])
    assert "".join(docs_gpt.CHARACTERS[number] for number in now[:2].flatten()) == text[: 2 * docs_gpt.CONTEXT]
    assert len(valid) == docs_gpt.VALIDATION == len({tuple(window) for window in valid.tolist()})


def test_docs_gpt_does_not_look_ahead() -> None:
    """A later character does not change the scores before it."""
    torch.manual_seed(0)
    model = docs_gpt.make_model()
    (now, _), _ = docs_gpt.make_data()
    text = now[:2].clone()
    with torch.no_grad():
        before = model(text)
        text[:, 40] = (text[:, 40] + 1) % len(docs_gpt.CHARACTERS)
        after = model(text)
    torch.testing.assert_close(before[:, :40], after[:, :40])
    assert not torch.allclose(before[:, 40:], after[:, 40:])


def test_quadratic_has_the_curvature_it_says() -> None:
    """The Hessian's eigenvalues are the module's constants, and the first loss lies off both axes."""
    model = quadratic.make_model()
    weights = dict(model.named_parameters())
    (weight,) = weights.values()

    def value(point: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = torch.func.functional_call(model, {"weight": point}, (torch.zeros(1, 1),))
        return found

    hessian: object = torch.autograd.functional.hessian(value, weight.detach())  # type: ignore[no-untyped-call]  # torch's own gap
    assert isinstance(hessian, torch.Tensor)
    assert torch.linalg.eigvalsh(hessian).tolist() == pytest.approx(quadratic.EIGENVALUES, rel=1e-5)
    flat, steep = quadratic.START
    expected = (quadratic.EIGENVALUES[0] * flat**2 + quadratic.EIGENVALUES[1] * steep**2) / 2
    assert float(value(weight.detach())) == pytest.approx(expected, rel=1e-5)


def test_quadratic_breaks_where_theory_says() -> None:
    """Gradient descent learns below 2 / lambda_max, and ends more than a tenth above the start just above it."""
    task = tasks.load("quadratic")
    edge = 2 / max(quadratic.EIGENVALUES)
    untrained = float(loss_of(task, task.make_model(), first_batch(task)).detach())
    assert descend(task, "sgd", 0.98 * edge)[1] < 0.1 * untrained
    assert descend(task, "sgd", 1.01 * edge)[1] > 1.1 * untrained
    assert descend(task, "sgd", 0.001)[1] > 0.1 * untrained


def bottom(centre: float) -> float:
    """The lowest loss near a well's centre."""
    model = two_wells.make_model()
    losses = []
    for place in torch.linspace(centre - 0.3, centre + 0.3, 601):
        with torch.no_grad():
            next(model.parameters()).fill_(float(place))
            losses.append(float(model(torch.zeros(1, 1))))
    return min(losses)


def test_two_wells_have_two_bottoms() -> None:
    """The wells' bottoms are where the module says, above 0, with a barrier between them above the shallow one."""
    assert bottom(two_wells.DEEP[0]) == pytest.approx(0.1, abs=0.001)
    assert bottom(two_wells.SHALLOW[0]) == pytest.approx(1.41, abs=0.01)
    assert bottom(0.63) > bottom(two_wells.SHALLOW[0])


@pytest.mark.parametrize("lr", [0.01, 0.03, 0.1, 0.2])
@pytest.mark.parametrize("schedule", ["constant", "triangular", "cosine"])
def test_low_rates_are_stuck(lr: float, schedule: str) -> None:
    """Gradient descent at a low rate ends at the bottom of the shallow well, whatever the schedule."""
    assert descend(tasks.load("two-wells"), "sgd", lr, schedule)[1] == pytest.approx(
        bottom(two_wells.SHALLOW[0]), abs=0.005
    )


@pytest.mark.parametrize("lr", [1.0, 1.8, 3.0, 6.0])
def test_cyclical_rates_escape(lr: float) -> None:
    """Gradient descent under triangular cycles with a high peak ends at the bottom of the deep well."""
    assert descend(tasks.load("two-wells"), "sgd", lr, "triangular")[1] == pytest.approx(
        bottom(two_wells.DEEP[0]), abs=0.005
    )


def test_constant_rates_that_are_high() -> None:
    """A constant rate between the two wells' limits settles in the deep one, a higher one in neither."""
    task = tasks.load("two-wells")
    assert descend(task, "sgd", 1.0)[1] == pytest.approx(bottom(two_wells.DEEP[0]), abs=0.005)
    assert descend(task, "sgd", 3.0)[1] > bottom(two_wells.DEEP[0]) + 0.3
