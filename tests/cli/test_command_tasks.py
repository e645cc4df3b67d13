"""`--command`: a program as the task, from the command line."""

import json
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pacesetter import Study
from tests.programs.conftest import GOOD
from tests.programs.processes import gone

LINE = f"{sys.executable} -S train.py {{lr}} {{steps}} {{seed}}"
QUICK = ("--steps", "10", "--seeds", "1")


@pytest.fixture
def program(tmp_path):
    """Write `train.py`, which does something first where its rate is 0.3."""

    def write(bad="pass"):
        code = GOOD.replace("    pass  # BAD", "\n".join(f"    {line}" for line in bad.splitlines()))
        (tmp_path / "train.py").write_text(code, encoding="utf-8")

    write()
    return write


def test_comparing_showing_and_reporting(cli, program):
    """A program is compared, shown lane by lane, reported and exported like any task."""
    ran = cli(
        "compare", "--command", LINE, "--steps", "20", "--lr", "0.01,0.1,0.45,1.5", "--workers", "2", "--out", "o"
    )
    assert ran.code == 0, ran.err
    assert "Use the program at a learning rate of 0.45" in ran.out
    assert "2 programs side by side" in ran.err
    assert "o/report.html" in ran.out
    shown = cli("show", "train-1", "--lane", "3")
    assert "own lr=0.1 own" in shown.out
    script = cli("show", "train-1", "--lane", "3", "--script").out
    assert script.splitlines()[-1] == f"{sys.executable} -S train.py 0.1 20 0"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    last = json.loads(done.stdout.splitlines()[-1])
    lane = json.loads(cli("show", "train-1", "--lane", "3", "--json", "-").out)
    assert lane["valid_loss"] == last["valid_loss"]
    assert cli("export", "train-1", "lanes.csv").code == 0


def test_json_is_the_only_thing_on_standard_output(cli, program):
    """With --json - programs' own output and people's text stay off it; a failed lane has nulls."""
    program("print('noise')\nsys.exit('no disk')")
    ran = cli("compare", "--command", LINE, *QUICK, "--lr", "0.1,0.3", "--json", "-")
    document = json.loads(ran.out)
    assert ran.code == 0
    assert document["task"] == LINE
    good, bad = document["lanes"]
    assert (good["outcome"], bad["outcome"], bad["valid_loss"]) == ("finished", "failed", None)


def test_where_every_program_fails_the_work_failed(cli, program):
    """Exit code 1, and the first program's own words."""
    program("sys.exit('no disk')")
    ran = cli("compare", "--command", LINE, *QUICK, "--lr", "0.3")
    assert ran.code == 1
    assert "error: no lane could be trained: failed: the program ended with exit status 1" in ran.err
    assert "'no disk'" in ran.err
    assert "Traceback" not in ran.err


def test_training_one_recipe(cli, program):
    """`train --command` leaves the curve."""
    ran = cli("train", "--command", LINE, "--recipe", "lr=0.1", "--steps", "10", "--out", "run")
    assert ran.code == 0, ran.err
    assert "written: run/curve.csv" in ran.out
    assert "weights" not in ran.out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("compare", "quadratic", "--command", LINE, *QUICK), "`command` must come without a task"),
        (("compare", "--command", LINE), "`steps` must be given for a command"),
        (("compare", "--command", LINE, *QUICK, "--optimizer", "sgd"), "{optimizer}"),
        (("compare", "--command", LINE, *QUICK, "--schedule", "cosine"), "{schedule}"),
        (("compare", "--command", LINE, *QUICK, "--device", "cuda"), "`device` must be left out for a command"),
        (("compare", "--command", LINE, *QUICK, "--timeout", "soon"), "`timeout` must be a number of seconds"),
        (("compare", "--command", LINE, *QUICK, "--timeout", "0"), "`timeout` must be seconds above 0"),
        (("compare", "--command", "pyhton x.py {lr}", *QUICK), "got 'pyhton', which is not there"),
        (("compare", "--command", "", *QUICK), "must start with a program"),
        (("compare", "quadratic", "--timeout", "5"), "`timeout` must come with a command"),
        (("compare", "quadratic", "--maximize", "accuracy"), "`maximize` must come with a command"),
        (("train", "--command", LINE, "--recipe", "adam lr=0.1", "--steps", "5"), "`recipe` must leave out"),
    ],
)
def test_bad_input_is_told_in_one_line(cli, program, arguments, says):
    """Exit code 2, one line of what is wrong, and nothing stored."""
    ran = cli(*arguments)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert says in ran.err
    assert "Traceback" not in ran.err
    assert not Path("pacesetter.db").exists()


def start(folder, *more):
    """`pacesetter compare` in a process of its own, once its slow programs have told their process numbers."""
    line = [sys.executable, "-m", "pacesetter.cli", "compare", "--command", LINE, "--lr", "0.1,0.3", *QUICK, *more]
    trainer = subprocess.Popen(line, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    numbers = folder / "processes.txt"
    deadline = time.monotonic() + 60
    while trainer.poll() is None and time.monotonic() < deadline:
        if numbers.exists() and (text := numbers.read_text(encoding="utf-8")).endswith("\n"):
            return trainer, [int(number) for number in text.split()]
        time.sleep(0.02)
    trainer.kill()
    raise AssertionError(trainer.communicate())


def test_ctrl_c_ends_the_programs_and_the_same_command_goes_on(cli, program, tmp_path):
    """Exit code 130; programs and their children are gone; the line that is told trains what is left."""
    program("say(step=5, valid_loss=1.0)\nstart_another()\nif os.path.exists('go'):\n    say(step=10, valid_loss=0.5)\n"
            "    sys.exit()\ntime.sleep(60)")  # fmt: skip
    trainer, pids = start(tmp_path)
    trainer.send_signal(signal.SIGINT)
    _, err = trainer.communicate(timeout=60)
    assert trainer.returncode == 130, err
    assert "Traceback" not in err
    assert "1 of 2 lanes have ended" in err
    assert all(map(gone, pids))
    (tmp_path / "go").touch()
    again = cli(*shlex.split(err.strip().splitlines()[-1])[1:])
    assert again.code == 0, again.err
    assert "1 of 2 lanes are left" in again.err
    assert Study.load("train-1", "sqlite:///pacesetter.db").record.finished


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_study_leaves_no_program_running(cli, program, tmp_path, kind):
    """Even where nothing of ours can run any more, the programs end; finished lanes are kept."""
    program("say(step=5, valid_loss=1.0)\nstart_another()\ntime.sleep(60)")
    trainer, pids = start(tmp_path)
    trainer.send_signal(kind)
    trainer.communicate(timeout=60)
    assert all(map(gone, pids))
    good, bad = Study.load("train-1", "sqlite:///pacesetter.db").lanes
    assert good.outcome.ended
    assert not bad.outcome.ended
