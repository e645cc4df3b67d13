"""The PyTorch connector: rates, groups, controllers, checkpoints, and what it leaves alone."""

import copy
import gc
import json
import subprocess
import sys

import pytest
import torch
from torch.optim import lr_scheduler

from pacesetter import connect, optimizers, schedules
from pacesetter.connect.torch import Scheduler, rule_to_torch, scheduler, to_torch
from pacesetter.errors import InputError
from pacesetter.optimizers._optimizer import RuleOptimizer
from pacesetter.recipes import Recipe
from pacesetter.tasks import Task

WARM_COSINE = "warmup(5) >> cosine(final=0.1)"


def weights(count=1):
    """Fresh parameters."""
    return [torch.nn.Parameter(torch.ones(2)) for _ in range(count)]


def sgd(lr=0.5, **groups):
    """A plain optimizer over one parameter."""
    return torch.optim.SGD(weights(), lr=lr, **groups)


def walk(optimizer, scheduled, count):
    """The rates of the first group at each of `count` updates."""
    rates = []
    for _ in range(count):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduled.step()
    return rates


@pytest.mark.parametrize("text", ["constant", "linear", WARM_COSINE, "step", "triangular * linear"])
def test_rates_are_the_schedule(text):
    """Update k runs at peak * factor(k), and past the end the rate holds."""
    optimizer = sgd(0.5)
    rates = walk(optimizer, scheduler(optimizer, text, 40), 50)
    assert rates == [0.5 * schedules.parse(text)(k, 40) for k in range(50)]


def test_same_training_as_torch_schedulers():
    """Trained beside torch's LinearLR and CosineAnnealingLR in a row, the weights are the same."""
    found = []
    for ours in (True, False):
        optimizer = torch.optim.Adam([weight := torch.nn.Parameter(torch.tensor([1.0, -2.0]).double())], lr=0.1)
        if ours:
            scheduled = scheduler(optimizer, "warmup(10) >> cosine", 60)
        else:
            pieces = [lr_scheduler.LinearLR(optimizer, 0.1, 1.0, 9), lr_scheduler.CosineAnnealingLR(optimizer, 50)]
            scheduled = lr_scheduler.SequentialLR(optimizer, pieces, [10])
        for _ in range(60):
            optimizer.zero_grad()
            (weight**2).sum().backward()
            optimizer.step()
            scheduled.step()
        found.append(weight.detach())
    torch.testing.assert_close(found[0], found[1], rtol=1e-10, atol=1e-12)


def test_groups_keep_their_ratios():
    """Groups of different rates share the factor, so their ratio stays."""
    first, second = weights(2)
    optimizer = torch.optim.SGD([{"params": [first]}, {"params": [second], "lr": 0.05}], lr=0.5)
    scheduled = scheduler(optimizer, WARM_COSINE, 20)
    for k in range(20):
        rates = [group["lr"] for group in optimizer.param_groups]
        factor = schedules.parse(WARM_COSINE)(k, 20)
        assert rates == scheduled.get_last_lr() == scheduled.get_lr() == [0.5 * factor, 0.05 * factor]
        optimizer.step()
        scheduled.step()


def test_group_added_later_joins():
    """A group that is added during training takes part from the next step, with the rate it brought as its peak."""
    optimizer = sgd(0.5)
    scheduled = scheduler(optimizer, "linear", 10)
    walk(optimizer, scheduled, 4)
    optimizer.add_param_group({"params": weights(), "lr": 0.1})
    optimizer.step()
    scheduled.step()
    assert scheduled.get_last_lr() == [0.5 * 0.5, 0.1 * 0.5]


def test_rate_as_a_tensor_is_filled_in_place():
    """A rate that is a tensor stays that very tensor, as compiled optimizers need."""
    optimizer = torch.optim.Adam(weights(), lr=torch.tensor(0.5, dtype=torch.float64), foreach=False, capturable=False)
    tensor = optimizer.param_groups[0]["lr"]
    rates = walk(optimizer, scheduler(optimizer, "linear", 10), 10)
    assert optimizer.param_groups[0]["lr"] is tensor
    assert rates == pytest.approx([0.5 * (1 - k / 10) for k in range(10)])


