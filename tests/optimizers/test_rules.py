"""Each rule obeys the conformance suite, reads back from its text, refuses wrong numbers, and obeys its own laws."""

import doctest
import math
import subprocess
import sys

import pytest
import torch

from pacesetter import optimizers
from pacesetter.errors import InputError, ParseError, UnknownName
from pacesetter.optimizers import Rule, adagrad, adam, adamw, rmsprop, sgd
from pacesetter.testing.rules import RuleConformance, TorchConformance

WRAPPERS = ("clip", "decay")
DEFAULTS = [optimizers.parse(name) for name in optimizers.names() if name not in WRAPPERS]
SETTINGS: list[Rule] = [
    *DEFAULTS,
    sgd(momentum=0.9),
    sgd(momentum=0.9, weight_decay=0.1),
    sgd(momentum=0.8, nesterov=True, weight_decay=0.01),
    adam(beta1=0.5, beta2=0.95, eps=1e-4, weight_decay=0.1),
    adam(beta1=0.0, beta2=0.0),
    adamw(beta2=0.95, weight_decay=0.3),
    adamw(weight_decay=0),
    rmsprop(beta2=0.9, eps=1e-3, weight_decay=0.05),
    rmsprop(momentum=0.9),
    rmsprop(centered=True),
    rmsprop(momentum=0.5, centered=True, weight_decay=0.05),
    adagrad(initial_accumulator=0.5, eps=1e-3, weight_decay=0.1),
    *(
        optimizers.parse(text)
        for text in (
            "prodigy(bias_correction=True, safeguard_warmup=True, weight_decay=0.1)",
            "dadapt_adam(bias_correction=True, weight_decay=0.1)",
            "dadapt_adam(weight_decay=0.1, decoupled=False)",
            "dadapt_sgd(momentum=0.9, weight_decay=0.1)",
            "dog(average=False, reps_rel=0.01, weight_decay=0.1)",
            "ldog(reps_rel=0.01)",
            "mechanic(sgd(momentum=0.9))",
            "momo(estimate_bound=True, bias_correction=True, weight_decay=0.1)",
            "momo_adam(estimate_bound=True, weight_decay=0.1)",
            "schedule_free_sgd(momentum=0.5, warmup_steps=5, r=1.0, weight_decay=0.01)",
            "schedule_free_adamw(warmup_steps=5, weight_decay=0.1)",
            "adadelta(beta2=0.5, weight_decay=0.1)",
            "adafactor(beta2_decay=-0.5, weight_decay=0.1, clip=1.5)",
            "adam(amsgrad=True, weight_decay=0.01)",
            "adam(gi_start=True, amsgrad=True)",
            "adamax(beta2=0.9, weight_decay=0.1)",
            "nadam(momentum_decay=0.1, weight_decay=0.1)",
            "radam(beta2=0.9, weight_decay=0.1)",
            "lion(weight_decay=0.1)",
            "lamb(weight_decay=0.1)",
            "lars(weight_decay=0.1, nesterov=True, coefficient=0.1)",
            "muon(adjust=original, nesterov=False)",
            "clip(adam, norm=0.1)",
            "clip(sgd(momentum=0.9), value=0.01)",
            "clip(schedule_free_sgd, adaptive=0.01)",
            "decay(lion, 0.1)",
            "decay(prodigy, 0.1, decoupled=False)",
            "decay(clip(momo, norm=0.5), 0.01)",
        )
    ),
]


@pytest.mark.parametrize("rule", SETTINGS, ids=str)
class TestConformance(RuleConformance):
    """Every registered rule, and the settings that take another path through one."""

    @pytest.fixture
    def rule(self, request: pytest.FixtureRequest) -> Rule:
        """The parametrised rule."""
        rule = request.param
        assert isinstance(rule, Rule)
        return rule


