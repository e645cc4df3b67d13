"""The conformance suites of rules: subclass one, give it the fixture `rule`, and every fact is tested.

`RuleConformance` is of every rule, `TorchConformance` of those that torch has too.

class TestMyRule(RuleConformance):
    @pytest.fixture
    def rule(self):
        return my_rule(beta=0.5)
"""

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as trees

from pacesetter.engine.recording import record
from pacesetter.errors import InputError
from pacesetter.optimizers._base import Params, Rule, State, Walked
from pacesetter.optimizers._optimizer import RuleOptimizer

__all__ = ["RuleConformance", "TorchConformance"]

Named = dict[str, Tensor]

RATE = 0.01
LANE_RATES = (0.1, 0.01, 0.001)


def start(dtype: torch.dtype = torch.float64) -> Named:
    """Weights of every rank that models have, one of them without dimensions."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"matrix": (5, 3), "vector": (3,), "scalar": ()}
    return {name: torch.randn(shape, generator=generator, dtype=dtype) for name, shape in shapes.items()}


@cache
def examples(index: int, dtype: torch.dtype) -> Tensor:
    """One batch of random inputs."""
    generator = torch.Generator().manual_seed(100 + index)
    return torch.randn(16, 5, generator=generator, dtype=torch.float64).to(dtype)


def loss(params: Named, step: int) -> Tensor:
    """A small network's squared error on data that changes with the step, so that moments have something to follow."""
    inputs = examples(step % 7, params["matrix"].dtype)
    hidden = (inputs @ params["matrix"]).tanh()
    return ((hidden * params["vector"]).sum(-1) + params["scalar"] - inputs[:, 0]).square().mean()


def gradients(params: Named, step: int) -> Named:
    """The gradients of `loss`."""
    leaves = {name: tensor.detach().requires_grad_() for name, tensor in params.items()}
    found = torch.autograd.grad(loss(leaves, step), list(leaves.values()))
    return dict(zip(leaves, found, strict=True))


def named(params: Params) -> Named:
    """`params` seen as a dict."""
    return params if isinstance(params, dict) else {"": params}


def leaves(tree: Any) -> list[Tensor]:
    """All tensors of a state or of parameters, in order; fails on a leaf that is none."""
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    assert isinstance(tree, Tensor), f"a leaf is no tensor: {tree!r}"
    return [tree]


def extra(rule: Rule, params: Named, step: int) -> dict[str, Tensor]:
    """What the rule needs besides the gradients."""
    return {"loss": loss(params, step).detach()} if "loss" in rule.needs else {}


def arguments(rule: Any) -> dict[str, Any]:
    """What a rule is made of, by the names of its arguments."""
    return {entry.metadata.get("argument", entry.name): getattr(rule, entry.name) for entry in fields(rule)}


def trained(optimizer: torch.optim.Optimizer, weights: Named, steps: int) -> Named:
    """`weights` after some steps of an optimizer over them."""
    for step in range(steps):
        optimizer.zero_grad()
        value = loss(weights, step)
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
        if isinstance(optimizer, RuleOptimizer):
            optimizer.step(loss=value)
        else:
            optimizer.step()
    return {name: tensor.detach().clone() for name, tensor in weights.items()}


def parameters(dtype: torch.dtype = torch.float64) -> Named:
    """The weights of `start`, to be trained."""
    return {name: tensor.requires_grad_() for name, tensor in start(dtype).items()}


def run(rule: Rule, steps: int, lr: float | Tensor = RATE, dtype: torch.dtype = torch.float64) -> tuple[Named, State]:
    """Weights and state after some steps from `start`."""
    params: Params = start(dtype)
    state = rule.init(params)
    for step in range(steps):
        now = named(params)
        params, state = rule.update(gradients(now, step), state, params, lr, **extra(rule, now, step))
    return named(params), state


