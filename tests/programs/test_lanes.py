"""Lanes that are programs: what they print is their curve, and what goes wrong in one is told of that one alone."""

import os
import subprocess
import sys

import numpy as np
import pytest

import pacesetter as ps
from pacesetter import findings
from pacesetter.findings.verdict import Verdict, verdict_of
from pacesetter.records import Outcome, StudyRecord
from pacesetter.report import page
from tests.programs.processes import gone

RATES = (0.1, 0.3)


def both(task, **options):
    """The good lane and the one that may be bad."""
    study = ps.compare(task, lr=RATES, seeds=1, steps=10, **options)
    return study.lanes


def test_a_curve_is_what_the_program_printed(programs):
    """Losses and metrics are the printed ones; updates between two lines have the later line's values."""
    programs.write(
        good="""
import json, sys
print("starting")
print('{"event": "no step, no report"}')
lines = [
    {"step": 0, "valid_loss": 4.0},
    {"step": 2, "train_loss": 3.5, "lr": 0.05},
    {"step": 5, "train_loss": 3.0, "valid_loss": 2.5, "accuracy": 0.5, "note": "text", "done": True},
    {"step": 8.0, "valid_loss": 2, "lr": 0.01, "grad_norm": 1.5, "accuracy": 0.75, "broken": float("nan")},
]
for line in lines:
    print(json.dumps(line))
print(sys.argv, file=sys.stderr)
"""
    )
    study = ps.compare(programs.task(maximize=["accuracy"]), lr=0.1, seeds=1, steps=8)
    (record,) = study.lanes
    curve = record.curve
    assert record.outcome is Outcome.FINISHED
    assert curve.eval_steps.tolist() == [0, 5, 8]
    assert curve.valid_loss.tolist() == [4.0, 2.5, 2.0]
    assert curve.lr.tolist() == [0.05] * 2 + [0.1] * 3 + [0.01] * 3
    assert curve.train_loss.tolist() == [3.5] * 2 + [3.0] * 6
    np.testing.assert_array_equal(curve.grad_norm, [np.nan] * 5 + [1.5] * 3)
    np.testing.assert_array_equal(curve.metrics["accuracy"], [np.nan, 0.5, 0.75])
    assert set(curve.metrics) == {"accuracy"}
    assert study.record.metrics == {"accuracy": "max"}
    assert study.record.plan["engine"] == "command"


def test_a_comparison_of_a_program_is_answered(programs, tmp_path):
    """Gradient descent on w² is best near 0.5 and diverges above 1; the report says what to run, and all else works."""
    task = programs.write()
    study = ps.compare(task, lr=(0.01, 0.1, 0.45, 1.5), seeds=3, steps=20, workers=2, store="sqlite:///a.db")
    (answer,) = study.answers
    assert (answer.optimizer, answer.schedule, answer.lr) == ("own", "own", 0.45)
    assert answer.stability_edge == (0.45, 1.5)
    assert answer.recipe is None
    assert study.name == "train-1"
    text = page.html(study.record)
    assert f"{sys.executable} -S train.py 0.45 20 0" in text
    assert "the program" in text
    assert study.script(0).splitlines()[-1] == f"{sys.executable} -S train.py 0.01 20 0"
    assert len(study.export("lanes.csv").read_text(encoding="utf-8").splitlines()) == 13
    assert study.record.provenance["program"] == task.name
    assert list(study.record.provenance["program_files"]) == ["train.py"]
    assert ps.Study.load("train-1", "sqlite:///a.db").answers[0].lr == 0.45


