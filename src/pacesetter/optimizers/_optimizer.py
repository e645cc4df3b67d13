"""A rule as a `torch.optim` optimizer: torch's own class where it has one, else ours, which does what torch's do.

Here torch is imported at once: whoever holds parameters has it.
"""

import inspect
import math
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any

import torch
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer

from pacesetter.errors import InputError
from pacesetter.optimizers._base import Rule, Walked
from pacesetter.optimizers._clipped import clipped
from pacesetter.optimizers._in_place import InPlace, Layout

__all__ = ["RuleOptimizer", "made"]

Named = dict[str, torch.Tensor]

REAL_ONLY = frozenset({"Adafactor"})
"""Classes of torch that find out only in training that weights are complex; ours refuses them at once."""


def made(rule: Rule, params: Iterable[Any], lr: float, clipping: tuple[Rule, str, float] | None = None) -> Optimizer:
    """The optimizer of a rule over `params`; see `Rule.to_torch`.

    clipping: if that is what the rule does: the rule within, "norm" or "value", and how large it may be.
    """
    groups = checked_groups(params, lr)
    of_torch = (clipping[0] if clipping else rule).torch_optimizer()
    floating = all(p.is_floating_point() for group in groups for p in _tensors(group))
    if of_torch is None or ((of_torch[0] in REAL_ONLY or clipping) and not floating):
        return RuleOptimizer(groups, rule, lr)
    name, settings = of_torch
    kind: Any = getattr(torch.optim, name)
    if "fused" in inspect.signature(kind).parameters and floating:
        settings = {**settings, "fused": True}
    if clipping:
        kind, settings = clipped(kind), {**settings, "clipping": clipping[1:]}
    optimizer: Optimizer = kind(groups, lr=lr, **settings)
    return optimizer


