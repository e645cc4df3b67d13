"""What may be asked of a task that is a program: its command says what it can be told, and the rest is its own."""

import re
from typing import TYPE_CHECKING, Any

from pacesetter.errors import InputError
from pacesetter.tasks import Command
from pacesetter.words import OWN

if TYPE_CHECKING:
    from pacesetter.optimizers import Rule
    from pacesetter.recipes import Recipe
    from pacesetter.schedules import Schedule

__all__ = ["Pair", "own_parts", "read_recipe", "refuse_asked", "refuse_settings"]

Pair = tuple["Rule | None", "Schedule | None"]
"""A rule and a schedule; None where it is the program's own."""

_RECIPE = re.compile(r"(?P<rule>.*?)\s*\b(?P<lr>lr\s*=\s*\S*)\s*(?P<schedule>.*)", re.DOTALL)


def refuse_asked(command: Command, **asked: Any) -> None:
    """Refuse what is asked (None or empty where nothing is) but has no place in the command.

    asked: `optimizers`, `schedules`, `strategies` and `seeds`, as the verb was given them.
    """
    needs = {"optimizers": ("optimizer",), "schedules": ("schedule",), "strategies": ("optimizer", "schedule")}
    for argument, names in needs.items():
        missing = [f"{{{name}}}" for name in names if not command.takes(name)]
        if asked.get(argument) and missing:
            raise InputError(
                f"`{argument}` must have a place in the command, got {asked[argument]!r} and a command without "
                f"{' and '.join(missing)}: add it, or leave the option out and the program uses its own"
            )
    if asked.get("seeds", 1) != 1 and not command.takes("seed"):
        raise InputError(
            f"`seeds` must be 1 for a command without {{seed}}, got seeds={asked['seeds']}: add it, as in --seed "
            "{seed}; without it, runs of other seeds would be one run repeated"
        )


def own_parts(command: Command, rule: "Rule", schedule: "Schedule") -> Pair:
    """The rule and the schedule, each None where the command has no place for it."""
    return rule if command.takes("optimizer") else None, schedule if command.takes("schedule") else None


def read_recipe(command: Command, recipe: "str | Recipe") -> tuple[Pair, float]:
    """The pair and the rate of a recipe: `lr=0.01` where all else is the program's own, also written `own lr=0.01 own`.

    A rule or a schedule in it must have a place in the command, and a command with {optimizer} needs a rule.
    """
    from pacesetter.recipes import Recipe

    found = _RECIPE.fullmatch(str(recipe).strip())
    said = {"rule": "", "schedule": ""}
    if found is not None:
        said = {name: "" if found[name] == OWN else found[name] for name in said}
    text = str(recipe)
    if found is not None and not (said["rule"] or command.takes("optimizer")):
        text = f"adam {found['lr']} {said['schedule']}"  # the rule is not used
    read = Recipe.parse(text)
    for name, option in (("rule", "optimizer"), ("schedule", "schedule")):
        if said[name] and not command.takes(option):
            raise InputError(
                f"`recipe` must leave out what has no place in the command, got {said[name]!r} and no {{{option}}} in "
                f"it: add it, or write recipe='lr={read.lr!r}'"
            )
    return own_parts(command, read.rule, read.schedule), read.lr


def refuse_settings(**given: Any) -> None:
    """Refuse to say how to train what trains itself: `device`, `engine`, `precision`, `memory` but for the defaults."""
    defaults = {"device": "cpu", "engine": ("auto", "command"), "precision": "float32", "memory": None}
    for name, usual in defaults.items():
        allowed = usual if isinstance(usual, tuple) else (usual,)
        if name in given and given[name] not in allowed:
            raise InputError(
                f"`{name}` must be left out for a command, got {name}={given[name]!r}: a program chooses that itself, "
                "so write it into the command"
            )
