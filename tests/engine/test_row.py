"""Weights in a row: a rule that moves each number by itself moves them as it moves the tensors one by one."""

import numpy as np
import pytest
import torch
from torch import nn

from pacesetter import optimizers
from pacesetter.engine.row import SMALL, Row
from pacesetter.engine.vectorised import Vectorised
from pacesetter.records import Lane
from tests.engine.helpers import VECTORISED, joined, trained
from tests.engine.test_vectorised import CPU, chunk_of, fresh_program, same, stepped, task_of, tensors

WRAPPERS = {"clip", "decay"}
ELEMENTWISE = [name for name in optimizers.names() if name not in WRAPPERS and optimizers.parse(name).elementwise]


def several() -> nn.Module:
    """Tensors of several shapes."""
    return nn.Sequential(nn.Linear(5, 16), nn.LayerNorm(16), nn.ReLU(), nn.Linear(16, 3))


def weights(lanes: int = 3, dtype: torch.dtype = torch.float64) -> dict[str, torch.Tensor]:
    """A matrix, a row and a number of each lane."""
    made = {"a": torch.randn(lanes, 4, 5), "b": torch.randn(lanes, 5), "c": torch.randn(lanes)}
    return {name: tensor.to(dtype) for name, tensor in made.items()}


def test_these_rules_move_each_number_by_itself() -> None:
    """Rules whose sums or shapes matter are not among them."""
    assert set(optimizers.names()) > WRAPPERS
    assert {"sgd", "adam", "adamw", "rmsprop", "lion"} <= set(ELEMENTWISE)
    assert not {"lamb", "lars", "muon", "adafactor", "prodigy"} & set(ELEMENTWISE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_row_moves_as_its_tensors_do(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: weights, state and losses; the norm of the gradient, which is summed in another order, nearly."""
    task = task_of(several, dtype)
    rule = optimizers.parse(name)
    rates = torch.logspace(-4, -1, 3).repeat(6, 1)
    together = chunk_of(task, 3, rule)
    monkeypatch.setattr(Row, "of", lambda *_: None)
    apart = chunk_of(task, 3, rule)
    assert len(together._moving) < len(apart._moving)
    (loss, norm, *_), (own_loss, own_norm, *_) = (stepped(chunk, task, rates) for chunk in (together, apart))
    assert torch.equal(loss, own_loss)
    torch.testing.assert_close(norm, own_norm)
    assert same(tensors(together), tensors(apart))


def test_apart_and_together_are_each_other_s_inverse() -> None:
    """For lanes and for one of them; what is in the form already is given back."""
    given = weights()
    row = Row(given)
    held = row.together(given)
    assert held[""].shape == (3, 26)
    for lane, found in ((slice(None), row.apart(held)), (1, row.apart({"": held[""][1]}))):
        assert {name: t.tolist() for name, t in found.items()} == {name: t[lane].tolist() for name, t in given.items()}
    assert row.together(held) is held
    assert row.apart(given) is given


@pytest.mark.parametrize(
    ("given", "rule", "rates", "expected"),
    [
        (weights(), "adam", 1, True),
        (weights(), "lamb", 1, False),
        (weights(), "clip(adam, norm=1.0)", 1, False),
        (weights(), "adam", 2, False),
        (weights() | {"d": torch.zeros(3, 2)}, "adam", 1, False),
        ({"a": torch.zeros(3, 5)}, "adam", 1, False),
        ({"a": torch.zeros(1, 2 * SMALL), "b": torch.zeros(1, 1)}, "adam", 1, False),
    ],
    ids=["fits", "needs sums", "wraps", "two rates", "two dtypes", "one tensor", "large"],
)
def test_only_what_may_and_should_is_moved_in_a_row(given, rule: str, rates: int, expected: bool) -> None:
    """One dtype, one rate, several small tensors, and a rule that does not look at tensors."""
    assert (Row.of(given, optimizers.parse(rule), rates) is not None) is expected


def test_rates_of_their_own_keep_tensors_apart() -> None:
    """A chunk whose tensors have two ratios is not in a row."""
    task = task_of(several, lr_ratios={"0": 0.1})
    chunk = Vectorised(fresh_program(task, 0, CPU), optimizers.parse("adam"), 2, threads=0)
    assert set(chunk.tree()["params"]) == set(chunk._held)


def test_rules_that_hold_weights_apart_and_in_a_row_are_evaluated_side_by_side() -> None:
    """In one bundle, often enough to be recorded: each lane as if it were alone."""
    task = task_of(several, steps=60, evaluations=30)
    lanes = [Lane(rule, "constant", lr, 0, 60) for rule in ("adam", "lamb") for lr in (0.01, 0.02)]
    beside = trained(task, lanes, VECTORISED)
    for rule in ("adam", "lamb"):
        own = [lane for lane in lanes if lane.optimizer == rule]
        alone = trained(task, own, VECTORISED)
        for lane in own:
            assert np.array_equal(joined(beside[lane]).valid_loss, joined(alone[lane]).valid_loss)