def test_rate_set_by_hand_does_not_matter():
    """The rate is computed from the step, so one that somebody wrote into the optimizer is gone at the next step."""
    optimizer = sgd(0.5)
    scheduled = scheduler(optimizer, "linear", 10)
    optimizer.param_groups[0]["lr"] = 77.0
    optimizer.step()
    scheduled.step()
    assert scheduled.get_last_lr() == [0.45]


def test_optimizer_is_left_alone():
    """Building one writes the first rate and the peak into the groups; the optimizer's methods stay its own."""
    optimizer = sgd(0.5)
    before = set(vars(optimizer))
    scheduler(optimizer, WARM_COSINE, 10)
    assert set(vars(optimizer)) == before
    assert "step" not in vars(optimizer)
    assert optimizer.param_groups[0]["lr"] == 0.5 * 0.2
    assert optimizer.param_groups[0]["initial_lr"] == 0.5


def test_second_scheduler_starts_from_the_peak():
    """A scheduler built on an optimizer that another one drove starts from the same peak, not from the last rate."""
    optimizer = sgd(0.5)
    walk(optimizer, scheduler(optimizer, "linear", 10), 8)
    scheduler(optimizer, "constant", 10)
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_is_a_torch_scheduler():
    """It passes for one of torch's, with the attributes that training frameworks read."""
    scheduled = scheduler(sgd(), "linear", 10)
    assert isinstance(scheduled, lr_scheduler.LRScheduler)
    assert isinstance(scheduled, Scheduler)
    assert (scheduled.last_epoch, scheduled.base_lrs, scheduled.total_steps) == (0, [0.5], 10)
    assert connect.torch.scheduler is scheduler


def metrics():
    """A loss that stalls twice."""
    return [1.0, 0.8, 0.6, 0.6, 0.6, 0.6, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]


def test_plateau_follows_torch():
    """Told the same losses, a plateau runs at the rates of ReduceLROnPlateau."""
    mine, theirs = sgd(0.5), sgd(0.5)
    ours = scheduler(mine, "plateau(factor=0.5, patience=1)", 12)
    other = lr_scheduler.ReduceLROnPlateau(theirs, factor=0.5, patience=1)
    for metric in metrics():
        mine.step()
        theirs.step()
        ours.step()
        ours.observe(metric)
        other.step(metric)
        assert mine.param_groups[0]["lr"] == theirs.param_groups[0]["lr"]
    assert mine.param_groups[0]["lr"] < 0.2


def test_pure_schedule_does_not_mind_metrics():
    """A pure schedule hears metrics and goes its way, so that one loop serves every recipe."""
    optimizer = sgd(0.5)
    scheduled = scheduler(optimizer, "linear", 10)
    walk(optimizer, scheduled, 1)
    scheduled.observe(torch.tensor(3.0))
    assert scheduled.get_last_lr() == [0.45]


@pytest.mark.parametrize("text", [WARM_COSINE, "warmup(3) >> plateau(factor=0.5, patience=0) * linear"])
@pytest.mark.parametrize("optimizer_first", [True, False])
def test_resumes_exactly(text, optimizer_first):
    """Taken up again from JSON, in whichever order the two states are loaded, it goes on at the same rates."""

    def go_on(optimizer, scheduled, steps):
        rates = []
        for k in steps:
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduled.step()
            scheduled.observe(metrics()[k])
        return rates

    optimizer = sgd(0.5, momentum=0.9)
    whole = go_on(optimizer, scheduler(optimizer, text, 12), range(12))

    optimizer = sgd(0.5, momentum=0.9)
    scheduled = scheduler(optimizer, text, 12)
    first = go_on(optimizer, scheduled, range(7))
    kept = json.loads(json.dumps(scheduled.state_dict(), allow_nan=False))
    kept_optimizer = copy.deepcopy(optimizer.state_dict())

    optimizer = sgd(0.123, momentum=0.9)
    scheduled = scheduler(optimizer, text, 12)
    loads = [lambda: optimizer.load_state_dict(kept_optimizer), lambda: scheduled.load_state_dict(kept)]
    for load in loads if optimizer_first else reversed(loads):
        load()
    assert first + go_on(optimizer, scheduled, range(7, 12)) == whole


