"""What was measured is remembered for the same model, rules and machine, and is never in anybody's way."""

import importlib.util
import json
import os
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from pacesetter.engine import make_plan, planning, remembered
from pacesetter.engine.planning import _Measuring
from pacesetter.engine.remembered import Memory
from tests.engine.helpers import blobs, lanes_of, small_task

CPU = torch.device("cpu")


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """An empty cache folder, and a list of what is measured: ways that are timed, and "obstacle" for a comparison."""
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path))
    found: list[str] = []

    def timed(self, way, rule):
        found.append(f"{way.engine} {rule}")
        return 1e-3 if way.engine == "looped" else 1e-4

    obstacle = _Measuring._obstacle

    def compared(self):
        found.append("obstacle")
        return obstacle(self)

    monkeypatch.setattr(_Measuring, "_timed", timed)
    monkeypatch.setattr(_Measuring, "_obstacle", compared)
    return found


def plan_of(task, rules=("sgd",), **options):
    """A plan for eight lanes of each rule."""
    return make_plan(
        task, [lane for rule in rules for lane in lanes_of(task, [0.1 / k for k in range(1, 9)], rule)], **options
    )


def test_a_second_plan_measures_nothing(measured, tmp_path):
    """The same model, rules and machine get the same plan without a measurement, also for other lanes of them."""
    first = plan_of(small_task())
    assert "obstacle" in measured
    assert len(measured) >= 3
    measured.clear()
    assert plan_of(small_task()) == first
    assert plan_of(small_task(steps=48, evaluations=2)).engine == first.engine
    assert measured == []
    assert [path.suffix for path in (tmp_path / "plans").iterdir()] == [".json"]


def other_loss(output, target):
    """Another function in the same file."""
    return F.cross_entropy(output, target) * 2


def in_float32():
    """The same data in another type."""
    inputs, targets = blobs(dtype=torch.float32)
    data = {"train": (inputs[:72], targets[:72]), "valid": (inputs[72:], targets[72:])}
    return small_task(lambda: nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)), **data)


def half_frozen():
    """The same layers, one of which is not trained."""
    model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).double()
    model[0].requires_grad_(False)
    return model


