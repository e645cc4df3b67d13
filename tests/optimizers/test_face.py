"""A rule as a torch optimizer: closures, weights to evaluate, what is refused, and what is left alone."""

import copy
import pickle
import re
from pathlib import Path

import pytest
import torch

from pacesetter import optimizers
from pacesetter.errors import InputError
from pacesetter.optimizers import _in_place
from pacesetter.optimizers._optimizer import RuleOptimizer


def weight(value=1.0):
    """One parameter of three numbers."""
    return torch.nn.Parameter(torch.full((3,), value))


def trained(text, lr=0.1, steps=3):
    """A small model and the optimizer that made some steps on it."""
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    optimizer = RuleOptimizer(model.parameters(), optimizers.parse(text), lr)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(4, 3)).square().sum().backward()
        optimizer.step()
    return model, optimizer


def test_a_closure_gives_the_loss():
    """The closure is called with gradients on, and its loss comes back; a rule that needs the loss takes it."""
    one = weight()
    optimizer = RuleOptimizer([one], optimizers.parse("momo"), 0.1)

    def closure():
        optimizer.zero_grad()
        loss = one.square().sum()
        loss.backward()
        return loss

    assert float(optimizer.step(closure).detach()) == 3.0
    assert 0 < optimizer.effective_lr()[0] <= 0.1
    with pytest.raises(InputError, match=r"needs the loss, got none: call step\(closure\) or step\(loss"):
        optimizer.step()


def test_the_weights_to_evaluate_are_put_in_and_taken_out():
    """Within `evaluation()` the model has the average; after it, the trained weights are back to the bit."""
    model, optimizer = trained("schedule_free_sgd")
    kept = model.weight.detach().clone()
    with optimizer.evaluation():
        assert not torch.equal(model.weight, kept)
        with pytest.raises(InputError, match="after `evaluation"):
            optimizer.step()
    assert torch.equal(model.weight, kept)
    with pytest.raises(ZeroDivisionError), optimizer.evaluation():
        raise ZeroDivisionError
    assert torch.equal(model.weight, kept)


def test_forgetting_the_weights_to_evaluate_is_an_error():
    """A model that is evaluated on weights that are being trained raises; training it, and other models, are let be."""
    model, optimizer = trained("schedule_free_sgd")
    other = torch.nn.Linear(3, 1).eval()
    model.eval()
    with torch.no_grad():
        other(torch.ones(1, 3))
        with pytest.raises(InputError, match=r"evaluate within `with optimizer\.evaluation"):
            model(torch.ones(1, 3))
        with optimizer.evaluation():
            model(torch.ones(1, 3))
    model(torch.ones(1, 3))  # a layer in eval mode that is trained through
    del optimizer
    with torch.no_grad():
        model(torch.ones(1, 3))


def test_a_rule_without_an_average_watches_nobody():
    """The weights of an ordinary rule are those to evaluate."""
    model, _ = trained("sgd")
    model.eval()
    with torch.no_grad():
        model(torch.ones(1, 3))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda rule: rule.to_torch([], 0.1), "`params` must have at least one parameter, got none"),
        (lambda rule: rule.to_torch(weight(), 0.1), r"got one tensor: write \[tensor\]"),
        (
            lambda rule: rule.to_torch([{"params": [weight()]}, {"params": []}], 0.1),
            "parameter group 1 must have at least",
        ),
        (lambda rule: rule.to_torch([torch.ones(2)], 0.1), "parameter group 0 must need gradients"),
        (lambda rule: rule.to_torch([{"params": [w := weight()]}, {"params": [w]}], 0.1), "one that group 0 has too"),
        (lambda rule: rule.to_torch([{"params": [weight()], "lr": -1}], 0.1), "`lr` of parameter group 0 must be"),
        (lambda rule: rule.to_torch([3], 0.1), "must be tensors, got int"),
    ],
)
@pytest.mark.parametrize("text", ["adam", "prodigy"])
def test_parameters_that_no_optimizer_could_use(make, words, text):
    """They are refused with their group, for torch's classes and for ours."""
    with pytest.raises(InputError, match=words):
        make(optimizers.parse(text))


def test_state_of_another_rule_is_refused():
    """State is loaded from an optimizer of the same rule and the same groups alone."""
    _, optimizer = trained("prodigy")
    _, other = trained("dog")
    with pytest.raises(InputError, match="must come from an optimizer of `prodigy`, got one of dog"):
        optimizer.load_state_dict(other.state_dict())
    with pytest.raises(InputError, match="got one of another kind of optimizer"):
        optimizer.load_state_dict(torch.optim.Adam([weight()]).state_dict())
    with pytest.raises(InputError, match="must have 2 parameters in group 0, got 1"):
        optimizer.load_state_dict(RuleOptimizer([weight()], optimizer.rule, 1.0).state_dict())


