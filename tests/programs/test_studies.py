"""Studies of programs: what is refused before anything is stored, and how one goes on after an interruption."""

import sys

import numpy as np
import pytest

import pacesetter as ps
from pacesetter.errors import InputError, StoreError, TaskError
from pacesetter.records import Outcome
from tests.programs.processes import gone

STORE = "sqlite:///pacesetter.db"


def interrupted(task, until, error=KeyboardInterrupt, **options):
    """Compare until a number of lanes have ended, then stop as Ctrl-C does."""

    def listen(progress):
        if progress.ended >= until:
            raise error

    with pytest.raises(error):
        ps.compare(task, store=STORE, study="mine", progress=listen, **options)


def test_an_interruption_ends_the_programs_and_loses_nothing(programs):
    """Programs and what they have started are gone, finished lanes are kept, and only the others are run anew."""
    wait = "say(step=5, valid_loss=1.0)\nstart_another()\nif not os.path.exists('go'):\n    time.sleep(60)"
    task = programs.write(wait)
    question = {"lr": (0.1, 0.3), "seeds": 2, "steps": 10, "workers": 2}
    interrupted(task, 2, **question)
    pids = [int(pid) for line in programs.lines("processes.txt") for pid in line.split()]
    assert all(map(gone, pids))
    kept = ps.Study.load("mine", STORE)
    outcomes = {(r.lane.lr, r.lane.seed): r.outcome for r in kept.lanes}
    assert outcomes[0.1, 0] is outcomes[0.1, 1] is Outcome.FINISHED
    assert outcomes[0.3, 0] is outcomes[0.3, 1] is Outcome.RUNNING

    (programs.folder / "go").touch()
    before = programs.lines("started.txt")
    study = ps.compare(task, store=STORE, study="mine", **{**question, "workers": 1})
    assert sorted(programs.lines("started.txt")[len(before) :]) == ["0.3 0", "0.3 1"]
    assert {record.outcome for record in study.lanes} == {Outcome.FAILED, Outcome.FINISHED}
    for old, new in zip(kept.lanes, study.lanes, strict=True):
        if old.outcome.ended:
            np.testing.assert_array_equal(old.curve.valid_loss, new.curve.valid_loss)


def test_a_finished_study_runs_nothing(programs):
    """The same command again starts no program; with more rates it starts those alone, and answers over all."""
    task = programs.write()
    ps.compare(task, lr=(0.1, 0.2), seeds=2, steps=10, store=STORE, study="mine")
    assert len(programs.lines("started.txt")) == 4
    ps.compare(task, lr=(0.1, 0.2), seeds=2, steps=10, store=STORE, study="mine")
    assert len(programs.lines("started.txt")) == 4
    study = ps.compare(task, lr=(0.1, 0.2, 0.45), seeds=2, steps=10, store=STORE, study="mine")
    assert len(programs.lines("started.txt")) == 6
    assert len(study.lanes) == 6


def test_lines_are_in_the_store_while_the_program_runs(programs):
    """What a program has printed can be read by others before it ends."""
    task = programs.write("say(step=5, valid_loss=1.0)\ntime.sleep(60)")
    seen = []

    def listen(progress):
        if progress.steps:
            (record,) = ps.Study.load("mine", STORE).lanes
            seen.append((record.outcome, record.curve.valid_loss.tolist()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ps.compare(task, lr=0.3, seeds=1, steps=10, store=STORE, study="mine", progress=listen)
    assert seen == [(Outcome.RUNNING, [1.0])]


def test_an_error_of_ours_ends_the_programs_too(programs):
    """Whatever stops the study, no program is left running."""
    task = programs.write("start_another()\nsay(step=5, valid_loss=1.0)\ntime.sleep(60)")

    def listen(progress):
        if programs.lines("processes.txt"):
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        ps.compare(task, lr=(0.1, 0.3), seeds=1, steps=10, workers=2, progress=listen)
    assert all(gone(int(pid)) for pid in programs.lines("processes.txt")[0].split())


def test_another_program_does_not_go_on_with_a_study(programs):
    """A command, a length, or a script that has changed is refused; the study is left as it is."""
    task = programs.write("time.sleep(60)")
    question = {"lr": (0.1, 0.3), "seeds": 1, "steps": 10}
    interrupted(task, 1, **question)
    with pytest.raises(InputError, match=r"`steps` must be that of study mine"):
        ps.compare(task, store=STORE, study="mine", **{**question, "steps": 20})
    other = ps.Command(f"{task.name} --more")
    with pytest.raises(InputError, match=r"`task` must be that of study mine"):
        ps.compare(other, store=STORE, study="mine", **question)
    programs.write("pass")
    with pytest.raises(InputError, match=r"same program"):
        ps.compare(task, store=STORE, study="mine", **question)
    assert not ps.Study.load("mine", STORE).record.finished


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("", "must start with a program"),
        ([], "must start with a program"),
        ("train 'x {lr}", "No closing quotation"),
        (42, "must be a text or a list of texts"),
        ("train --lr 0.1", r"add \{lr\}"),
        ("train {lr} {learning_rate}", r"got \{learning_rate\}"),
        ("train {lr} {step}", r"did you mean \{steps\}\?"),
        ("{lr} train", "must start with a program"),
        ("no-such-program-anywhere {lr}", "which is not there"),
        ("./train.py {lr}", "which is not a file that can be run"),
        (f"{sys.executable} -u no-such-script.py {{lr}}", "got 'no-such-script.py'"),
    ],
)
def test_a_command_that_cannot_be_run_is_found_first(programs, command, says):
    """It is a TaskError before anything is stored."""
    programs.write()
    with pytest.raises(TaskError, match=says):
        ps.compare(ps.Command(command), lr=0.1, seeds=1, steps=10, store=STORE)
    with pytest.raises(StoreError):
        ps.Study.summaries(STORE)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steps": None}, "`steps` must be given"),
        ({"optimizers": "sgd"}, r"`optimizers` .* without \{optimizer\}"),
        ({"schedules": ["cosine"]}, r"`schedules` .* without \{schedule\}"),
        ({"strategies": ["sgd cosine"]}, r"`strategies` .* without \{optimizer\} and \{schedule\}"),
        ({"device": "cuda"}, "`device` must be left out"),
        ({"engine": "looped"}, "`engine` must be left out"),
        ({"precision": "bfloat16"}, "`precision` must be left out"),
        ({"memory": "4GB"}, "`memory` must be left out"),
        ({"lr": -1.0}, "`lr` must be finite and above 0"),
    ],
)
def test_what_a_program_cannot_be_told_is_refused(programs, options, says):
    """What has no place in the command is an InputError, and nothing runs."""
    task = programs.write()
    with pytest.raises(InputError, match=says):
        ps.compare(task, **{"lr": 0.1, "seeds": 1, "steps": 10, **options})
    assert programs.lines("started.txt") == []