OTHERS = {
    "layers": lambda: plan_of(small_task(lambda: nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3)).double())),
    "shapes": lambda: plan_of(small_task(lambda: nn.Sequential(nn.Linear(5, 9), nn.Tanh(), nn.Linear(9, 3)).double())),
    "batch size": lambda: plan_of(small_task(batch_size=8)),
    "dtype": lambda: plan_of(in_float32()),
    "frozen weights": lambda: plan_of(small_task(half_frozen)),
    "rule": lambda: plan_of(small_task(), ("adam",)),
    "rules": lambda: plan_of(small_task(), ("sgd", "adam")),
    "setting of a rule": lambda: plan_of(small_task(), ("sgd(momentum=0.9)",)),
    "accumulation": lambda: plan_of(small_task(accumulate=2)),
    "clipping": lambda: plan_of(small_task(clip_norm=1.0)),
    "ratios": lambda: plan_of(small_task(lr_ratios={"0": 2.0})),
    "precision": lambda: plan_of(small_task(), precision="bfloat16"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_matters_is_measured_anew(measured, name):
    """Another model, batch, rule, update or precision is another case; both are remembered from then on."""
    plan_of(small_task())
    measured.clear()
    OTHERS[name]()
    assert measured
    measured.clear()
    OTHERS[name]()
    plan_of(small_task())
    assert measured == []


def test_another_machine_measures_anew(measured, monkeypatch):
    """Times are those of one processor, version of torch and number of cores."""
    plan_of(small_task())
    for changed in (
        (remembered, "_machine", lambda: ("another",)),
        (torch, "get_num_threads", lambda: 7),
    ):
        measured.clear()
        with monkeypatch.context() as patch:
            patch.setattr(*changed)
            plan_of(small_task())
        assert measured
    measured.clear()
    plan_of(small_task())
    assert measured == []


def user_task(path, body):
    """A task whose model is written in a file of the user's."""
    path.write_text(
        f"from torch import nn\n\nclass Model(nn.Linear):\n    def forward(self, x):\n        return {body}\n"
    )
    spec = importlib.util.spec_from_file_location("users_model", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["users_model"] = module
    spec.loader.exec_module(module)
    return small_task(lambda: module.Model(5, 3).double())


def test_other_code_is_measured_anew(measured, tmp_path, monkeypatch):
    """A change in the file that a model's class is written in is another case, as it may be another model by now."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "users_model", raising=False)
    plain = "super().forward(x)"
    assert plan_of(user_task(tmp_path / "model.py", plain)).engine == "vectorised"
    measured.clear()
    plan_of(user_task(tmp_path / "model.py", plain))
    assert measured == []
    branching = f"{plain} if x.sum() > 0 and self.weight.sum() > 99 else {plain} * 2"
    plan = plan_of(user_task(tmp_path / "model.py", branching))
    assert plan.engine == "looped"
    assert "data-dependent" in plan.reason
    measured.clear()
    assert plan_of(user_task(tmp_path / "model.py", branching)) == plan
    assert measured == []


class Keeping(nn.Module):
    """Replaces its buffer in `forward` if its switch is on, which stacked lanes would lose."""

    def __init__(self, on: bool) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3).double()
        self.register_buffer("mean", torch.zeros(3, dtype=torch.float64))
        self.on = on

    def forward(self, x):
        out = self.layer(x)
        if self.on and self.training:
            self.mean = 0.9 * self.mean + 0.1 * out.detach().mean(0)
        return out - self.mean


def test_a_switch_of_the_model_is_measured_anew(measured):
    """A value that a model does not print may decide whether it can be stacked, so it tells two models apart."""
    assert plan_of(small_task(lambda: Keeping(False))).engine == "vectorised"
    plan = plan_of(small_task(lambda: Keeping(True)))
    assert plan.engine == "looped"
    assert "`mean` comes out differently" in plan.reason


def test_a_value_around_a_loss_is_measured_anew(measured):
    """So may a value in the closure of a loss."""

    def task_with(steep):
        def loss(output, target):
            return F.cross_entropy(output * 2 if steep and output.sum() > 0 else output, target)

        return small_task(loss=loss)

    assert plan_of(task_with(False)).engine == "vectorised"
    assert plan_of(task_with(True)).engine == "looped"


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", '{"obstacle": 3, "looped 1 1": "fast"}', "\x00\xff"])
def test_a_broken_file_is_as_good_as_none(measured, tmp_path, text):
    """A file that cannot be read, or holds something else, is measured anew and written whole."""
    expected = plan_of(small_task())
    (path,) = (tmp_path / "plans").iterdir()
    path.write_bytes(text.encode("latin-1"))
    measured.clear()
    assert plan_of(small_task()) == expected
    assert "obstacle" in measured
    assert json.loads(path.read_text())["obstacle"] == ""
    measured.clear()
    assert plan_of(small_task()) == expected
    assert measured == []


def test_a_folder_that_cannot_be_written_is_no_failure(measured, monkeypatch, tmp_path):
    """Where nothing can be kept, each study measures for itself."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path / "file" / "below"))
    one = plan_of(small_task())
    measured.clear()
    assert plan_of(small_task()) == one
    assert measured
    assert (tmp_path / "file").read_text() == ""


def test_a_compiler_that_is_installed_is_found(monkeypatch, tmp_path):
    """That there was no compiler is remembered for as long as there is none."""
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path))
    monkeypatch.setenv("CXX", "no-such-compiler")
    known = lambda: Memory.of(small_task(), ["sgd"], "cpu", "float32", 1)
    memory = known()
    memory.know("obstacle", "none")
    memory.keep()
    assert known().text("obstacle", str) == "none"
    monkeypatch.setenv("CXX", sys.executable)  # any program that is there
    assert known().text("obstacle", str) == ""


def test_times_of_a_busy_machine_are_not_kept(monkeypatch, tmp_path):
    """When a thread waited for other programs its times are used, but not kept for the next study."""
    monkeypatch.setenv("PACESETTER_CACHE", str(tmp_path))
    monkeypatch.setattr(planning, "CLOCK", 0.0)
    monkeypatch.setattr(planning, "LEAST_TIMED", 0.001)
    # A processor of which we get nothing, then one that is all ours.
    for got, kept in ((lambda: 0.0, 0), (iter(range(10**6)).__next__, 1)):
        monkeypatch.setattr(planning.time, "process_time", got)
        plan_of(small_task(), engine="looped")
        assert len(list(tmp_path.glob("plans/*.json"))) == kept


def test_a_memory_keeps_numbers_and_texts(tmp_path):
    """What is known is not found out again; infinity is never kept, and nothing is written when nothing is new."""
    path = tmp_path / "plans" / "one.json"
    memory = Memory(path)
    assert memory.number("a", lambda: 0.5) == memory.number("a", lambda: 9.0) == 0.5
    assert memory.text("b", lambda: "x") == memory.text("b", lambda: "y") == "x"
    assert memory.number("never", lambda: float("inf")) == float("inf")
    memory.know("c", 3)
    memory.keep()
    assert json.loads(path.read_text()) == {"a": 0.5, "b": "x", "c": 3}
    os.utime(path, (1, 1))
    again = Memory(path)
    assert (again.number("a", lambda: 9.0), again.text("b", lambda: "y"), again.number("c", lambda: 9.0)) == (
        0.5,
        "x",
        3,
    )
    again.keep()
    assert path.stat().st_mtime == 1
    again.know("d", 4)
    again.distrust()
    again.keep()
    assert path.stat().st_mtime == 1