@pytest.mark.parametrize("rule", [rule for rule in SETTINGS if rule.torch_optimizer()], ids=str)
class TestAgreement(TorchConformance):
    """Every rule, and every setting, that torch has too."""

    @pytest.fixture
    def rule(self, request: pytest.FixtureRequest) -> Rule:
        """The parametrised rule."""
        rule = request.param
        assert isinstance(rule, Rule)
        return rule


def test_names() -> None:
    """The rules are known by name and exported under it."""
    assert optimizers.names() == [
        "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "clip", "dadapt_adam", "dadapt_sgd", "decay",
        "dog", "lamb", "lars", "ldog", "lion", "mechanic", "momo", "momo_adam", "muon", "nadam", "prodigy", "radam",
        "rmsprop", "schedule_free_adamw", "schedule_free_sgd", "sgd",
    ]  # fmt: skip
    assert all(
        getattr(optimizers, name)() == optimizers.parse(name) for name in optimizers.names() if name not in WRAPPERS
    )


@pytest.mark.parametrize("rule", SETTINGS, ids=str)
def test_text_round_trip(rule: Rule) -> None:
    """The text of a rule reads back as an equal rule with the same text."""
    again = optimizers.parse(str(rule))
    assert again == rule
    assert str(again) == str(rule)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("adam()", "adam"),
        ("adam(beta2=0.999)", "adam"),
        ("sgd( momentum = .9 )", "sgd(momentum=0.9)"),
        ("adam(eps=1)", "adam(eps=1.0)"),
        ("adamw(weight_decay=0)", "adamw(weight_decay=0.0)"),
        ("sgd(momentum=0.9, nesterov=True)", "sgd(momentum=0.9, nesterov=True)"),
        ("adam(eps=1e-8, beta1=0.8)", "adam(beta1=0.8)"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    """A rule prints only what is not default, in one form however it was written."""
    assert str(optimizers.parse(text)) == canonical


def test_parse_takes_a_rule() -> None:
    """A rule given instead of text comes back as it is."""
    rule = adam(beta2=0.95)
    assert optimizers.parse(rule) is rule


def test_misspelt_name() -> None:
    """A misspelt rule gets a suggestion."""
    with pytest.raises(UnknownName, match=r"got optimizer='adm': did you mean `adam`"):
        optimizers.parse("adm")


@pytest.mark.parametrize("text", ["adam(betta2=0.95)", "adam(", "adam) cosine", "", "adam(beta2=)"])
def test_text_that_does_not_parse(text: str) -> None:
    """Text that is no call with known arguments is refused."""
    with pytest.raises((ParseError, UnknownName)):
        optimizers.parse(text)


@pytest.mark.parametrize(
    ("rule", "arguments", "message"),
    [
        (sgd, {"momentum": -0.1}, "`momentum` of `sgd` must be at least 0 and below 1, got momentum=-0.1"),
        (sgd, {"momentum": 2}, "`momentum` of `sgd` must be at least 0 and below 1, got momentum=2"),
        (sgd, {"momentum": math.nan}, "got momentum=nan"),
        (sgd, {"nesterov": True}, "`nesterov` needs a momentum above 0"),
        (sgd, {"momentum": 0.9, "nesterov": 1}, "`nesterov` of `sgd` must be True or False, got nesterov=1"),
        (sgd, {"weight_decay": math.inf}, "got weight_decay=inf"),
        (adam, {"beta1": 1.0}, "`beta1` of `adam` must be at least 0 and below 1, got beta1=1.0"),
        (adam, {"beta2": -0.5}, "got beta2=-0.5"),
        (adam, {"eps": 0.0}, "`eps` of `adam` must be a finite number above 0, got eps=0.0"),
        (adam, {"beta1": "high"}, "got beta1='high'"),
        (adam, {"beta1": False}, "got beta1=False"),
        (adamw, {"weight_decay": -1}, "got weight_decay=-1"),
        (rmsprop, {"beta2": 1}, "got beta2=1"),
        (rmsprop, {"centered": "yes"}, "got centered='yes'"),
        (adagrad, {"initial_accumulator": -1e-9}, "got initial_accumulator=-1e-09"),
    ],
)
def test_wrong_numbers(rule: type[Rule], arguments: dict[str, object], message: str) -> None:
    """A number outside its range is refused, with the argument, the rule and the value."""
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        rule(**arguments)


def test_one_form_for_all_arguments() -> None:
    """A tensor beside a dict is refused rather than misread."""
    weight = torch.ones(2)
    rule = sgd(momentum=0.9)
    with pytest.raises(InputError, match="one form"):
        rule.update({"w": weight}, rule.init(weight), weight, 0.1)
    with pytest.raises(InputError, match="one form"):
        rule.update(weight, rule.init({"w": weight}), {"w": weight}, 0.1)


def test_no_state_that_is_not_needed() -> None:
    """Plain gradient descent keeps no state, and momentum is one tensor for each weight."""
    weights = {"a": torch.ones(2), "b": torch.ones(3)}
    assert sgd().init(weights) == {}
    assert list(sgd(momentum=0.9).init(weights)) == ["velocity"]
    assert list(rmsprop().init(weights)) == ["square"]
    assert list(rmsprop(momentum=0.9, centered=True).init(weights)) == ["square", "mean", "velocity"]


@pytest.mark.parametrize("lr", [0.09, 0.11])
def test_gradient_descent_on_a_quadratic(lr: float) -> None:
    """On a quadratic, gradient descent converges below 2 / lambda_max and diverges above it."""
    curvature = torch.tensor([1.0, 20.0], dtype=torch.float64)
    weight = torch.ones(2, dtype=torch.float64)
    rule = sgd()
    state = rule.init(weight)
    moved: object = weight
    for _ in range(300):
        assert isinstance(moved, torch.Tensor)
        moved, state = rule.update(curvature * moved, state, moved, lr)
    assert isinstance(moved, torch.Tensor)
    assert bool(moved.abs().max() < 1e-6) == (lr < 2 / 20)


def test_first_step_of_adam_is_the_rate() -> None:
    """Adam's first step moves each weight by lr against its gradient's sign, whatever the gradient's size."""
    grad = torch.tensor([1e-3, -5.0, 200.0], dtype=torch.float64)
    weight = torch.zeros(3, dtype=torch.float64)
    rule = adam()
    moved, _ = rule.update(grad, rule.init(weight), weight, 0.1)
    assert isinstance(moved, torch.Tensor)
    torch.testing.assert_close(moved, -0.1 * grad.sign(), rtol=1e-4, atol=0)


@pytest.mark.parametrize("rule", [adam(), rmsprop(), adagrad(), sgd()], ids=str)
def test_adaptive_rules_ignore_the_scale_of_the_loss(rule: Rule) -> None:
    """An adaptive rule's path hardly changes when the loss is multiplied by 100; plain gradient descent's does."""
    ends = []
    for scale in (1.0, 100.0):
        moved: object = torch.tensor([1.0, -2.0], dtype=torch.float64)
        state = rule.init(torch.zeros(2, dtype=torch.float64))
        for _ in range(10):
            assert isinstance(moved, torch.Tensor)
            moved, state = rule.update(scale * moved, state, moved, 1e-3)
        assert isinstance(moved, torch.Tensor)
        ends.append(moved)
    assert torch.allclose(ends[0], ends[1], rtol=1e-5) == rule.adaptive


@pytest.mark.parametrize("module", sorted({type(rule).__module__ for rule in SETTINGS}))
def test_examples(module: str) -> None:
    """The examples in a rule's docstring give what they print."""
    done = doctest.testmod(sys.modules[module])
    assert done.attempted
    assert not done.failed


def test_parsing_does_not_wait_for_torch() -> None:
    """Reading, checking and printing a rule's text does not import torch."""
    code = (
        "import sys; from pacesetter import optimizers as o; str(o.parse('adam(eps=1)')); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
