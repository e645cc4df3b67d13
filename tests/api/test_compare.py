"""The verb `compare`: from a question to a judged study."""

import json

import numpy as np
import pytest
import torch

import pacesetter as ps
from pacesetter.errors import InputError, StoreError, TaskError, UnknownName
from pacesetter.records import Outcome
from pacesetter.store import Store


def test_a_study_has_a_lane_for_each_strategy_rate_and_seed(small):
    """The lanes are the product of what was asked, in that order, each with its canonical texts."""
    study = ps.compare("quadratic", **{**small, "schedules": ["constant()", "cosine"], "seed": 5})
    asked = [(s, lr, seed) for s in ("constant", "cosine") for lr in (0.01, 0.05) for seed in (5, 6)]
    assert [(r.lane.schedule, r.lane.lr, r.lane.seed) for r in study.lanes] == asked
    assert {r.lane.optimizer for r in study.lanes} == {"sgd"}
    assert all(r.outcome is Outcome.FINISHED and r.curve.steps == 20 for r in study.lanes)


def test_strategies_join_the_product_and_alone_replace_it(small):
    """Pairs come after the product, once each; without optimizers and schedules there is no product."""
    both = ps.compare("quadratic", **{**small, "strategies": ["sgd cosine", "sgd", "sgd cosine"]})
    assert [(a.optimizer, a.schedule) for a in both.answers] == [("sgd", "constant"), ("sgd", "cosine")]
    alone = ps.compare("quadratic", **{**small, "optimizers": None, "strategies": "sgd linear"})
    assert [(a.optimizer, a.schedule) for a in alone.answers] == [("sgd", "linear")]


def test_the_study_can_be_used(small, tmp_path):
    """Answers, cost, table, document and recipe of a study agree with each other."""
    study = ps.compare("quadratic", **{**small, "lr": "0.001,0.03,1", "seeds": 3})
    (answer,) = study.answers
    assert answer.best_tried == 0.03
    assert answer.stability_edge == (0.03, 1.0)
    assert answer.cost == study.cost
    for name in ("optimizer", "schedule", "lr", "interval", "equivalent", "safe_range", "valid_loss", "findings"):
        assert getattr(answer, name) == getattr(study.record.answers[0], name), name
    assert study.cost.lane_steps == sum(r.curve.steps for r in study.lanes)
    assert study.learned
    assert isinstance(answer.recipe, ps.Recipe)
    assert answer.recipe.lr == answer.lr
    document = json.loads(study.to_json())
    assert document["study"] == study.name == "quadratic-1"
    assert document["answers"][0]["recipe"] == str(answer.recipe)
    assert len(study.to_frame()) == len(document["lanes"]) == 9
    assert study.export(tmp_path / "lanes.csv").read_text(encoding="utf-8").count("\n") == 10
    assert "9 lanes" in repr(study)


def test_a_task_object_is_as_good_as_a_name(small):
    """A user's own Task trains, and its user's random state is untouched."""
    task = ps.Task(
        model=lambda: torch.nn.Linear(3, 1),
        loss=torch.nn.functional.mse_loss,
        train=(torch.randn(64, 3), torch.randn(64, 1)),
        batch_size=16,
        epochs=2,
        metrics={"worst": lambda output, target: (output - target).abs().max()},
    )
    before = torch.get_rng_state()
    study = ps.compare(task, **{**small, "steps": None})
    assert torch.equal(before, torch.get_rng_state())
    assert study.record.total_steps == task.total_steps
    assert study.record.metrics == {"worst": "min"}


def test_without_a_store_nothing_is_written(small, tmp_path, monkeypatch):
    """A study that lives in memory leaves the working folder as it was."""
    monkeypatch.chdir(tmp_path)
    ps.compare("quadratic", **small)
    assert list(tmp_path.iterdir()) == []


