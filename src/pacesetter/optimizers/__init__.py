"""Rules: how gradients become the next weights. One rule per file, pure functions, the learning rate an argument."""

from pacesetter.optimizers._base import Rule
from pacesetter.optimizers.adagrad import adagrad
from pacesetter.optimizers.adam import adam
from pacesetter.optimizers.adamw import adamw
from pacesetter.optimizers.rmsprop import rmsprop
from pacesetter.optimizers.sgd import sgd
from pacesetter.textform import parse_call

__all__ = ["Rule", "adagrad", "adam", "adamw", "names", "parse", "rmsprop", "sgd"]

# Every rule that is exported is known to `parse`.
_REGISTRY: dict[str, type[Rule]] = {
    name: rule for name, rule in globals().items() if name in __all__ and isinstance(rule, type) and rule is not Rule
}


def names() -> list[str]:
    """The names of all rules, in alphabetical order."""
    return sorted(_REGISTRY)


def parse(text: str | Rule) -> Rule:
    """The rule that a text form such as `"sgd(momentum=0.9)"` names; a rule comes back as it is.

    Raises UnknownName for a rule that does not exist and ParseError for a text that does not parse.

    >>> parse("adam(beta2=0.95)") == adam(beta2=0.95)
    True
    """
    if isinstance(text, Rule):
        return text
    return parse_call(text, "optimizer", _REGISTRY)
