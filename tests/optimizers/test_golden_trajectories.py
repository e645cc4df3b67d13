"""Rules of ours against trajectories that the authors' own packages made, in float64."""

import json
from functools import cache
from pathlib import Path

import pytest
import torch

from pacesetter import optimizers

DATA = Path(__file__).parent / "data" / "optimizer_trajectories.json"

ROWS = [
    ("SGDScheduleFree(lr=0.1,momentum=0.9,warmup_steps=5)", "schedule_free_sgd(warmup_steps=5)", 0.1, 1e-10),
    ("AdamWScheduleFree(lr=0.0025,betas=(0.9,0.999),warmup_steps=10,weight_decay=0.01)",
     "schedule_free_adamw(warmup_steps=10, weight_decay=0.01)", 0.0025, 1e-10),
    ("AdamWScheduleFree(lr=0.05,r=2)", "schedule_free_adamw(r=2)", 0.05, 1e-10),
    ("Prodigy(lr=1.0)", "prodigy", 1.0, 1e-10),
    ("Prodigy(lr=1.0,use_bias_correction=True,safeguard_warmup=True,weight_decay=0.01)",
     "prodigy(bias_correction=True, safeguard_warmup=True, weight_decay=0.01)", 1.0, 1e-10),
    ("DAdaptAdam(lr=1.0)", "dadapt_adam", 1.0, 1e-10),
    ("DAdaptSGD(lr=1.0)", "dadapt_sgd", 1.0, 1e-10),
    ("DoG()", "dog(average=False)", 1.0, 1e-10),
    ("DoG(reps_rel=1e-4)", "dog(average=False, reps_rel=1e-4)", 1.0, 1e-10),
    ("LDoG(reps_rel=1e-4)", "ldog(average=False, reps_rel=1e-4)", 1.0, 1e-10),
    ("Momo(lr=1.0,beta=0.9)", "momo", 1.0, 1e-10),
    ("Momo(lr=1.0,beta=0.9,use_fstar=True)", "momo(estimate_bound=True)", 1.0, 1e-10),
    ("MomoAdam(lr=1e-2)", "momo_adam", 1e-2, 1e-10),
    ("po.Lion(lr=1e-3)", "lion", 1e-3, 1e-10),
    # The package keeps its tuners in single precision.
    ("mechanize(SGD)(lr=1.0)", "mechanic(sgd)", 1.0, 1e-5),
    ("mechanize(AdamW)(lr=1.0)", "mechanic(adamw)", 1.0, 1e-5),
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


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize(("theirs", "ours", "lr", "within"), ROWS, ids=[row[0] for row in ROWS])
def test_first_fifty_steps(theirs, ours, lr, within, problem):
    """The weights, and those to evaluate, are the authors' to ten digits over the first 50 steps."""
    function, start = PROBLEMS[problem]
    snapshots = {shot["step"]: shot for shot in trajectories()[theirs][problem] if "params" in shot}
    rule = optimizers.parse(ours)
    weights = {"x": start.clone()}
    state = rule.init(weights)
    seen = 0
    for step in range(1, 51):
        leaf = weights["x"].clone().requires_grad_()
        loss = function(leaf)
        (grad,) = torch.autograd.grad(loss, [leaf])
        extra = {"loss": loss.detach()} if "loss" in rule.needs else {}
        weights, state = rule.update({"x": grad}, state, weights, lr, **extra)
        shot = snapshots.get(step)
        if shot is None or shot.get("diverged") or not torch.isfinite(weights["x"]).all():
            continue
        seen += 1
        expected = torch.tensor(shot["params"][0], dtype=torch.float64)
        torch.testing.assert_close(weights["x"], expected, rtol=within, atol=within * float(expected.abs().max()))
        if "params_eval_x" in shot:
            judged = rule.evaluation(weights, state)["x"]
            expected = torch.tensor(shot["params_eval_x"][0], dtype=torch.float64)
            torch.testing.assert_close(judged, expected, rtol=within, atol=within * float(expected.abs().max()))
    assert seen >= 3
