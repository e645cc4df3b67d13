"""The page on models: its code runs from top to bottom, and each of its tasks can be trained."""

import pytest
import torch

from pacesetter import engine
from pacesetter.records import Outcome
from pacesetter.tasks import Task
from tests.docs.blocks import ROOT, blocks
from tests.engine.helpers import PLANS, lanes_of, trained

PAGE = ROOT / "docs" / "models.md"
TASKS = ["task", "adapting", "own_loss", "in_lightning", "classifying"]


@pytest.fixture(scope="module")
def names():
    """All that the page defines."""
    torch.manual_seed(0)
    found: dict[str, object] = {"__name__": "models_page"}
    for code in blocks(PAGE, "python"):
        exec(compile(code, str(PAGE), "exec"), found)
    return found


def test_every_task_is_tried(names) -> None:
    """There is no task on the page that these tests do not train."""
    assert [name for name, value in names.items() if isinstance(value, Task)] == TASKS


@pytest.mark.filterwarnings("ignore:You are trying to `self.log:UserWarning")
@pytest.mark.parametrize("name", TASKS)
def test_a_task_of_the_page_trains(names, name: str) -> None:
    """The task passes the check and its losses are numbers in both engines."""
    task = names[name]
    engine.check(task)
    lane = lanes_of(task, [0.001], "adam")[0]
    for plan in PLANS.values():
        parts = trained(task, [lane], plan)[lane]
        assert parts[-1].outcome is Outcome.FINISHED, parts[-1].message


def test_figures_of_the_page(names) -> None:
    """The page's number of updates is the task's, and its groups have the rates that it says."""
    assert "10 · 16 / 4 = 40" in PAGE.read_text(encoding="utf-8")
    assert names["task"].total_steps == 40
    assert names["task"].train_source.batches_per_epoch == 16
    rates = [group["lr"] for group in names["optimizer"].param_groups]
    peak = names["recipe"].lr * names["recipe"].schedule(0, 40)
    assert rates == pytest.approx([0.1 * peak] * 4 + [peak] * 2)
