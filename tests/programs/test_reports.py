"""Reading a program's lines, apart from any process."""

import json
import subprocess
import sys
import threading
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pacesetter.programs import _guard
from pacesetter.programs._process import LONGEST_LINE, _Lines
from pacesetter.programs._reports import Reader, joined
from pacesetter.records import Lane, Outcome
from tests.programs.processes import gone

LANE = Lane("own", "own", 0.1, 0, 1000)

numbers = st.floats(allow_nan=False, allow_infinity=False)
lines = st.fixed_dictionaries(
    {}, optional={"valid_loss": numbers, "train_loss": numbers, "lr": numbers, "accuracy": numbers, "f1": numbers}
)


@given(st.lists(lines, max_size=12), st.lists(st.integers(1, 12), max_size=4))
def test_joining_reports_changes_nothing(said, cuts):
    """However reports are gathered, together they are the same curve."""
    reader = Reader(LANE)
    reports = [reader.read(json.dumps({"step": 3 * k, **line})) for k, line in enumerate(said)]
    edges = [0, *sorted(cuts), len(reports)]
    groups = [joined(reports[a:b]) for a, b in pairwise(edges)]
    together = [report.curve for group in groups for report in group]
    for name in ("lr", "train_loss", "grad_norm", "eval_steps", "valid_loss"):
        one, other = (
            np.concatenate([np.empty(0), *(getattr(curve, name) for curve in curves)])
            for curves in ([report.curve for report in reports], together)
        )
        np.testing.assert_array_equal(one, other)
    for curve in together:
        assert all(len(values) == len(curve.eval_steps) for values in curve.metrics.values())
        assert len(curve.lr) == len(curve.train_loss) == len(curve.grad_norm)


@given(st.text())
def test_any_text_can_be_read(text):
    """Whatever a program prints is a report, an end, or ignored."""
    report = Reader(LANE).read(text)
    assert report is None or report.outcome in (Outcome.RUNNING, Outcome.DIVERGED, Outcome.FAILED)


@pytest.mark.parametrize("value", ["1e999", "9" * 400, "9" * 5000, "[" * 100_000, '{"a": ' * 100_000])
def test_numbers_beyond_all_bounds(value):
    """Numbers that no float holds, and brackets without end, are no error of ours."""
    for name in ("step", "valid_loss", "train_loss", "accuracy"):
        parts = {"step": "5", "valid_loss": "1.0", name: value}
        report = Reader(LANE).read("{" + ", ".join(f'"{key}": {text}' for key, text in parts.items()) + "}")
        assert report is None or report.outcome in (Outcome.RUNNING, Outcome.DIVERGED, Outcome.FAILED)


@given(st.lists(st.binary(max_size=20), max_size=10))
def test_lines_do_not_depend_on_how_bytes_arrive(pieces):
    """Bytes in any portions give the lines of the whole."""
    cut = _Lines()
    found = [line for piece in pieces for line in cut.add(piece)] + cut.rest()
    whole = b"".join(pieces).split(b"\n")
    assert found == [line.decode(errors="replace") for line in (whole if whole[-1] else whole[:-1])]


def test_a_line_without_end_is_dropped():
    """What is longer than any report is not kept; the next line is read again."""
    cut = _Lines()
    assert cut.add(b"x" * (LONGEST_LINE + 1)) == []
    assert cut.add(b"y" * LONGEST_LINE) == []
    assert cut.rest() == []
    assert cut.add(b"end of it\nnext\nopen") == ["next"]
    assert cut.rest() == ["open"]


def test_the_guard_ends_what_is_left():
    """When its input ends, groups that were started and have not been taken off the list are ended."""
    sleep = [sys.executable, "-S", "-c", "import time; time.sleep(60)"]
    kept, ended = (subprocess.Popen(sleep, start_new_session=True) for _ in range(2))
    threading.Thread(target=ended.wait, daemon=True).start()  # as the system does for whoever has lost its parent
    try:
        said = f"+{kept.pid}\n+{ended.pid}\n-{kept.pid}\n".encode()
        subprocess.run([sys.executable, "-I", "-S", _guard.__file__], input=said, check=True)
        assert gone(ended.pid)
        assert kept.poll() is None
    finally:
        for process in (kept, ended):
            process.kill()
            process.wait()
