"""The study on a terminal."""

import subprocess
import sys
from dataclasses import replace

from rich.console import Console

from pacesetter import findings
from pacesetter.records import StudyRecord
from pacesetter.report.terminal import render
from tests.report import studies


def printed(study: StudyRecord, width: int = 80) -> str:
    """What a terminal without colour shows."""
    console = Console(width=width, no_color=True, force_terminal=False, legacy_windows=False)
    with console.capture() as capture:
        console.print(render(study))
    return capture.get()


def test_eighty_columns_without_colour_say_everything(small):
    """The answer, every strategy with rate, interval, edge, kind and loss, and the findings fit into 80 columns."""
    text = printed(small)
    assert all(len(line) <= 80 for line in text.splitlines())
    assert text.startswith("Use ")
    assert "…" not in text
    for word in ("adam", "rmsprop", "adagrad", "cyclical", "adaptive", "decay", "plateau", "accuracy", "breaks at"):
        assert word in text
    assert "\x1b" not in text


def test_the_terminal_needs_no_extra():
    """The terminal's text needs neither the packages that draw nor those that write pages."""
    heavy = "{'altair', 'jinja2', 'markupsafe', 'torch'}"
    code = f"import sys, pacesetter.report.terminal; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_levels_have_signs_of_their_own(quadratic):
    """A warning is told from other findings by its sign, not by colour."""
    assert "! With 1 seed no interval can be given" in printed(quadratic)


def test_how_it_was_trained_is_said(small):
    """The last sentence is the plan: engine, lanes, threads, processes, precision and the reason."""
    said = "Trained with engine vectorised, 32 lanes in one pass, 2 threads: 3.1 times as fast as the plain loop."
    assert printed(small, 200).strip().splitlines()[-1] == said
    plan = {"engine": "vectorised", "compiled": True, "lanes_per_chunk": 16, "threads": 1, "workers": 2,
            "precision": "bfloat16", "device": "cpu", "reason": "it was asked for"}  # fmt: skip
    assert printed(replace(small, plan=plan), 200).strip().splitlines()[-1] == (
        "Trained with engine vectorised, compiled, 16 lanes in one pass, 1 thread, 2 processes side by side, bfloat16, "
        "cpu: it was asked for."
    )
    programs = replace(small, plan={"engine": "command", "reason": "alone"})
    assert "Trained with engine command: alone." in printed(programs)
    assert "Trained with" not in printed(replace(small, plan={}))


def test_what_the_question_mark_means_is_said(quadratic):
    """A rate that is not claimed has a question mark, and then the mark is explained under the table."""
    text = printed(studies.wells())
    assert "0.1 ?" in text
    assert "?: lowest of the rates tried, but not recommended" in text
    assert "?" not in printed(quadratic)


def test_markup_in_names_is_text():
    """Square brackets and tags in names and messages are printed as they are."""
    assert "<script>alert('x')</script>" in printed(studies.hostile(), 200)


def test_a_study_without_answers_is_said():
    """Nothing judged and nothing learned are sentences, not errors."""
    empty = StudyRecord("empty", "none", 10, ())
    assert "Not judged yet" in printed(empty)
    assert printed(findings.judge(empty))
