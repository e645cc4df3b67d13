"""`pacesetter schedule`: what it draws, prints and writes, beside other libraries' schedules, and what it refuses."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from pacesetter import schedules
from pacesetter.cli import run


def told(capsys, *arguments):
    """(exit code, standard output, standard error) of the command."""
    code = run(["schedule", *arguments])
    return code, *capsys.readouterr()


def test_draws_one_within_80_columns(capsys, monkeypatch):
    """One schedule is drawn within 80 columns, with its rates at the steps where it changes, and at the held end."""
    monkeypatch.setenv("COLUMNS", "80")
    code, out, _ = told(capsys, "warmup(0.05) >> cosine", "--steps", "200", "--lr", "0.02")
    lines = out.splitlines()
    assert code == 0
    assert max(map(len, lines)) <= 80
    assert lines[0] == "warmup(0.05) >> cosine"
    assert ["9", "0.0200"] in [line.split() for line in lines]
    assert lines[-1].split() == ["200", "0"]


def test_several_are_told_apart_by_letters(capsys, monkeypatch):
    """Several curves have letters, and a star where they meet; the table has a column for each."""
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = told(capsys, "constant", "linear", "--steps", "100")
    lines = out.splitlines()
    assert lines[:2] == ["a  constant", "b  linear"]
    assert lines[2].lstrip().startswith("1.00 *")
    assert lines[2].rstrip().endswith("a")
    assert lines[15].rstrip().endswith("b")
    assert ["50", "1.00", "0.500"] in [line.split() for line in lines]


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ("one_cycle(ends=last)", "torch:OneCycleLR(max_lr=1,total_steps=100)", "agrees with one_cycle(ends=last)"),
        ("warmup(20, counts=from_zero) >> cosine", "transformers:cosine(num_warmup_steps=20)", "agrees with"),
        ("cosine(final=0.1)", "optax:cosine_decay_schedule(init_value=1, decay_steps=100, alpha=0.1)", "agrees with"),
        ("inverse_time(every=10)", "keras:InverseTimeDecay(initial_learning_rate=1,decay_steps=10,decay_rate=1)",
         "agrees with"),
        ("cosine", "torch:StepLR(step_size=30)", "differs from cosine from step 1 on, most at step"),
    ],
)  # fmt: skip
def test_reads_other_libraries(capsys, ours, theirs, words):
    """Another library's schedule is read from its text, and it is said whether and where it differs."""
    code, out, _ = told(capsys, ours, "--from", theirs, "--steps", "100")
    assert code == 0
    assert f"{theirs} {words}" in out


