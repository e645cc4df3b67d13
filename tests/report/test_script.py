"""The script of a lane, run: the numbers it gets without Pacesetter's engine are the recorded ones."""

import ast
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import pacesetter as ps
from pacesetter.errors import InputError
from pacesetter.records import Outcome
from pacesetter.report.script import LOW_TOLERANCE, TOLERANCE, script
from tests.report import studies

# Every script runs as a program would, but all in one process: importing torch takes longer than training.
RUN = """
import runpy, sys
{first}
for path in sys.argv[1:]:
    print("script", path, flush=True)
    runpy.run_path(path, run_name="__main__")
"""

FILE = """
from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import pacesetter as ps


@dataclass
class Sizes:
    inputs: int = 4
    outputs: int = 3


SIZES = Sizes()
GENERATOR = torch.Generator().manual_seed(1)
INPUTS = torch.randn(60, SIZES.inputs, generator=GENERATOR)
TARGETS = torch.arange(60) % SIZES.outputs


class Noisy(Dataset):
    def __len__(self):
        return len(INPUTS)

    def __getitem__(self, row):
        return {"x": INPUTS[row] + 0.1 * random.random(), "y": TARGETS[row]}


def make_model():
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 3))
    model[0].bias.requires_grad_(False)
    model.unused = nn.Parameter(torch.ones(2))
    return model


def objective(model, batch):
    return nn.functional.cross_entropy(model(batch["x"]), batch["y"])


def right(output, target):
    return (output.argmax(-1) == target).float().mean().item()


def make(**changes):
    parts = dict(model=make_model, loss=nn.functional.cross_entropy, train=(INPUTS[:40], TARGETS[:40]),
                 valid=(INPUTS[40:], TARGETS[40:]), batch_size=16, steps=8, evaluations=3)
    return ps.Task(**{**parts, **changes})


def tensors():
    return make(metrics={"right": ps.maximize(right)})


def split():
    return make(valid=None)


def updates():
    return make(accumulate=3, clip_norm=0.2, lr_ratios={"0": 0.3, "3": 3, "3.bias": 5})


def sparse():
    words = torch.randint(9, (60, 4), generator=GENERATOR)
    model = lambda: nn.Sequential(nn.Embedding(9, 3, sparse=True), nn.Flatten(), nn.Linear(12, 3))
    return make(model=model, train=(words[:40], TARGETS[:40]), valid=(words[40:], TARGETS[40:]))


def dataset():
    return make(train=Noisy(), valid=Noisy(), loss=None, objective=objective)


def loader():
    torch.manual_seed(0)  # a model that is given ready-made is the file's own to seed
    loader = DataLoader(Noisy(), batch_size=7, shuffle=True)
    return make(train=loader, valid=None, batch_size=None, loss=None, objective=objective, model=make_model())


torch.manual_seed(0)
INSTANCE = make(model=make_model())
"""