def test_what_is_in_the_store_is_what_was_returned(small, store):
    """Another reader of the store finds the same study: lanes, curves, answers and provenance."""
    study = ps.compare("quadratic", **small, store=store)
    read = ps.Study.load(study.name, store)
    assert read.answers == study.answers
    for one, other in zip(read.lanes, study.lanes, strict=True):
        assert one.lane == other.lane
        assert np.array_equal(one.curve.train_loss, other.curve.train_loss)
    assert read.record.provenance["seeds"] == [0, 1]
    assert read.record.provenance["command"] == ""
    assert read.record.plan["engine"] == "looped"
    assert read.record.surface is not None
    assert read.record.seconds > 0


def test_new_studies_get_names_of_their_own(small, store):
    """Without a name each call makes a new study, named after its task."""
    names = [ps.compare("quadratic", **small, store=store).name for _ in range(2)]
    assert names == ["quadratic-1", "quadratic-2"]
    assert [summary.name for summary in ps.Study.summaries(store)] == names


def test_out_gets_page_and_pictures(small, tmp_path, monkeypatch):
    """With `out`, the report lies there, and the study says so."""
    monkeypatch.setattr("pacesetter.report.pictures.write_pngs", _one_picture)
    study = ps.compare("quadratic", **small, out=tmp_path / "new" / "folder")
    assert tmp_path / "new" / "folder" / "report.html" in study.written
    assert all(path.stat().st_size > 0 for path in study.written)
    assert any(path.suffix == ".png" for path in study.written)


def _one_picture(record, folder):
    """In place of drawing them all, which the command line's tests do."""
    path = folder / "picture.png"
    path.write_bytes(b"PNG")
    return [path]


def test_progress_tells_the_start_every_evaluation_and_the_end(small):
    """The listener hears numbers that only grow, from nothing to everything."""
    heard: list[ps.Progress] = []
    ps.compare("quadratic", **small, progress=heard.append)
    assert heard[0].note
    assert (heard[-1].lanes, heard[-1].ended) == (4, 4)
    assert heard[-1].settled == heard[-1].total == 80
    settled = [progress.settled for progress in heard]
    assert settled == sorted(settled)
    assert heard[-1].seconds_left == 0


@pytest.mark.parametrize(
    ("change", "kind", "rule"),
    [
        ({"lr": [0.0]}, InputError, "`lr` must be finite and above 0"),
        ({"lr": []}, InputError, "at least one rate"),
        ({"seeds": 0}, InputError, "`seeds` must be at least 1, got seeds=0"),
        ({"seeds": 1.5}, InputError, "`seeds` must be a whole number"),
        ({"seed": -1}, InputError, "`seed` must be at least 0"),
        ({"seed": 2**63}, InputError, r"`seed` must be below 2\*\*63"),
        ({"steps": 0}, InputError, "`steps` must be at least 1, got steps=0"),
        ({"steps": True}, InputError, "`steps` must be a whole number"),
        ({"optimizers": "sgdd"}, UnknownName, "did you mean `sgd`"),
        ({"optimizers": []}, InputError, "must each name at least one"),
        ({"schedules": "cosin"}, UnknownName, "did you mean `cosine`"),
        ({"schedules": "warmup(50) >> constant"}, InputError, "50"),
        ({"strategies": "sgd lr=1 cosine"}, InputError, "must not have a rate"),
        ({"engine": "vectorized"}, UnknownName, "did you mean `vectorised`"),
        ({"executor": "ray"}, InputError, "`executor` must be local"),
        ({"device": "abacus"}, InputError, "`device` must"),
        ({"study": "a/b"}, InputError, "`study` must be a name"),
        ({"study": ""}, InputError, "`study` must be a name"),
        ({"store": "sqlite:////no/such/folder/x.db"}, StoreError, "`store` must"),
        ({"out": "/proc/nowhere"}, StoreError, "`out` must be a place that can be written to"),
        ({"task": "quadratik"}, UnknownName, "did you mean `quadratic`"),
        ({"task": 3}, InputError, "`task` must be a Task or the name of one, got int"),
    ],
)
def test_wrong_arguments_are_refused_before_any_training(small, store, change, kind, rule):
    """Each wrong argument is an error of its kind that states the rule, and no study is left behind."""
    arguments = {"task": "quadratic", **small, "store": store, **change}
    with pytest.raises(kind, match=rule):
        ps.compare(**arguments)
    if "store" not in change:
        with Store.open(store) as opened:
            assert opened.names() == []


