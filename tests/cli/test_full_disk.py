"""A disk that takes no more, in a real process: a sentence, and nothing measured is lost."""

import re
import subprocess
import sys

import pytest

from pacesetter import Study

COMMAND = f"exec {sys.executable} -m pacesetter.cli compare quadratic --optimizer sgd --lr 1e-3:0.1:5 --engine looped"


@pytest.mark.slow
def test_a_full_disk_keeps_what_was_measured_and_the_same_command_goes_on(tmp_path):
    """Exit code 2, what is kept is told and is there, and with room again the lanes that are left are trained."""

    def run(line):
        return subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)

    ran = run(f"ulimit -f 200; {COMMAND}")  # KiB that any file may have
    assert ran.returncode == 2, ran.stderr
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
    told = re.search(r"`store` must .* disk.* Kept: (\d+) of 33 lanes ended and (\d+) steps recorded", ran.stderr)
    assert told is not None, ran.stderr
    url = f"sqlite:///{tmp_path / 'pacesetter.db'}"
    kept = Study.load("quadratic-1", url)
    ended = sum(record.outcome.ended for record in kept.lanes)
    assert (ended, kept.cost.lane_steps) == tuple(map(int, told.groups()))
    assert 0 < kept.cost.lane_steps < 33 * 100

    again = run(f"{COMMAND} --study quadratic-1")
    assert again.returncode == 0, again.stderr
    assert f"{33 - ended} of 33 lanes are left" in again.stderr
    assert Study.load("quadratic-1", url).record.finished
