"""One formula for numbers and arrays of any library: the few functions that schedules are written with.

A schedule gets its step `k` and a namespace with these functions for k's kind. Branches are taken by `where`, so that
the same formula serves one step and a million. torch, jax and tensorflow are looked up, never imported: whoever holds
one of their arrays has them.
"""

import math
import sys
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from pacesetter.errors import InputError

__all__ = ["FLOATS", "Namespace", "evaluate", "kind_of"]


class Namespace(Protocol):
    """The functions of one kind of number. `x`, `a` and `b` are of that kind; the rest are plain floats."""

    def clip(self, x: Any, low: float, high: float) -> Any:
        """`x` held between `low` and `high`."""

    def floor(self, x: Any) -> Any:
        """The largest whole number not above `x`."""

    def cos(self, x: Any) -> Any:
        """Cosine of `x` in radians."""

    def tanh(self, x: Any) -> Any:
        """Hyperbolic tangent of `x`."""

    def mod(self, x: Any, n: int) -> Any:
        """What is left of `x` when all whole `n` are taken off; exact, also for whole numbers of single precision."""

    def log(self, x: Any) -> Any:
        """Natural logarithm of `x`."""

    def power(self, base: float, x: Any) -> Any:
        """`base` to the power of `x`."""

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        """`a` where `condition` holds, else `b`."""

    def each(self, call: Callable[[float], float], x: Any) -> Any:
        """`call` of each number in `x`, one by one. Raises InputError where `x` is traced and has no numbers yet."""


class _Floats:
    """Plain numbers through `math`: the path that a training loop takes at each step."""

    @staticmethod
    def clip(x: float, low: float, high: float) -> float:
        return low if x < low else min(x, high)

    @staticmethod
    def floor(x: float) -> float:
        return float(math.floor(x))

    @staticmethod
    def cos(x: float) -> float:
        return math.cos(x)

    @staticmethod
    def tanh(x: float) -> float:
        return math.tanh(x)

    @staticmethod
    def mod(x: float, n: int) -> float:
        return x % n

    @staticmethod
    def log(x: float) -> float:
        return math.log(x)

    @staticmethod
    def power(base: float, x: float) -> float:
        return float(base**x)

    @staticmethod
    def where(condition: bool, a: float, b: float) -> float:
        return a if condition else b

    @staticmethod
    def each(call: Callable[[float], float], x: float) -> float:
        return call(x)


class _Arrays:
    """Arrays of numpy, or of a library that has its functions under the same names."""

    def __init__(self, module: Any) -> None:
        self.module = module

    def clip(self, x: Any, low: float, high: float) -> Any:
        return self.module.clip(x, low, high)

    def floor(self, x: Any) -> Any:
        return self.module.floor(x)

    def cos(self, x: Any) -> Any:
        return self.module.cos(x)

    def tanh(self, x: Any) -> Any:
        return self.module.tanh(x)

    def mod(self, x: Any, n: int) -> Any:
        return self.module.mod(x, n)

    def log(self, x: Any) -> Any:
        return self.module.log(x)

    def power(self, base: float, x: Any) -> Any:
        return self.module.power(base, x)

    def where(self, condition: Any, a: Any, b: Any) -> Any:
        return self.module.where(condition, a, b)

    def each(self, call: Callable[[float], float], x: Any) -> Any:
        return _one_by_one(call, x)


class _Torch:
    """Tensors; free of data-dependent control flow, so it works under `vmap` and `compile`."""

    @staticmethod
    def clip(x: Any, low: float, high: float) -> Any:
        return x.clamp(low, high)

    @staticmethod
    def floor(x: Any) -> Any:
        return x.floor()

    @staticmethod
    def cos(x: Any) -> Any:
        return x.cos()

    @staticmethod
    def tanh(x: Any) -> Any:
        return x.tanh()

    @staticmethod
    def mod(x: Any, n: int) -> Any:
        return x % n

    @staticmethod
    def log(x: Any) -> Any:
        return x.log()

    @staticmethod
    def power(base: float, x: Any) -> Any:
        return sys.modules["torch"].pow(base, x)

    @staticmethod
    def where(condition: Any, a: Any, b: Any) -> Any:
        return sys.modules["torch"].where(condition, a, b)

    @staticmethod
    def each(call: Callable[[float], float], x: Any) -> Any:
        return x.new_tensor(_one_by_one(call, x.detach()))


class _Jax(_Arrays):
    """Arrays of jax, and its tracers; `evaluate` sees to it that they are of 64 bits."""

    def __init__(self) -> None:
        """The module is looked up when a function of it is needed."""

    @property
    def module(self) -> Any:
        return sys.modules["jax"].numpy

    def each(self, call: Callable[[float], float], x: Any) -> Any:
        jax = sys.modules["jax"]

        def host(bits: Any) -> Any:
            steps = np.asarray(bits).view(np.float64)
            return _one_by_one(call, steps).view(np.uint32)

        # What a callback gets and gives is cut to 32 bits by jax's settings when it runs; bits pass as they are.
        bits = jax.lax.bitcast_convert_type(x, "uint32")
        found = jax.pure_callback(host, jax.ShapeDtypeStruct(bits.shape, bits.dtype), bits, vmap_method="expand_dims")
        return jax.lax.bitcast_convert_type(found, "float64")