def test_grad_scaler_skips_an_update():
    """Under GradScaler an update with an infinite gradient is left out, and the next one is made."""
    one = weight()
    optimizer = RuleOptimizer([one], optimizers.parse("prodigy(d0=0.1)"), 1.0)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for factor, moves in ((float("inf"), False), (1.0, True)):
        before = one.detach().clone()
        optimizer.zero_grad()
        scaler.scale((one * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        assert torch.equal(before, one) != moves


def test_nan_in_a_gradient_makes_nan_of_what_it_moves():
    """As in torch, nothing is hidden: the weight becomes NaN, another of an elementwise rule does not."""
    one, other = weight(), weight()
    optimizer = RuleOptimizer([one, other], optimizers.parse("adam"), 0.1)
    one.grad, other.grad = torch.full((3,), float("nan")), torch.ones(3)
    optimizer.step()
    assert torch.isnan(one).all()
    assert torch.isfinite(other).all()


def test_copies_and_pickles_of_the_state_go_on_alike():
    """A deep copy of the state dict loaded into a fresh optimizer gives the same next step."""
    model, optimizer = trained("schedule_free_adamw(weight_decay=0.1)", 0.01)
    twin = copy.deepcopy(model)
    again = RuleOptimizer(twin.parameters(), optimizer.rule, 0.01)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for own, drives in ((model, optimizer), (twin, again)):
        drives.zero_grad()
        own(torch.ones(4, 3)).square().sum().backward()
        drives.step()
    assert torch.equal(model.weight, twin.weight)


@pytest.mark.parametrize("text", ["dog(reps_rel=0.01)", "ldog(reps_rel=0.01)", "prodigy(d0=0.01)", "momo", "adam"])
def test_a_weight_whose_first_gradient_comes_late_is_trained(text):
    """A weight that takes part from the sixth update on moves from then on."""
    early, late = weight(), weight()
    optimizer = RuleOptimizer([early, late], optimizers.parse(text), 1.0)
    for step in range(12):
        optimizer.zero_grad()
        loss = early.square().sum() + (late.square().sum() if step > 5 else 0.0)
        loss.backward()
        optimizer.step(loss=loss)
    assert not torch.equal(late, torch.ones_like(late))


DOCUMENTED = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
KEPT = re.findall(
    r"^\| `([^`]+)` \| (\d) \|",
    DOCUMENTED.partition("## Speed and memory")[2].partition("\n## ")[0],
    re.MULTILINE,
)
"""(rule, numbers kept for each weight), as the documentation has it."""


def test_the_documentation_has_the_memory_of_every_rule():
    """It has each rule that is known by name, but for those that go around another."""
    assert {text.partition("(")[0] for text, _ in KEPT} == {*optimizers.names()} - {"clip", "decay"}


@pytest.mark.parametrize(("text", "numbers"), KEPT)
def test_memory_is_what_the_documentation_says(text, numbers):
    """The bytes that the optimizer keeps are so many numbers for each weight, but for a few that are shared."""
    matrix = torch.nn.Parameter(torch.ones(128, 128))
    optimizer = optimizers.parse(text).to_torch([matrix], 0.1)
    matrix.grad = torch.ones_like(matrix)
    optimizer.step(**({"loss": torch.tensor(1.0)} if isinstance(optimizer, RuleOptimizer) else {}))
    kept = sum(value.numel() * value.element_size() for value in optimizer.state[matrix].values())
    assert kept / (4 * matrix.numel()) == pytest.approx(int(numbers), abs=0.02)


@pytest.mark.parametrize("host", ["cpu", "another"])
@pytest.mark.parametrize(
    "text",
    [
        "prodigy(d0=0.1)",
        "lamb",
        "ldog(reps_rel=0.1)",
        "clip(adam, norm=0.1)",
        "mechanic",
        "lars",
        "clip(lion, value=0.1)",
    ],
)
def test_large_tensors_in_parts_and_small_ones_in_rows_move_as_the_rule_says(text, host, monkeypatch):
    """Cut anyhow, the weights are those of the pure rule; where state is replaced, and on a device to be waited for."""
    monkeypatch.setattr(_in_place, "HOST", host)
    for size in ("PART", "PART_ELSEWHERE"):
        monkeypatch.setattr(_in_place, size, 7)
    monkeypatch.setattr(_in_place, "SMALL", 5)
    rule = optimizers.parse(text)
    shapes = {"0.0": (5, 4), "0.1": (3,), "0.2": (2, 2), "0.3": (4, 3), "0.4": (2,), "0.5": ()}
    generator = torch.Generator().manual_seed(0)
    ours = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    ours["0.3"] = ours["0.3"].T.contiguous().T
    params = {name: torch.nn.Parameter(tensor.clone()) for name, tensor in ours.items()}
    optimizer = RuleOptimizer(list(params.values()), rule, 0.1)
    state = rule.init(ours)
    for step in range(6):
        grads = {name: torch.randn(w.shape, generator=generator, dtype=torch.float64) for name, w in ours.items()}
        for name, p in params.items():
            p.grad = grads[name]
        if step == 3:
            for p in params.values():
                optimizer.state[p] = {slot: value.clone() for slot, value in optimizer.state[p].items()}
        optimizer.step()
        ours, state = rule.update(grads, state, ours, 0.1)
    for name, tensor in ours.items():
        torch.testing.assert_close(params[name].detach(), tensor, rtol=1e-11, atol=1e-13)


def test_a_saved_state_does_not_change_with_the_optimizer_that_took_it():
    """What was given to `load_state_dict` stays as it was while the optimizer goes on."""
    one, optimizer = weight(), None
    for _ in range(2):
        kept = optimizer.state_dict() if optimizer else None
        optimizer = RuleOptimizer([one], optimizers.parse("lion"), 0.1)
        if kept:
            before = kept["state"][0]["mean"].clone()
            optimizer.load_state_dict(kept)
        one.grad = torch.ones_like(one)
        optimizer.step()
    assert torch.equal(kept["state"][0]["mean"], before)


@pytest.mark.parametrize(
    "text", ["clip(adam, norm=0.5)", "clip(adamw, value=0.1)", "clip(sgd(momentum=0.9), norm=0.5)"]
)
def test_clipping_around_a_rule_of_torchs_is_its_class(text):
    """It is torch's class, clips what a closure makes, and stays so in copies, in pickles and under a GradScaler."""
    rule = optimizers.parse(text)
    inner = getattr(torch.optim, rule.rule.torch_optimizer()[0])
    starts = torch.tensor([3.0, -2.0, 1.0])

    def run(change=lambda optimizer, one: (optimizer, one), scaler=None):
        one = torch.nn.Parameter(starts.clone())
        optimizer = rule.to_torch([one], 0.1)
        assert isinstance(optimizer, inner)
        for step in range(6):
            if step == 3:
                optimizer, one = change(optimizer, one)

            def closure(optimizer=optimizer, one=one):
                optimizer.zero_grad()
                loss = one.square().sum()
                loss.backward()
                return loss

            if scaler is None:
                assert optimizer.step(closure).item() > 0
            else:
                optimizer.zero_grad()
                scaler.scale(one.square().sum()).backward()
                scaler.step(optimizer)
                scaler.update()
        return one.detach()

    found = run()
    params, state = {"": starts}, rule.init({"": starts})
    for _ in range(6):
        params, state = rule.update({"": 2 * params[""]}, state, params, 0.1)
    torch.testing.assert_close(found, params[""], rtol=1e-5, atol=1e-6)
    assert torch.equal(found, run(lambda optimizer, one: copy.deepcopy((optimizer, one))))
    assert torch.equal(found, run(lambda optimizer, one: pickle.loads(pickle.dumps((optimizer, one)))))
    torch.testing.assert_close(found, run(scaler=torch.amp.GradScaler("cpu", init_scale=1024.0)), rtol=1e-6, atol=1e-7)


def test_a_hook_around_a_clipped_step_is_called_once():
    """Also where torch's class itself has been made, and so wrapped, before."""
    torch.optim.Adam([weight()])
    one, calls = weight(), []
    optimizer = optimizers.parse("clip(adam, norm=1)").to_torch([one], 0.1)
    optimizer.register_step_pre_hook(lambda *_: calls.append(one.grad.clone()))
    one.grad = torch.full_like(one, 5.0)
    optimizer.step()
    assert len(calls) == 1
    assert torch.equal(calls[0], torch.full_like(one, 5.0))
    assert float(one.grad.norm()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("text", ["lion", "lars", "ldog(reps_rel=0.1)", "schedule_free_sgd", "lamb", "prodigy(d0=0.1)"])
def test_weights_that_were_put_elsewhere_are_trained_there(text):
    """Weights whose memory is replaced between steps, as by a change of device, move on from what they are then."""
    rule = optimizers.parse(text)
    ends = []
    for moves in (False, True):
        params = [torch.nn.Parameter(torch.linspace(1, 2, n)) for n in (3, 4)]
        optimizer = rule.to_torch(params, 0.1)
        for step in range(4):
            if moves and step == 2:
                for p in params:
                    p.data = p.data.clone()
            for p in params:
                p.grad = p.detach().clone()
            optimizer.step()
        ends.append(torch.cat([p.detach() for p in params]))
    assert torch.equal(*ends)