def arrives(
    rule: Rule,
    begin: Sequence[float],
    height: Callable[[Sequence[float]], float],
    slope: Callable[[Sequence[float]], list[float]],
    low: float,
    lr: float,
    steps: int,
) -> bool:
    """Whether the rule's optimizer comes from `begin` to a place lower than `low`; one that diverged is given up."""
    weight = torch.nn.Parameter(torch.tensor(begin, dtype=torch.float64))
    optimizer = RuleOptimizer([weight], rule, lr)
    for step in range(1, steps + 1):
        x = weight.tolist()
        weight.grad = torch.tensor(slope(x), dtype=torch.float64)
        optimizer.step(loss=height(x))
        if step % 100 == 0:
            with optimizer.evaluation():
                now = height(weight.tolist())
            if now < low or not math.isfinite(now):
                return now < low
    return False


def _complex() -> Tensor:
    return torch.nn.Parameter(torch.ones(2, dtype=torch.complex64))


def _with_another_group(rule: Rule, **group: Any) -> RuleOptimizer:
    """Our optimizer of a rule, with a second group that is added later."""
    first, second = (torch.nn.Parameter(torch.ones(2)) for _ in range(2))
    optimizer = RuleOptimizer([first], rule, RATE)
    optimizer.add_param_group({"params": [second], **group})
    return optimizer


class _Conformance:
    """A suite. A subclass gives the fixture `rule`."""

    @pytest.fixture
    def rule(self) -> Rule:
        """The rule under test."""
        raise RuntimeError(f"a subclass of {type(self).__mro__[1].__name__} must define the fixture `rule`")

    @pytest.fixture
    def in_double(self) -> Iterator[None]:
        """Scalars that torch keeps as tensors in double precision: they have the default type."""
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        yield
        torch.set_default_dtype(before)


