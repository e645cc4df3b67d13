"""Studies that go on: unfinished, finished, extended, and those that must not be mixed."""

import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch

import pacesetter as ps
from pacesetter import engine
from pacesetter.errors import InputError
from pacesetter.records import Outcome
from pacesetter.store import Store


class _Stop(Exception):
    """Stands for whatever ends a process."""


def _stop_after(ended):
    """A listener that raises once `ended` lanes have ended."""

    def listen(progress):
        if progress.ended >= ended:
            raise _Stop

    return listen


def test_an_interrupted_study_goes_on_where_it_was(small, store):
    """Lanes that had ended are not trained again, the others are, and the whole equals an uninterrupted study."""
    whole = ps.compare("quadratic", **small)
    with pytest.raises(_Stop):
        ps.compare("quadratic", **small, store=store, study="s", progress=_stop_after(2))
    half = ps.Study.load("s", store)
    assert [r.outcome.ended for r in half.lanes].count(True) == 2
    heard: list[ps.Progress] = []
    study = ps.compare("quadratic", **small, store=store, study="s", progress=heard.append)
    assert "going on with study s: 2 of 4 lanes are left" in heard[0].note
    assert heard[-1].steps == 40
    for one, other in zip(study.lanes, whole.lanes, strict=True):
        assert one.outcome is Outcome.FINISHED
        assert np.array_equal(one.curve.train_loss, other.curve.train_loss)
        assert np.array_equal(one.curve.valid_loss, other.curve.valid_loss)


def test_a_bundle_too_large_for_the_store_is_not_saved(small, store, monkeypatch):
    """Lanes whose weights the store cannot hold are trained to their end all the same, and nothing is saved of them."""
    monkeypatch.setattr("pacesetter.engine.saved.SECONDS_BETWEEN_STATES", 0.0)
    monkeypatch.setattr("pacesetter.engine.saved.LARGEST_STATE", 0)
    study = ps.compare("quadratic", **small, store=store, study="s")
    assert study.record.finished
    with Store.open(store) as opened:
        assert opened.saved_state("s") is None


def test_a_long_lane_goes_on_from_its_saved_state(small, store, monkeypatch):
    """A lane interrupted in mid-run goes on from its last saved weights, and its curve is the uninterrupted one."""
    monkeypatch.setattr("pacesetter.engine.saved.SECONDS_BETWEEN_STATES", 0.0)
    whole = ps.compare("quadratic", **small)

    def stop(progress):
        if progress.steps >= 6 and not progress.ended:
            raise _Stop

    with pytest.raises(_Stop):
        ps.compare("quadratic", **small, store=store, study="s", progress=stop)
    before = ps.Study.load("s", store).cost.lane_steps
    heard: list[ps.Progress] = []
    study = ps.compare("quadratic", **small, store=store, study="s", progress=heard.append)
    assert heard[1].settled > 0 == heard[1].steps
    assert heard[-1].settled == heard[-1].total > heard[-1].steps > 0
    with Store.open(store) as opened:
        assert opened.saved_state("s") is None
    assert before > 0
    for one, other in zip(study.lanes, whole.lanes, strict=True):
        for name in ("lr", "train_loss", "grad_norm", "valid_loss", "eval_steps", "path"):
            assert np.array_equal(getattr(one.curve, name), getattr(other.curve, name)), name


def test_what_was_measured_is_kept_through_any_error(small, store):
    """Parts that were told of are in the store when an error comes, also those of lanes that had not ended."""
    seen = []

    def listen(progress):
        seen.append(progress)
        if progress.steps >= 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ps.compare("quadratic", **small, store=store, progress=listen)
    study = ps.Study.load("quadratic-1", store)
    assert study.cost.lane_steps == seen[-1].steps >= 10
    assert study.cost.seconds > 0
    assert not study.record.finished