def test_seeds_need_a_place(programs):
    """Without {seed} runs of other seeds would be one run repeated, and its spread no evidence."""
    programs.write()
    task = ps.Command(f"{sys.executable} -S train.py {{lr}} {{steps}} 0")
    with pytest.raises(InputError, match=r"`seeds` must be 1 for a command without \{seed\}"):
        ps.compare(task, lr=0.1, steps=10)
    assert ps.compare(task, lr=0.1, seeds=1, steps=10).lanes[0].outcome is Outcome.FINISHED


@pytest.mark.parametrize("timeout", [0, -1.0, float("inf"), float("nan"), "60", True])
def test_a_timeout_is_seconds(programs, timeout):
    """Anything but a finite number above 0 is refused."""
    with pytest.raises(InputError, match="`timeout` must be seconds above 0"):
        ps.Command("train {lr}", timeout=timeout)


@pytest.mark.parametrize("maximize", ["accuracy", [1]])
def test_metrics_to_maximize_are_a_list_of_names(programs, maximize):
    """A text in place of a list would be taken letter by letter."""
    with pytest.raises(InputError, match="`maximize` must be a list"):
        ps.Command("train {lr}", maximize=maximize)


@pytest.mark.parametrize("recipe", ["lr=0.1", " own lr = 0.1 own ", "own lr=0.1"])
def test_training_a_program(programs, recipe):
    """`train` runs one lane of it and leaves its curve; weights, and what lies in the folder, are the program's own."""
    task = programs.write()
    out = programs.folder / "out"
    out.mkdir()
    (out / "weights.safetensors").write_text("the program's", encoding="utf-8")
    question = {"steps": 10, "out": out, "store": STORE, "study": "mine"}
    for _ in range(2):
        study = ps.train(task, recipe, **question)
        assert [path.name for path in study.written] == ["curve.csv"]
    assert study.lanes[0].lane.recipe == "own lr=0.1 own"
    assert programs.lines("started.txt") == ["0.1 0"]
    assert (out / "weights.safetensors").read_text(encoding="utf-8") == "the program's"


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        ("adam lr=0.1", r"'adam' and no \{optimizer\}"),
        ("lr=0.1 cosine", r"'cosine' and no \{schedule\}"),
        ("lr=x", "`lr` must be a number"),
        ("lr=-1", "`lr` must be a finite number above 0"),
        ("adam cosine", "must have its rate"),
        ("", "must begin with an optimizer"),
    ],
)
def test_a_recipe_that_does_not_fit_the_command(programs, recipe, says):
    """What has no place in the command, or is no recipe, is refused."""
    with pytest.raises(InputError, match=says):
        ps.train(programs.write(), recipe, steps=10)


def test_the_name_of_a_study(programs):
    """A new study is called after the script, the module or the program."""
    names = {
        "python train.py --lr {lr}": "train",
        "torchrun --nproc-per-node 8 -m fit.llm {lr}": "fit.llm",
        "./bin/fit {lr}": "fit",
    }
    assert {text: ps.Command(text).title for text in names} == names
