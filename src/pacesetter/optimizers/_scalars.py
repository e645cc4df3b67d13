"""Arithmetic of the scalars of a lane, which are floats, or tensors without dimensions, or rows of these.

They are tensors in lanes that train together, and where a device would have to be waited for. Floats do as tensors do:
what is no number stays none, and what is too large becomes infinite, without an error.
"""

import math
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Scalar", "between", "is_number", "maximum", "mean", "minimum", "power", "quotient", "root", "where"]

Scalar: TypeAlias = "float | Tensor"


NUMBER = (int, float)


def is_number(value: Any) -> TypeGuard[float]:
    """Whether it is no tensor."""
    return isinstance(value, NUMBER)


def root(value: Any) -> Any:
    """The square root."""
    if is_number(value):
        return math.sqrt(value) if value >= 0 else math.nan
    return value.sqrt()


def power(base: Any, exponent: Any) -> Any:
    """The power of a base that is at least 0."""
    try:
        return base**exponent
    except OverflowError:
        return math.inf


def where(condition: Any, one: Any, other: Any) -> Any:
    """One where a condition holds, else the other; a row of conditions may choose between numbers."""
    if isinstance(condition, bool):
        return one if condition else other
    import torch

    if is_number(one) and is_number(other):
        one = torch.full((), one, dtype=torch.float64, device=condition.device)
    return torch.where(condition, one, other)


def maximum(one: Any, other: Any) -> Any:
    """The greater of two; no number if one of them is none."""
    if is_number(one) and is_number(other):
        return one if one >= other or math.isnan(one) else other
    import torch

    if is_number(one) or is_number(other):
        tensor, number = (other, one) if is_number(one) else (one, other)
        return torch.clamp(tensor, min=number)
    return torch.maximum(one, other)


def minimum(one: Any, other: Any) -> Any:
    """The smaller of two; no number if one of them is none."""
    return -maximum(-one, -other)


def quotient(one: Any, other: Any, otherwise: Any) -> Any:
    """One divided by the other where that is above 0."""
    known = other > 0
    return where(known, one / where(known, other, 1.0), otherwise)


def between(one: Any, other: Any, share: Any) -> Any:
    """What lies a share of the way from one to the other."""
    return one * (1 - share) + other * share


def mean(values: Any) -> Any:
    """The mean of a row; a scalar itself."""
    return values if is_number(values) else values.mean()