def test_without_the_untrained_loss_it_is_answered_too(programs):
    """Where no program prints step 0, the best rate is found, the report is drawn, and only NaN is divergence."""
    from rich.console import Console

    from pacesetter.report import terminal

    programs.write()
    code = (programs.folder / "train.py").read_text(encoding="utf-8")
    (programs.folder / "train.py").write_text(code.replace("range(steps + 1)", "range(1, steps + 1)"), encoding="utf-8")
    study = ps.compare(programs.task(), lr=(0.01, 0.1, 0.45, 1.1), seeds=3, steps=20)
    (answer,) = study.answers
    assert answer.lr == 0.45
    assert {record.outcome for record in study.lanes} == {Outcome.FINISHED}
    verdicts = {verdict_of(record) for record in study.lanes if record.lane.lr != 0.45}
    assert verdicts == {Verdict.NONE}
    assert "no-untrained-loss" in {finding.name for finding in study.findings}
    assert all(np.isnan(record.curve.untrained_loss) for record in study.lanes)
    said = [finding.text for record in study.lanes for finding in record.findings]
    said += [finding.text for finding in (*answer.findings, *study.findings)]
    assert not [text for text in said if "nan" in text.lower().split() or "not a number" in text]
    assert "train.py 0.45 20 0" in page.html(study.record)
    console = Console(record=True, width=100)
    console.print(terminal.render(study.record))
    assert "0.45" in console.export_text()
    assert findings.judge(study.record).answers == study.record.answers