class _TensorFlow(_Arrays):
    """Tensors of tensorflow, symbolic ones too, through Keras, whose functions have numpy's names."""

    def __init__(self) -> None:
        """The module is looked up when a function of it is needed."""

    @property
    def module(self) -> Any:
        return sys.modules["keras"].ops

    def each(self, call: Callable[[float], float], x: Any) -> Any:
        return self.module.convert_to_tensor(_one_by_one(call, x))


def _one_by_one(call: Callable[[float], float], x: Any) -> Any:
    try:
        steps = np.asarray(x)
    except (RuntimeError, TypeError) as error:
        raise InputError(
            "`step` must have values for a Python function, got one that is being traced: give it alone"
        ) from error
    return np.array([call(float(step)) for step in steps.ravel()], dtype=np.float64).reshape(steps.shape)


FLOATS: Namespace = _Floats()
_NUMPY: Namespace = _Arrays(np)
_TORCH: Namespace = _Torch()
_JAX: Namespace = _Jax()
_TENSORFLOW: Namespace = _TensorFlow()

BLOCK = 1 << 14
"""Steps of a numpy array that are computed at once: what lies between two operations stays in the processor's cache."""


def evaluate(step: Any, formula: Callable[[Any, Namespace], Any]) -> Any:
    """What `formula(k, xp)` gives for `step`: a float for a number, else an array of the step's kind; or its None.

    jax computes in 32 bits unless told otherwise, where steps beyond 2**24 are not even whole numbers any more. So
    its formulas are computed in float64 whatever its settings are, and what comes out is rounded once: to the type of a
    floating step, or for whole steps to the default type of jax's settings.
    """
    k, xp = kind_of(step)
    if xp is FLOATS:
        value = formula(k, xp)
        return value if value is None else float(value)
    if xp is _NUMPY and k.size > BLOCK:
        return _block_by_block(k, formula)
    if xp is not _JAX:
        return formula(k, xp)
    jax = sys.modules["jax"]
    if not hasattr(jax, "enable_x64"):
        raise InputError(f"`jax` must be 0.8 or later, got jax={jax.__version__}: pip install 'pacesetter[jax]'")
    given = k.dtype if jax.numpy.issubdtype(k.dtype, jax.numpy.floating) else jax.numpy.result_type(float)
    with jax.enable_x64(True):
        value = formula(k.astype("float64"), xp)
        return value if value is None else value.astype(given)


def _block_by_block(k: Any, formula: Callable[[Any, Namespace], Any]) -> Any:
    """The formula over a large numpy array: sooner, and with no more memory on the way than one block takes."""
    steps, found = k.reshape(-1), np.empty(k.size)
    for start in range(0, k.size, BLOCK):
        value = formula(steps[start : start + BLOCK], _NUMPY)
        if value is None:  # there is no momentum
            return None
        found[start : start + BLOCK] = value
    return found.reshape(k.shape)


def kind_of(step: Any) -> tuple[Any, Namespace]:
    """`step` as a number or array of floats, and the namespace to compute with.

    Numbers stay Python numbers; numpy arrays become float64; whole-number tensors become float64 (float32 on devices
    that have no float64), floating ones keep their type; arrays of jax are left to `evaluate`; tensors of tensorflow,
    which Keras hands out, become float64. Raises InputError for
    negative or non-finite numbers and numpy arrays; a tensor or an array of jax is not looked into (that would stop
    `vmap`), its negative steps count as step 0.
    """
    if type(step) is int and step >= 0:
        return step, FLOATS  # by far the most frequent: a training asks at every update
    if isinstance(step, int | float | np.integer | np.floating) and not isinstance(step, bool):
        # The chained comparison is false for NaN as well.
        if not 0 <= step < math.inf:
            raise InputError(f"`step` must be finite and at least 0 (the first update), got step={step}")
        return (step if type(step) is int else float(step)), FLOATS
    if isinstance(step, np.ndarray) and step.dtype.kind in "iuf":
        steps = step.astype(np.float64)
        # A NaN anywhere makes both comparisons false.
        if steps.size and not (steps.min() >= 0 and steps.max() < math.inf):
            raise InputError(
                "`step` must be finite and at least 0 everywhere, got an array with others: leave them out"
            )
        return steps, _NUMPY
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(step, torch.Tensor) and not step.is_complex() and step.dtype is not torch.bool:
        if not step.is_floating_point():
            step = step.to(torch.float32 if step.device.type == "mps" else torch.float64)
        return step, _TORCH
    jax = sys.modules.get("jax")
    if jax is not None and isinstance(step, jax.Array) and jax.numpy.isdtype(step.dtype, ("integral", "real floating")):
        return step, _JAX
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is not None and tensorflow.is_tensor(step) and "keras" in sys.modules:
        return tensorflow.cast(step, "float64"), _TENSORFLOW
    what = type(step).__name__
    raise InputError(
        f"`step` must be a number, a numpy array or a torch tensor, got {what}: convert it with numpy.array"
    )
