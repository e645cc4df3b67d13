"""torch's own optimizers with a step that clips the gradients first, as `torch.nn.utils` does."""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch.nn.utils import clip_grad_norm_, clip_grad_value_
from torch.optim import Optimizer

__all__ = ["clipped"]


class _Clipped(Optimizer):
    """A class of torch's whose `step` clips the gradients of all its groups first; they stay clipped after it.

    clipping: "norm" or "value", and how large it may be.
    """

    clipping: tuple[str, float]
    kind: Any

    def __init__(self, params: Any, clipping: tuple[str, float], **settings: Any) -> None:
        super().__init__(params, **settings)
        self.clipping = clipping

    # Gradients that a GradScaler has scaled would be clipped too early: it must divide them itself.
    _step_supports_amp_scaling = property(lambda self: False, lambda self, value: None)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update by the clipped gradients; the closure's loss, if one is given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        way, most = self.clipping
        weights = [p for group in self.param_groups for p in group["params"]]
        with torch.no_grad():
            (clip_grad_norm_ if way == "norm" else clip_grad_value_)(weights, most)
            # What is wrapped around it, hooks among it, is around this step already.
            inspect.unwrap(self.kind.step)(self)
        return loss

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "clipping": self.clipping}

    def __reduce_ex__(self, protocol: Any) -> Any:
        return _blank, (self.kind,), self.__getstate__()


@cache
def clipped(kind: Any) -> Any:
    """The class that clips before a step of a class of torch's."""
    return type(f"Clipped{kind.__name__}", (_Clipped, kind), {"kind": kind, "__doc__": _Clipped.__doc__})


def _blank(kind: Any) -> Any:
    return object.__new__(clipped(kind))
