"""A look at everything that the user's code can be seen to reach, so that two looks tell what has changed in between.

Nothing of the user's is called: no `__eq__`, `__repr__`, `__len__` or property of an object that lies about.
"""

import inspect
import itertools
import operator
import random
import sys
import sysconfig
import types
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from pacesetter.engine.blame import OURS
from pacesetter.engine.program import Program
from pacesetter.tasks._task import Maximize, Task

__all__ = ["Plain", "Seen"]

Path = tuple[str, str]
"""What something belongs to, and its name there."""

PLAIN = (type(None), bool, int, float, complex, str, bytes)
CONTAINERS = (list, tuple, dict, deque)
ITERATORS: tuple[type, ...] = (
    type(iter([])),
    type(iter(())),
    type(iter(range(0))),
    type(iter(range(2**64))),
    type(iter({})),
)
"""Those of Python's own that know how much is left of them."""
OPAQUE = (type, types.ModuleType, types.BuiltinFunctionType, types.CodeType)
OWN_OF_MODULES = frozenset(nn.Module().__dict__)
"""Attributes that every module has: weights, buffers and submodules are looked at by name, or belong to the lanes."""
STANDARD = (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["platstdlib"], "<frozen")
DEEPEST, WIDEST, MOST = 4, 64, 5000
"""Levels, items of one container, and values in all that are looked at: a few milliseconds' worth."""


class Plain(tuple[type, Any]):
    """A value that says all of itself."""

    __slots__ = ()


class Seen:
    """Plain values, and what tells whether other objects are the same, by where they were found.

    files: those that the user's own functions were found to be written in.
    """

    def __init__(self) -> None:
        self.values: dict[Path, Any] = {}
        self.places: dict[str, tuple[Any, str]] = {}
        self.files: set[str] = set()
        # All that was looked at: an object that is gone would leave its number to another.
        self._kept: dict[int, Any] = {}

    @classmethod
    def of(cls, task: Task, program: Program) -> "Seen":
        """All that the user's code can be seen to reach."""
        seen = cls()
        for kept in (task, program, *program.modules(), *program.parameters(), *program.buffers()):
            seen._kept[id(kept)] = kept
        for name, module in program.model.named_modules():
            if not type(module).__module__.startswith("torch."):
                for attribute, value in list(vars(module).items()):
                    if attribute not in OWN_OF_MODULES:
                        path = f"{name}.{attribute}" if name else attribute
                        seen.places[path] = module, attribute
                        seen.look(("", path), value)
        around = _Around(seen)
        for module in program.model.modules():
            around.of_class(type(module))
            for hooks in (module._forward_hooks, module._forward_pre_hooks):  # noqa: SLF001  # they have no other name
                for hook in hooks.values():
                    around.of_callable(hook, "hook")
        for name in ("loss", "objective"):
            around.of_callable(getattr(task, name), name)
        for name, metric in task.metrics.items():
            around.of_callable(metric, f"metrics[{name!r}]")
        around.of_namespaces()
        return seen

    @staticmethod
    def changed(before: "Seen", after: "Seen") -> list[Path]:
        """Where one is not as the other."""
        paths = {**before.values, **after.values}
        return [path for path in paths if before.values.get(path) != after.values.get(path)]

    def look(self, path: Path, value: Any, depth: int = 0) -> None:
        """Note `value` and, for a few levels, what is in it. Nothing of the user's is called."""
        if len(self.values) >= MOST:
            return
        kind = type(value)
        if kind in PLAIN:
            # As text: a NaN is another than itself.
            self.values[path] = Plain((kind, repr(value) if kind in (float, complex) else value))
            return
        self.values[path] = _mark(value)
        known = id(value) in self._kept
        self._kept[id(value)] = value
        if known or depth >= DEEPEST:
            return
        owner, name = path
        for key, part in _parts(value):
            self.look((owner, f"{name}{key}"), part, depth + 1)


def _mark(value: Any) -> Any:
    """What tells whether an object is the one it was, and as it was, as far as that can be seen at once."""
    kind = type(value)
    try:
        if issubclass(kind, torch.Tensor):
            version = 0 if value.is_inference() else value._version  # noqa: SLF001  # it has no other name
            # Kernels that write running statistics do not count as a new version.
            small = value.numel() <= WIDEST**2 and value.layout is torch.strided and value.device.type == "cpu"
            return (
                id(value),
                version,
                small and value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes(),
            )
        if issubclass(kind, torch.Generator):
            return value.get_state().numpy().tobytes()
        if issubclass(kind, random.Random):
            return random.Random.getstate(value)
        if issubclass(kind, np.random.Generator):
            return repr(value.bit_generator.state)
        if issubclass(kind, np.random.RandomState):
            return repr(value.get_state(legacy=False)["state"]["key"].tobytes()), value.get_state()[2:]
        if issubclass(kind, np.ndarray) and value.dtype != object and value.nbytes <= 2**16:
            return id(value), value.tobytes()
        if issubclass(kind, itertools.count | np.generic):
            return repr(value)
        if kind in ITERATORS:
            return id(value), operator.length_hint(value)
        if issubclass(kind, set | frozenset):
            return kind, len(value), frozenset(item for item in _few(value) if type(item) in PLAIN)
        if issubclass(kind, CONTAINERS):
            return kind, len(value)
    except Exception:  # noqa: BLE001  # an odd object is itself, and no more is known of it
        return id(value)
    return id(value)