BAD = {
    "ends badly": ("raise SystemExit('the cable came out')", ["exit status 1", "'the cable came out'"]),
    "ends badly later": ("say(step=5, valid_loss=1.0)\n1 / 0", ["exit status 1", "step 5", "ZeroDivisionError"]),
    "is killed": ("os.kill(os.getpid(), 9)", ["signal 9", "before it reported a step"]),
    "prints nothing": ("sys.exit()", ['{"step": 22, "valid_loss": 1.9}', "'a line that is no report'"]),
    "prints rubbish": ("print('step 3, loss {'); print('{]', flush=True)\nsys.exit()", ['{"step": 22', "'{]'"]),
    "prints bytes": ("os.write(1, bytes(range(256)))\nsys.exit()", ['{"step": 22']),
    "prints no valid_loss": ("say(step=10, train_loss=1.0)\nsys.exit()", ["no valid_loss after an update"]),
    "only untrained": ("say(step=0, valid_loss=1.0)\nsys.exit()", ["of step 0", "10 were asked for"]),
    "is too short": ("say(step=5, valid_loss=1.0)\nsys.exit()", ["of step 5, and 10 were asked for"]),
    "is too long": ("say(step=11, valid_loss=1.0)", ["`step` must be from 0 to 10", '"step": 11']),
    "goes back": ("say(step=5, valid_loss=1.0)\nsay(step=3, valid_loss=1.0)", ["larger", "step 5 came before"]),
    "repeats": ("say(step=5, valid_loss=1.0)\nsay(step=5, valid_loss=2.0)", ["step 5 came twice"]),
    "counts in halves": ("say(step=2.5, valid_loss=1.0)", ["`step` must be a whole number", "2.5"]),
    "counts in words": ("say(step='5', valid_loss=1.0)", ["`step` must be a whole number"]),
    "says a word": ("say(step=5, valid_loss='low')", ["`valid_loss` must be a number", "low"]),
    "says a list": ("say(step=5, valid_loss=1.0, train_loss=[1.0])", ["`train_loss` must be a number"]),
    "loses its rate": ("say(step=5, valid_loss=1.0, lr=float('inf'))", ["`lr` must be a finite number"]),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_program_fails_its_own_lane(programs, kind):
    """The lane is failed with a message that says what was wrong and what was expected; the other one finishes."""
    code, parts = BAD[kind]
    good, bad = both(programs.write(code))
    assert good.outcome is Outcome.FINISHED
    assert bad.outcome is Outcome.FAILED
    assert bad.message.startswith("failed: ")
    assert [part for part in parts if part not in bad.message] == []


def test_a_program_that_hangs_is_found(programs):
    """After the stated seconds without a byte it is ended with what it has started; the other lane finishes."""
    programs.write("say(step=5, valid_loss=1.0)\nstart_another()\ntime.sleep(60)")
    good, bad = both(programs.task(timeout=0.3), workers=2)
    assert good.outcome is Outcome.FINISHED
    assert bad.outcome is Outcome.FAILED
    assert "printed nothing for 0.3 seconds when its last line was of step 5" in bad.message
    assert bad.curve.valid_loss.tolist() == [1.0]
    assert all(gone(int(pid)) for pid in programs.lines("processes.txt")[0].split())


@pytest.mark.parametrize("value", ["float('nan')", "float('inf')", "-float('inf')", "None"])
@pytest.mark.parametrize("step", [0, 5])
def test_a_validation_loss_that_is_not_finite_is_divergence(programs, value, step):
    """NaN, an infinity and null end the lane as diverged, and its process with it."""
    bad = f"say(step={step}, valid_loss={value})\nstart_another()\ntime.sleep(60)"
    good, record = both(programs.write(bad))
    assert good.outcome is Outcome.FINISHED
    assert record.outcome is Outcome.DIVERGED
    assert record.message == f"diverged at step {step}: the validation loss was not finite"
    assert record.curve.steps == step
    judged = findings.judge(StudyRecord("s", "t", 10, (good, record))).lanes[1]
    (told,) = (finding.text for finding in judged.findings if finding.name == "divergence")
    assert told == f"Diverged at step {step} of 10: the validation loss was not finite."
    for line in programs.lines("processes.txt"):
        assert all(gone(int(pid)) for pid in line.split())


def test_a_training_loss_that_is_not_finite_is_divergence(programs):
    """As in training of our own; but what is printed of the untrained model need not be a number."""
    _, record = both(programs.write("say(step=0, train_loss=float('nan'))\nsay(step=5, train_loss=float('nan'))"))
    assert record.message == "diverged at step 5: the training loss or the gradient was not finite"


def test_a_rise_above_the_untrained_loss_is_divergence(programs):
    """A lane that ends a tenth above its untrained loss diverged; one that ends a little above it did not."""
    end = "say(step=0, valid_loss=1.0)\nsay(step=10, valid_loss={})\nsys.exit()"
    _, record = both(programs.write(end.format(1.11)))
    assert record.outcome is Outcome.DIVERGED
    _, record = both(programs.write(end.format(1.09)))
    assert record.outcome is Outcome.FINISHED


def test_a_program_that_does_not_want_to_end_is_ended(programs, monkeypatch):
    """One that ignores the request to end is ended all the same, after a time of grace."""
    monkeypatch.setattr("pacesetter.programs._process.GRACE", 0.3)
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nstart_another()\nsay(step=5, valid_loss=None)"
    _, record = both(programs.write(f"{deaf}\ntime.sleep(60)"))
    assert record.outcome is Outcome.DIVERGED
    assert all(gone(int(pid)) for pid in programs.lines("processes.txt")[0].split())


def test_output_of_any_size_does_not_block(programs):
    """Megabytes on standard error, and a line without an end, neither stop a program nor fill the memory."""
    flood = "sys.stderr.write('x' * 3_000_000)\nprint('y' * 3_000_000, end='')\nsys.stdout.write(chr(10))"
    good, record = both(programs.write(flood))
    assert good.outcome is record.outcome is Outcome.FINISHED


def test_what_a_program_leaves_running_ends_with_it(programs):
    """A child that outlives its program and holds its output open neither keeps the lane nor stays behind."""
    _, record = both(programs.write("start_another()"))
    assert record.outcome is Outcome.FINISHED
    assert gone(int(programs.lines("processes.txt")[0].split()[1]))


def test_last_words_are_heard(programs, monkeypatch):
    """What a program prints just before it ends is read, also when its end is seen before its words."""

    def wait_and_see(process):
        return os.waitid(os.P_PID, process._process.pid, os.WEXITED | os.WNOWAIT) is not None

    monkeypatch.setattr("pacesetter.programs._process.Process._ended", wait_and_see)
    monkeypatch.setattr("pacesetter.programs._process.LOOK_EVERY", 0.01)
    code = 'import time\ntime.sleep(0.3)\nprint(\'{"step": 10, "valid_loss": 1.5}\')'
    (record,) = ps.compare(programs.write(good=code), lr=0.1, seeds=1, steps=10).lanes
    assert record.curve.final_valid_loss == 1.5


def test_a_child_that_goes_on_printing_does_not_keep_the_lane(programs):
    """A program that has ended has ended, whoever else writes to its output."""
    child = "while True: print('more', flush=True)"
    bad = f"import subprocess\nsubprocess.Popen([sys.executable, '-S', '-c', {child!r}])"
    _, record = both(programs.write(bad))
    assert record.outcome is Outcome.FINISHED


def test_the_last_line_needs_no_end(programs):
    """A program that ends without a line break has said its last line all the same."""
    code = 'import sys\nprint(\'{"step": 10, "valid_loss": 1.5}\', end="")'
    (record,) = ps.compare(programs.write(good=code), lr=0.1, seeds=1, steps=10).lanes
    assert record.curve.final_valid_loss == 1.5


MEET = """
import os, sys, time
open(f"here-{sys.argv[3]}", "w").close()
others = [f"here-{k}" for k in range(2)]
deadline = time.monotonic() + 20
while not all(map(os.path.exists, others)) and time.monotonic() < deadline:
    time.sleep(0.01)
print('{"step": 1, "valid_loss": %d}' % all(map(os.path.exists, others)))
"""


def test_as_many_run_side_by_side_as_workers(programs):
    """Two programs that wait for each other both end with two workers."""
    task = programs.write(good=MEET)
    study = ps.compare(task, lr=0.1, seeds=2, steps=1, workers=2)
    assert [record.curve.final_valid_loss for record in study.lanes] == [1.0, 1.0]


def test_one_runs_at_a_time_unless_asked(programs):
    """A program may use all devices: by default the next begins when the last has ended."""
    alone = """
import os, sys, time
try:
    os.mkdir("running")
except FileExistsError:
    sys.exit("another one runs")
time.sleep(0.05)
print('{"step": 1, "valid_loss": 1.0}')
os.rmdir("running")
"""
    study = ps.compare(programs.write(good=alone), lr=0.1, seeds=4, steps=1)
    assert [record.message for record in study.lanes] == [""] * 4


def test_results_do_not_depend_on_workers(programs):
    """The curves are the same, bit by bit, with one worker and with three."""
    task = programs.write()
    one, three = (ps.compare(task, lr=(0.1, 0.2), seeds=3, steps=10, workers=n).lanes for n in (1, 3))
    for a, b in zip(one, three, strict=True):
        assert a.lane == b.lane
        np.testing.assert_array_equal(a.curve.valid_loss, b.curve.valid_loss)


def test_optimizer_and_schedule_are_passed_on(programs):
    """{optimizer} and {schedule} are filled in with canonical text, as single arguments whatever they hold."""
    code = "import json, sys\nprint(json.dumps({'step': 1, 'valid_loss': 1.0}))\n"
    code += "print(json.dumps(sys.argv[1:]), file=open('said.txt', 'a'))"
    (programs.folder / "say.py").write_text(code, encoding="utf-8")
    task = ps.Command([sys.executable, "-S", "say.py", "{optimizer}", "--pace={schedule}", "x{lr}"])
    schedules = ["constant()", "warmup(1) >> cosine()"]
    study = ps.compare(task, lr=0.001, optimizers="sgd(momentum=0.9)", schedules=schedules, seeds=1, steps=1)
    assert programs.lines("said.txt") == [
        '["sgd(momentum=0.9)", "--pace=constant", "x0.001"]',
        '["sgd(momentum=0.9)", "--pace=warmup(1) >> cosine", "x0.001"]',
    ]
    assert [answer.schedule for answer in study.answers] == ["constant", "warmup(1) >> cosine"]


def test_torch_is_not_needed(programs):
    """With torch out of reach a program is compared, kept and shown."""
    programs.write()
    code = f"""
import sys
sys.modules["torch"] = None
from importlib import util
find, util.find_spec = util.find_spec, lambda name, package=None: None if name == "torch" else find(name, package)
import pacesetter as ps
study = ps.compare(ps.Command("{sys.executable} -S train.py {{lr}} {{steps}} {{seed}}"), lr=(0.1, 0.2), steps=5)
print(study)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "6 finished" in done.stdout
