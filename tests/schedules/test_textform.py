"""The text form of calls: what is read, what is written, and where the caret points when it is wrong."""

from dataclasses import dataclass, field
from typing import Literal

import pytest

from pacesetter.errors import InputError, ParseError, UnknownName
from pacesetter.textform import format_call, parse_call


@dataclass(frozen=True)
class Rule:
    """A stand-in with a field of every type that text can give."""

    rate: float = 0.1
    count: int = 3
    nesterov: bool = False
    mode: Literal["min", "max"] = "min"
    at: tuple[float, ...] = ()
    limit: int | float | None = None
    label: str = "none given"
    power: float = field(default=2.0, metadata={"argument": "exponent"})

    def __init__(
        self, rate=0.1, count=3, nesterov=False, mode="min", at=(), limit=None, label="none given", exponent=2.0
    ):
        for name, value in zip(
            self.__dataclass_fields__, (rate, count, nesterov, mode, at, limit, label, exponent), strict=True
        ):
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Need:
    """A stand-in whose first field is required."""

    span: float
    other: int = 1


REGISTRY = {"rule": Rule, "need": Need}


def read(text):
    """The object that `text` describes."""
    return parse_call(text, "thing", REGISTRY)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("rule", Rule()),
        ("rule()", Rule()),
        ("  rule(\n 0.5 )\t", Rule(0.5)),
        ("rule(1e-08, 4)", Rule(1e-8, 4)),
        ("rule(rate=1)", Rule(1.0)),
        ("rule(rate=-.5)", Rule(-0.5)),
        ("rule(rate=inf)", Rule(float("inf"))),
        ("rule(nesterov=True)", Rule(nesterov=True)),
        ("rule(nesterov=true)", Rule(nesterov=True)),
        ("rule(mode=max)", Rule(mode="max")),
        ("rule(mode='max')", Rule(mode="max")),
        ("rule(at=[0.5, 1])", Rule(at=(0.5, 1.0))),
        ("rule(at=[])", Rule()),
        ("rule(limit=None)", Rule()),
        ("rule(limit=none)", Rule()),
        ("rule(label='two words')", Rule(label="two words")),
        ("rule(exponent=3)", Rule(exponent=3.0)),
        ("need(0.5)", Need(0.5)),
        ("need(other=2, span=1)", Need(1.0, 2)),
    ],
)
def test_reads(text, value):
    """Names, positional and named arguments, numbers, words, lists and None are read with the types of the fields."""
    assert read(text) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Rule(), "rule"),
        (Rule(rate=1e-8), "rule(rate=1e-08)"),
        (Rule(count=4, nesterov=True), "rule(count=4, nesterov=True)"),
        (Rule(mode="max", at=(0.5, 0.75)), "rule(mode=max, at=[0.5, 0.75])"),
        (Rule(limit=1), "rule(limit=1)"),
        (Rule(limit=1.0), "rule(limit=1.0)"),
        (Rule(label="two words"), "rule(label='two words')"),
        (Rule(label="true"), "rule(label='true')"),
        (Rule(label="class"), "rule(label='class')"),
        (Rule(exponent=3.0), "rule(exponent=3.0)"),
        (Need(0.5), "need(0.5)"),
        (Need(0.5, 2), "need(0.5, other=2)"),
    ],
)
def test_writes_what_it_reads(value, text):
    """Only what is not default is written, numbers as short as can be, and the text reads back as an equal object."""
    assert format_call(value) == text
    assert read(text) == value


def test_a_step_and_a_share_differ():
    """1 and 1.0 stay an int and a float where both are allowed."""
    assert type(read("rule(limit=1)").limit) is int
    assert type(read("rule(limit=1.0)").limit) is float


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("rule(rat=1)", 5, "did you mean `rate`"),
        ("rule(count=0.5)", 11, "`count` must be a whole number, got count=0.5"),
        ("rule(count=True)", 11, "`count` must be a whole number, got count=True"),
        ("rule(rate=fast)", 10, "`rate` must be a number, got rate=fast"),
        ("rule(nesterov=1)", 14, "`nesterov` must be True or False, got nesterov=1"),
        ("rule(mode=mean)", 10, "`mode` must be min or max, got mode=mean"),
        ("rule(at=[a])", 8, "`at` must be a list, got at=[a]"),
        ("rule(0.1, rate=0.2)", 15, "`rate` must be given once"),
        ("rule(1, 2, True, min, [], 1, a, 2, 9)", 35, "at most 8 arguments"),
        ("rule(1 + 1)", 5, "a number, a word or a list, got `1 + 1`"),
        ("rule(rate=open('x'))", 10, "got `open('x')`"),
        ("rule(**x)", 7, "plain arguments only"),
        ("rule(*x)", 5, "got `*x`"),
        ("need", 0, "`need` needs `span`, got none: write need(span)"),
        ("need(other=1)", 0, "write need(span)"),
        ("rule.rate", 0, "got `rule.rate`"),
        ("rule >> need(1)", 0, "got another operator"),
        ("rule(", 4, "never closed"),
        ("rule)", 4, "unmatched"),
        ("rule(label='é', rat=1)", 16, "did you mean `rate`"),
    ],
)
def test_error_points_at_its_place(text, place, words):
    """What does not parse is refused with the reason and a caret under the place, counted in characters."""
    with pytest.raises(ParseError) as caught:
        read(text)
    message, shown, caret = str(caught.value).split("\n")
    assert words in message
    assert shown == f"  {text}"
    assert caret == " " * (place + 2) + "^"


def test_unknown_name_suggests():
    """A misspelt name is an UnknownName that says which one was meant and which there are."""
    with pytest.raises(UnknownName, match="got thing='rul': did you mean `rule`\\? known: need, rule"):
        read("rul(0.5)")


@pytest.mark.parametrize("text", ["", "   ", "\0", "rule\0", "(" * 300 + "rule" + ")" * 300, "-" * 9000 + "1", 5, None])
def test_broken_input_is_an_input_error(text):
    """Nothing that is given as text, however broken, ends in another error than ours."""
    with pytest.raises(InputError, match="`thing` must"):
        read(text)
