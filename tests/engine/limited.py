"""A program of its own in which memory runs out: for tests of what happens then."""

import subprocess
import sys

PRELUDE = """
import resource, torch, numpy
import pacesetter.engine
torch.zeros(8) @ torch.zeros(8)
now = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (now + {more}, resource.RLIM_INFINITY))
"""


def run_limited(code: str, more: int, timeout: float = 120) -> "subprocess.CompletedProcess[str]":
    """Run `code` in a new Python, which can have `more` bytes beyond what it has with torch and the engine imported."""
    program = PRELUDE.format(more=more) + code
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=timeout, check=False)