class RuleConformance(_Conformance):
    """What every rule must do. A subclass gives the fixture `rule`."""

    def test_is_a_value(self, rule: Rule) -> None:
        """A rule is hashable and cannot be changed."""
        assert hash(rule) == hash(type(rule)(**arguments(rule)))
        for name in vars(rule):
            with pytest.raises(AttributeError):
                setattr(rule, name, 0.5)

    def test_says_what_a_rate_means(self, rule: Rule) -> None:
        """A rule says in words what a rate of 1 means, and whether it is adaptive."""
        assert rule.unit
        assert rule.adaptive in (True, False)

    def test_state_keeps_its_form(self, rule: Rule) -> None:
        """Every leaf of the state is a tensor that keeps its shape, dtype and place over updates."""
        _, before = run(rule, 0)
        _, after = run(rule, 3)
        assert list(before) == list(after)
        assert [(t.shape, t.dtype) for t in leaves(before)] == [(t.shape, t.dtype) for t in leaves(after)]

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
    @pytest.mark.parametrize("lr", [RATE, torch.tensor(RATE, dtype=torch.float64)], ids=["float", "tensor"])
    def test_weights_keep_their_form(self, rule: Rule, lr: float | Tensor, dtype: torch.dtype) -> None:
        """Weights keep their shape and dtype under a rate of any kind, also weights without dimensions."""
        after, _ = run(rule, 3, lr, dtype)
        assert {name: (t.shape, t.dtype) for name, t in after.items()} == {
            name: (t.shape, dtype) for name, t in start().items()
        }

    def test_changes_nothing_that_it_is_given(self, rule: Rule) -> None:
        """Parameters, gradients and state are left as they were."""
        params, state = run(rule, 2)
        grads = gradients(params, 2)
        copies = [leaf.clone() for leaf in leaves(params) + leaves(grads) + leaves(state)]
        rule.update(grads, state, params, RATE, **extra(rule, params, 2))
        assert all(
            torch.equal(a, b) for a, b in zip(leaves(params) + leaves(grads) + leaves(state), copies, strict=True)
        )

    def test_same_in_same_out(self, rule: Rule) -> None:
        """Two runs from one start are the same to the bit."""
        assert all(torch.equal(a, b) for a, b in zip(leaves(run(rule, 5)[0]), leaves(run(rule, 5)[0]), strict=True))

    def test_rate_of_any_kind(self, rule: Rule) -> None:
        """A rate given as a float or as a tensor does the same."""
        as_float, _ = run(rule, 5, RATE)
        as_tensor, _ = run(rule, 5, torch.tensor(RATE, dtype=torch.float64))
        for name in as_float:
            torch.testing.assert_close(as_float[name], as_tensor[name], rtol=1e-12, atol=1e-14)

    def test_rate_zero_changes_no_weight(self, rule: Rule) -> None:
        """At rate 0 no weight changes, decay included: everything that moves a weight is scaled by the rate."""
        after, _ = run(rule, 3, 0.0)
        assert all(torch.equal(after[name], tensor) for name, tensor in start().items())

    def test_learns(self, rule: Rule) -> None:
        """At one rate of a coarse grid, 100 steps lower the loss by a fifth; one that finds its rate may take 500."""
        untrained = float(loss(start(), 0))
        steps, rates = (500, (1.0, 10.0, 0.1)) if rule.sets_rate else (100, (0.1, 0.3, 0.03, 0.01))

        def end(lr: float) -> float:
            params, state = run(rule, steps, lr)
            return float(loss(named(rule.evaluation(params, state)), 0))

        assert any(end(lr) < 0.8 * untrained for lr in rates)

    def test_tells_the_rate_of_its_updates(self, rule: Rule) -> None:
        """The effective rate is finite and at least 0, and the asked one where the rule does not work one out."""
        _, state = run(rule, 5)
        found = float(rule.effective_lr(state, RATE))
        assert 0 <= found < float("inf")
        assert rule.sets_rate or found == RATE

    def test_evaluation_has_the_form_of_the_weights(self, rule: Rule) -> None:
        """The weights to evaluate have the names, shapes and dtypes of the trained ones."""
        params, state = run(rule, 3)
        seen = named(rule.evaluation(params, state))
        assert {n: (t.shape, t.dtype) for n, t in seen.items()} == {n: (t.shape, t.dtype) for n, t in params.items()}

    def test_tensor_or_dict(self, rule: Rule) -> None:
        """A lane given as one tensor moves as the same tensor does in a dict."""
        alone: Params = start()["matrix"]
        within: Params = {"matrix": start()["matrix"]}
        state_alone, state_within = rule.init(alone), rule.init(within)
        for step in range(3):
            grad, more = gradients(start(), step)["matrix"], extra(rule, start(), step)
            alone, state_alone = rule.update(grad, state_alone, alone, RATE, **more)
            within, state_within = rule.update({"matrix": grad}, state_within, within, RATE, **more)
        assert torch.equal(leaves(alone)[0], leaves(within)[0])
        assert all(torch.equal(a, b) for a, b in zip(leaves(state_alone), leaves(state_within), strict=True))

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_lanes_do_not_see_each_other(self, rule: Rule, dtype: torch.dtype) -> None:
        """Under vmap, lanes with their own rates move as they do one by one, also beside a lane of NaN."""
        rates = torch.tensor([*LANE_RATES, 0.1], dtype=torch.float64)
        lanes: Any = {name: tensor.expand(4, *tensor.shape).clone() for name, tensor in start(dtype).items()}
        state: Any = torch.func.vmap(rule.init)(lanes)
        for step in range(3):
            own = [{name: tensor[i] for name, tensor in lanes.items()} for i in range(4)]
            each = [gradients(one, step) for one in own]
            more = [extra(rule, one, step) for one in own]
            grads = {name: torch.stack([one[name] for one in each]) for name in lanes}
            for tensor in grads.values():
                tensor[3] = float("nan")
            told = {name: torch.stack([one[name] for one in more]) for name in more[0]}
            lanes, state = torch.func.vmap(lambda g, s, p, lr, x: rule.update(g, s, p, lr, **x))(
                grads, state, lanes, rates, told
            )
        for i, lr in enumerate(LANE_RATES):
            for name, tensor in run(rule, 3, torch.tensor(lr, dtype=torch.float64), dtype)[0].items():
                torch.testing.assert_close(lanes[name][i], tensor)
        assert all(tensor.dtype == dtype for tensor in lanes.values())

    def test_face_does_as_the_rule(self, rule: Rule) -> None:
        """As a torch optimizer it does what the pure rule does: over groups of two rates, and on from a saved state."""
        weights = {name: tensor.requires_grad_() for name, tensor in start().items()}
        first, *_ = weights.values()

        def made(params: Named) -> RuleOptimizer:
            one, *more = params.values()
            return RuleOptimizer([{"params": [one], "lr": RATE / 2}, {"params": more}], rule, RATE)

        optimizer = made(weights)
        ours: Params = start()
        state = rule.init(ours)
        rates = dict.fromkeys(weights, RATE) | {next(iter(weights)): RATE / 2}
        for step in range(12):
            if step == 6:
                kept = copy.deepcopy(optimizer.state_dict())
                optimizer = made(weights)
                optimizer.load_state_dict(kept)
            optimizer.zero_grad()
            value = loss(weights, step)
            value.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
            optimizer.step(loss=value)
            now = named(ours)
            ours, state = rule.update(gradients(now, step), state, ours, rates, **extra(rule, now, step))
        for name, tensor in named(ours).items():
            torch.testing.assert_close(weights[name].detach(), tensor, rtol=1e-12, atol=1e-14)
        with optimizer.evaluation():
            for name, tensor in named(rule.evaluation(ours, state)).items():
                torch.testing.assert_close(weights[name].detach(), tensor, rtol=1e-12, atol=1e-14)
        torch.testing.assert_close(first.detach(), named(ours)[next(iter(weights))], rtol=1e-12, atol=1e-14)

    def test_face_leaves_what_has_no_gradient(self, rule: Rule) -> None:
        """A weight without a gradient stays as it is, and takes part from its first one on."""
        used, unused = (torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2))
        optimizer = RuleOptimizer([used, unused], rule, RATE)
        for step in range(3):
            optimizer.zero_grad()
            value = used.square().sum() + (unused.square().sum() if step == 2 else 0.0)
            value.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
            optimizer.step(loss=value)
            assert torch.equal(unused, torch.ones_like(unused)) == (step < 2)
        assert torch.isfinite(unused).all()

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
    def test_face_goes_on_from_what_it_saved(self, rule: Rule, dtype: torch.dtype) -> None:
        """Weights of low precision come out the same, to the bit, if the optimizer was saved, copied, or neither."""
        ends = []
        for way in ("neither", "saved", "copied"):
            weights = parameters(dtype)
            optimizer = RuleOptimizer(list(weights.values()), rule, RATE)
            trained(optimizer, weights, 3)
            if way == "saved":
                kept = copy.deepcopy(optimizer.state_dict())
                optimizer = RuleOptimizer(list(weights.values()), rule, RATE)
                optimizer.load_state_dict(kept)
                for own, other in zip(leaves(optimizer.state_dict()["state"]), leaves(kept["state"]), strict=True):
                    assert own.dtype == other.dtype
                    assert torch.equal(own, other)
            if way == "copied":
                weights, optimizer = copy.deepcopy((weights, optimizer))
            ends.append(trained(optimizer, weights, 3))
        for end in ends[1:]:
            assert all(torch.equal(end[name], tensor) for name, tensor in ends[0].items())

    def test_face_keeps_what_the_rule_says(self, rule: Rule) -> None:
        """The optimizer's state is the rule's slots and its numbers of each tensor, and not a tensor more."""
        assert isinstance(rule, Walked)
        weights = parameters(torch.float32)
        optimizer = RuleOptimizer(list(weights.values()), rule, RATE)
        trained(optimizer, weights, 2)
        for weight in weights.values():
            kept = rule.kept(weight)
            for slot, tensor in optimizer.state[weight].items():
                expected = kept[slot].shape if slot in kept else ()
                assert tensor.shape == expected
            assert set(optimizer.state[weight]) == {*kept, *rule.each(), "seen"}
        assert set(optimizer.shared) == set(rule.begin())

    def test_face_takes_a_closure(self, rule: Rule) -> None:
        """Given a closure it does what it does with the gradients and the loss, and returns the closure's loss."""
        weights = parameters()
        optimizer = RuleOptimizer(list(weights.values()), rule, RATE)
        for step in range(3):

            def again(step: int = step) -> Tensor:
                optimizer.zero_grad()
                value = loss(weights, step)
                value.backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
                return value

            before = loss(weights, step)
            assert torch.equal(optimizer.step(again), before)
        for name, tensor in run(rule, 3)[0].items():
            torch.testing.assert_close(weights[name].detach(), tensor, rtol=1e-12, atol=1e-14)

    def test_face_under_a_grad_scaler(self, rule: Rule) -> None:
        """Under GradScaler the weights are those without, and an update with an infinite gradient is left out."""
        weights = parameters()
        optimizer = RuleOptimizer(list(weights.values()), rule, RATE)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
        for step, factor in ((0, 1.0), (1, float("inf")), (1, 1.0), (2, 1.0)):
            optimizer.zero_grad()
            value = loss(weights, step)
            scaler.scale(value * factor).backward()  # type: ignore[no-untyped-call]  # as above
            before = [tensor.detach().clone() for tensor in weights.values()]
            scaler.step(optimizer, loss=value)
            scaler.update()
            if factor != 1.0:
                assert all(torch.equal(one, other) for one, other in zip(weights.values(), before, strict=True))
        for name, tensor in run(rule, 3)[0].items():
            torch.testing.assert_close(weights[name].detach(), tensor, rtol=1e-12, atol=1e-14)

    @pytest.mark.usefixtures("in_double")
    def test_to_torch_does_as_the_rule(self, rule: Rule) -> None:
        """What `to_torch` gives, torch's own class and fused where it can be, does what the pure rule does."""
        weights = parameters()
        after = trained(rule.to_torch(list(weights.values()), RATE), weights, 10)
        for name, tensor in run(rule, 10)[0].items():
            torch.testing.assert_close(after[name], tensor, rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize(
        ("make", "words"),
        [
            (lambda rule: rule.to_torch([], RATE), "`params` must have at least one parameter, got none"),
            (lambda rule: rule.to_torch([torch.ones(2)], RATE), "`params` of parameter group 0 must need gradients"),
            (
                lambda rule: rule.to_torch([p := torch.nn.Parameter(torch.ones(2)), p], RATE),
                "group 0 must be given once",
            ),
            (lambda rule: _with_another_group(rule, lr=-1.0), "`lr` of parameter group 1 must be a finite number"),
            (lambda rule: _with_another_group(rule, params=[torch.ones(2)]), "group 1 must need gradients"),
            (lambda rule: _with_another_group(rule, betas=(0.9, 0.99)), "`betas` must be one for all groups of"),
            (lambda rule: RuleOptimizer([_complex()], rule, RATE), "`params` of parameter group 0 must be real for"),
            (
                lambda rule: _with_another_group(rule).load_state_dict(torch.optim.SGD([_complex()]).state_dict()),
                "`state_dict` must come from an optimizer of",
            ),
        ],
        ids=["none", "frozen", "twice", "rate", "frozen later", "settings", "complex", "state"],
    )
    def test_face_refuses(self, rule: Rule, make: Callable[[Rule], Any], words: str) -> None:
        """It refuses what it could not train, and names the parameter group."""
        with pytest.raises(InputError, match=words):
            make(rule)

    def test_recorded_equals_made(self, rule: Rule) -> None:
        """An update whose operations are recorded and made again gives the same weights, bit by bit."""
        params: Named = start()
        state = rule.init(params)
        grads, more = gradients(params, 0), list(extra(rule, params, 0).values())
        tensors, layout = trees.tree_flatten((params, state, grads, more))

        def update(*parts: Tensor) -> list[Tensor]:
            params, state, grads, more = trees.tree_unflatten(list(parts), layout)
            return leaves(rule.update(grads, state, params, RATE, **dict(zip(rule.needs, more, strict=True)))[0])

        recording = record(update, tensors)
        moved = [tensor * 1.5 for tensor in tensors]
        for ours, theirs in zip(recording(*moved), update(*moved), strict=True):
            assert torch.equal(ours, theirs)

    def test_goes_down_a_parabola(self, rule: Rule) -> None:
        """At one rate of a coarse grid it comes at least 99 % of the way down a parabola in three numbers."""
        bottom, begin = (1.0, -1.0, 1.0), (-1.0, 10.0, 1.5)

        def height(x: Sequence[float]) -> float:
            return sum((one - other) * (one - other) for one, other in zip(x, bottom, strict=True))

        def slope(x: Sequence[float]) -> list[float]:
            return [2 * (one - other) for one, other in zip(x, bottom, strict=True)]

        near = 0.01 * height(begin)
        assert any(arrives(rule, begin, height, slope, near, lr, 1000) for lr in (0.1, 1.0, 10.0, 0.01))

    def test_goes_along_a_curved_valley(self, rule: Rule) -> None:
        """At one rate of a coarse grid it comes three quarters of the way along the floor of Rosenbrock's valley."""

        def height(x: Sequence[float]) -> float:
            across = x[1] - x[0] * x[0]
            return (1 - x[0]) * (1 - x[0]) + 100 * across * across

        def slope(x: Sequence[float]) -> list[float]:
            across = x[1] - x[0] * x[0]
            return [2 * (x[0] - 1) - 400 * x[0] * across, 200 * across]

        # The floor of the valley is reached at a height of 4.
        ways = ((lr, steps) for steps in (2000, 6000) for lr in (0.1, 1.0, 0.01, 0.001))
        assert any(arrives(rule, (-1.2, 1.0), height, slope, 1.0, lr, steps) for lr, steps in ways)

    def test_bfloat16_stays(self, rule: Rule) -> None:
        """Weights in bfloat16 stay that, finite, and move."""
        after, _ = run(rule, 5, RATE, torch.bfloat16)
        assert all(tensor.dtype == torch.bfloat16 and torch.isfinite(tensor).all() for tensor in after.values())

    @pytest.mark.parametrize("lr", [-1.0, float("nan"), float("inf"), "fast"])
    def test_face_refuses_a_rate_that_is_none(self, rule: Rule, lr: Any) -> None:
        """A rate that is negative, infinite, no number or text is refused."""
        with pytest.raises(InputError, match="`lr` must be a finite number"):
            rule.to_torch([torch.nn.Parameter(torch.ones(2))], lr)


class TorchConformance(_Conformance):
    """What a rule must do that `torch.optim` has too. A subclass gives the fixture `rule`."""

    @pytest.mark.usefixtures("in_double")
    def test_agrees_with_torch(self, rule: Rule) -> None:
        """500 steps at a changing rate agree with the rule's optimizer in torch.optim to 1e-10 in float64."""
        of_torch = rule.torch_optimizer()
        assert of_torch is not None, f"torch.optim has no {rule}"
        name, arguments = of_torch
        theirs = {key: tensor.requires_grad_() for key, tensor in start().items()}
        optimizer: torch.optim.Optimizer = getattr(torch.optim, name)(list(theirs.values()), lr=RATE, **arguments)
        ours: Params = start()
        state = rule.init(ours)
        for step in range(500):
            lr = 0.05 * (1 - step / 600)
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad()
            loss(theirs, step).backward()  # type: ignore[no-untyped-call]  # torch leaves Tensor.backward untyped
            optimizer.step()
            ours, state = rule.update(gradients(named(ours), step), state, ours, lr)
        for key, tensor in named(ours).items():
            torch.testing.assert_close(tensor, theirs[key].detach(), rtol=0, atol=1e-10)