def test_a_finished_study_trains_nothing(small, store):
    """The same question under the name of a finished study costs nothing more."""
    first = ps.compare("quadratic", **small, store=store, study="s")
    heard: list[ps.Progress] = []
    again = ps.compare("quadratic", **small, store=store, study="s", progress=heard.append)
    assert [progress.note for progress in heard] == ["study s is finished: nothing is trained"]
    assert again.cost == first.cost
    assert again.answers == first.answers


def test_new_lanes_join_a_study_of_the_same_task_and_length(small, store):
    """Another rate under the same name is added and trained; what was there stays as it was."""
    first = ps.compare("quadratic", **small, store=store, study="s")
    heard: list[ps.Progress] = []
    more = ps.compare("quadratic", **{**small, "lr": [0.05, 0.08]}, store=store, study="s", progress=heard.append)
    assert "2 lanes are new to it" in heard[0].note
    assert heard[-1].steps == 40
    assert [r.lane for r in more.lanes[:4]] == [r.lane for r in first.lanes]
    assert {r.lane.lr for r in more.lanes} == {0.01, 0.05, 0.08}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"steps": 21}, "`steps` must be that of study s, 20, got steps=21"),
        ({"task": "two-wells"}, "`task` must be that of study s, 'quadratic', got task='two-wells'"),
        ({"engine": "vectorised"}, "`engine` must be that of study s, 'looped', got engine='vectorised'"),
        ({"engine": "compiled"}, "`engine` must be that of study s, 'looped', got engine='compiled'"),
        ({"precision": "bfloat16"}, "`precision` must be that of study s, 'float32', got precision='bfloat16'"),
    ],
)
def test_another_question_under_the_same_name_is_refused(small, store, change, rule):
    """Task, length, engine, device and precision of a study are fixed; the message names both and the way out."""
    ps.compare("quadratic", **small, store=store, study="s")
    with pytest.raises(InputError, match=rule):
        ps.compare(**{"task": "quadratic", **small, "store": store, "study": "s", **change})


def _planned_otherwise(store, name="asked", copy="s", **changes):
    """Copy a study, as if `auto` had planned it so; None: as if its plan did not say."""
    with Store.open(store) as opened:
        found = opened.load(name)
        plan = {key: value for key, value in {**found.plan, **changes}.items() if value is not None}
        asked = {**found.provenance, "engine_asked_for": None}
        opened.create(replace(found, name=copy, plan=plan, provenance=asked))


def test_a_compiled_plan_is_that_of_the_compiled_engine(small, store):
    """A study that runs compiled code goes on when that is asked for or nothing is, and not as merely vectorised."""
    ps.compare("quadratic", **{**small, "engine": "vectorised"}, store=store, study="asked")
    _planned_otherwise(store, compiled=True)
    for engine_ in ("compiled", "auto"):
        assert ps.compare("quadratic", **{**small, "engine": engine_}, store=store, study="s").record.finished
    with pytest.raises(InputError, match="`engine` must be that of study s, 'compiled', got engine='vectorised'"):
        ps.compare("quadratic", **{**small, "engine": "vectorised"}, store=store, study="s")


