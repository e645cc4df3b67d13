"""Anybody's optimizer by its import path: its text, what is refused, and that nothing is imported before it is made."""

import sys

import pytest
import torch

from pacesetter import optimizers
from pacesetter.errors import InputError, ParseError
from pacesetter.optimizers import foreign
from pacesetter.recipes import Recipe, Strategy


@pytest.mark.parametrize(
    ("text", "path", "arguments"),
    [
        ("torch:Adafactor", "torch:Adafactor", {}),
        ("torch:Adafactor(beta2_decay=-0.9)", "torch:Adafactor", {"beta2_decay": -0.9}),
        ("my.module:Mine(betas=[0.9, 0.95], fused=True)", "my.module:Mine", {"betas": (0.9, 0.95), "fused": True}),
        ("package:nested.Mine(kind=fast, eps=None)", "package:nested.Mine", {"kind": "fast", "eps": None}),
    ],
)
def test_text_parses_back(text, path, arguments):
    """The text is the path and the arguments, and reads back; nothing is imported for that."""
    rule = optimizers.parse(text)
    assert isinstance(rule, foreign)
    assert (rule.path, dict(rule.arguments)) == (path, arguments)
    assert str(rule) == text
    assert optimizers.parse(str(rule)) == rule
    assert "my" not in sys.modules


def test_a_recipe_may_have_it():
    """Recipes and strategies read it, with a rate and a schedule behind it."""
    recipe = Recipe.parse("torch:NAdam(momentum_decay=0.01) lr=3e-3 warmup(0.05) >> cosine")
    assert str(recipe) == "torch:NAdam(momentum_decay=0.01) lr=0.003 warmup(0.05) >> cosine"
    assert Recipe.parse(str(recipe)) == recipe
    assert Strategy.parse("torch:NAdam cosine").rule == optimizers.parse("torch:NAdam")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("torch:Adafactor(1)", "must have a name, as in"),
        ("torch:Adafactor(eps=", "was never closed"),
        ("torch:Adafactor(**x)", "must have a name"),
        ("torch:Adafactor(eps=1) + 2", "must be written as name"),
        ("torch:", "module:Name"),
    ],
)
def test_text_that_does_not_parse(text, words):
    """Text that is no call by names is refused."""
    with pytest.raises(ParseError, match=words):
        optimizers.parse(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("torch:Adafactor(lr=1)", "`lr` must be left out of an optimizer, got lr=1"),
        ("torch:Adafacto", 'must be found as "module:Class", got torch:Adafacto: .*no attribute'),
        ("nowhere_to_be_found:X", "No module named 'nowhere_to_be_found'"),
        ("math:sqrt", "must be a torch.optim.Optimizer, got math:sqrt, which is builtin_function_or_method"),
        ("torch.nn:Linear", "which is a class of something else"),
        ("torch:Adafactor(colour=2)", "must be one that can be made.*colour"),
        ("torch:Adadelta(rho=7)", "must be one that can be made.*rho"),
    ],
)
def test_what_leads_to_no_optimizer(text, words):
    """A path to nothing, to something else, or with arguments that the class refuses is an error in one sentence."""
    with pytest.raises(InputError, match=words):
        optimizers.parse(text).to_torch([torch.nn.Parameter(torch.ones(2))], 0.1)


def test_it_has_no_pure_form():
    """It says that it trains by its own class alone."""
    rule = optimizers.parse("torch:NAdam")
    assert not rule.vectorises
    with pytest.raises(InputError, match="trains one lane at a time, by `to_torch`"):
        rule.init({"": torch.ones(2)})
    assert type(rule.to_torch([torch.nn.Parameter(torch.ones(2))], 0.1)) is torch.optim.NAdam