# task, recipe and updates: each kind of schedule, rule and data once.
BUILT_IN = {
    "digits-mlp, adam": ("digits-mlp", "adam lr=0.001", 12),
    "digits-cnn, rmsprop": ("digits-cnn", "rmsprop lr=0.001 warmup(0.3) >> cosine", 6),
    "quadratic, sgd": ("quadratic", "sgd lr=0.05", 30),
    "quadratic, diverging": ("quadratic", "sgd lr=30.0", 100),
    "two-wells, triangular": ("two-wells", "sgd lr=1.0 triangular", 60),
    "two-wells, plateau": ("two-wells", "sgd(momentum=0.9) lr=0.05 plateau(patience=0)", 60),
    "docs-gpt, adamw": ("docs-gpt", "adamw lr=0.001", 2),
}
OF_A_FILE = {
    "tensors": ("scripted.py:tensors", "sgd(momentum=0.9, weight_decay=0.01) lr=0.05", None),
    "groups, accumulated and clipped": ("scripted.py:updates", "adamw(weight_decay=0.1) lr=0.02 cosine", None),
    "sparse gradients": ("scripted.py:sparse", "adam lr=0.02", None),
    "no valid": ("scripted.py:split", "adagrad lr=0.05", None),
    "a data set": ("scripted.py:dataset", "adam lr=0.01 cosine", None),
    "a loader": ("scripted.py:loader", "adamw lr=0.01", None),
    "a task itself": ("scripted.py:INSTANCE", "adam lr=0.01", None),
    "a module": ("scripted:tensors", "sgd lr=0.05", None),
}
# Trained with matrix products in bfloat16.
LOW = {
    "bfloat16": ("digits-mlp", "sgd(momentum=0.9) lr=0.03", 22),
    "bfloat16, of a file": ("scripted.py:updates", "adamw(weight_decay=0.1) lr=0.02 cosine", None),
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What the script of each case printed, by case; those of built-in tasks ran where there is no Pacesetter."""
    folder, home = tmp_path_factory.mktemp("scripts"), Path.cwd()
    (folder / "scripted.py").write_text(FILE, encoding="utf-8")
    os.chdir(folder)
    try:
        found = _run(BUILT_IN, folder, 'sys.modules["pacesetter"] = None') | _run({**OF_A_FILE, **LOW}, folder, "")
    finally:
        os.chdir(home)
        sys.path[:] = [place for place in sys.path if place != str(folder)]
        sys.modules.pop("scripted", None)
    return found


def _run(cases, folder, first):
    paths = {}
    for number, (case, (task, recipe, steps)) in enumerate(cases.items()):
        precision = "bfloat16" if case in LOW else "float32"
        study = ps.train(task, recipe, seed=3, steps=steps, out=folder / "trained", precision=precision)
        paths[case] = folder / f"{'file' if first else 'own'}{number}.py"
        paths[case].write_text(script(study.record, 0), encoding="utf-8")
    command = [sys.executable, "-W", "error", "-c", RUN.format(first=first), *map(str, paths.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    parts = re.split(r"^script .*\n", done.stdout, flags=re.MULTILINE)[1:]
    return dict(zip(paths, parts, strict=True))


@pytest.mark.parametrize("case", [*BUILT_IN, *OF_A_FILE, *LOW])
def test_the_script_gets_the_recorded_losses(case, printed):
    """Every training and validation loss is that of the record: to the tolerance, for every kind of lane and data."""
    tolerance = LOW_TOLERANCE if case in LOW else TOLERANCE
    *table, last = printed[case].strip().splitlines()
    assert float(last.removeprefix("largest relative difference: ")) <= tolerance
    rows = [line.split() for line in table[2:]]
    assert rows[0][0] == "0"
    assert len(rows) >= 3
    assert all(len(row) == 5 for row in rows[1:-1])
    for row in rows[1:-1]:
        here, recorded = np.array(row[1:3], float), np.array(row[3:5], float)
        np.testing.assert_allclose(here, recorded, rtol=tolerance, atol=0.01)


def test_a_wrong_number_is_found(tmp_path):
    """If a recorded loss were another one, the last line would tell."""
    study = ps.train("quadratic", "sgd lr=0.05", steps=20, out=tmp_path / "trained").record
    (record,) = study.lanes
    losses = record.curve.train_loss.copy()
    losses[3] *= 1.5
    false = replace(study, lanes=(replace(record, curve=replace(record.curve, train_loss=losses)),))
    (tmp_path / "lane.py").write_text(script(false, 0), encoding="utf-8")
    done = subprocess.run([sys.executable, tmp_path / "lane.py"], capture_output=True, text=True, check=True)
    assert float(done.stdout.strip().rpartition(": ")[2]) > 0.01


def test_the_script_has_the_precision_of_the_study(tmp_path):
    """Without autocast the losses of a bfloat16 lane would be ten times as far off; float32 has none."""
    low = ps.train("digits-mlp", "sgd lr=0.1", steps=6, precision="bfloat16", out=tmp_path / "trained").record
    full = replace(low, plan={**low.plan, "precision": "float32"})
    paths = [tmp_path / "low.py", tmp_path / "full.py"]
    for path, study in zip(paths, (low, full), strict=True):
        path.write_text(script(study, 0), encoding="utf-8")
    assert "autocast" not in paths[1].read_text(encoding="utf-8")
    command = [sys.executable, "-c", RUN.format(first=""), *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    off = [float(last) for last in re.findall(r"largest relative difference: (.*)", done.stdout)]
    assert off[0] < 0.1 * off[1]


def test_what_is_not_finite_and_odd_names_stay_python(small):
    """Losses that are not finite, and quotes and backslashes in the study's name, give a script that compiles."""
    record = next(record for record in small.lanes if record.outcome is Outcome.DIVERGED)
    losses = record.curve.train_loss.copy()
    losses[-1] = np.inf
    lanes = (replace(record, curve=replace(record.curve, train_loss=losses, valid_loss=np.array([np.nan]))),)
    text = script(replace(small, name='a"""b\\\n', lanes=lanes), 0)
    ast.parse(text)
    assert 'float("inf")' in text
    assert 'float("nan")' in text


def test_what_has_no_script_is_said(small):
    """A lane that does not exist, one without an update and a task given as an object are input errors."""
    with pytest.raises(InputError, match="`lane` must be between 0 and"):
        script(small, len(small.lanes))
    with pytest.raises(InputError, match="`lane` must have made at least one update"):
        script(studies.hostile(), 0)
    with pytest.raises(InputError, match="`task` must come from a file or module"):
        script(replace(small, task="mine"), 0)