@pytest.mark.parametrize("text", [WARM_COSINE, "warmup(0.3) >> cosine * plateau(factor=0.5, patience=0)"])
@pytest.mark.parametrize(("first", "second"), [(10, 25), (25, 10)])
def test_a_state_of_another_length_goes_on_at_this_length(text, first, second):
    """Loaded into a longer or a shorter run, the rate is that of the new length at the same number of updates."""
    optimizer = sgd(0.5)
    scheduled = scheduler(optimizer, text, first)
    for k in range(7):
        optimizer.step()
        scheduled.step()
        scheduled.observe(metrics()[k])
    other = sgd(0.5)
    longer = scheduler(other, text, second)
    longer.load_state_dict(json.loads(json.dumps(scheduled.state_dict())))
    parsed = schedules.parse(text)
    assert longer.get_last_lr() == [0.5 * parsed.factor(scheduled.state, 7, second)]
    scheduled.total_steps = second
    assert scheduled.get_last_lr() == longer.get_last_lr()
    assert (scheduled.total_steps, longer.total_steps) == (second, second)


def test_the_length_may_be_changed_to_one_that_fits():
    """A new length in which the spans do not fit is refused, and the old one stays."""
    scheduled = scheduler(sgd(0.5), "warmup(8) >> cosine", 10)
    for wrong in (5, 0, -3):
        with pytest.raises(InputError):
            scheduled.total_steps = wrong
    assert (scheduled.total_steps, scheduled.get_last_lr()) == (10, [0.5 / 8])


