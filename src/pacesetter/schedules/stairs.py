"""Decay in steps, and values given place by place."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal, final

from pacesetter.errors import InputError
from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece
from pacesetter.schedules._spans import Span, checked_span, steps_of

__all__ = ["multistep", "piecewise", "step"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class step(Piece):
    """Multiplied by `decay` after every `every`: `factor = decay ** floor(k / every)`.

    span: in steps or as a share of the run, or None for the rest.
    decay: in [0, 1]; a tenth by default, the classic of image classification.
    every: steps (from 1) or a share of the span; 0.3 by default, so that three drops fall into a run.

    Agrees with torch's StepLR(step_size=every, gamma=decay) up to the span's end; after it torch's rate goes on
    falling, here it stays.

    Use it to follow an older recipe, or to see what one drop of the rate does to the loss. Where to drop is a guess
    that a straight line or a cosine does not ask for.

    As text: `step`, `warmup(0.05) >> step(decay=0.5, every=0.2)`.

    Source: Krizhevsky, Sutskever and Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012
    (drops to a tenth, there by hand).

    >>> [round(step(every=30)(k, 100), 12) for k in (29, 30, 60, 99)]
    [1.0, 0.1, 0.01, 0.001]
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    decay: float = 0.1
    every: int | float = 0.3

    def _validate(self) -> None:
        self._keep("decay", 0, 1, "what is left of the rate")
        object.__setattr__(self, "every", checked_span("every", self.every))

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return xp.power(self.decay, xp.floor(k / steps_of(self.every, n)))


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class multistep(Piece):
    """Multiplied by `decay` at each of the places `at`: `factor = decay ** (places reached by k)`.

    span: in steps or as a share of the run, or None for the rest.
    at: places in increasing order, each in steps (from 1) or as a share of the span; the update of that very step has
        the lower rate already. Half and three quarters by default, as ResNets are trained.
    decay: in [0, 1]; what is left of the rate at each place.

    Agrees with torch's MultiStepLR(milestones=at, gamma=decay). The places of other libraries may count epochs.

    Use it to follow a recipe that names its drops, as those of residual networks do. Where to drop is a guess that a
    straight line or a cosine does not ask for.

    As text: `multistep`, `warmup(0.05) >> multistep(at=[0.6, 0.8, 0.9], decay=0.3)`.

    Source: He et al., "Deep Residual Learning for Image Recognition", 2016.

    >>> [round(multistep(at=[30, 60])(k, 100), 12) for k in (29, 30, 60)]
    [1.0, 0.1, 0.01]
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    at: tuple[int | float, ...] = (0.5, 0.75)
    decay: float = 0.1

    def _validate(self) -> None:
        object.__setattr__(self, "at", _checked_places(self.at))
        self._keep("decay", 0, 1, "what is left of the rate")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        value = k * 0.0 + 1.0
        for place in self.at:
            value = xp.where(k < steps_of(place, n), value, value * self.decay)
        return value


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class piecewise(Piece):
    """Values of your own: `values[0]` at the start, `values[i]` from `at[i - 1]` on, or on straight lines between them.

    span: in steps or as a share of the run, or None for the rest.
    at: places in increasing order, each in steps (from 1) or as a share of the span; one fewer than values.
    values: factors in [0, 1].
    shape: between two places "steps" stays at the value of the first, "linear" goes straight from one to the other,
        "cosine" along half a cosine wave. After the last place its value is held.

    Agrees with optax's piecewise_constant_schedule ("steps"; theirs are factors of the value before) and
    piecewise_interpolate_schedule ("linear", "cosine"). Keras's PiecewiseConstantDecay keeps the old value at the place
    itself, so its boundaries are one less.

    Use it for a course that no other schedule has, such as one read off somebody's plot.

    As text: `piecewise`, `warmup(0.05) >> piecewise(at=[0.2, 0.9], values=[1.0, 0.5, 0.0], shape=linear)`.

    Source: a plain table of values; no paper.

    >>> hills = piecewise(at=[10, 30], values=[0.2, 1, 0.4], shape="linear")
    >>> [round(hills(k, 100), 12) for k in (0, 5, 10, 20, 30, 99)]
    [0.2, 0.6, 1.0, 0.7, 0.4, 0.4]
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    at: tuple[int | float, ...] = (0.5, 0.75)
    values: tuple[float, ...] = (1.0, 0.1, 0.01)
    shape: Literal["steps", "linear", "cosine"] = "steps"

    def _validate(self) -> None:
        object.__setattr__(self, "at", _checked_places(self.at))
        values = tuple(self.values) if isinstance(self.values, list | tuple) else ()
        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool) and 0 <= v <= 1]
        if len(numbers) < len(values) or len(values) != len(self.at) + 1:
            rule = f"`values` must be {len(self.at) + 1} numbers in [0, 1], one more than the places `at`"
            raise InputError(f"{rule}, got values={self.values!r}")
        object.__setattr__(self, "values", tuple(map(float, numbers)))
        if self.shape not in ("steps", "linear", "cosine"):
            raise InputError(f"`shape` must be steps, linear or cosine, got shape={self.shape!r}")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        places = [0, *(steps_of(place, n) for place in self.at)]
        value = k * 0.0 + self.values[-1]
        # From the last stretch to the first, each is taken where k lies before its end.
        for (first, last), (begin, end) in reversed(list(zip(pairwise(self.values), pairwise(places), strict=True))):
            u = xp.clip((k - begin) / max(end - begin, 1), 0.0, 1.0)
            if self.shape == "cosine":
                u = 0.5 - 0.5 * xp.cos(math.pi * u)
            mine = first if self.shape == "steps" else first * (1.0 - u) + last * u
            value = xp.where(k < end, mine, value)
        return value


def _checked_places(at: Any) -> tuple[int | float, ...]:
    """`at` as a tuple of steps and shares in increasing order; InputError when it is none."""
    if not isinstance(at, list | tuple) or not at:
        raise InputError(f"`at` must be a list of places, in steps or shares, got at={at!r}: try at=[0.5, 0.75]")
    places = tuple(checked_span("at", place) for place in at)
    for kind in (int, float):
        mine = [place for place in places if type(place) is kind]
        if any(a >= b for a, b in pairwise(mine)):
            raise InputError(f"`at` must be in increasing order, got at={list(places)}")
    return places
