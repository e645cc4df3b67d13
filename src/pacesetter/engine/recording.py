"""A step as a graph: the operations that a function makes, recorded once and made again without its Python code.

Stacking lanes with `torch.func` costs Python's time at every operation of every step, several times that of the
operation for a small model. The operations that come out at the bottom are the same at every step, so they are recorded
at the first one and made again from then on, bit for bit; the same graph is what a compiler takes.

What a recording cannot know is what the function would have done differently at another step. It is therefore made
only of programs without side effects, it is refused when a value decides what is done next, and the steps that an
unseen model is checked by are replayed ones (`agreement`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import getitem
from typing import Any

import torch
from torch import fx
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["Recording", "Unrecordable", "record"]

Tensors = Sequence[torch.Tensor]

UNKNOWABLE = (torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape)
"""What operations are called whose result a graph cannot hold: a number, or a shape, that the values decide."""
READ_VALUES = (torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.__array__, torch.Tensor.__dlpack__)
"""Functions that read a tensor's values past all operations, so that a recorder below does not see it."""
KEEP_STATISTICS = (
    torch.ops.aten.native_batch_norm.default,
    torch.ops.aten.cudnn_batch_norm.default,
    torch.ops.aten.miopen_batch_norm.default,
)
"""Operations that change running statistics, which what torch says of them leaves out."""


class Unrecordable(Exception):
    """The function does what no graph can say; `str()` is the reason in a few words."""


@dataclass(frozen=True, eq=False)
class Recording:
    """`recording(*leaves)` makes the recorded operations on other tensors of the same shapes.

    graph: of a function that takes the leaves and then the constants. constants: tensors that were neither made on the
    way nor among the leaves. draws: whether it takes random numbers, from torch's global generators.
    """

    graph: fx.Graph
    constants: tuple[torch.Tensor, ...]
    draws: bool

    @cached_property
    def module(self) -> fx.GraphModule:
        """The function as Python code, whose making takes as long as some replays of it."""
        return fx.GraphModule(torch.nn.Module(), self.graph)

    def __call__(self, *leaves: torch.Tensor) -> list[torch.Tensor]:
        """The outputs, as the recorded function gave them; whatever it changed in place is changed in `leaves`."""
        with torch.no_grad():
            made: list[torch.Tensor] = self.module(*leaves, *self.constants)
        return made


def record(function: Callable[..., Sequence[torch.Tensor]], leaves: Tensors) -> Recording:
    """What `function(*leaves)` does, which it also does here: what it changes in place is changed.

    Raises Unrecordable, and whatever the function raises.
    """
    recorder = _Recorder(leaves)
    with recorder, _NoReading():
        outputs = function(*leaves)
    return recorder.recording(outputs)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's own gap
    """Notes every operation that reaches torch's kernels: below autograd and below `vmap`, where lanes are one axis."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Else torch imports its compiler, a second's work, only to tell it to leave this alone.
        return False

    def __init__(self, leaves: Tensors) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's own gap
        self._graph = fx.Graph()
        self._known = WeakTensorKeyDictionary()
        self._constants: list[tuple[fx.Node, torch.Tensor]] = []
        self._draws = False
        for number, leaf in enumerate(leaves):
            self._known[leaf] = self._graph.placeholder(f"leaf{number}")
        # Constants are found on the way, and are placed after the leaves.
        self._last_placeholder = self._graph.placeholder("none")

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        made = func(*args, **kwargs)
        if any(tag in func.tags for tag in UNKNOWABLE):
            raise Unrecordable(f"the values of a tensor decide what is done next ({func})")
        self._draws |= torch.Tag.nondeterministic_seeded in func.tags
        if args and _is_nothing(func, args[0], made):
            self._known[made] = self._node(args[0])
            return made
        node = self._graph.call_function(func, self._named(args), self._named(kwargs))
        if isinstance(made, torch.Tensor):
            self._known[made] = node
        elif isinstance(made, list | tuple):
            for number, one in enumerate(made):
                if isinstance(one, torch.Tensor):
                    self._known[one] = self._graph.call_function(getitem, (node, number))
        elif made is not None:
            raise Unrecordable(f"the values of a tensor decide what is done next ({func})")
        return made

    def _named(self, value: Any) -> Any:
        """The arguments of an operation, with the node that stands for it in the place of each tensor."""
        if isinstance(value, torch.Tensor):
            return self._node(value)
        if isinstance(value, list | tuple):
            return type(value)(self._named(one) for one in value)
        if isinstance(value, dict):
            return {key: self._named(one) for key, one in value.items()}
        return value

    def _node(self, tensor: torch.Tensor) -> fx.Node:
        node: fx.Node | None = self._known.get(tensor)  # type: ignore[no-untyped-call]  # torch's own gap
        if node is None:
            with self._graph.inserting_before(self._last_placeholder):
                node = self._graph.placeholder(f"constant{len(self._constants)}")
            self._constants.append((node, tensor))
            self._known[tensor] = node
        return node

    def recording(self, outputs: Sequence[torch.Tensor]) -> Recording:
        """The graph of all that was noted, without what nothing comes of."""
        self._graph.output([self._node(tensor) for tensor in outputs])
        self._graph.erase_node(self._last_placeholder)
        self._graph.eliminate_dead_code(_has_effect)
        return Recording(self._graph, tuple(tensor for _, tensor in self._constants), self._draws)


class _NoReading(TorchFunctionMode):
    """Refuses functions that hand the values of a tensor to Python's code."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in READ_VALUES:
            raise Unrecordable(f"the values of a tensor decide what is done next ({func.__name__})")
        return func(*args, **(kwargs or {}))


def _is_nothing(func: Any, given: Any, made: Any) -> bool:
    """Whether an operation gave back what it was given, in the same place and form: a view that changes nothing."""
    both = isinstance(given, torch.Tensor) and isinstance(made, torch.Tensor)
    if not both or func._schema.is_mutable or not made.numel():  # noqa: SLF001  # of torch's operations
        return False
    form, before = ((t.data_ptr(), t.shape, t.stride(), t.dtype, t.is_conj(), t.is_neg()) for t in (made, given))
    return form == before


def _has_effect(node: fx.Node) -> bool:
    """Whether an operation matters even if nobody takes its result: it changes a tensor, or takes random numbers."""
    if node.op != "call_function":
        return True
    if node.target in KEEP_STATISTICS:
        return True
    schema = getattr(node.target, "_schema", None)
    return schema is not None and (
        schema.is_mutable or torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())
    )
