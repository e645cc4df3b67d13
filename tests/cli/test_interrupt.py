"""Ctrl-C in a real process: nothing measured is lost."""

import os
import signal
import subprocess
import sys
import time

import numpy as np

from pacesetter import Study
from pacesetter.records import Outcome

SLOW = """
import os, time
import torch
import pacesetter as ps


def loss(output, target):
    if os.environ.get("SLOW"):
        time.sleep(0.02)
    return (output - target).square().mean()


def task():
    torch.manual_seed(0)
    inputs = torch.randn(64, 3)
    data = (inputs, inputs.sum(1, keepdim=True))
    return ps.Task(model=lambda: torch.nn.Linear(3, 1), loss=loss, train=data, batch_size=16, steps=20, evaluations=5)
"""
COMMAND = [sys.executable, "-m", "pacesetter.cli", "compare", "slow.py:task", "--lr", "0.01,0.1", "--seeds", "6",
           "--engine", "looped"]  # fmt: skip


def test_ctrl_c_keeps_everything_and_the_same_command_goes_on(tmp_path):
    """Exit code 130, the line that goes on is told, others read meanwhile, and ended lanes stay as they are."""
    (tmp_path / "slow.py").write_text(SLOW, encoding="utf-8")
    url = f"sqlite:///{tmp_path / 'pacesetter.db'}"
    trainer = subprocess.Popen(
        COMMAND,
        cwd=tmp_path,
        env={**os.environ, "SLOW": "1"},
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