def test_the_same_command_goes_on_where_nothing_can_be_compiled(small, store, monkeypatch, tmp_path):
    """`compiled` without a compiler is a plain vectorised study, which the same keywords go on with, and no others."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path / "cache"))
    asked = {**small, "engine": "compiled", "store": store, "study": "s"}
    plan = ps.compare("quadratic", **asked).record.plan
    assert (plan["engine"], plan["compiled"]) == ("vectorised", False)
    assert "no C++ compiler" in plan["reason"]
    assert len(ps.compare("quadratic", **{**asked, "lr": [0.02]}).lanes) == 6
    with pytest.raises(InputError, match="`engine` must be that of study s, 'vectorised', got engine='looped'"):
        ps.compare("quadratic", **{**asked, "engine": "looped"})


def test_a_study_goes_on_in_its_precision(small, store):
    """A study in bfloat16 goes on in bfloat16; one that says nothing of it, of the first version, was in float32."""
    asked = {**small, "store": store, "study": "s"}
    ps.compare("quadratic", **asked, precision="bfloat16")
    more = ps.compare("quadratic", **{**asked, "lr": [0.02]}, precision="bfloat16")
    assert more.record.plan["precision"] == "bfloat16"
    with pytest.raises(InputError, match="`precision` must be that of study s, 'bfloat16', got precision='float32'"):
        ps.compare("quadratic", **asked)
    _planned_otherwise(store, "s", "first", precision=None)
    assert ps.compare("quadratic", **{**asked, "study": "first"}).record.finished


def test_a_study_goes_on_on_its_device(small, store):
    """A study that was trained on a GPU does not go on on the CPU."""
    ps.compare("quadratic", **small, store=store, study="asked")
    _planned_otherwise(store, device="cuda")
    with pytest.raises(InputError, match="`device` must be that of study s, 'cuda', got device='cpu'"):
        ps.compare("quadratic", **small, store=store, study="s")


def test_other_data_under_the_same_name_is_refused(small, store):
    """Lanes are never added to a study of the same task name but other data."""

    def task(scale):
        data = (torch.arange(96.0).reshape(32, 3) * scale, torch.ones(32, 1))
        return ps.Task(
            model=lambda: torch.nn.Linear(3, 1), loss=torch.nn.functional.mse_loss, train=data, batch_size=8, steps=20
        )

    ps.compare(task(0.01), **small, store=store, study="s")
    with pytest.raises(InputError, match="`study` must be of the same data"):
        ps.compare(task(0.02), **{**small, "lr": [0.02]}, store=store, study="s")
    assert len(ps.Study.load("s", store).lanes) == 4


def test_another_model_or_batch_size_is_another_study(store):
    """The same name does not mix models or batch sizes, also where name, length and data are the same."""
    inputs, targets = torch.randn(40, 3), torch.randn(40, 1)

    def task(width, batch_size):
        return ps.Task(
            model=lambda: torch.nn.Sequential(torch.nn.Linear(3, width), torch.nn.Linear(width, 1)),
            loss=torch.nn.functional.mse_loss,
            train=(inputs, targets),
            batch_size=batch_size,
            steps=4,
        )

    asked = {"store": store, "study": "s", "seeds": 1}
    ps.compare(task(2, 8), lr=[0.01, 0.1], **asked)
    with pytest.raises(InputError, match="same model"):
        ps.compare(task(5, 8), lr=[0.02], **asked)
    with pytest.raises(InputError, match="same batch size"):
        ps.compare(task(2, 4), lr=[0.02], **asked)


def test_other_updates_are_another_study(store):
    """The same name does not mix numbers of batches in an update, clippings or ratios of rates."""
    inputs, targets = torch.randn(40, 3), torch.randn(40, 1)

    def task(**changes):
        parts = {"train": (inputs, targets), "batch_size": 8, "steps": 2, **changes}
        return ps.Task(model=lambda: torch.nn.Linear(3, 1), loss=torch.nn.functional.mse_loss, **parts)

    asked = {"store": store, "study": "s", "seeds": 1}
    ps.compare(task(lr_ratios={"bias": 2}), lr=[0.01], **asked)
    ps.compare(task(lr_ratios={"bias": 2.0}), lr=[0.02], **asked)
    for changes, what in (
        ({"accumulate": 2}, "same batches in an update, .* measured with 1 and not 2"),
        ({"clip_norm": 1}, "same clipping, .* measured with None and not 1.0"),
        ({"lr_ratios": {"bias": 3}}, "same ratios of rates, .* measured with {'bias': 2.0} and not {'bias': 3.0}"),
    ):
        with pytest.raises(InputError, match=what):
            ps.compare(task(**{"lr_ratios": {"bias": 2}, **changes}), lr=[0.03], **asked)


def test_a_study_that_says_nothing_of_its_updates_had_plain_ones(store):
    """A study kept before updates could be anything else goes on with one batch an update, and with nothing else."""
    inputs, targets = torch.randn(40, 3), torch.randn(40, 1)

    def task(**changes):
        parts = {"train": (inputs, targets), "batch_size": 8, "steps": 2, **changes}
        return ps.Task(model=lambda: torch.nn.Linear(3, 1), loss=torch.nn.functional.mse_loss, **parts)

    asked = {"store": store, "study": "s", "seeds": 1}
    kept = ps.compare(task(), lr=[0.01], **asked).record.provenance
    with Store.open(store) as opened:
        said = ("accumulate", "clip_norm", "lr_ratios")
        opened.update("s", provenance={key: value for key, value in kept.items() if key not in said})
    ps.compare(task(), lr=[0.02], **asked)
    with pytest.raises(InputError, match="same clipping"):
        ps.compare(task(clip_norm=1.0), lr=[0.03], **asked)


@pytest.mark.parametrize(("first", "then"), [(3, 1), (2, 3), (1, 2)])
def test_all_bundles_in_training_go_on_with_another_number_of_workers(small, store, monkeypatch, first, then):
    """A study interrupted with some workers goes on with others from what all its bundles had saved, bit by bit."""
    monkeypatch.setattr("pacesetter.engine.saved.SECONDS_BETWEEN_STATES", 0.0)
    asked = {**small, "seeds": 3}
    whole = ps.compare("quadratic", **asked)

    def stop(progress):
        if progress.steps >= 40:
            raise _Stop

    with pytest.raises(_Stop):
        ps.compare("quadratic", **asked, store=store, study="s", workers=first, progress=stop)
    assert multiprocessing.active_children() == []
    with Store.open(store) as opened:
        _, kept = opened.saved_state("s")
    saved = engine.unpack(kept)
    assert len(saved) <= first
    ended = [r.lane for r in ps.Study.load("s", store).lanes if r.outcome.ended]
    made = sum(state.step for state in saved for lane in state.lanes if lane not in ended)
    heard: list[ps.Progress] = []
    study = ps.compare("quadratic", **asked, store=store, study="s", workers=then, progress=heard.append)
    assert heard[-1].steps == 20 * (6 - len(ended)) - made
    for one, other in zip(study.lanes, whole.lanes, strict=True):
        assert one.outcome is Outcome.FINISHED
        for name in ("lr", "train_loss", "grad_norm", "valid_loss", "eval_steps", "path"):
            assert np.array_equal(getattr(one.curve, name), getattr(other.curve, name)), name


def test_a_killed_worker_is_told_of_and_costs_nothing_that_was_measured(small, store, monkeypatch):
    """When a process is killed the listener hears why, and the study is the one that would have been."""
    monkeypatch.setattr("pacesetter.engine.serving.SECONDS_BETWEEN_WORDS", 0.0)
    whole = ps.compare("quadratic", **small)
    heard: list[ps.Progress] = []
    killed: list = []

    def kill_all(progress):
        heard.append(progress)
        if progress.steps and not killed:
            killed.extend(multiprocessing.active_children())
            for process in killed:
                process.kill()

    study = ps.compare("quadratic", **small, store=store, study="s", workers=2, progress=kill_all)
    assert len(killed) == 2
    assert any("a process ended (signal 9, as when memory runs out) and is replaced" in p.note for p in heard)
    for one, other in zip(study.lanes, whole.lanes, strict=True):
        assert np.array_equal(one.curve.train_loss, other.curve.train_loss)
        assert np.array_equal(one.curve.valid_loss, other.curve.valid_loss)


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "two"])
def test_workers_are_a_whole_number(small, workers):
    """A number of workers that is none is refused before anything is trained."""
    with pytest.raises(InputError, match="`workers` must be "):
        ps.compare("quadratic", **small, workers=workers)