def test_document_and_files(capsys, tmp_path):
    """The document has every step, the table the same rates; the pictures are there, and the page asks no network."""
    target = str(tmp_path / "out")
    code, out, err = told(capsys, "warmup(5) >> one_cycle(momentum=[0.85, 0.95])", "--steps", "50", "--json", "-",
                          "--out", target)  # fmt: skip
    document = json.loads(out)
    schedule = schedules.parse("warmup(5) >> one_cycle(momentum=[0.85, 0.95])")
    assert code == 0
    assert document["steps"] == list(range(51))
    assert document["curves"][0]["rates"] == [schedule(k, 50) for k in range(51)]
    assert document["curves"][0]["momentum"] == [schedule.momentum_at(k, 50) for k in range(51)]
    assert "written: " in err
    with (tmp_path / "out" / "schedule.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row[str(schedule)]) for row in rows] == document["curves"][0]["rates"]
    page = (tmp_path / "out" / "schedule.html").read_text()
    assert "<script src=" not in page
    assert (tmp_path / "out" / "schedule.png").read_bytes()[:4] == b"\x89PNG"
    assert "<svg" in (tmp_path / "out" / "schedule.svg").read_text()


def test_a_controller_is_drawn_with_a_metric(capsys, tmp_path):
    """With metrics the rate falls where the metric stalls, in force from the step at which it is told."""
    (tmp_path / "m.csv").write_text("step,metric\n20,1.0\n40,1.0\n60,0.5\n80,0.6\n")
    _, out, _ = told(capsys, "plateau(factor=0.5, patience=0)", "--steps", "100", "--json", "-", "--metrics",
                     str(tmp_path / "m.csv"))  # fmt: skip
    rates = np.array(json.loads(out)["curves"][0]["rates"])
    assert rates[[0, 39, 40, 79, 80, 100]].tolist() == [1, 1, 0.5, 0.5, 0.25, 0.25]


def test_a_long_run_is_sampled(capsys):
    """A run of a billion steps is given at a part of its steps, the first and the last among them."""
    _, out, _ = told(capsys, "wsd", "--steps", "1000000000", "--json", "-")
    steps = json.loads(out)["steps"]
    assert (steps[0], steps[-1]) == (0, 10**9)
    assert len(steps) < 110_000


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "`schedule` must be given, got none"),
        (["cosin"], "did you mean `cosine`"),
        (["warmup(0.05) >>"], "warmup(0.05) >>\n  ^"),
        (["warmup(500) >> cosine", "--steps", "100"], "must fit into `total_steps`"),
        (["cosine", "--steps", "0"], "`steps` must be at least 1, got steps=0"),
        (["cosine", "--steps", "x"], "`steps` must be a whole number, got steps='x'"),
        (["cosine", "--steps", str(10**20)], "`steps` must be at most"),
        (["cosine", "--from", "torch:wraps"], "must name a schedule of torch.optim.lr_scheduler, got wraps"),
        (["cosine", "--lr", "x"], "`lr` must be a number, got lr='x'"),
        (["cosine", "--lr", "-1"], "`lr` must be a finite number above 0"),
        (["plateau"], "`plateau` reacts to a metric, got none to draw it with"),
        (["plateau", "--metrics", "nowhere.csv"], "`metrics` must be a file that can be read"),
        (["cosine", "--from", "torch:OneCycl()"], "did you mean `OneCycleLR`"),
        (["cosine", "--from", "torch:ReduceLROnPlateau()"], "must be a schedule of the step alone"),
        (["cosine", "--from", "torch:StepLR()"], "must be one that torch can make, got torch:StepLR()"),
        (["cosine", "--from", "torch:StepLR(step_size=1"], "was never closed"),
        (["cosine", "--from", "trch:StepLR(step_size=1)"], "did you mean `torch`"),
        (["cosine", "--from", "transformers:cosinus"], "must name one of transformers' schedules"),
        (["cosine", "--from", "torch:StepLR(step_size=9)", "--steps", "2000000"], "must be at most 1000000"),
        (["cosine", "--out", "/dev/null/x"], "`out` must be a place that can be written to"),
    ],
)
def test_bad_input_is_one_message(capsys, arguments, words):
    """Bad input ends with 2 and one message, never a traceback."""
    code, out, err = told(capsys, *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert "Traceback" not in err


def test_a_metrics_file_without_its_columns(capsys, tmp_path):
    """A table of something else is named, with what it should have."""
    (tmp_path / "m.csv").write_text("a,b\n1,2\n")
    code, _, err = told(capsys, "plateau", "--metrics", str(tmp_path / "m.csv"))
    assert code == 2
    assert "must be a CSV file with the columns step,metric" in err


def test_torch_is_not_imported():
    """Drawing ours needs numpy and the terminal alone."""
    code = "import sys; from pacesetter.cli import run; run(['schedule', 'cosine']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("encoding", ["ascii", "utf-8"])
def test_a_terminal_without_dots_gets_letters(encoding):
    """Where the terminal's encoding has no dots, letters are drawn."""
    code = "from pacesetter.cli import run; run(['schedule', 'cosine'])"
    environment = {"PYTHONIOENCODING": encoding, "COLUMNS": "80", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    text = done.stdout.decode(encoding)
    assert ("⠉" in text) == (encoding == "utf-8")
    assert ("aaaa" in text) == (encoding == "ascii")


def test_notebooks_show_the_curve():
    """A pure schedule has a picture of its own; a controller, or one too long for it, has its text alone."""
    drawn = schedules.parse("warmup(0.1) >> cosine")._repr_svg_()
    assert drawn.startswith("<svg")
    assert "warmup(0.1) &gt;&gt; cosine" in drawn
    assert schedules.parse("plateau")._repr_svg_() is None
    assert schedules.parse("warmup(5000)")._repr_svg_() is None
