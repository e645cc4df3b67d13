"""Small training programs, good and bad, in a folder of their own."""

import sys

import pytest

import pacesetter as ps

GOOD = """
import json, os, sys, time

lr, steps, seed = float(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])


def say(**values):
    print(json.dumps(values), flush=True)


def start_another():
    import subprocess
    child = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"])
    with open("processes.txt", "a") as file:
        print(os.getpid(), child.pid, file=file)


with open("started.txt", "a") as file:
    print(lr, seed, file=file)
print("a line that is no report", flush=True)
if lr == 0.3:
    pass  # BAD
w = 2.0 + seed
for step in range(steps + 1):
    if step % 5 == 0:
        say(step=step, valid_loss=w * w)
    w -= 2 * lr * w
"""


class Programs:
    """A folder in which `train.py` is."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, bad="pass", good=GOOD):
        """The program, which does `bad` first where its rate is 0.3; the task that runs it."""
        code = good.replace("    pass  # BAD", "\n".join(f"    {line}" for line in bad.splitlines()))
        (self.folder / "train.py").write_text(code, encoding="utf-8")
        return self.task()

    def task(self, **options):
        """The task that runs `train.py`."""
        return ps.Command(f"{sys.executable} -S train.py {{lr}} {{steps}} {{seed}}", **options)

    def lines(self, name):
        """The lines of a file that programs have written."""
        path = self.folder / name
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """The folder, in which the test runs."""
    monkeypatch.chdir(tmp_path)
    return Programs(tmp_path)
