"""What is put into a store comes out of it."""

import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pacesetter.errors import InputError, StoreError, UnknownName
from pacesetter.records import Curve, Lane, LaneRecord, Outcome
from pacesetter.store import Store, StudySummary
from tests.store.studies import TOTAL, append, bits, lanes_of, part_of, study_of


def test_a_study_comes_back_as_it_was_created() -> None:
    """Every field of a study, nested JSON included, is what it was."""
    study = study_of(
        "first",
        lanes_of(5),
        metrics={"accuracy": "max", "top 5": "max"},
        plan={"engine": "vectorised", "lanes_per_chunk": 32, "why": ["measured", None, 1.5]},
        provenance={"torch": "2.6", "command": "pacesetter compare 'ü'"},
        created="2026-01-02T03:04:05+00:00",
        seconds=1.25,
        surface={"x": [0.0, 1.0], "y": None, "loss": [0.5, float("inf")]},
    )
    with Store.open() as store:
        store.create(study)
        loaded = store.load("first")
    for field in ("name", "task", "total_steps", "metrics", "plan", "provenance", "created", "seconds", "surface"):
        assert getattr(loaded, field) == getattr(study, field), field
    assert [record.lane for record in loaded.lanes] == [record.lane for record in study.lanes]
    assert all(record.outcome is Outcome.RUNNING and bits(record.curve) == bits(Curve()) for record in loaded.lanes)


def test_lanes_keep_the_order_in_which_they_were_asked_for(tmp_path: Path) -> None:
    """Neither the order of appends nor of keys changes the order of lanes, and added ones come last."""
    lanes = lanes_of(40)
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store:
        store.create(study_of("s", lanes[:30]))
        store.append_many("s", [(lane, part_of(0, 0), Outcome.RUNNING, "") for lane in reversed(lanes[:30])])
        store.add_lanes("s", lanes[25:])
        loaded = store.load("s")
    assert [record.lane for record in loaded.lanes] == lanes
    assert len(loaded.lanes[0].curve.eval_steps) == 1, "a lane that was there already lost its curve"


def test_parts_concatenate_to_the_curve(tmp_path: Path) -> None:
    """Three parts in three calls, one of them without an evaluation, are one curve when read again."""
    lane = lanes_of(1)[0]
    parts = [part_of(0, 0, width=2), part_of(0, 22, width=2, seed=1), part_of(22, 5, evaluate=False, width=2)]
    parts[1] = replace(parts[1], path=parts[1].path[1:] if parts[1].path is not None else None)
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store:
        store.create(study_of("s", [lane]))
        for part, outcome in zip(parts, [Outcome.RUNNING, Outcome.RUNNING, Outcome.DIVERGED], strict=True):
            append(store, "s", lane, part, outcome, outcome.value)
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store:
        record = store.load("s").lanes[0]
    expected = Curve(
        lr=np.concatenate([part.lr for part in parts]),
        train_loss=np.concatenate([part.train_loss for part in parts]),
        grad_norm=np.concatenate([part.grad_norm for part in parts]),
        eval_steps=np.array([0, 22]),
        valid_loss=np.concatenate([part.valid_loss for part in parts]),
        metrics={name: np.concatenate([part.metrics[name] for part in parts]) for name in ("accuracy", "top 5")},
        valid_spread=0.25,
        path=np.concatenate([part.path for part in parts if part.path is not None]),
    )
    assert bits(record.curve) == bits(expected)
    assert record.curve.path is not None
    assert record.curve.path.shape == (28, 2)
    assert (record.outcome, record.message) == (Outcome.DIVERGED, "diverged")


any_floats = st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True)


