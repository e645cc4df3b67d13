"""Any Python function as a schedule."""

import importlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece
from pacesetter.schedules._spans import Span

__all__ = ["function"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class function(Piece):
    """A function of your own: `factor = of(k, n)`, k the step within the span (from 0) and n the span's length.

    of: a function of two numbers that returns one, finite and at least 0; or its place as "module:name", which is
        looked up when the first factor is asked for. It must be pure: the same numbers, the same factor.
    span: in steps or as a share of the run, or None for the rest. Past it, k is n.

    Only a function that can be found again as "module:name" can be written into a study and trained in other processes;
    a lambda serves `schedule(step, total_steps)` and the connectors. Arrays of steps are worked through one by one.

    Raises InputError when the function cannot be found, or gives no such number.

    Use it for a formula that is not here. To let others use it too, add it as a schedule: it is one file.

    As text: `function("operator:truediv")`, `function("operator:truediv", span=0.1) >> cosine`.

    Source: your own; `operator:truediv` in the examples is Python's k / n.

    >>> function(lambda k, n: 1 / (1 + k))(3, 100)
    0.25
    """

    KIND: ClassVar[Kind] = "decay"
    of: str | Callable[[float, int], float] = field()
    span: Span = None

    def _validate(self) -> None:
        if callable(self.of):
            if _found_again(self.of):
                object.__setattr__(self, "of", f"{self.of.__module__}:{self.of.__qualname__}")
        elif not isinstance(self.of, str) or not all(self.of.partition(":")):
            raise InputError(f'`of` must be a function or its place as "module:name", got of={self.of!r}')

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        call = _imported(self.of) if isinstance(self.of, str) else self.of
        return xp.each(lambda step: self._checked(call(step, n), step), k)

    def _checked(self, value: Any, k: Any) -> float:
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not 0 <= number < math.inf:
            raise InputError(f"`of` must return a finite number of at least 0, got {value!r} at step {k:g} in {self}")
        return number


def _found_again(of: Callable[[float, int], float]) -> bool:
    module, name = getattr(of, "__module__", None), getattr(of, "__qualname__", "<")
    if module in (None, "__main__") or "<" in name:
        return False
    try:
        return _looked_up(module, name) is of
    except (ImportError, AttributeError):
        return False


def _looked_up(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


@cache
def _imported(of: str) -> Callable[[float, int], float]:
    module, _, name = of.partition(":")
    try:
        found = _looked_up(module, name)
    except (ImportError, AttributeError) as error:
        raise InputError(f'`of` must be found as "module:name", got of={of!r}: {error}') from error
    if not callable(found):
        raise InputError(f"`of` must be a function, got of={of!r}, which is {type(found).__name__}")
    made: Callable[[float, int], float] = found
    return made
