"""Recipes and strategies read back from their text, refuse what is no rate, and become lanes."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pacesetter import optimizers, schedules
from pacesetter.errors import InputError, ParseError, UnknownName
from pacesetter.recipes import Recipe, Strategy
from pacesetter.records import Lane

RULES = ["adam", "adam(beta2=0.95)", "sgd(momentum=0.9, nesterov=True)", "rmsprop(centered=True)"]
SCHEDULES = ["constant", "cosine(final=0.1)", "warmup(0.05) >> cosine", "warmup(5) >> (constant(0.5) >> linear) * step"]


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("adam(beta2=0.95) lr=3e-3 warmup(0.05) >> cosine()", "adam(beta2=0.95) lr=0.003 warmup(0.05) >> cosine"),
        ("adam lr=1e-3", "adam lr=0.001 constant"),
        ("  adam()   lr = .1\n linear ", "adam lr=0.1 linear"),
        ("sgd (momentum=0.9) lr=1", "sgd(momentum=0.9) lr=1.0 constant"),
        ("adam lr=1e-9 warmup(10) >> constant", "adam lr=1e-09 warmup(10) >> constant"),
    ],
)
def test_recipe_text(text: str, canonical: str) -> None:
    """A recipe has one canonical text, which reads back as an equal recipe."""
    recipe = Recipe.parse(text)
    assert str(recipe) == canonical
    assert Recipe.parse(canonical) == recipe
    assert hash(Recipe.parse(canonical)) == hash(recipe)


@given(
    rule=st.sampled_from(RULES),
    schedule=st.sampled_from(SCHEDULES),
    lr=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
)
def test_any_recipe_reads_back(rule: str, schedule: str, lr: float) -> None:
    """Every finite rate above 0 comes back to the bit, from a recipe's text and from its lane."""
    recipe = Recipe(optimizers.parse(rule), lr, schedules.parse(schedule))
    assert Recipe.parse(str(recipe)) == recipe
    assert Recipe.of(recipe.lane(seed=3, total_steps=7)) == recipe


def test_lane_and_recipe_have_one_text() -> None:
    """A lane's recipe is the text of the recipe that made it."""
    recipe = Recipe.parse("adam(beta2=0.95) lr=3e-3 warmup(0.05) >> cosine()")
    lane = recipe.lane(seed=2, total_steps=440)
    assert lane == Lane("adam(beta2=0.95)", "warmup(0.05) >> cosine", 0.003, 2, 440)
    assert lane.recipe == str(recipe)
    assert lane.strategy == recipe.strategy.key


def test_strategy_text() -> None:
    """A strategy is a recipe without a rate; with a rate it is the recipe again."""
    strategy = Strategy.parse("sgd(momentum=0.9) cosine()")
    assert str(strategy) == "sgd(momentum=0.9) cosine"
    assert Strategy.parse(str(strategy)) == strategy
    assert strategy.at(0.1) == Recipe.parse("sgd(momentum=0.9) lr=0.1 cosine")
    assert strategy.at(0.1).strategy == strategy
    assert Strategy.parse("adam") == Strategy.parse("adam constant")


def test_parse_takes_the_thing_itself() -> None:
    """A recipe or strategy given instead of text comes back as it is."""
    recipe = Recipe.parse("adam lr=0.1")
    assert Recipe.parse(recipe) is recipe
    strategy = recipe.strategy
    assert Strategy.parse(strategy) is strategy


@pytest.mark.parametrize("lr", [0, -1.0, math.nan, math.inf, "0.1", None, True])
def test_rates_that_are_none(lr: Any) -> None:
    """A rate must be a finite number above 0."""
    with pytest.raises(InputError, match=r"`lr` must be a finite number above 0, got lr="):
        Recipe(optimizers.adam(), lr, schedules.parse("constant"))


def test_rates_of_other_kinds() -> None:
    """A whole number or a NumPy number is a rate like any other."""
    numbers: list[Any] = [1, np.float64(1), np.float32(1), np.int64(1)]
    for lr in numbers:
        assert str(Recipe(optimizers.adam(), lr, schedules.parse("constant"))) == "adam lr=1.0 constant"


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("adam", ParseError, "must have its rate after the optimizer"),
        ("adam cosine", ParseError, "\n  adam cosine\n       ^"),
        ("adam lr=fast", ParseError, "`lr` must be a number, got lr='fast'\n  adam lr=fast\n          ^"),
        ("adam lr=0", InputError, "`lr` must be a finite number above 0, got lr=0.0"),
        ("adam lr=nan", InputError, "got lr=nan"),
        ("adm lr=1", UnknownName, "did you mean `adam`"),
        ("adam lr=1 cosin", UnknownName, "did you mean `cosine`"),
        ("adam(beta2=0.95 lr=1", ParseError, "must be closed"),
        ("lr=1 adam", ParseError, "`recipe` must begin with an optimizer's name"),
        ("(adam) lr=1", ParseError, "`recipe` must begin with an optimizer's name"),
        (" ", ParseError, "got an empty text"),
        (7, InputError, "`recipe` must be text or a recipe, got recipe=7"),
    ],
)
def test_recipe_text_that_is_wrong(text: Any, error: type[InputError], message: str) -> None:
    """Each way to get a recipe wrong has its message."""
    with pytest.raises(error) as caught:
        Recipe.parse(text)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("adam lr=0.1 cosine", ParseError, "`strategy` must not have a rate"),
        ("", ParseError, "`strategy` must begin with an optimizer's name"),
        ("adam cosin", UnknownName, "did you mean `cosine`"),
        (None, InputError, "`strategy` must be text or a strategy, got strategy=None"),
    ],
)
def test_strategy_text_that_is_wrong(text: Any, error: type[InputError], message: str) -> None:
    """Each way to get a strategy wrong has its message."""
    with pytest.raises(error) as caught:
        Strategy.parse(text)
    assert message in str(caught.value)


def test_to_torch() -> None:
    """A recipe gives PyTorch's own optimizer with its settings, and a scheduler at the first rate."""
    weights = [torch.nn.Parameter(torch.zeros(2))]
    optimizer, scheduler = Recipe.parse("adamw(beta2=0.95) lr=0.1 warmup(10) >> linear").to_torch(weights, 100)
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.95)
    assert scheduler.get_last_lr() == pytest.approx([0.01])