@given(
    st.lists(arrays(np.float64, st.integers(0, 6), elements=any_floats), min_size=1, max_size=4),
    any_floats,
    st.booleans(),
)
@settings(max_examples=60)
def test_any_floats_survive_bit_by_bit(pieces: list[NDArray[np.float64]], spread: float, metric: bool) -> None:
    """NaN, infinities, subnormal numbers and negative zeros come back with the bits they went in with."""
    lane = Lane("sgd", "constant", 0.1, 0, 100)
    done = 0
    with Store.open() as store:
        store.create(study_of("s", [lane]))
        for piece in pieces:
            done += len(piece)
            marks = np.arange(done - len(piece) + 1, done + 1)
            metrics = {"m": piece} if metric else {}
            part = Curve(piece, piece[::-1], -piece, marks, -piece[::-1], metrics, spread)
            append(store, "s", lane, part, Outcome.RUNNING, "")
        curve = store.load("s").lanes[0].curve
    whole = np.concatenate(pieces)
    assert curve.lr.tobytes() == whole.tobytes()
    assert curve.train_loss.tobytes() == np.concatenate([piece[::-1] for piece in pieces]).tobytes()
    assert curve.grad_norm.tobytes() == (-whole).tobytes()
    assert curve.valid_loss.tobytes() == np.concatenate([-piece[::-1] for piece in pieces]).tobytes()
    assert curve.eval_steps.tolist() == list(range(1, done + 1))
    assert struct.pack("<d", curve.valid_spread) == struct.pack("<d", spread)
    assert curve.metrics.keys() == ({"m"} if metric else set())
    assert curve.lr.flags.writeable


def test_a_study_with_curves_can_be_created_whole(tmp_path: Path) -> None:
    """A study in memory moves into a file: create keeps what the lanes have recorded already."""
    lane, other = lanes_of(2)
    curve = part_of(0, 10, width=1)
    study = replace(
        study_of("s", []),
        lanes=(
            LaneRecord(lane, Outcome.FINISHED, curve, "done"),
            LaneRecord(other, Outcome.FAILED, Curve(), "it raised"),
        ),
    )
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store:
        store.create(study)
        loaded = store.load("s")
    assert bits(loaded.lanes[0].curve) == bits(curve)
    assert [(record.outcome, record.message) for record in loaded.lanes] == [
        (Outcome.FINISHED, "done"),
        (Outcome.FAILED, "it raised"),
    ]


def test_restart_forgets_only_what_did_not_end() -> None:
    """A lane that was cut off starts anew; one that ended keeps its curve although it was named too."""
    ended, cut, other = lanes_of(3)
    with Store.open() as store:
        store.create(study_of("s", [ended, cut, other]))
        store.append_many("s", [(lane, part_of(0, 0), Outcome.RUNNING, "") for lane in (ended, cut, other)])
        store.append_many(
            "s", [(ended, part_of(0, 22), Outcome.FINISHED, ""), (cut, part_of(0, 22), Outcome.RUNNING, "half")]
        )
        store.restart("s", [ended, cut])
        store.restart("s", [])
        steps = [record.curve.steps for record in store.load("s").lanes]
        marks = [record.curve.eval_steps.tolist() for record in store.load("s").lanes]
        append(store, "s", cut, part_of(0, 0), Outcome.RUNNING, "")
        assert store.load("s").lanes[1].message == ""
    assert steps == [22, 0, 0]
    assert marks == [[0, 22], [], [0]]


def test_update_replaces_what_is_given_and_adds_up_time() -> None:
    """What is not given stays; seconds of several sessions are summed."""
    with Store.open() as store:
        store.create(study_of("s", lanes_of(1), plan={"threads": 1}, provenance={"a": 1}, seconds=1.0))
        store.update("s", provenance={"a": 2}, seconds_added=0.5)
        store.update("s", surface={"x": [1.0], "y": None, "loss": [2.0]}, seconds_added=0.25)
        study = store.load("s")
    assert (study.plan, study.provenance, study.seconds) == ({"threads": 1}, {"a": 2}, 1.75)
    assert study.surface == {"x": [1.0], "y": None, "loss": [2.0]}


