"""What a study is asked: strategies, rates, seeds and a length, read and checked before any work begins."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pacesetter.api.grid import rates_from
from pacesetter.api.programs import Pair, own_parts, read_recipe, refuse_asked
from pacesetter.errors import InputError
from pacesetter.packages import require
from pacesetter.search import Product
from pacesetter.tasks import Command
from pacesetter.words import OWN

if TYPE_CHECKING:
    from pacesetter.optimizers import Rule
    from pacesetter.recipes import Recipe, Strategy
    from pacesetter.schedules import Schedule
    from pacesetter.tasks._task import Task

__all__ = ["Question", "load_task", "whole"]

T = TypeVar("T")

# What a seed may be: numpy takes no negative ones, and torch and JSON readers hold 63 bits.
LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Question:
    """Each of `strategies` (a rule and a schedule, None for a program's own) at each rate under each of `seeds`."""

    strategies: tuple[Pair, ...]
    rates: tuple[float, ...]
    seeds: tuple[int, ...]

    @classmethod
    def read(
        cls,
        task: "str | Task | Command",
        lr: str | float | Iterable[float] | None,
        optimizers: "str | Rule | Iterable[str | Rule] | None",
        schedules: "str | Schedule | Iterable[str | Schedule] | None",
        strategies: "str | Strategy | Iterable[str | Strategy]",
        seeds: int,
        seed: int,
    ) -> "Question":
        """The question that `compare`'s arguments put; InputError when one of them is wrong."""
        from pacesetter import optimizers as rules_
        from pacesetter import schedules as schedules_
        from pacesetter.recipes import Strategy

        if isinstance(task, Command):
            refuse_asked(task, optimizers=optimizers, schedules=schedules, strategies=strategies, seeds=seeds)
        pairs = [Strategy.parse(pair) for pair in _several(strategies)]
        if optimizers is None and schedules is None and pairs:
            optimizers = ()
        rules = [rules_.parse(rule) for rule in _several("adam" if optimizers is None else optimizers)]
        shapes = [schedules_.parse(shape) for shape in _several("constant" if schedules is None else schedules)]
        asked = [(rule, shape) for rule in rules for shape in shapes] + [(pair.rule, pair.schedule) for pair in pairs]
        if not asked:
            raise InputError("`optimizers` and `schedules` must each name at least one, got none and no `strategies`")
        told = [own_parts(task, *pair) for pair in asked] if isinstance(task, Command) else asked
        # The same strategy asked for twice is one strategy.
        return cls(tuple(dict.fromkeys(told)), rates_from(lr), seed_range(seeds, seed))

    @classmethod
    def of_recipe(cls, task: "str | Task | Command", recipe: "str | Recipe", seed: int) -> "Question":
        """The question of one lane: `recipe` under `seed`."""
        from pacesetter.recipes import Recipe

        if isinstance(task, Command):
            pair, lr = read_recipe(task, recipe)
            return cls((pair,), (lr,), seed_range(1, seed))
        read = recipe if isinstance(recipe, Recipe) else Recipe.parse(recipe)
        return cls(((read.rule, read.schedule),), (read.lr,), seed_range(1, seed))

    def grid(self, total_steps: int) -> Product:
        """The search that trains it all; InputError when a schedule's spans do not fit into `total_steps`."""
        for _, schedule in self.strategies:
            if schedule is not None:
                schedule.validate(total_steps)
        strategies = tuple(
            (OWN if rule is None else str(rule), OWN if schedule is None else str(schedule))
            for rule, schedule in self.strategies
        )
        return Product(strategies, self.rates, self.seeds, total_steps)


def seed_range(seeds: int, seed: int) -> tuple[int, ...]:
    """`seeds` seeds from `seed` on, as plain ints."""
    count, first = whole(seeds, "seeds", 1), whole(seed, "seed", 0)
    if first + count - 1 > LARGEST_SEED:
        raise InputError(f"`seed` must be below 2**63, got seed={seed!r}")
    return tuple(range(first, first + count))


def whole(value: int, name: str, least: int) -> int:
    """`value` as an int, when it is a whole number of at least `least` (numpy's integers are)."""
    try:
        number = None if isinstance(value, bool) else value.__index__()
    except AttributeError:
        number = None
    if number is None:
        raise InputError(f"`{name}` must be a whole number, got {name}={value!r}")
    if number < least:
        raise InputError(f"`{name}` must be at least {least}, got {name}={number}")
    return number


def load_task(task: "str | Task | Command", steps: int | None) -> "tuple[Task | Command, int]":
    """The task, and the length to train it: `steps`, or the task's own."""
    if steps is not None:
        steps = whole(steps, "steps", 1)
    if isinstance(task, Command):
        if steps is None:
            raise InputError("`steps` must be given for a command, got none: say how many updates a whole run makes")
        return task, steps
    require("train")
    from pacesetter import tasks
    from pacesetter.tasks._task import Task

    loaded: Any = tasks.load(task) if isinstance(task, str) else task
    if not isinstance(loaded, Task):
        known = ", ".join(tasks.names())
        raise InputError(f"`task` must be a Task or the name of one, got {type(task).__name__}: known names: {known}")
    return loaded, loaded.total_steps if steps is None else steps


def _several(given: str | T | Iterable[str | T]) -> list[str | T]:
    """One or many as a list; text is one."""
    return [given] if isinstance(given, str) or not isinstance(given, Iterable) else list(given)
