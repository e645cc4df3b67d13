"""Rules: how gradients become the next weights. One rule per file, pure functions, the learning rate an argument."""

import re

from pacesetter.optimizers._base import Rule
from pacesetter.optimizers.adadelta import adadelta
from pacesetter.optimizers.adafactor import adafactor
from pacesetter.optimizers.adagrad import adagrad
from pacesetter.optimizers.adam import adam
from pacesetter.optimizers.adamax import adamax
from pacesetter.optimizers.adamw import adamw
from pacesetter.optimizers.dadapt import dadapt_adam, dadapt_sgd
from pacesetter.optimizers.dog import dog, ldog
from pacesetter.optimizers.foreign import foreign
from pacesetter.optimizers.lamb import lamb
from pacesetter.optimizers.lars import lars
from pacesetter.optimizers.lion import lion
from pacesetter.optimizers.mechanic import mechanic
from pacesetter.optimizers.momo import momo, momo_adam
from pacesetter.optimizers.muon import muon
from pacesetter.optimizers.nadam import nadam
from pacesetter.optimizers.prodigy import prodigy
from pacesetter.optimizers.radam import radam
from pacesetter.optimizers.rmsprop import rmsprop
from pacesetter.optimizers.schedule_free import schedule_free_adamw, schedule_free_sgd
from pacesetter.optimizers.sgd import sgd
from pacesetter.optimizers.wrappers import clip, decay
from pacesetter.textform import parse_call

__all__ = [
    "Rule",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "clip",
    "dadapt_adam",
    "dadapt_sgd",
    "decay",
    "dog",
    "foreign",
    "lamb",
    "lars",
    "ldog",
    "lion",
    "mechanic",
    "momo",
    "momo_adam",
    "muon",
    "nadam",
    "names",
    "parse",
    "prodigy",
    "radam",
    "rmsprop",
    "schedule_free_adamw",
    "schedule_free_sgd",
    "sgd",
]

# Every rule that is exported is known to `parse`; one of another library is known by its path.
_REGISTRY: dict[str, type[Rule]] = {
    name: rule
    for name, rule in globals().items()
    if name in __all__ and isinstance(rule, type) and rule not in (Rule, foreign)
}
_PATH = re.compile(r"\s*[\w.]+:")


def names() -> list[str]:
    """The names of all rules, in alphabetical order."""
    return sorted(_REGISTRY)


def parse(text: str | Rule) -> Rule:
    """The rule that a text form such as `"sgd(momentum=0.9)"` names; a rule comes back as it is.

    `"torch:Adafactor"` or `"my_module:MyOptimizer(beta=0.9)"` is any `torch.optim.Optimizer` class by its import path,
    see `foreign`. Raises UnknownName for a rule that does not exist and ParseError for a text that does not parse.

    >>> parse("adam(beta2=0.95)") == adam(beta2=0.95)
    True
    """
    if isinstance(text, Rule):
        return text
    if isinstance(text, str) and _PATH.match(text):
        return foreign.parse(text)
    return parse_call(text, "optimizer", _REGISTRY)
