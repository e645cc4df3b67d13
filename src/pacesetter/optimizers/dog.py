"""DoG and its layer-wise form (Ivgi, Hinder and Carmon 2023): distance over gradients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Params, State, Walked, named, settle, settle_switch
from pacesetter.optimizers._scalars import Scalar, maximum, mean, root
from pacesetter.optimizers._walk import New, Numbers, Term, Walk

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["dog", "ldog"]

UNIT = "a multiple of the rate that it works out; 1 is its authors' advice"
GAMMA = 8.0
"""Of the polynomial-decay average: the published value."""


class _Distances(Walked):
    """x <- x - lr * r / sqrt(G) * g, r the greatest distance from the start so far, G the sum of squared gradients.

    A subclass says over which tensors r and G are taken.
    """

    adaptive: ClassVar[bool] = False
    light: ClassVar[bool] = True
    unit: ClassVar[str] = UNIT
    sets_rate: ClassVar[bool] = True

    reps_rel: float
    eps: float
    average: bool
    weight_decay: float

    def __post_init__(self) -> None:
        settle(self, positive="reps_rel eps", not_negative="weight_decay")
        settle_switch(self, "average")
        if self.reps_rel > 1:
            raise InputError(f"`reps_rel` must be at most 1, got reps_rel={self.reps_rel:g}: it is a small share")

    def slots(self) -> Mapping[str, float | None]:
        """The start; with `average` also the average."""
        return {"start": None, "average": None} if self.average else {"start": None}

    def begin(self) -> dict[str, Any]:
        """The step and the rate at lr=1."""
        return {"step": 0.0, "used": 0.0}

    def advance(self, walk: Walk, lane: Any, **extra: Scalar) -> "dict[str, Tensor]":
        """The numbers of the lane after one update; r and G are one number, or one for each tensor in a row."""
        if self.weight_decay:
            walk.regrade(lambda t: t["grad"].add(t["weight"], alpha=self.weight_decay))
        ways, squares = walk.see(self._seen, each=bool(self.each()))
        distance, gradients = maximum(lane["distance"], root(ways)), lane["gradients"] + squares
        ratio, step = distance / root(gradients), lane["step"] + 1
        after = {"step": step, "used": mean(ratio), "distance": distance, "gradients": gradients}
        # Polynomial decay, which forgets the beginning: the t-th average has a share (1 + gamma) / (t + gamma) new.
        share = (1 + GAMMA) / (step + GAMMA)
        walk.move(self._moved, lambda lr: (ratio * lr, share), after)
        return after

    @staticmethod
    def _seen(t: Numbers) -> "tuple[New, list[Term]]":
        way, grad = t["weight"] - t["start"], t["grad"]
        return {}, [(way, way), (grad, grad)]

    def _moved(self, t: Numbers, rate: Any, share: Any) -> New:
        weight = t.less("weight", t["grad"], rate)
        return {"weight": weight, "average": t.lerp("average", weight, share)} if self.average else {"weight": weight}

    @property
    def averages(self) -> bool:
        """Whether the average is evaluated."""
        return self.average

    def evaluation(self, params: Params, state: State) -> Params:
        """The average of the weights, or the trained ones without it."""
        if not self.average:
            return params
        found: Any = state["average"]
        averages: Params = {name: found[name] for name in params} if isinstance(params, dict) else found
        return averages

    def effective_lr(self, state: State, lr: Scalar) -> Scalar:
        """Distance over gradients, times lr: the mean over the tensors."""
        used: Any = state["used"]
        rate: Scalar = used * lr
        return rate


@final
@dataclass(frozen=True)
class dog(_Distances):
    """DoG: x <- x - lr * r / sqrt(G) * g, with one rate for all weights of a lane.

    r: the greatest distance ||x - x0|| so far, at first reps_rel * (1 + ||x0||). G: eps plus the sum of ||g||^2.

    reps_rel: the first move, as a share; above 0, at most 1: 1e-6, and 1e-4 for models with batch norm, as advised.
    eps: above 0; where G starts.
    average: evaluate the polynomial-decay average of the weights (gamma = 8), which its authors call crucial. Off: the
        weights themselves, which is what the published trajectories are of.
    weight_decay: at least 0, added to the gradient.

    `effective_lr` is lr * r / sqrt(G). Slow to begin from 1e-6: hundreds of steps. Weights in bfloat16 cannot make such
    small moves, and it never begins: with them take a `reps_rel` of 0.01.

    Raises InputError for numbers outside these ranges.

    >>> str(dog(reps_rel=1e-4))
    'dog(reps_rel=0.0001)'

    Source: Ivgi, Hinder, Carmon: DoG is SGD's best friend (2023); as version 1.0.3 of the package dog-optimizer.
    """

    reps_rel: float = 1e-6
    eps: float = 1e-8
    average: bool = True
    weight_decay: float = 0.0

    def begin(self) -> dict[str, Any]:
        """The r and G of the lane too."""
        return {**super().begin(), "distance": 0.0, "gradients": self.eps}

    def init(self, params: Params) -> State:
        """The state before the first update, with the first r."""
        state = super().init(params)
        squares: Any = state["distance"]
        for weight in named(params).values():
            squares = squares + _norm(weight) ** 2
        return {**state, "distance": self.reps_rel * (1 + root(squares))}


@final
@dataclass(frozen=True)
class ldog(_Distances):
    """LDoG: DoG for each tensor by itself; x <- x - lr * r / sqrt(G) * g with r and G of that tensor.

    Arguments and source are those of `dog`; `effective_lr` is the mean over the tensors.

    >>> str(ldog(average=False))
    'ldog(average=False)'
    """

    reps_rel: float = 1e-6
    eps: float = 1e-8
    average: bool = True
    weight_decay: float = 0.0

    def each(self) -> dict[str, float]:
        """The r and G of each tensor."""
        return {"distance": 0.0, "gradients": self.eps}

    def init(self, params: Params) -> State:
        """The state before the first update, with the first r of each tensor."""
        first = {name: self.reps_rel * (1 + _norm(weight)) for name, weight in named(params).items()}
        return {**super().init(params), "distance": first if isinstance(params, dict) else first[""]}


def _norm(weight: "Tensor") -> "Tensor":
    import torch

    norm: Tensor = torch.linalg.vector_norm(weight, dtype=torch.float64)
    return norm