def test_summaries_count_lanes_without_reading_curves() -> None:
    """A summary says how many lanes there are and how many ended, for studies without lanes too."""
    lanes = lanes_of(3)
    with Store.open() as store:
        store.create(study_of("b", lanes, created="2026-01-01", seconds=2.0))
        store.create(study_of("a", []))
        append(store, "b", lanes[1], part_of(0, 5), Outcome.STOPPED, "")
        assert store.summaries() == [
            StudySummary("b", "digits-mlp", "2026-01-01", TOTAL, 3, 1, 2.0),
            StudySummary("a", "digits-mlp", "", TOTAL, 0, 0, 0.0),
        ]
        assert store.names() == ["b", "a"]


def test_an_unknown_study_is_answered_with_the_nearest_name() -> None:
    """Every call that names a study which is not there says which is meant."""
    with Store.open() as store:
        with pytest.raises(UnknownName, match="the store holds none yet"):
            store.load("digits")
        store.create(study_of("digits-1", lanes_of(1)))
        for call in (store.load, store.update, store.saved_state):
            with pytest.raises(UnknownName, match="did you mean `digits-1`"):
                call("digit-1")
        with pytest.raises(UnknownName, match="did you mean `digits-1`"):
            store.add_lanes("digit-1", [])


def test_a_name_is_given_once() -> None:
    """A second study of one name is refused and the first stays."""
    with Store.open() as store:
        store.create(study_of("s", lanes_of(2)))
        with pytest.raises(StoreError, match="`study` must be a new name, got study='s'"):
            store.create(study_of("s", lanes_of(1)))
        assert len(store.load("s").lanes) == 2


def test_equal_lanes_are_refused_and_nothing_is_created() -> None:
    """Two equal lanes could not be told apart; the whole study is refused."""
    lane = lanes_of(1)[0]
    with Store.open() as store:
        with pytest.raises(InputError, match="`lanes` must differ"):
            store.create(study_of("s", [lane, lane]))
        assert store.names() == []


@pytest.mark.parametrize(
    ("part", "rule"),
    [
        (part_of(0, 0), "`eval_steps` must follow on 22 evaluated"),
        (replace(part_of(22, 5), eval_steps=np.array([99])), "`eval_steps` must follow"),
        (replace(part_of(22, 5), train_loss=np.zeros(4)), "`train_loss` must have one entry per update"),
        (replace(part_of(22, 5), valid_loss=np.zeros(2)), "`valid_loss` must have one entry per evaluation"),
        (part_of(22, TOTAL), "`part` must end by step 440, got step 462"),
    ],
)
def test_a_part_that_does_not_follow_is_refused(part: Curve, rule: str) -> None:
    """A part that overlaps, leaves a gap or does not fit together never gets into a curve, nor does its whole call."""
    lane, other = lanes_of(2)
    with Store.open() as store:
        store.create(study_of("s", [lane, other]))
        append(store, "s", lane, part_of(0, 22), Outcome.RUNNING, "")
        with pytest.raises(InputError, match=rule):
            store.append_many("s", [(other, part_of(0, 1), Outcome.RUNNING, ""), (lane, part, Outcome.RUNNING, "")])
        assert [record.curve.steps for record in store.load("s").lanes] == [22, 0]


def test_nothing_is_added_to_a_lane_that_ended_or_is_not_there() -> None:
    """An ended lane is final, and a lane of another study is not taken for one of this."""
    lane, other = lanes_of(2)
    with Store.open() as store:
        store.create(study_of("s", [lane]))
        append(store, "s", lane, part_of(0, 22), Outcome.FINISHED, "")
        with pytest.raises(InputError, match=r"must not have ended.*which is finished"):
            append(store, "s", lane, part_of(22, 1), Outcome.RUNNING, "")
        with pytest.raises(InputError, match="must be one of the study's"):
            append(store, "s", other, part_of(0, 1), Outcome.RUNNING, "")


def test_a_number_too_large_for_the_file_is_an_input_error() -> None:
    """A seed beyond 63 bits is refused in words."""
    with Store.open() as store:
        with pytest.raises(InputError, match="63 bits"):
            store.create(study_of("s", [Lane("sgd", "constant", 0.1, 2**63, 10)]))
        assert store.names() == []
