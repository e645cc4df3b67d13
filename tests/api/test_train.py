"""The verb `train`: one recipe, its weights and its curve."""

import csv

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

import pacesetter as ps
from pacesetter.errors import InputError, ParseError, StoreError
from pacesetter.records import Outcome


def test_train_leaves_weights_and_curve(tmp_path):
    """The weights are those that gave the last validation loss, and the curve's file holds what was recorded."""
    inputs, targets = torch.randn(64, 3), torch.randn(64, 1)
    task = ps.Task(
        model=lambda: torch.nn.Linear(3, 1),
        loss=torch.nn.functional.mse_loss,
        train=(inputs, targets),
        valid=(inputs, targets),
        batch_size=16,
        steps=12,
        evaluations=3,
    )
    study = ps.train(task, "adam lr=0.05 warmup(0.5) >> cosine()", out=tmp_path)
    (lane,) = study.lanes
    assert study.written == (tmp_path / "weights.safetensors", tmp_path / "curve.csv")
    model = torch.nn.Linear(3, 1)
    model.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.no_grad():
        loss = torch.nn.functional.mse_loss(model(inputs), targets).item()
    assert loss == pytest.approx(lane.curve.final_valid_loss)
    with (tmp_path / "curve.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["lr"]) for row in rows[:-1]] == lane.curve.lr.tolist()
    assert [float(row["train_loss"]) for row in rows[:-1]] == lane.curve.train_loss.tolist()
    evaluated = {int(row["updates"]): float(row["valid_loss"]) for row in rows if row["valid_loss"]}
    assert evaluated == dict(zip(lane.curve.eval_steps.tolist(), lane.curve.valid_loss.tolist(), strict=True))
    assert len(list(tmp_path.iterdir())) == 2


def test_train_equals_the_same_lane_of_compare():
    """One recipe trained alone records what it records among others."""
    alone = ps.train("quadratic", "sgd lr=0.05 cosine", seed=1, steps=20, engine="looped")
    among = ps.compare(
        "quadratic", lr=[0.01, 0.05], optimizers="sgd", schedules="cosine", seeds=2, steps=20, engine="looped"
    )
    same = next(r for r in among.lanes if r.lane == alone.lanes[0].lane)
    assert np.array_equal(alone.lanes[0].curve.train_loss, same.curve.train_loss)


def test_a_recipe_of_an_answer_can_be_trained():
    """`answer.recipe` goes straight into `train`."""
    study = ps.compare("quadratic", lr=[0.01, 0.05, 0.5], optimizers="sgd", seeds=3, steps=20, engine="looped")
    recipe = study.answers[0].recipe
    assert recipe is not None
    assert ps.train("quadratic", recipe, steps=20).lanes[0].lane == recipe.lane(0, 20)


def test_a_finished_study_is_not_trained_again(store, tmp_path):
    """The same command trains nothing while the weights are there, and says so when they are not."""
    arguments = {"task": "quadratic", "recipe": "sgd lr=0.05", "steps": 20, "store": store, "study": "s"}
    first = ps.train(**arguments, out=tmp_path / "a")
    heard: list[ps.Progress] = []
    again = ps.train(**arguments, out=tmp_path / "a", progress=heard.append)
    assert again.cost == first.cost
    assert "finished" in heard[0].note
    assert again.written == (tmp_path / "a" / "curve.csv",)
    with pytest.raises(InputError, match="`study` must be a new name to leave weights"):
        ps.train(**arguments, out=tmp_path / "b")


def test_weights_of_another_run_are_not_taken_for_those_of_a_finished_study(store, tmp_path):
    """A finished study refuses a folder that holds another run's weights, or what is no weights at all."""
    arguments = {"task": "quadratic", "recipe": "sgd lr=0.05", "steps": 20, "store": store}
    ps.train(**arguments, study="s", out=tmp_path / "a")
    ps.train(**arguments, study="t", out=tmp_path / "b")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "weights.safetensors").write_bytes(b"\xff" * 20)
    for folder in ("b", "c"):
        before = (tmp_path / folder / "weights.safetensors").read_bytes()
        with pytest.raises(InputError, match=r"got study='s', which has finished, and .* is not of it"):
            ps.train(**arguments, study="s", out=tmp_path / folder)
        assert (tmp_path / folder / "weights.safetensors").read_bytes() == before


def test_a_run_that_diverges_leaves_no_weights(store, tmp_path):
    """Only what this run wrote is told, and an older run's weights do not stay beside its curve."""
    good = ps.train("quadratic", "sgd lr=0.05", steps=20, out=tmp_path)
    assert {path.name for path in good.written} == {"weights.safetensors", "curve.csv"}
    bad = ps.train("quadratic", "sgd lr=10", steps=20, out=tmp_path)
    assert bad.lanes[0].outcome is Outcome.DIVERGED
    assert bad.written == (tmp_path / "curve.csv",)
    assert list(tmp_path.glob("*.safetensors")) == []


def test_an_interrupted_run_leaves_an_older_ones_files_alone(store, tmp_path):
    """Until a run ends, weights and curve in its folder are both the older run's."""
    folder = tmp_path / "out"
    ps.train("quadratic", "sgd lr=0.05", steps=20, out=folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def stop(progress):
        if progress.steps:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ps.train("quadratic", "sgd lr=0.01", steps=20, store=store, out=folder, engine="looped", progress=stop)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert set(before) == {"weights.safetensors", "curve.csv"}


def test_a_folder_may_follow_from_the_studys_name(store, tmp_path):
    """`out` as a function gives each study its own folder, also before the name is known."""
    for number in (1, 2):
        study = ps.train("quadratic", "sgd lr=0.05", steps=20, store=store, out=lambda name: tmp_path / "runs" / name)
        assert study.name == f"quadratic-{number}"
        assert set(study.written) == set((tmp_path / "runs" / study.name).iterdir())
    with safe_open(study.written[0], framework="pt") as file:
        assert file.metadata() == {
            "task": "quadratic",
            "study": "quadratic-2",
            "recipe": "sgd lr=0.05 constant",
            "seed": "0",
            "total_steps": "20",
        }


def test_a_study_of_another_recipe_is_refused(store):
    """`train` never adds its lane to a comparison."""
    ps.train("quadratic", "sgd lr=0.05", steps=20, store=store, study="s")
    with pytest.raises(InputError, match="`study` must be a new name or of this recipe"):
        ps.train("quadratic", "sgd lr=0.01", steps=20, store=store, study="s")


@pytest.mark.parametrize(
    ("change", "kind", "rule"),
    [
        ({"recipe": "sgd"}, ParseError, "must have its rate"),
        ({"recipe": "sgd lr=0"}, InputError, "`lr` must"),
        ({"recipe": "sgd lr=0.1 cosin"}, InputError, "did you mean `cosine`"),
        ({"steps": 0}, InputError, "`steps` must be at least 1"),
        ({"seed": -1}, InputError, "`seed` must be at least 0"),
        ({"out": "/proc/nowhere"}, StoreError, "`out` must be a place"),
    ],
)
def test_wrong_arguments_are_refused(change, kind, rule):
    """Each wrong argument is an error of its kind that states the rule."""
    with pytest.raises(kind, match=rule):
        ps.train(**{"task": "quadratic", "recipe": "sgd lr=0.1", "steps": 4, **change})
