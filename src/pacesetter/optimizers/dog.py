"""DoG and its layer-wise form (Ivgi, Hinder and Carmon 2023): distance over gradients."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Joint, Params, Scalar, State, dot, like, scalar, settle, settle_switch, total

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["dog", "ldog"]

UNIT = "a multiple of the rate that it works out; 1 is its authors' advice"
GAMMA = 8.0
"""Of the polynomial-decay average: the published value."""


class _Distances(Joint):
    """x <- x - lr * r / sqrt(G) * g, r the greatest distance from the start so far, G the sum of squared gradients.

    A subclass says over which tensors r and G are taken.
    """

    adaptive: ClassVar[bool] = False
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

    @abstractmethod
    def _distances(self, params: "dict[str, Tensor]") -> State:
        """The r and G before the first update: 0."""

    @abstractmethod
    def _ratios(
        self, grads: "dict[str, Tensor]", state: Any, params: "dict[str, Tensor]"
    ) -> "tuple[dict[str, Tensor], State]":
        """The r / sqrt(G) of each tensor, and r and G."""

    def _further(
        self, distance: Any, gradients: Any, names: "Iterable[str]", grads: Any, start: Any, params: Any
    ) -> "tuple[Tensor, Tensor]":
        """The r and G over the tensors of these names."""
        import torch

        size = total(dot(params[name], params[name]) for name in names).sqrt()
        way = total((params[name] - start[name]).square().sum() for name in names).sqrt()
        first = gradients == 0  # where no gradient has been seen: eps is above 0
        distance = torch.where(first, self.reps_rel * (1 + size), torch.maximum(distance, way))
        gradients = torch.where(first, self.eps, gradients) + total(dot(grads[name], grads[name]) for name in names)
        return distance, gradients

    def start(self, params: "dict[str, Tensor]") -> State:
        """The start, r and G; the step and the rate at lr=1; with `average` also the average."""
        state: State = {
            "step": scalar(0.0, params),
            "used": scalar(0.0, params),
            "start": {name: weight.clone() for name, weight in params.items()},
            **self._distances(params),
        }
        if self.average:
            state["average"] = {name: weight.clone() for name, weight in params.items()}
        return state

    def advance(
        self,
        grads: "dict[str, Tensor]",
        state: Any,
        params: "dict[str, Tensor]",
        lr: "dict[str, Scalar]",
        **extra: Scalar,
    ) -> "tuple[dict[str, Tensor], State]":
        """All weights after one update."""
        if self.weight_decay:
            grads = {name: grad + self.weight_decay * params[name] for name, grad in grads.items()}
        ratios, distances = self._ratios(grads, state, params)
        moved = {name: weight - like(ratios[name] * lr[name], weight) * grads[name] for name, weight in params.items()}
        step = state["step"] + 1
        kept: State = {
            "step": step,
            "used": total(ratios.values()) / len(ratios),
            "start": state["start"],
            **distances,
        }
        if self.average:
            # Polynomial decay, which forgets the beginning: the t-th average has a share (1 + gamma) / (t + gamma) new.
            share = (1 + GAMMA) / (step + GAMMA)
            kept["average"] = {
                name: state["average"][name] + like(share, weight) * (weight - state["average"][name])
                for name, weight in moved.items()
            }
        return moved, kept

    @property
    def averages(self) -> bool:
        """Whether the average is evaluated."""
        return self.average

    def evaluation(self, params: Params, state: State) -> Params:
        """The average of the weights, or the trained ones without it."""
        if not self.average:
            return params
        found: Any = state["average"]
        averages: Params = {name: found[name] for name in params} if isinstance(params, dict) else found[""]
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

    def _distances(self, params: "dict[str, Tensor]") -> State:
        return {"distance": scalar(0.0, params), "gradients": scalar(0.0, params)}

    def _ratios(
        self, grads: "dict[str, Tensor]", state: Any, params: "dict[str, Tensor]"
    ) -> "tuple[dict[str, Tensor], State]":
        distance, gradients = self._further(
            state["distance"], state["gradients"], params, grads, state["start"], params
        )
        ratio = distance / gradients.sqrt()
        return dict.fromkeys(params, ratio), {"distance": distance, "gradients": gradients}


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

    def _distances(self, params: "dict[str, Tensor]") -> State:
        return {slot: {name: scalar(0.0, params) for name in params} for slot in ("distance", "gradients")}

    def _ratios(
        self, grads: "dict[str, Tensor]", state: Any, params: "dict[str, Tensor]"
    ) -> "tuple[dict[str, Tensor], State]":
        ratios, distance, gradients = {}, {}, {}
        for name in params:
            distance[name], gradients[name] = self._further(
                state["distance"][name], state["gradients"][name], [name], grads, state["start"], params
            )
            ratios[name] = distance[name] / gradients[name].sqrt()
        return ratios, {"distance": distance, "gradients": gradients}
