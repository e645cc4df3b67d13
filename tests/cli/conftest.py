"""The command line in this process, in a folder of its own."""

from dataclasses import dataclass

import pytest

from pacesetter.cli import run

TASKS = """
import torch
import pacesetter as ps

print("a task file may print what it likes")
torch.manual_seed(0)
INPUTS = torch.randn(64, 3)
DATA = (INPUTS, INPUTS.sum(1, keepdim=True))


def make(**changes):
    parts = dict(model=lambda: torch.nn.Linear(3, 1), loss=torch.nn.functional.mse_loss, train=DATA, batch_size=16,
                 steps=12, evaluations=3)
    return ps.Task(**{**parts, **changes})


def task():
    return make()


def nan_loss():
    return make(loss=lambda output, target: (output - target).mean() * float("nan"))


def fails_later():
    untrained = []

    def loss(output, target):
        if not torch.is_grad_enabled():
            untrained.append(output)
            if len(output) == len(untrained[0]) and not torch.allclose(output, untrained[0], atol=1e-3):
                raise RuntimeError("the cable came out")
        return (output - target).square().mean()

    return make(loss=loss)


def wrong_shape():
    return make(model=lambda: torch.nn.Linear(4, 1))


def vector_loss():
    return make(loss=lambda output, target: (output - target).square())


def nan_data():
    return make(train=(DATA[0] * float("nan"), DATA[1]))


def empty_data():
    return make(train=(DATA[0][:0], DATA[1][:0]))


def large_batch():
    return make(batch_size=1000)
"""


@dataclass
class Ran:
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """Run `pacesetter ...` in an empty folder with `tasks.py` in it; exit code, standard output, standard error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "tasks.py").write_text(TASKS, encoding="utf-8")

    def command(*arguments: str) -> Ran:
        capsys.readouterr()
        code = run(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return command


@pytest.fixture
def quick():
    """Arguments of a comparison that takes a fraction of a second."""
    return (
        "quadratic",
        "--optimizer",
        "sgd",
        "--lr",
        "0.01,0.05",
        "--seeds",
        "2",
        "--steps",
        "20",
        "--engine",
        "looped",
    )