def _parts(value: Any) -> Iterable[tuple[str, Any]]:
    kind = type(value)
    try:
        if issubclass(kind, OPAQUE) or issubclass(kind, torch.Tensor | np.ndarray):
            return []
        if issubclass(kind, dict):
            return [(f"[{key!r}]", part) for key, part in _few(dict.items(value)) if type(key) in PLAIN]
        if issubclass(kind, list | tuple | deque):
            return [(f"[{i}]", part) for i, part in enumerate(_few(iter(value)))]
        if kind is types.GeneratorType:
            inside = {**inspect.getgeneratorlocals(value), "yield from": value.gi_yieldfrom}
            return [(f".{name}", part) for name, part in _few(inside.items())]
        held = {**_slots(value), **_dict(value)}
        if issubclass(kind, nn.Module):
            held = {**held, **held["_parameters"], **held["_buffers"], **held["_modules"]}
            held = {name: part for name, part in held.items() if name not in OWN_OF_MODULES}
        return [(f".{name}", part) for name, part in _few(dict.items(held)) if not name.startswith("__")]
    except Exception:  # noqa: BLE001  # as above
        return []


def _dict(value: Any) -> dict[str, Any]:
    """What an object holds by name; not by `getattr`, which may run the user's code."""
    try:
        held: dict[str, Any] = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return held


def _slots(value: Any) -> dict[str, Any]:
    """What an object holds in the `__slots__` of its classes, as a dataclass with `slots=True` has them."""
    held = {}
    for base in type.mro(type(value)):
        for name, slot in vars(base).items():
            # Of C's own types such a member may be anything; Python's own classes have them for slots alone.
            if type(slot) is types.MemberDescriptorType and "__slots__" in vars(base):
                with suppress(AttributeError):  # not filled yet
                    held[name] = slot.__get__(value)
    return held


def _few(items: Iterable[Any]) -> Iterator[Any]:
    return itertools.islice(items, WIDEST)


class _Around:
    """Walks from the user's functions to what surrounds them."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen
        self._namespaces: dict[int, tuple[str, Mapping[str, Any]]] = {}
        self._done: set[int] = set()

    def of_callable(self, function: Any, name: str) -> None:
        """A loss, metric or method: bound, partial, an object that is called, or a plain function."""
        if isinstance(function, Maximize):
            self.of_callable(function.metric, name)
        elif isinstance(function, partial):
            self._seen.look((f"among the arguments of `{name}`", ""), (function.args, function.keywords))
            self.of_callable(function.func, name)
        elif isinstance(function, types.MethodType):
            self.of_callable(function.__self__, name)
            self.of_callable(function.__func__, name)
        elif isinstance(function, types.FunctionType):
            self.of_function(function)
        elif function is not None:
            self._seen.look((f"of `{name}`", type(function).__name__), function)
            self.of_class(type(function))

    def of_function(self, function: types.FunctionType) -> None:
        """Closure, defaults, attributes and globals, of a function of the user's own."""
        code = function.__code__
        if id(function) in self._done or not _is_users(code.co_filename):
            return
        self._done.add(id(function))
        self._seen.files.add(code.co_filename)
        where = f"around `{function.__name__}` in {code.co_filename}"
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:  # not filled yet
                continue
            self._seen.look((where, name), value)
            if isinstance(value, types.FunctionType):
                self.of_function(value)
        self._seen.look((where, "its defaults"), (function.__defaults__, function.__kwdefaults__))
        self._seen.look((where, "its attributes"), vars(function))
        self._namespaces.setdefault(id(function.__globals__), (code.co_filename, function.__globals__))

    def of_class(self, kind: type) -> None:
        """Attributes and methods of a class of the user's own and of those it inherits from."""
        for base in kind.__mro__:
            file = getattr(sys.modules.get(base.__module__), "__file__", None) or "<"
            if id(base) in self._done or base.__module__ == "builtins" or not _is_users(file):
                continue
            self._done.add(id(base))
            for name, value in list(vars(base).items()):
                if isinstance(value, types.FunctionType):
                    self.of_function(value)
                elif not name.startswith("__"):
                    self._seen.look((f"of the class `{base.__name__}`", name), value)

    def of_namespaces(self) -> None:
        """The globals of every function found, and of the user's own modules and functions that are found in them."""
        done: set[int] = set()
        while left := [(file, names) for key, (file, names) in self._namespaces.items() if key not in done]:
            for file, names in left:
                done.add(id(names))
                for name, value in list(names.items()):
                    if name.startswith("__"):
                        continue
                    self._seen.look((f"in {file}", name), value)
                    self._follow(value)

    def _follow(self, value: Any) -> None:
        if type(value) is types.FunctionType:
            self.of_function(value)
        elif issubclass(type(value), type) or type(value) is types.ModuleType:
            module = value if type(value) is types.ModuleType else sys.modules.get(str(value.__module__))
            file = getattr(module, "__file__", None)
            if isinstance(file, str) and _is_users(file):
                self._namespaces.setdefault(id(vars(module)), (file, vars(module)))


def _is_users(file: str) -> bool:
    return not ("site-packages" in file or file.startswith((OURS, *STANDARD)))
