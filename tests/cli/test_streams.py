"""Streams as they may be: closed, full, of another encoding, left by their reader, shared with a task's prints."""

import io
import json
import os
import subprocess
import sys

import pytest

from pacesetter.cli import streams

NOISY = """
import os
import torch
import pacesetter as ps


def task():
    def loss(output, target):
        os.write(1, b"written past Python\\n")
        return (output - target).square().mean()

    data = (torch.ones(8, 1), torch.zeros(8, 1))
    return ps.Task(model=lambda: torch.nn.Linear(1, 1), loss=loss, train=data, batch_size=2, steps=2)
"""


def ended(command: str, folder, **environment: str) -> subprocess.CompletedProcess[str]:
    """A shell's command line in which `pacesetter` is this one."""
    pacesetter = f"{sys.executable} -m pacesetter.cli"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command.replace("pacesetter ", f"{pacesetter} ")],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a store that has a study in it, and a task that writes past Python."""
    place = tmp_path_factory.mktemp("streams")
    (place / "noisy.py").write_text(NOISY, encoding="utf-8")
    made = ended("pacesetter train quadratic --recipe 'sgd lr=0.01' --steps 3 --study one --out here", place)
    assert made.returncode == 0, made.stderr
    return place


@pytest.mark.parametrize(
    "command",
    [
        "pacesetter show one | true",
        "pacesetter show one --json - | true",
        "pacesetter show one >&-",
        "pacesetter show one --json - >&-",
    ],
)
def test_a_reader_who_is_gone_is_no_failure(command: str, folder) -> None:
    """Whoever stops reading, or never did, has an exit code of 0 and no traceback."""
    done = ended(command, folder)
    assert (done.returncode, done.stderr) == (0, "")


def test_training_goes_on_without_a_reader(folder) -> None:
    """Nobody reading the progress does not stop the work it is about."""
    done = ended(
        "pacesetter train quadratic --recipe 'sgd lr=0.01' --steps 3 --study two --out there 2>&1 >&- | true", folder
    )
    assert done.returncode == 0
    assert (folder / "there" / "weights.safetensors").exists()


def test_a_full_disk_behind_standard_output_is_said(folder) -> None:
    """Output that cannot be written is exit code 2 and one sentence."""
    done = ended("pacesetter show one >/dev/full", folder)
    assert done.returncode == 2
    assert done.stderr.startswith("error: the output must go to a disk with room")


def test_an_encoding_without_the_letters_gets_others(folder) -> None:
    """Words are shown in any encoding, and JSON stays UTF-8."""
    words = ended("pacesetter show one", folder, PYTHONIOENCODING="ascii")
    document = ended("pacesetter show one --json -", folder, PYTHONIOENCODING="ascii")
    assert (words.returncode, document.returncode) == (0, 0)
    assert json.loads(document.stdout)["study"] == "one"


def test_the_document_is_alone_on_standard_output(folder) -> None:
    """What a task writes past Python, as other programs and C code do, goes to standard error too."""
    done = ended("pacesetter compare noisy.py:task --lr 0.01 --seeds 1 --json -", folder)
    assert json.loads(done.stdout)["task"] == "noisy.py:task"
    assert "written past Python" in done.stderr


def test_a_stream_in_memory_is_left_alone() -> None:
    """Where there is no file behind a stream, nothing is set aside and text is written as text."""
    memory = io.StringIO()
    with streams.aside(memory):
        streams.write_utf8(memory, "é")
    assert memory.getvalue() == "é"