def test_a_file_is_no_folder(small, tmp_path):
    """`out` that is a file is found before training."""
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="`out` must be a place"):
        ps.compare("quadratic", **small, out=tmp_path / "file")


def test_with_one_seed_nothing_is_told_apart(small):
    """One seed gives a best rate tried, and no set of rates that equal it; two do."""
    (one,), (two,) = (ps.compare("quadratic", **{**small, "seeds": seeds}).answers for seeds in (1, 2))
    assert (one.best_tried, one.equivalent) == (0.05, ())
    assert two.best_tried in two.equivalent


def test_a_task_that_is_wrong_leaves_nothing(small, store, tmp_path):
    """A loss that is no scalar is found before a store, a study or a folder for the report is made."""
    task = ps.Task(
        model=lambda: torch.nn.Linear(3, 1),
        loss=lambda output, target: (output - target) ** 2,
        train=(torch.randn(32, 3), torch.randn(32, 1)),
        batch_size=16,
        steps=4,
    )
    with pytest.raises(TaskError, match="scalar"):
        ps.compare(task, **small, store=store, out=tmp_path / "new" / "folder")
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_task_leaves_nothing(small, store, tmp_path):
    """What is no task is found before a store or a folder is made."""
    for verb, question in ((ps.compare, small), (ps.train, {"recipe": "sgd lr=0.05"})):
        with pytest.raises(UnknownName, match="did you mean `quadratic`"):
            verb("quadratik", **question, store=store, out=tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_the_best_answer_is_what_the_report_recommends(small, store):
    """`best` is the claimed answer of the best strategy; None on the edge, untrained or unlearned."""
    from dataclasses import replace

    from pacesetter.report._headline import headline

    study = ps.compare("quadratic", **{**small, "lr": "0.001,0.03,1", "schedules": ["constant", "cosine"]})
    assert study.best == min((a for a in study.answers if a.lr is not None), key=lambda a: a.valid_loss)
    assert headline(study.record).sentence.startswith("Use sgd")
    assert headline(study.record).best == ("sgd with cosine" if study.best.schedule == "cosine" else "sgd")
    assert str(study.best.recipe) == study.best.record.recipe
    begun = (replace(study.lanes[0], outcome=Outcome.RUNNING), *study.lanes[1:])
    edge = ps.compare("quadratic", **{**small, "lr": "0.001,0.01"})
    for other in (ps.Study(replace(study.record, lanes=begun)), edge):
        assert other.best is None
        assert not headline(other.record).sentence.startswith("Use ")


def test_a_lane_has_a_document_of_its_own(small):
    """It is the lane's entry of the study's; a number that no lane has is refused."""
    study = ps.compare("quadratic", **small)
    assert json.loads(study.to_json(lane=1)) == json.loads(study.to_json())["lanes"][1]
    with pytest.raises(InputError, match="`lane` must be from 0 to 3 in study quadratic-1, got lane=4"):
        study.to_json(lane=4)


@pytest.mark.parametrize("given", ["adam, sgd(momentum=0.9)", ["adam,sgd"]])
def test_several_in_one_text_are_refused_with_a_hint(given, small):
    """A comma outside of brackets joins what belongs into a list."""
    with pytest.raises(InputError, match=r"`optimizers` must have one text for each, .*: write optimizers=\['adam', "):
        ps.compare("quadratic", **{**small, "optimizers": given})


def test_what_takes_a_while_is_told(small, tmp_path):
    """Before training begins and while the report is written, a listener hears what goes on."""
    heard = []
    ps.compare("quadratic", **{**small, "engine": "auto"}, out=tmp_path / "out", progress=heard.append)
    notes = [progress.note for progress in heard if progress.note]
    assert notes[0] == "measuring which engine is faster ..."
    assert notes[-1] == "writing the report ..."
    assert heard[0].study == ""
    assert heard[-1].ended == heard[-1].lanes == 4
