"""Recordings run by torch's own interpreter: the same bits, the same random numbers, or Python's as before."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from pacesetter.engine import scripted
from pacesetter.engine.recording import record
from pacesetter.engine.scripted import WORTH_AFTER, Scripted

CONSTANT = torch.arange(4.0)


def arithmetic(x: Tensor, y: Tensor) -> list[Tensor]:
    """Several outputs of one operation, other types, infinities, numbers on both sides, a constant from outside."""
    moved = torch.lerp(x, y, 0.1).transpose(0, 1)
    best, where = torch.max(moved, dim=1)
    whole = torch.where(moved > 0, moved, float("-inf")).to(torch.float64)
    return [moved.contiguous() * CONSTANT, best, where, whole.exp(), 0.5 ** x.detach(), torch.stack([x, y]).sum([0, 1])]


def convolved(x: Tensor, y: Tensor) -> list[Tensor]:
    """Lists of numbers and truth values among the arguments."""
    layer = nn.Conv1d(1, 2, 3)
    torch.manual_seed(0)
    kernel = torch.ones(2, 1, 3) * y[0, 0]
    return [torch.conv1d(x[:, None], kernel, layer.bias.detach() * 0, padding=1)]


def drawing(x: Tensor, y: Tensor) -> list[Tensor]:
    """Three draws."""
    return [nn.functional.dropout(x, 0.5) + torch.rand_like(y), torch.randn(3)]


def in_place(x: Tensor, y: Tensor) -> list[Tensor]:
    """Changes a copy."""
    own = x.clone()
    own.add_(y).mul_(2)
    return [own]


def leaves(seed: int) -> list[Tensor]:
    """Two arguments."""
    chance = torch.Generator().manual_seed(seed)
    return [torch.randn(4, 5, generator=chance), torch.randn(4, 5, generator=chance)]


@pytest.mark.parametrize("function", [arithmetic, convolved, drawing, in_place])
def test_bits_and_random_numbers_are_those_of_the_recording(function: Callable[..., list[Tensor]]) -> None:
    """Before and after it is made a function, and for another recording of the same operations from the first on."""
    recording = record(function, leaves(0))
    run = Scripted(recording)
    for seed in range(WORTH_AFTER + 3):
        torch.manual_seed(seed)
        expected = recording(*leaves(seed))
        after = torch.get_rng_state()
        torch.manual_seed(seed)
        found = run(*leaves(seed))
        assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
        assert torch.equal(after, torch.get_rng_state())
    assert run._function is not None
    again = Scripted(record(function, leaves(1)))
    assert again._function is run._function


def test_what_is_not_the_same_is_left_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """A function that does something else, or that torch refuses, is never used."""
    recording = record(arithmetic, leaves(0))
    for source in (scripted._source(recording.graph).replace("0.1", "0.2"), "def step() -> nothing at all"):
        monkeypatch.setattr(scripted, "_source", lambda _, source=source: source)
        run = Scripted(recording)
        for _ in range(WORTH_AFTER + 2):
            found = run(*leaves(0))
        assert run._function is None
        assert all(torch.equal(one, other) for one, other in zip(recording(*leaves(0)), found, strict=True))


def test_a_view_that_changes_nothing_is_not_recorded() -> None:
    """Of these operations only the last two do anything."""
    recording = record(
        lambda x: [x.detach().view(4, 5).expand(4, 5).permute(0, 1).transpose(0, 1) * 1.5], leaves(0)[:1]
    )
    assert len([node for node in recording.graph.nodes if node.op == "call_function"]) == 2
