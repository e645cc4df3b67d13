"""What the named schedules share: one abstract base for the pure ones and one for controllers.

To add a schedule, subclass `Piece` (or `Controller`) in the file of its family and list it in that file's `__all__`.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from pacesetter import textform
from pacesetter.errors import InputError
from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind, Schedule
from pacesetter.schedules._spans import checked_span, steps_of

__all__ = ["Controller", "Piece", "checked_ends", "progress"]


class _Named(Schedule):
    """A schedule with a name and a span of its own. A subclass is a frozen dataclass whose first field is `span`."""

    __slots__ = ()
    KIND: ClassVar[Kind]

    @property
    def kind(self) -> Kind:
        """What people call it."""
        return self.KIND

    def __post_init__(self) -> None:
        if self.span is not None:
            object.__setattr__(self, "span", checked_span("span", self.span))
        self._validate()

    def _validate(self) -> None:
        """Raises InputError for an argument out of range, and brings arguments to their canonical type."""

    def __str__(self) -> str:
        return textform.format_call(self)

    def _steps(self, whole: int) -> int:
        if self.span is None:
            return whole
        n = steps_of(self.span, whole)
        if n > whole:
            got = f"got span={n} and total_steps={whole} in {self}"
            raise InputError(f"`span` must fit into `total_steps`, {got}: shorten it or train longer")
        return n

    def _keep(self, name: str, low: float, high: float, why: str, called: str = "") -> None:
        """Holds the number `name` to [low, high] and makes it a float, so that equal schedules print alike.

        `called` is the argument's name where it differs from the field's.
        """
        value = getattr(self, name)
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if isinstance(value, bool | str) or not low <= number <= high:
            argument = called or name
            raise InputError(f"`{argument}` must be a number in [{low:g}, {high:g}] ({why}), got {argument}={value!r}")
        object.__setattr__(self, name, number)


class Piece(_Named):
    """A pure schedule with a name: it gives its `_shape`; past its end it is held by its last argument."""

    __slots__ = ()

    @property
    def pure(self) -> bool:
        return True

    def _at(self, state: Mapping[str, Any], k: Any, n: int, xp: Namespace) -> Any:
        return self._shape(xp.clip(k, 0, n), n, xp)

    @abstractmethod
    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        """The factor at `k` in [0, n]; n is 0 where a chain left the piece no step."""


class Controller(_Named):
    """A schedule with a name that reacts to a metric: it gives its `init`, `_observe` and `_level`."""

    __slots__ = ()

    @property
    def pure(self) -> bool:
        return False

    def _at(self, state: Mapping[str, Any], k: Any, n: int, xp: Namespace) -> Any:
        return k * 0.0 + self._level(state)

    @abstractmethod
    def _level(self, state: Mapping[str, Any]) -> float:
        """The factor in this state, the same for every step."""


def progress(k: Any, n: int, ends: str, xp: Namespace) -> Any:
    """How far `k` is through `n` steps, in [0, 1]: k/n ("after": 1 at the first step after) or k/(n-1) ("last")."""
    if n == 0:
        return k * 0.0 + 1.0
    return k / n if ends == "after" else xp.clip(k / max(n - 1, 1), 0.0, 1.0)


def checked_ends(ends: str) -> None:
    """Raises InputError unless `ends` names one of the two conventions of `progress`."""
    if ends not in ("after", "last"):
        raise InputError(f"`ends` must be after or last, got ends={ends!r}")