def test_counts_updates_and_not_calls():
    """With gradient accumulation `step` may be called after every batch: the rate follows the updates."""
    optimizer = sgd(0.5)
    scheduled = scheduler(optimizer, "linear", 10)
    for batch in range(12):
        if batch % 3 == 2:
            optimizer.step()
        scheduled.step()
        assert scheduled.get_last_lr() == [0.5 * (1 - (batch + 1) // 3 / 10)]
    assert (scheduled.asked, scheduled.applied) == (12, 4)
    assert scheduled.counts() == "12 steps were asked for and 4 updates were made: the rate follows the updates"
    assert scheduled.counts() in repr(scheduled)


@pytest.mark.parametrize("fused", [False, True])
def test_updates_that_grad_scaler_skips_do_not_count(fused):
    """An update that is skipped for an infinite gradient moves no rate, also where the kernel skips it."""
    (weight,) = weights()
    optimizer = torch.optim.AdamW([weight], lr=0.5, fused=fused)
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    scheduled = scheduler(optimizer, "linear", 10)
    for k, factor in enumerate((1.0, float("inf"), 1.0, 1.0, float("inf"))):
        optimizer.zero_grad()
        before = weight.detach().clone()
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
        scheduled.step()
        assert torch.equal(before, weight) == (k in (1, 4))
    assert (scheduled.asked, scheduled.applied) == (5, 3)
    assert scheduled.get_last_lr() == [0.5 * 0.7]


@pytest.mark.parametrize("processes", [1, 4])
def test_accelerate_may_call_it_for_every_process(processes, monkeypatch):
    """Called once for each process by accelerate, which counts batches too, the rate follows the updates."""
    accelerate = pytest.importorskip("accelerate", reason="the test is of accelerate")
    from accelerate.state import AcceleratorState

    accelerator = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=3)
    optimizer = sgd(0.5)
    model = torch.nn.Linear(2, 1)
    optimizer.add_param_group({"params": list(model.parameters())})
    scheduled = scheduler(optimizer, "linear", 10)
    _, own, wrapped = accelerator.prepare(model, optimizer, scheduled)
    monkeypatch.setattr(AcceleratorState, "num_processes", processes, raising=False)
    for batch in range(30):
        with accelerator.accumulate(model):
            accelerator.backward(model(torch.ones(4, 2)).sum())
            own.step()
            wrapped.step()
            own.zero_grad()
        assert scheduled.applied == (batch + 1) // 3
        assert scheduled.get_last_lr()[0] == 0.5 * (1 - (batch + 1) // 3 / 10)


def test_momentum_goes_with_one_cycle():
    """Rate and momentum are those of torch's OneCycleLR at every update, for momentum and for Adam's beta1."""
    for make in (lambda: sgd(0.1, momentum=0.9), lambda: torch.optim.AdamW(weights(), lr=0.1)):
        ours, theirs = make(), make()
        scheduled = scheduler(ours, "one_cycle(ends=last, momentum=[0.85, 0.95])", 40)
        peer = lr_scheduler.OneCycleLR(theirs, 0.1, 40)
        for k in range(40):
            groups = ours.param_groups[0], theirs.param_groups[0]
            mine, other = ([g["lr"], g.get("momentum", g.get("betas", (0,))[0])] for g in groups)
            assert mine == pytest.approx(other, rel=1e-12, abs=1e-15)
            ours.step()
            scheduled.step()
            theirs.step()
            if k < 39:
                peer.step()


@pytest.mark.parametrize("make", [sgd, lambda: torch.optim.Adagrad(weights(), lr=0.1)])
def test_without_a_momentum_there_is_none_to_cycle(make):
    """An optimizer without a momentum is refused where the schedule cycles it."""
    with pytest.raises(InputError, match="`optimizer` must have a momentum to cycle, got"):
        scheduler(make(), "one_cycle(momentum=[0.85, 0.95])", 40)


def test_copies_count_for_themselves():
    """A copied scheduler drives its own copy of the optimizer, and one that is gone leaves no hook behind."""
    optimizer = sgd(0.5)
    scheduled = scheduler(optimizer, "linear", 10)
    other = copy.deepcopy(scheduled)
    walk(optimizer, scheduled, 3)
    walk(other.optimizer, other, 5)
    assert (scheduled.applied, other.applied) == (3, 5)
    del scheduled
    gc.collect()
    assert not optimizer._optimizer_step_post_hooks


def test_a_metric_that_is_nan_is_refused():
    """It is an error that says so, and the state stays as it was."""
    scheduled = scheduler(sgd(0.5), "plateau", 10)
    with pytest.raises(InputError, match="`metric` must be a number to compare by, got metric=nan"):
        scheduled.observe(float("nan"))
    assert scheduled.state == schedules.parse("plateau").init()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schedule": "linear"}, "same schedule, got schedule='linear' where this one has 'cosine'"),
        ({"base_lrs": [0.1, 0.2]}, "one rate for each parameter group, got 2 where the optimizer has 1"),
    ],
)
def test_foreign_state_is_refused(change, words):
    """The state of another schedule or optimizer is refused, and nothing is changed by it."""
    scheduled = scheduler(sgd(), "cosine", 10)
    before = scheduled.state_dict()
    with pytest.raises(InputError, match=words):
        scheduled.load_state_dict({**before, "step": 5, **change})
    with pytest.raises(InputError, match="got none of schedule, total_steps, step, asked, state"):
        scheduled.load_state_dict({"last_epoch": 3, "base_lrs": [0.1]})
    assert scheduled.state_dict() == before


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: scheduler("sgd", "cosine", 10), "`optimizer` must be a torch optimizer, got str"),
        (lambda: scheduler(sgd(), "cosin", 10), "did you mean `cosine`"),
        (lambda: scheduler(sgd(), "cosine", 0), "`total_steps` must be"),
        (lambda: scheduler(sgd(), "warmup(500) >> cosine", 10), "must fit into `total_steps`"),
        (lambda: scheduler(sgd(), "cosine", 10).step(3), "without arguments, got step\\(3\\)"),
    ],
)
def test_bad_input_is_refused(make, words):
    """Misuse is an input error that says what to do."""
    with pytest.raises(InputError, match=words):
        make()


