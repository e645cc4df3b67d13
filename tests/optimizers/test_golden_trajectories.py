"""Rules of ours against trajectories that the authors' own packages made, in float64."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch

from pacesetter import optimizers

DATA = Path(__file__).parent / "data" / "optimizer_trajectories.json"

ROWS = [
    ("SGDScheduleFree(lr=0.1,momentum=0.9,warmup_steps=5)", "schedule_free_sgd(warmup_steps=5)", 0.1),
    ("AdamWScheduleFree(lr=0.0025,betas=(0.9,0.999),warmup_steps=10,weight_decay=0.01)",
     "schedule_free_adamw(warmup_steps=10, weight_decay=0.01)", 0.0025),
    ("AdamWScheduleFree(lr=0.05,r=2)", "schedule_free_adamw(r=2)", 0.05),
    ("Prodigy(lr=1.0)", "prodigy", 1.0),
    ("Prodigy(lr=1.0,use_bias_correction=True,safeguard_warmup=True,weight_decay=0.01)",
     "prodigy(bias_correction=True, safeguard_warmup=True, weight_decay=0.01)", 1.0),
    ("DAdaptAdam(lr=1.0)", "dadapt_adam", 1.0),
    ("DAdaptSGD(lr=1.0)", "dadapt_sgd", 1.0),
    ("DoG()", "dog(average=False)", 1.0),
    ("DoG(reps_rel=1e-4)", "dog(average=False, reps_rel=1e-4)", 1.0),
    ("LDoG(reps_rel=1e-4)", "ldog(average=False, reps_rel=1e-4)", 1.0),
    ("Momo(lr=1.0,beta=0.9)", "momo", 1.0),
    ("Momo(lr=1.0,beta=0.9,use_fstar=True)", "momo(estimate_bound=True)", 1.0),
    ("MomoAdam(lr=1e-2)", "momo_adam", 1e-2),
    ("po.Lion(lr=1e-3)", "lion", 1e-3),
    ("mechanize(SGD)(lr=1.0)", "mechanic(sgd)", 1.0),
    ("mechanize(AdamW)(lr=1.0)", "mechanic(adamw)", 1.0),
]  # fmt: skip


@cache
def trajectories():
    """The file."""
    return json.loads(DATA.read_text())["trajectories"]


def quad8(x):
    """Half the sum of a * (x - b)^2."""
    a, b = torch.logspace(-1, 1, 8, dtype=torch.float64), torch.linspace(-2, 2, 8, dtype=torch.float64)
    return 0.5 * (a * (x - b) ** 2).sum()


def rosenbrock(x):
    """Rosenbrock's function of two numbers."""
    return (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2


PROBLEMS = {
    "quad8": (quad8, torch.ones(8, dtype=torch.float64)),
    "rosenbrock": (rosenbrock, torch.tensor([-1.2, 1.0], dtype=torch.float64)),
}


def steps_of(ours, lr, problem, steps):
    """(step, weights, state) of a rule on a problem, step by step."""
    function, start = PROBLEMS[problem]
    rule = optimizers.parse(ours)
    weights = {"x": start.clone()}
    state = rule.init(weights)
    for step in range(1, steps + 1):
        leaf = weights["x"].clone().requires_grad_()
        loss = function(leaf)
        (grad,) = torch.autograd.grad(loss, [leaf])
        weights, state = rule.update({"x": grad}, state, weights, lr, loss=loss.detach())
        yield step, weights, state


def assert_near(ours, theirs, within=1e-10):
    """Each number is theirs to ten digits of the largest."""
    theirs = torch.tensor(theirs, dtype=torch.float64)
    torch.testing.assert_close(ours, theirs, rtol=within, atol=within * float(theirs.abs().max()))


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(("theirs", "ours", "lr"), ROWS, ids=[row[0] for row in ROWS])
def test_first_fifty_steps(theirs, ours, lr, problem):
    """The weights, those to evaluate, and what the rule works out are the authors' to ten digits, for 50 steps."""
    shots = {shot["step"]: shot for shot in trajectories()[theirs][problem] if not shot.get("diverged")}
    rule = optimizers.parse(ours)
    seen = 0
    for step, weights, state in steps_of(ours, lr, problem, 50):
        if step not in shots:
            continue
        seen += 1
        shot = shots[step]
        assert_near(weights["x"], shot["params"][0])
        if "params_eval_x" in shot:
            assert_near(rule.evaluation(weights, state)["x"], shot["params_eval_x"][0])
        if "d" in shot:
            assert_near(state["d"], shot["d"])
        if "eta" in shot:
            assert_near(torch.as_tensor(rule.effective_lr(state, lr)), shot["eta"][0])
        if "lb" in shot:
            assert_near(state["bound"], shot["lb"])
        if "s" in shot:
            # Their scales come from a difference of nearly equal weights, which costs digits that the weights keep.
            assert_near(state["scales"], shot["s"], within=1e-8)
    assert seen >= (4 if theirs.startswith("SGDScheduleFree") and problem == "rosenbrock" else 7)


@pytest.mark.parametrize(
    ("theirs", "ours", "lr"),
    [row for row in ROWS if row[0].startswith(("SGDScheduleFree", "DAdaptSGD"))],
    ids=["schedule-free", "d-adaptation"],
)
def test_published_methods_that_diverge(theirs, ours, lr):
    """On Rosenbrock's function the published methods diverge at these settings, and so do ours."""
    assert trajectories()[theirs]["rosenbrock"][-1]["diverged"]
    *_, (_, weights, _) = steps_of(ours, lr, "rosenbrock", 500)
    assert not torch.isfinite(weights["x"]).all()