class RuleOptimizer(Optimizer):
    """Any rule as an optimizer, with parameter groups, closures, `state_dict` both ways and `add_param_group`.

    params: real tensors or parameter groups; a group that brings an `lr` has that one, and other settings of the rule
        are those of all groups. Rules that take sums over all weights take them over all groups.
    rule: what each update does. A weight without a gradient is left alone (bias corrections count the updates of the
        optimizer, not those of a weight), and a gradient with NaN makes NaN of the weights that it moves, as in torch.

    A rule that needs the loss takes it from the closure, or as `step(loss=loss)`. Where the weights to evaluate are not
    those that are trained, `with optimizer.evaluation():` puts them into the model; a model that is called in eval mode
    under `torch.no_grad()` without it raises an error instead of giving a wrong number.

    >>> from pacesetter import optimizers
    >>> weights = torch.nn.Parameter(torch.ones(3))
    >>> optimizer = RuleOptimizer([weights], optimizers.parse("sgd(momentum=0.9)"), lr=0.1)
    >>> _ = optimizer.step(lambda: (optimizer.zero_grad(), (weights**2).sum().backward())[0])
    >>> weights.data
    tensor([0.8000, 0.8000, 0.8000])
    """

    def __init__(self, params: Iterable[Any], rule: Rule, lr: float) -> None:
        if not isinstance(rule, Walked):
            raise InputError(f"`rule` must be a rule of ours, got rule={rule}: call its to_torch(params, lr)")
        self.rule = rule
        self._layout: Layout | None = None
        self._lane: dict[str, Any] = {}
        self._by_weight: set[str] = set()
        self._evaluating = False
        super().__init__(checked_groups(params, lr), {"lr": lr})
        if rule.averages:
            _watch(self)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Trains further parameters, at the group's own `lr` or that of the others; refused as by `to_torch`."""
        place = len(self.param_groups)
        theirs = {id(p): other for other, group in enumerate(self.param_groups) for p in group["params"]}
        group = _checked_group(param_group, place, theirs)
        for p in _tensors(group):
            if p.is_complex():
                where = f"of parameter group {place} must be real for `{self.rule}`"
                raise InputError(f"`params` {where}, got {p.dtype}: give torch.view_as_real of it")
        for name in group:
            if name in _settings(self.rule):
                got = f"got {name}={group[name]!r} in parameter group {place}"
                raise InputError(f"`{name}` must be one for all groups of `{self.rule}`, {got}: leave it out")
        super().add_param_group({"lr": self.defaults["lr"], **group})

    # ------------------------------------------------------------------------------------------------- training

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None, *, loss: Any = None) -> Any:
        """One update of all weights that have a gradient; the closure's loss, if one is given.

        closure: works out the gradients anew and returns the loss. loss: the loss whose gradient is there, for a rule
        that needs it.
        """
        if self._evaluating:
            raise InputError("`step` must be called after `evaluation()` has ended, got a call within it")
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        extra: dict[str, Any] = {}
        if "loss" in self.rule.needs:
            if loss is None:
                raise InputError(
                    f"`step` of `{self.rule}` needs the loss, got none: call step(closure) or step(loss=...)"
                )
            extra["loss"] = _quick(loss.detach()) if isinstance(loss, torch.Tensor) else float(loss)
        weights = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        if not weights:
            return loss
        if self._layout is None or not self._layout.holds(weights, self.state):
            self._layout = self._laid_out()
        layout = self._layout
        lane = self._lane | layout.each if layout.each else self._lane
        after = self.rule.advance(InPlace(layout, self._rates(layout.groups)), lane, **extra)
        for slot, row in layout.each.items():
            row.copy_(after.pop(slot))
        self._lane = after
        return loss

    def effective_lr(self) -> list[float]:
        """The rate of the last update for each group, as the rule worked it out."""
        return [float(self.rule.effective_lr(self._lane, group["lr"])) for group in self.param_groups]

    @property
    def shared(self) -> dict[str, torch.Tensor]:
        """State that belongs to all parameters together, to be saved and set."""
        return {slot: torch.as_tensor(value, dtype=torch.float64) for slot, value in self._lane.items()}

    @shared.setter
    def shared(self, values: dict[str, torch.Tensor]) -> None:
        self._lane = {slot: _quick(value.clone()) for slot, value in values.items()}

    def is_training(self, ids: set[int]) -> bool:
        """Whether any parameter with one of these ids is its own, and has the weights that are trained."""
        return not self._evaluating and any(id(p) in ids for p in self._names().values())

    def _names(self) -> Named:
        """All parameters, called after group and place."""
        return {f"{g}.{i}": p for g, group in enumerate(self.param_groups) for i, p in enumerate(group["params"])}

    def _rates(self, groups: list[int]) -> list[Any]:
        """The rates of tensors that are in these groups; groups of one rate have the same object."""
        if len(self.param_groups) == 1:
            return [_quick(self.param_groups[0]["lr"])] * len(groups)
        rates: list[Any] = []
        for group in self.param_groups:
            lr = _quick(group["lr"])
            rates.append(next((rate for rate in rates if rate is lr or rate == lr), lr))
        return [rates[group] for group in groups]

    def _laid_out(self) -> Layout:
        """Where the weights that have a gradient lie; those that had none before get their state."""
        params = {name: p for name, p in self._names().items() if p.grad is not None}
        for name, p in params.items():
            if p.grad is not None and p.grad.is_sparse:
                raise InputError(f"`grad` must be dense for `{self.rule}`, got a sparse one of parameter {name}")
        self._begin({name: p for name, p in params.items() if not self.state[p]})
        groups = [int(name.partition(".")[0]) for name in params]
        return Layout(self.rule, list(params.values()), groups, self.state)

    def _begin(self, params: Named) -> None:
        """These parameters, which had no gradient before, get their state."""
        if not params:
            return
        for slot, value in self.rule.init(params).items():
            if isinstance(value, dict):
                self._by_weight.add(slot)
                for name, own in value.items():
                    self.state[params[name]][slot] = own
            else:
                self._lane.setdefault(slot, _quick(value))
        for p in params.values():
            self.state[p].setdefault("seen", p.new_ones(()))  # a rule may keep nothing of its own for a weight

    def _state_of(self, params: Named) -> dict[str, Any]:
        """The rule's state of these parameters."""
        slots = self._by_weight
        # A rule may keep a slot for some weights only.
        by_weight = {
            slot: {name: self.state[p][slot] for name, p in params.items() if slot in self.state[p]} for slot in slots
        }
        return {**self.shared, **by_weight}

    # ------------------------------------------------------------------------------------------------- evaluating

    @contextmanager
    def evaluation(self) -> Iterator[None]:
        """Within it the parameters have the weights to evaluate; after it those to train are back, to the bit."""
        if self._evaluating:
            raise InputError("`evaluation` must not be entered twice, got a call within it")
        params = {name: p for name, p in self._names().items() if self.state[p]}
        kept = {name: p.detach().clone() for name, p in params.items()}
        if params:
            with torch.no_grad():
                seen = self.rule.evaluation(params, self._state_of(params))
                assert isinstance(seen, dict)
                for name, p in params.items():
                    p.copy_(seen[name])
        self._evaluating = True
        try:
            yield
        finally:
            self._evaluating = False
            with torch.no_grad():
                for name, p in params.items():
                    p.copy_(kept[name])

    # ------------------------------------------------------------------------------------------------- saving

    def __getstate__(self) -> dict[str, Any]:
        # For copies and pickles; torch's own would leave out all that it does not know.
        return {**super().__getstate__(), **{name: getattr(self, name) for name in _OWN}, "_layout": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.rule.averages:
            _watch(self)

    def state_dict(self) -> dict[str, Any]:
        """All that it knows: tensors, numbers, text, lists and dicts."""
        own = {"rule": str(self.rule), "shared": self.shared, "slots": sorted(self._by_weight)}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave; InputError when it is of another rule or of other groups."""
        theirs = state_dict.get("rule")
        if theirs != str(self.rule):
            got = f"got one of {theirs}" if theirs else "got one of another kind of optimizer"
            raise InputError(f"`state_dict` must come from an optimizer of `{self.rule}`, {got}")
        sizes = [len(group["params"]) for group in state_dict["param_groups"]]
        for place, group in enumerate(self.param_groups):
            if place >= len(sizes) or sizes[place] != len(group["params"]):
                got = f"got {sizes[place] if place < len(sizes) else 0} in group {place}"
                raise InputError(f"`state_dict` must have {len(group['params'])} parameters in group {place}, {got}")
        kept = {"state": state_dict["state"], "param_groups": state_dict["param_groups"]}
        super().load_state_dict(kept)
        # torch brought floating state to the precision of the weights, and did not copy what needed no change.
        self.shared = state_dict["shared"]
        self._by_weight = set(state_dict["slots"])
        params = self._names()
        forms: Any = self.rule.init({name: torch.empty_like(p, device="meta") for name, p in params.items()})
        saved = dict(zip(params, (i for group in state_dict["param_groups"] for i in group["params"]), strict=True))
        for name, p in params.items():
            for slot in self._by_weight & set(self.state[p]):
                own = state_dict["state"][saved[name]][slot]
                self.state[p][slot] = own.to(p.device, forms[slot][name].dtype, copy=True)


_OWN = ("rule", "_lane", "_by_weight", "_evaluating")
"""What an optimizer keeps besides torch's."""


def _quick(value: Any) -> Any:
    """A number as a float, where no device has to be waited for."""
    is_there = isinstance(value, torch.Tensor) and value.dim() == 0 and value.device.type == "cpu"
    return value.item() if is_there else value


def _settings(rule: Rule) -> set[str]:
    """What a parameter group of torch's might set, and cannot here: the rule's arguments and those of rules within."""
    values = vars(rule)
    within = (_settings(value) for value in values.values() if isinstance(value, Rule))
    return {"betas", "maximize", *values}.union(*within)


_watched: "weakref.WeakSet[RuleOptimizer]" = weakref.WeakSet()
"""Optimizers whose weights to evaluate are not those that they train."""
_watching: list[Any] = []


def _watch(optimizer: RuleOptimizer) -> None:
    _watched.add(optimizer)
    if not _watching:
        _watching.append(register_module_forward_pre_hook(_refuse_training_weights))


def _refuse_training_weights(module: torch.nn.Module, _: Any) -> None:
    """Refuses to evaluate a module (in eval mode, without gradients) on weights that are there to be trained.

    A layer in eval mode that is trained through, such as a frozen batch norm, is let pass.
    """
    if not _watched and _watching:
        _watching.pop().remove()
    if module.training or torch.is_grad_enabled():
        return
    own = {id(p) for p in module.parameters(recurse=False)}
    for optimizer in _watched:
        if own and optimizer.is_training(own):
            raise InputError(
                f"a model that is evaluated must have the weights to evaluate of `{optimizer.rule}`, got those that "
                "are being trained: evaluate within `with optimizer.evaluation():`"
            )


def checked_groups(params: Iterable[Any], lr: Any) -> list[dict[str, Any]]:
    """`params` as parameter groups; InputError for what no optimizer could use, naming the group."""
    _check_rate(lr, "")
    if isinstance(params, torch.Tensor):
        raise InputError("`params` must be parameters in a list, or parameter groups, got one tensor: write [tensor]")
    given = list(params)
    if not given:
        raise InputError("`params` must have at least one parameter, got none: is the model frozen?")
    groups = [dict(one) for one in given] if isinstance(given[0], dict) else [{"params": given}]
    seen: dict[int, int] = {}
    for place, group in enumerate(groups):
        groups[place] = _checked_group(group, place, seen)
    return groups


def _checked_group(group: dict[str, Any], place: int, seen: dict[int, int]) -> dict[str, Any]:
    """One parameter group, its parameters in a list; `seen` knows the group of each parameter so far."""
    where = f" of parameter group {place}"
    own = group.get("params")
    own = [own] if isinstance(own, torch.Tensor) else list(own if own is not None else [])
    checked = {**group, "params": own}
    if not own:
        raise InputError(f"`params`{where} must have at least one parameter, got none")
    if "lr" in group:
        _check_rate(group["lr"], where)
    for p in _tensors(checked):
        if not isinstance(p, torch.Tensor):
            raise InputError(f"`params`{where} must be tensors, got {type(p).__name__}")
        if not p.requires_grad:
            raise InputError(f"`params`{where} must need gradients, got one of shape {tuple(p.shape)} that does not")
        if id(p) in seen:
            raise InputError(f"`params`{where} must be given once, got one that group {seen[id(p)]} has too")
        seen[id(p)] = place
    return checked


def _tensors(group: dict[str, Any]) -> list[Any]:
    """The parameters of a group, also where they come with their names."""
    return [one[1] if isinstance(one, tuple) else one for one in group["params"]]


def _check_rate(lr: Any, where: str) -> None:
    number = lr.item() if isinstance(lr, torch.Tensor) and lr.numel() == 1 else lr
    if isinstance(number, bool) or not isinstance(number, Real) or not 0 <= float(number) < math.inf:
        raise InputError(f"`lr`{where} must be a finite number of at least 0, got lr={lr!r}")