def test_a_refused_schedule_leaves_the_optimizer_alone():
    """When a schedule does not fit, the optimizer's rate is still its own."""
    optimizer = sgd(0.5)
    with pytest.raises(InputError):
        scheduler(optimizer, "warmup(500) >> cosine", 10)
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert "initial_lr" not in optimizer.param_groups[0]


@pytest.mark.parametrize("name", optimizers.names())
def test_every_rule_has_its_optimizer(name):
    """Every registered rule becomes torch's own optimizer with its settings, or one of ours where torch has it not."""
    rule = optimizers.parse({"clip": "clip(lion, norm=0.5)", "decay": "decay(lion, 0.1)"}.get(name, name))
    optimizer = rule_to_torch(rule, weights(), 0.25)
    assert isinstance(optimizer, torch.optim.Optimizer)
    assert optimizer.defaults["lr"] == 0.25
    if rule.torch_optimizer() is None:
        assert isinstance(optimizer, RuleOptimizer)
        assert optimizer.rule == rule
    else:
        class_name, keywords = rule.torch_optimizer()
        assert type(optimizer) is getattr(torch.optim, class_name)
        assert {key: optimizer.defaults[key] for key in keywords} == keywords


def test_recipe_becomes_both():
    """A recipe becomes an optimizer over the parameters and a scheduler that is at the first step."""
    recipe = Recipe.parse("adam(beta2=0.95) lr=3e-3 warmup(0.05) >> cosine()")
    for optimizer, scheduled in (to_torch(recipe, weights(), 100), recipe.to_torch(iter(weights()), 100)):
        assert optimizer.defaults["betas"] == (0.9, 0.95)
        assert walk(optimizer, scheduled, 100) == [0.003 * recipe.schedule(k, 100) for k in range(100)]


def test_groups_of_a_task_keep_their_ratios():
    """A recipe over the groups of a task's ratios trains each weight at its own share of the rate, to the end."""
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    data = (torch.zeros(20, 2), torch.zeros(20, 1))
    ratios = {"0": 0.1, "1.bias": 4}
    task = Task(model=model, loss=torch.nn.functional.mse_loss, train=data, batch_size=4, steps=5, lr_ratios=ratios)
    recipe = Recipe.parse("adam lr=0.02 warmup(2) >> cosine(final=0.1)")
    groups = [{"params": [p], "lr": recipe.lr * task.ratio_of(name)} for name, p in model.named_parameters()]
    optimizer, scheduled = recipe.to_torch(groups, 5)
    for step in range(5):
        rates = [group["lr"] for group in optimizer.param_groups]
        expected = recipe.lr * recipe.schedule(step, 5)
        assert rates == pytest.approx([0.1 * expected, 0.1 * expected, expected, 4 * expected])
        optimizer.step()
        scheduled.step()


def test_connectors_are_imported_when_asked():
    """`pacesetter.connect` itself imports no framework, and an unknown connector is an AttributeError."""
    code = "import sys; from pacesetter import connect; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    with pytest.raises(AttributeError, match="no attribute 'theano'"):
        _ = connect.theano


def test_missing_torch_says_how_to_install_it():
    """Where torch is not installed the connector says which extra brings it."""
    code = "import sys; sys.modules['torch'] = None; from pacesetter import connect; connect.torch"
    ended = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "MissingPackage: `torch` is needed for the PyTorch connector" in ended.stderr
    assert "pip install 'pacesetter[train]'" in ended.stderr
