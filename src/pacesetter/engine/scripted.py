"""A recording run by torch's own interpreter in the place of Python's.

For few lanes of a small model most of a step's time is Python's, between one operation and the next. The same
operations as a TorchScript function take a third to a half of it, bit for bit the same, which is seen once for each
before it is used. What TorchScript cannot say, or no longer can in a later torch, stays as it is.
"""

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from operator import getitem
from typing import Any

import torch
from torch import fx

from pacesetter.engine.recording import Recording
from pacesetter.engine.traceless import Randomness

__all__ = ["Scripted"]

Tensors = Sequence[torch.Tensor]
WORDS = (torch.dtype, torch.layout, torch.memory_format)
"""Values whose name in torch is how they are written."""


class _Unsaid(Exception):
    """A value that there is no way to write."""


WORTH_AFTER = 64
"""Replays after which a function is made: that takes as long as some 80 of them save."""


class Scripted:
    """`scripted(*leaves)` is the recording, by Python until it has been replayed often enough."""

    def __init__(self, recording: Recording) -> None:
        """Python's interpreter first, unless the same operations have been made a function before."""
        self._recording = recording
        self._replays = 0
        self._source = ""
        with suppress(_Unsaid):
            self._source = _source(recording.graph)
        self._function = _MADE.get(self._source)

    def __call__(self, *leaves: torch.Tensor) -> Tensors:
        """The outputs, as the recorded function gave them."""
        if self._function is not None:
            with torch.no_grad():
                made: list[torch.Tensor] = self._function(*leaves, *self._recording.constants)
            return made
        self._replays += 1
        if self._replays == WORTH_AFTER and self._source:
            self._function = _MADE[self._source] = _made(self._source, self._recording, leaves)
        return self._recording(*leaves)


_MADE: dict[str, Callable[..., list[torch.Tensor]] | None] = {}
"""Functions by their source; None: it cannot be made, or does not do the same."""


def _made(source: str, recording: Recording, leaves: Tensors) -> Callable[..., list[torch.Tensor]] | None:
    """The function, if it does the same on copies of these leaves; no random generator moves."""
    before = Randomness.now()
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # of TorchScript's age
            function: Callable[..., list[torch.Tensor]] = torch.jit.CompilationUnit(source).step
            expected = recording(*(t.clone() for t in leaves))
            before.restore()
            found = function(*(t.clone() for t in leaves), *recording.constants)
        return function if all(map(_same, expected, found)) else None
    except Exception:  # noqa: BLE001  # whatever TorchScript raises, Python's interpreter can do it
        return None
    finally:
        before.restore()


def _same(one: torch.Tensor, other: torch.Tensor) -> bool:
    alike = one.dtype == other.dtype and one.stride() == other.stride()
    return alike and torch.equal(torch.nan_to_num(one), torch.nan_to_num(other))


def _source(graph: fx.Graph) -> str:
    """The graph as the text of a TorchScript function `step`."""
    arguments: list[str] = []
    lines: list[str] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            arguments.append(f"{node.name}: Tensor")
        elif node.op == "output":
            lines.append(f"return {_text(node.args[0])}")
        elif node.target is getitem:
            lines.append(f"{node.name} = {_text(node.args[0])}[{node.args[1]}]")
        else:
            lines.append(f"{node.name} = {_call(node)}")
    return f"def step({', '.join(arguments)}) -> List[Tensor]:\n" + "".join(f"    {line}\n" for line in lines)


def _call(node: fx.Node) -> str:
    name = str(node.target).rpartition(".")[0]  # which of its overloads follows from the arguments
    kinds = [argument.type for argument in node.target._schema.arguments]  # type: ignore[union-attr]  # noqa: SLF001  # of torch's operations
    given = [_text(value) for value in node.args]
    if given and str(kinds[0]) == "Tensor" and isinstance(node.args[0], bool | int | float):
        given[0] = f"torch.tensor({given[0]})"
    named = [f"{key}={_text(value)}" for key, value in node.kwargs.items()]
    return f"torch.ops.{name}({', '.join([*given, *named])})"


def _text(value: Any) -> str:
    """A value as TorchScript writes it."""
    if isinstance(value, fx.Node):
        return value.name
    if isinstance(value, list | tuple):
        return _listed(value)
    if isinstance(value, torch.device):
        return f"torch.device({str(value)!r})"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float({str(value)!r})"
    if isinstance(value, WORDS):
        return str(value)
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    raise _Unsaid(repr(value))


def _listed(values: Iterable[Any]) -> str:
    return f"[{', '.join(map(_text, values))}]"
