"""The page that translates the schedules of other libraries says what the tests hold, and nothing else."""

from pathlib import Path

import pytest

from pacesetter import schedules
from tests.schedules import peers

PAGE = (Path(__file__).parents[2] / "docs" / "schedules-of-other-libraries.md").read_text(encoding="utf-8")
ROWS = (
    *peers.TORCH, *peers.TORCH_CONTROLLERS, *peers.OPTAX, *peers.OPTAX_CONTROLLERS,
    *peers.TRANSFORMERS, *peers.TRANSFORMERS_CONTROLLERS, *peers.KERAS, *peers.KERAS_CONTROLLERS,
    *peers.PYTORCH_OPTIMIZER, *peers.TIMM, *peers.TIMM_CONTROLLERS,
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.theirs)
def test_every_row_is_in_the_page(row):
    """Each schedule that is tested stands in the page as it was tested, and its text form fits into the run."""
    assert row.line in PAGE.splitlines()
    schedules.parse(row.ours).validate(peers.STEPS)


def test_every_line_of_the_page_is_a_row():
    """No line of a table of the page is untested."""
    lines = [line for line in PAGE.splitlines() if line.startswith("| `")]
    others = {f"| `{name}` | torch's `{theirs}` |" for name, theirs in peers.SAME_AS_TORCH.items()}
    assert set(lines) - {row.line for row in ROWS} == others


def test_what_has_no_row_has_its_reason_in_the_page():
    """What is left out of the tables is named with the reason."""
    for reasons in peers.NOT_HERE.values():
        for name, reason in reasons.items():
            assert f"- `{name}` {reason}." in PAGE.splitlines()


def test_every_scheduler_of_torch_has_a_row():
    """Each class of torch.optim.lr_scheduler but the base of them all has a row."""
    from torch.optim import lr_scheduler

    rows = " ".join(row.theirs for row in peers.TORCH + peers.TORCH_CONTROLLERS)
    names = [name for name in lr_scheduler.__all__ if name != "LRScheduler"]
    assert len(names) == 15
    assert [name for name in names if f"{name}(" not in rows] == []
