"""Anybody's optimizer: any `torch.optim.Optimizer` class by its import path."""

import importlib
import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Params, Rate, Rule, State
from pacesetter.optimizers._scalars import Scalar
from pacesetter.textform import format_arguments, read_arguments

if TYPE_CHECKING:
    import torch

__all__ = ["foreign"]


@final
@dataclass(frozen=True)
class foreign(Rule):
    """An optimizer class of torch, a package or your own: `torch:Adafactor`, `my_module:MyOptimizer(beta=0.95)`.

    path: "module:Class"; the module `torch` stands for torch.optim. It is imported when an optimizer is made, not
        before.
    arguments: (name, value) pairs of keyword arguments; all but `lr`, which every lane brings.

    It trains one lane at a time. The engine calls its `train()` and `eval()` where it has them, gives it a closure
    where its `step` cannot do without, and the loss where its `step` takes one. If its groups have a `d`, as those of
    Prodigy and D-Adaptation, `d * lr` is recorded as the rate of the update.

    Raises InputError for a path that leads to no optimizer, and for arguments that the class does not take.

    >>> str(foreign.parse("torch:Adafactor(beta2_decay=-0.9)"))
    'torch:Adafactor(beta2_decay=-0.9)'
    """

    adaptive: ClassVar[bool] = True
    unit: ClassVar[str] = "whatever its authors say"
    vectorises: ClassVar[bool] = False

    path: str
    arguments: tuple[tuple[str, Any], ...] = ()

    @classmethod
    def parse(cls, text: str) -> "foreign":
        """The rule that "module:Class(argument=value)" names; ParseError for other text."""
        path, arguments = read_arguments(text, "optimizer")
        if "lr" in arguments:
            got = f"got lr={arguments['lr']!r} in {text}"
            raise InputError(f"`lr` must be left out of an optimizer, {got}: every lane brings its rate")
        return cls(path, tuple(arguments.items()))

    def __str__(self) -> str:
        return self.path + format_arguments(dict(self.arguments))

    def init(self, params: Params) -> State:
        """Not to be had: what it keeps is its own."""
        raise self._alone()

    def update(self, grads: Params, state: State, params: Params, lr: Rate, **extra: Scalar) -> tuple[Params, State]:
        """Not to be had: what it does is its own."""
        raise self._alone()

    def _alone(self) -> InputError:
        return InputError(f"`{self}` is an optimizer of another library and trains one lane at a time, by `to_torch`")

    def to_torch(self, params: "Iterable[Any]", lr: float) -> "torch.optim.Optimizer":
        """The class, made over `params` at rate `lr`."""
        from pacesetter.optimizers._optimizer import checked_groups

        kind = self._found()
        groups = checked_groups(params, lr)
        try:
            optimizer: torch.optim.Optimizer = kind(groups, lr=lr, **dict(self.arguments))
        except (TypeError, ValueError, AssertionError) as error:
            raise InputError(f"`optimizer` must be one that can be made, got {self}: {error}") from error
        return optimizer

    def _found(self) -> Any:
        import torch

        module, _, name = self.path.partition(":")
        try:
            found: Any = importlib.import_module("torch.optim" if module == "torch" else module)
            for part in name.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise InputError(f'`optimizer` must be found as "module:Class", got {self.path}: {error}') from error
        if not (inspect.isclass(found) and issubclass(found, torch.optim.Optimizer)):
            what = "a class of something else" if inspect.isclass(found) else type(found).__name__
            raise InputError(f"`optimizer` must be a torch.optim.Optimizer, got {self.path}, which is {what}")
        return found
