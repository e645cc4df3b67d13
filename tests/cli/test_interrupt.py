"""Ctrl-C and kills of real processes: nothing measured is lost, and nothing goes on that nobody waits for."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from pacesetter import Study
from pacesetter.records import Outcome

SLOW = """
import os, time
import torch
import pacesetter as ps


def loss(output, target):
    time.sleep(float(os.environ.get("SLOW", "0")))
    return (output - target).square().mean()


def task():
    torch.manual_seed(0)
    inputs = torch.randn(64, 3)
    data = (inputs, inputs.sum(1, keepdim=True))
    return ps.Task(model=lambda: torch.nn.Linear(3, 1), loss=loss, train=data, batch_size=16, steps=20, evaluations=5)
"""
COMMAND = [sys.executable, "-m", "pacesetter.cli", "compare", "slow.py:task", "--lr", "0.01,0.1", "--seeds", "6",
           "--engine", "looped"]  # fmt: skip

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="processes are forked on Linux alone")


def test_ctrl_c_keeps_everything_and_the_same_command_goes_on(tmp_path):
    """Exit code 130, the line that goes on is told, others read meanwhile, and ended lanes stay as they are."""
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    url = f"sqlite:///{tmp_path / 'pacesetter.db'}"
    trainer = subprocess.Popen(
        COMMAND,
        cwd=tmp_path,
        env={**os.environ, "SLOW": "0.02"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not _ended(url) and trainer.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        meanwhile = Study.load("slow-task-1", url)
        trainer.send_signal(signal.SIGINT)
        out, err = trainer.communicate(timeout=60)
    finally:
        trainer.kill()
        trainer.communicate()
    assert trainer.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert "pacesetter compare slow.py:task --lr 0.01,0.1 --seeds 6 --engine looped --study slow-task-1" in err
    assert any(record.outcome.ended for record in meanwhile.lanes)
    kept = Study.load("slow-task-1", url)
    assert not kept.record.finished

    again = subprocess.run(
        [*COMMAND, "--study", "slow-task-1"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    left = sum(not record.outcome.ended for record in kept.lanes)
    assert f"{left} of 12 lanes are left" in again.stderr
    for before, after in zip(kept.lanes, Study.load("slow-task-1", url).lanes, strict=True):
        assert after.outcome is Outcome.FINISHED
        assert np.array_equal(before.curve.train_loss, after.curve.train_loss[: before.curve.steps])


@pytest.mark.slow
@needs_fork
def test_ctrl_c_ends_all_workers_at_once(tmp_path):
    """With several processes Ctrl-C, which all of them get, is still 130 and one message, and none of them is left."""
    trainer, children = _started(tmp_path)
    url = _url(tmp_path)
    os.killpg(trainer.pid, signal.SIGINT)
    out, err = trainer.communicate(timeout=60)
    assert trainer.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert err.count("interrupted: ") == 1
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    kept = Study.load("slow-task-1", url)
    again = subprocess.run(
        [*COMMAND, "--study", "slow-task-1", "--workers", "3"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 0, again.stderr
    _same_from_there(kept, Study.load("slow-task-1", url))


@needs_fork
@pytest.mark.slow
def test_workers_end_when_their_parent_is_killed(tmp_path):
    """`kill -9` of the program ends its processes too, and what was measured is there to go on with."""
    trainer, children = _started(tmp_path)
    trainer.kill()
    trainer.communicate()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []
    kept = Study.load("slow-task-1", _url(tmp_path))
    assert any(record.curve.steps for record in kept.lanes)
    again = subprocess.run(
        [*COMMAND, "--study", "slow-task-1"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert again.returncode == 0, again.stderr
    _same_from_there(kept, Study.load("slow-task-1", _url(tmp_path)))


@needs_fork
@pytest.mark.slow
def test_a_study_survives_many_kills(tmp_path):
    """Workers and whole programs killed at random moments, again and again, leave the study that no kill would have."""
    chance = random.Random(0)
    often = "import pacesetter.engine.saved\npacesetter.engine.saved.SECONDS_BETWEEN_STATES = 0.2\n"
    (tmp_path / "slow.py").write_text(SLOW + often, encoding="utf-8")
    whole = [*COMMAND, "--store", f"sqlite:///{tmp_path / 'whole.db'}", "--study", "s"]
    subprocess.run(whole, cwd=tmp_path, capture_output=True, check=True)
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    killed, unfinished = 0, 0
    for round_ in range(12):
        # The program alone is killed every other time; then its workers are its own to end.
        line = [*COMMAND, "--store", url, "--study", "s", "--workers", str(1 + round_ % 3)]
        env = {**os.environ, "SLOW": "0.05"}
        trainer = subprocess.Popen(line, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            time.sleep(chance.uniform(2.5, 4.5))
            children = psutil.Process(trainer.pid).children() if trainer.poll() is None else []
            for child in children[round_ % 2 :]:
                child.kill()
                killed += 1
            time.sleep(chance.uniform(0.0, 1.0))
        finally:
            trainer.kill()
            _, err = trainer.communicate()
        assert b"Traceback" not in err, err
        unfinished += not Study.load("s", url).record.finished
    assert killed > 3 < unfinished
    last = subprocess.run(
        [*COMMAND, "--store", url, "--study", "s", "--workers", "2"], cwd=tmp_path, capture_output=True, check=False
    )
    assert last.returncode == 0, last.stderr
    found = Study.load("s", url).lanes
    for one, other in zip(found, Study.load("s", f"sqlite:///{tmp_path / 'whole.db'}").lanes, strict=True):
        assert one.outcome is Outcome.FINISHED
        for name in ("lr", "train_loss", "grad_norm", "valid_loss", "eval_steps"):
            assert np.array_equal(getattr(one.curve, name), getattr(other.curve, name)), name


def _url(folder):
    return f"sqlite:///{folder / 'pacesetter.db'}"


def _started(folder):
    """A slow comparison with two workers, in a group of its own as on a terminal, and its workers; some lanes ended."""
    (folder / "slow.py").write_text(SLOW, encoding="utf-8")
    trainer = subprocess.Popen(
        [*COMMAND, "--workers", "2"],
        cwd=folder,
        env={**os.environ, "SLOW": "0.02"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not _ended(_url(folder)) and trainer.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert trainer.poll() is None, trainer.communicate()
    children = psutil.Process(trainer.pid).children()
    assert len(children) == 2
    return trainer, children


def _same_from_there(kept, after):
    """Every lane has finished, with all that it had recorded before."""
    for before, lane in zip(kept.lanes, after.lanes, strict=True):
        assert lane.outcome is Outcome.FINISHED
        assert np.array_equal(before.curve.train_loss, lane.curve.train_loss[: before.curve.steps])


def _ended(url):
    """Whether a lane of the study has ended; False while there is no study."""
    from pacesetter.errors import StoreError

    try:
        return any(summary.ended for summary in Study.summaries(url))
    except StoreError:
        return False


def test_what_an_interruption_says():
    """Before a study has a name nothing is stored; where nothing or nothing more is to be trained, it says so."""
    import click

    from pacesetter.api.progress import Progress
    from pacesetter.cli import session
    from pacesetter.cli.progress import Watch

    def said(*heard):
        watch = Watch()
        watch.last = heard[-1] if heard else None
        with click.Context(click.Command("compare"), obj=["compare"]):
            return session._kept(watch, "sqlite:///a.db")

    assert said() == said(Progress("", 0)) == "interrupted before training began: nothing new was stored"
    assert "study mine is finished" in said(Progress("mine", 0))
    assert "all 4 lanes have ended" in said(Progress("mine", 4, ended=4))
    assert "1 of 4 lanes have ended" in said(Progress("mine", 4, ended=1))
    assert "go on with\n  pacesetter compare --study mine" in said(Progress("mine", 4, ended=1))
