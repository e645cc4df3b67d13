"""Rules of ours beside the implementations of other packages, and beside plain formulas, on the same gradients."""

import math

import numpy as np
import pytest
import torch

from pacesetter import optimizers
from pacesetter.optimizers.muon import COEFFICIENTS, orthogonal
from pacesetter.testing.rules import examples, extra, gradients, loss, named, run, start

STEPS = 50


def of_package(make, groups=1):
    """The weights to evaluate after 50 steps of another package's optimizer on the suite's problem."""
    weights = {name: tensor.requires_grad_() for name, tensor in start().items()}
    first, *rest = weights.values()
    optimizer = make([first, *rest] if groups == 1 else [{"params": [first]}, {"params": rest}])
    if hasattr(optimizer, "train"):
        optimizer.train()
    for step in range(STEPS):
        optimizer.zero_grad()
        value = loss(weights, step)
        value.backward()
        if type(optimizer).__name__.startswith("Momo"):
            optimizer.step(loss=value)
        else:
            optimizer.step()
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    return {name: tensor.detach() for name, tensor in weights.items()}


def packages():
    """(our text, rate, their optimizer) of each package."""
    from dadaptation import DAdaptAdam, DAdaptSGD
    from dog import DoG, LDoG
    from mechanic_pytorch import mechanize
    from momo import Momo, MomoAdam
    from prodigyopt import Prodigy
    from schedulefree import AdamWScheduleFree, SGDScheduleFree

    return [
        ("schedule_free_sgd(warmup_steps=7, weight_decay=0.1, r=1)", 0.1,
         lambda p: SGDScheduleFree(p, lr=0.1, warmup_steps=7, weight_decay=0.1, r=1)),
        ("schedule_free_adamw(warmup_steps=7, weight_decay=0.1)", 0.01,
         lambda p: AdamWScheduleFree(p, lr=0.01, warmup_steps=7, weight_decay=0.1)),
        ("prodigy(d0=1e-3, d_coef=0.5, weight_decay=0.1)", 1.0,
         lambda p: Prodigy(p, d0=1e-3, d_coef=0.5, weight_decay=0.1)),
        ("dadapt_adam(d0=1e-3, bias_correction=True, weight_decay=0.1, decoupled=False)", 1.0,
         lambda p: DAdaptAdam(p, d0=1e-3, use_bias_correction=True, weight_decay=0.1)),
        ("dadapt_sgd(d0=1e-3, momentum=0.9)", 1.0, lambda p: DAdaptSGD(p, d0=1e-3, momentum=0.9)),
        ("dog(average=False, reps_rel=1e-3, weight_decay=0.1)", 1.0, lambda p: DoG(p, reps_rel=1e-3, weight_decay=0.1)),
        ("ldog(average=False, reps_rel=1e-3)", 1.0, lambda p: LDoG(p, reps_rel=1e-3)),
        ("momo(bias_correction=True, weight_decay=0.1, estimate_bound=True)", 0.5,
         lambda p: Momo(p, lr=0.5, bias_correction=True, weight_decay=0.1, use_fstar=True)),
        ("momo_adam(estimate_bound=True, weight_decay=0.1)", 0.01,
         lambda p: MomoAdam(p, lr=0.01, weight_decay=0.1, use_fstar=True)),
        ("mechanic(sgd(momentum=0.9), s_init=1e-3)", 0.1,
         lambda p: mechanize(torch.optim.SGD, s_init=1e-3)(p, lr=0.1, momentum=0.9)),
        ("mechanic(adamw)", 0.01, lambda p: mechanize(torch.optim.AdamW)(p, lr=0.01)),
    ]  # fmt: skip


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("number", range(11))
def test_agrees_with_the_authors_package(number):
    """Over 50 steps on batches, with tensors of every rank, the weights to evaluate are the package's to ten digits."""
    text, lr, make = packages()[number]
    rule = optimizers.parse(text)
    weights, state = run(rule, STEPS, lr)
    theirs = of_package(make)
    for name, tensor in named(rule.evaluation(weights, state)).items():
        torch.testing.assert_close(tensor, theirs[name], rtol=1e-10, atol=1e-10)


@pytest.mark.usefixtures("in_double")
@pytest.mark.parametrize("number", [0, 1, 2, 3, 4, 6, 9, 10])
def test_groups_of_one_rate_are_one_lane(number):
    """Packages that work one rate out over all groups, or one for each tensor, agree with us over two groups too."""
    text, lr, make = packages()[number]
    weights = {name: tensor.requires_grad_() for name, tensor in start().items()}
    first, *rest = weights.values()
    optimizer = optimizers.parse(text).to_torch([{"params": [first]}, {"params": rest}], lr)
    for step in range(STEPS):
        optimizer.zero_grad()
        loss(weights, step).backward()
        optimizer.step()
    theirs = of_package(make, groups=2)
    with optimizer.evaluation():
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor.detach(), theirs[name], rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("text", "lr", "expected"),
    [
        ("schedule_free_sgd", 1.0, [1.40e1, 1.75e-14, 9.96e-1, 8.06e-1, 2.41e-1]),
        ("schedule_free_adamw", 1.0, [5.00, 3.05, 1.73, 8.94e-1, 4.13e-1]),
    ],
)
def test_sequences_of_optax(text, lr, expected):
    """On x^2 from (1, 2, 3) the losses at the average are those that optax's documentation prints, to three digits."""
    rule = optimizers.parse(text)
    weights = torch.tensor([1.0, 2.0, 3.0])
    state, losses = rule.init(weights), []
    for _ in range(5):
        weights, state = rule.update(2 * weights, state, weights, lr)
        losses.append(float(rule.evaluation(weights, state).square().sum()))
    # The second is the square of a rounding error, 1e-7 or so.
    assert losses == pytest.approx(expected, rel=6e-3, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "name", "options", "lr"),
    [
        ("momo", "momo", {}, 1.0),
        ("momo(estimate_bound=True)", "momo", {"adapt_lower_bound": True}, 1.0),
        ("momo_adam(estimate_bound=True)", "momo_adam", {"adapt_lower_bound": True}, 0.01),
    ],
)
def test_momo_agrees_with_optax(text, name, options, lr):
    """Told the same losses and gradients, the weights are those of optax's MoMo to its single precision."""
    import jax.numpy as jnp
    import optax

    rule = optimizers.parse(text)
    optimizer = getattr(optax.contrib, name)(lr, **options)
    ours = start()
    theirs = {key: jnp.asarray(tensor.numpy(), dtype=jnp.float32) for key, tensor in ours.items()}
    state, own = rule.init(ours), optimizer.init(theirs)
    for step in range(20):
        grads, value = gradients(ours, step), loss(ours, step)
        given = {key: jnp.asarray(tensor.numpy(), dtype=jnp.float32) for key, tensor in grads.items()}
        changes, own = optimizer.update(given, own, theirs, value=float(value))
        theirs = optax.apply_updates(theirs, changes)
        ours, state = rule.update(grads, state, ours, lr, loss=value)
    for key, tensor in ours.items():
        np.testing.assert_allclose(tensor.numpy(), np.asarray(theirs[key]), rtol=2e-4, atol=2e-5)


def test_a_loss_that_is_not_given_is_asked_for():
    """A rule that needs the loss says so where it is not told."""
    rule, weight = optimizers.parse("momo_adam"), torch.ones(2)
    with pytest.raises(ValueError, match="`update` of `momo_adam` needs the loss, got none"):
        rule.update(weight, rule.init(weight), weight, 0.1)


@pytest.mark.parametrize("text", ["schedule_free_sgd", "schedule_free_adamw"])
def test_a_group_at_rate_zero_does_not_stop_the_average(text):
    """Beside a frozen first group the others are averaged as if they were alone."""
    rule = optimizers.parse(text)
    alone, both = {"b": torch.ones(3)}, {"a": torch.ones(3), "b": torch.ones(3)}
    one, two = rule.init(alone), rule.init(both)
    for _ in range(10):
        alone, one = rule.update({"b": 2 * alone["b"]}, one, alone, 0.1)
        grads = {name: 2 * weight for name, weight in both.items()}
        both, two = rule.update(grads, two, both, {"a": 0.0, "b": 0.1})
    torch.testing.assert_close(rule.evaluation(both, two)["b"], rule.evaluation(alone, one)["b"])
    assert torch.equal(both["a"], torch.ones(3))


def test_dog_has_one_rate_also_for_a_late_weight():
    """A weight whose first gradient comes late moves at the rate of the lane under DoG, and at its own under LDoG."""
    moves = {}
    for text in ("dog(reps_rel=0.01)", "ldog(reps_rel=0.01)"):
        early, late = (torch.nn.Parameter(torch.ones(3, dtype=torch.float64)) for _ in range(2))
        optimizer = optimizers.parse(text).to_torch([early, late], 1.0)
        for step in range(10):
            before = [early.detach().clone(), late.detach().clone()]
            early.grad, late.grad = torch.ones_like(early), torch.ones_like(late) if step == 9 else None
            optimizer.step()
        moves[text[:-15]] = [float((now.detach() - old).norm()) for now, old in zip((early, late), before, strict=True)]
    assert moves["dog"][0] == pytest.approx(moves["dog"][1], rel=1e-12)
    assert moves["ldog"][1] == pytest.approx(0.01 * (1 + math.sqrt(3)), rel=1e-6)


def test_d_adaptation_waits_for_a_gradient():
    """A first gradient of 0 scales nothing: the next one does."""
    rule, weight = optimizers.parse("dadapt_sgd"), torch.ones(3)
    late, state = rule.update(torch.zeros(3), rule.init(weight), weight, 1.0)
    assert torch.equal(late, weight)
    late, _ = rule.update(torch.ones(3), state, late, 1.0)
    at_once, _ = rule.update(torch.ones(3), rule.init(weight), weight, 1.0)
    assert torch.equal(late, at_once)
    assert not torch.equal(late, weight)


@pytest.fixture
def in_double():
    """Scalars that packages make have double precision."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("lamb(weight_decay=0.1)", "lamb", {"weight_decay": 0.1}),
        ("lars(weight_decay=0.1)", "lars", {"weight_decay": 0.1}),
        ("lars(weight_decay=0.1, nesterov=True)", "lars", {"weight_decay": 0.1, "nesterov": True}),
        ("lion(weight_decay=0.1)", "lion", {"weight_decay": 0.1}),
    ],
)
def test_agrees_with_optax(text, name, options):
    """On the same gradients the weights are those of optax to its single precision."""
    import jax.numpy as jnp
    import optax

    rule = optimizers.parse(text)
    optimizer = getattr(optax, name)(0.01, **options)
    ours = start()
    theirs = {key: jnp.asarray(tensor.numpy(), dtype=jnp.float32) for key, tensor in ours.items()}
    state, own = rule.init(ours), optimizer.init(theirs)
    for step in range(20):
        grads = gradients(ours, step)
        given = {key: jnp.asarray(tensor.numpy(), dtype=jnp.float32) for key, tensor in grads.items()}
        changes, own = optimizer.update(given, own, theirs)
        theirs = optax.apply_updates(theirs, changes)
        ours, state = rule.update(grads, state, ours, 0.01)
    for key, tensor in ours.items():
        np.testing.assert_allclose(tensor.numpy(), np.asarray(theirs[key]), rtol=2e-4, atol=2e-5)


def test_muon_iterates_as_the_reference_does():
    """Five rounds of 3.4445 X - 4.775 (X X') X + 2.0315 (X X')^2 X, in double precision, wide or tall."""
    for shape in ((4, 7), (7, 4), (5, 5)):
        matrix = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        expected = matrix.T if shape[0] > shape[1] else matrix
        expected = expected / expected.norm()
        a, b, c = COEFFICIENTS
        for _ in range(5):
            gram = expected @ expected.T
            expected = a * expected + b * gram @ expected + c * gram @ gram @ expected
        expected = expected.T if shape[0] > shape[1] else expected
        torch.testing.assert_close(orthogonal(matrix), expected, rtol=1e-12, atol=1e-14)


def test_muon_agrees_with_torch_as_far_as_bfloat16_goes():
    """The Muon of torch, which iterates in bfloat16, moves a matrix alike to a few percent over twenty steps."""
    torch.manual_seed(0)
    target = torch.randn(6, 9)
    weight = torch.nn.Parameter(torch.zeros(6, 9))
    optimizer = torch.optim.Muon([weight], lr=0.02, weight_decay=0.1)
    rule = optimizers.parse("muon(adjust=original)")
    ours = {"w": torch.zeros(6, 9)}
    state = rule.init(ours)
    for _ in range(20):
        weight.grad = weight.detach() - target
        optimizer.step()
        ours, state = rule.update({"w": ours["w"] - target}, state, ours, 0.02)
    assert float((ours["w"] - weight.detach()).norm() / weight.detach().norm()) < 0.03


def test_muon_moves_what_is_no_matrix_by_adamw():
    """Vectors and scalars move as under AdamW at the same rate."""
    (by_muon, _), (by_adamw, _) = (run(optimizers.parse(text), 1) for text in ("muon", "adamw(weight_decay=0.1)"))
    for name in ("vector", "scalar"):
        torch.testing.assert_close(by_muon[name], by_adamw[name], rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("norm", [0.01, 0.1, 1e6])
def test_clipping_by_the_norm_is_torchs(norm):
    """The gradients are those of clip_grad_norm_, over all tensors."""
    params = {name: tensor.requires_grad_() for name, tensor in start().items()}
    loss(params, 0).backward()
    torch.nn.utils.clip_grad_norm_(params.values(), norm)
    rule = optimizers.parse(f"clip(sgd, norm={norm!r})")
    moved, _ = rule.update(gradients(start(), 0), rule.init(start()), start(), 1.0)
    for name, tensor in params.items():
        torch.testing.assert_close(start()[name] - moved[name], tensor.grad, rtol=1e-9, atol=1e-12)


def test_clipping_by_value_and_by_the_size_of_weights():
    """Numbers are held between the bounds; a unit's gradient has at most its share of the norm of its weights."""
    grads, params = {"w": torch.tensor([[3.0, -4.0], [0.01, 0.0]])}, {"w": torch.tensor([[0.6, 0.8], [1.0, 0.0]])}
    by_value = optimizers.parse("clip(sgd, value=1)")
    moved, _ = by_value.update(grads, by_value.init(params), params, 1.0)
    torch.testing.assert_close(params["w"] - moved["w"], torch.tensor([[1.0, -1.0], [0.01, 0.0]]))
    adaptive = optimizers.parse("clip(sgd, adaptive=0.1)")
    moved, _ = adaptive.update(grads, adaptive.init(params), params, 1.0)
    torch.testing.assert_close(params["w"] - moved["w"], torch.tensor([[0.06, -0.08], [0.01, 0.0]]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("decay(adam, 0.1)", "adamw(weight_decay=0.1)"),
        ("decay(sgd(momentum=0.9), 0.1, decoupled=False)", "sgd(momentum=0.9, weight_decay=0.1)"),
        ("decay(lion, 0.1)", "lion(weight_decay=0.1)"),
    ],
)
def test_decay_is_what_rules_have_themselves(one, other):
    """Around a rule, decay of either kind is that of the rules that have it built in."""
    (first, _), (second, _) = (run(optimizers.parse(text), 20) for text in (one, other))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-10, atol=1e-12)


def test_gi_start_begins_from_the_first_gradient():
    """With v from g0^2, corrected all the same, the first step is sqrt(1 - beta2) of Adam's."""
    (plain, _), (slow, _) = (
        run(optimizers.parse(text), 1) for text in ("adam(eps=1e-30)", "adam(eps=1e-30, gi_start=True)")
    )
    for name, tensor in start().items():
        torch.testing.assert_close(
            slow[name] - tensor, math.sqrt(0.001) * (plain[name] - tensor), rtol=1e-7, atol=1e-11
        )


def test_average_of_dog_is_the_published_one():
    """The weights to evaluate are the polynomial-decay average with gamma = 8."""
    rule = optimizers.parse("dog(reps_rel=0.01)")
    params, state = start(), rule.init(start())
    average = start()
    for step in range(20):
        params, state = rule.update(gradients(params, step), state, params, 1.0)
        share = 9 / (step + 1 + 8)
        average = {name: (1 - share) * average[name] + share * params[name] for name in params}
    for name, tensor in rule.evaluation(params, state).items():
        torch.testing.assert_close(tensor, average[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("clip(adam)", "exactly one of norm, value and adaptive, got none"),
        ("clip(adam, norm=1, value=1)", "got norm, value"),
        ("clip(adam, norm=0)", "`norm` of `clip` must be a finite number above 0"),
        ("clip(torch:Adam, norm=1)", "written as name"),
        ("decay(adam, -1)", "`weight_decay` of `decay` must be"),
        ("mechanic(prodigy)", "`base` must be a rule that takes its rate"),
        ("mechanic(schedule_free_sgd)", "`base` must be a rule that takes its rate"),
        ("momo(lower_bound=inf)", "`lower_bound` must be a finite number"),
        ("schedule_free_sgd(momentum=0)", "`momentum` must be above 0"),
        ("schedule_free_adamw(warmup_steps=-1)", "`warmup_steps` must be a whole number"),
        ("dog(reps_rel=2)", "`reps_rel` must be at most 1"),
        ("adafactor(clip=0.5)", "`clip` of `adafactor` must be at least 1"),
        ("adafactor(beta2_decay=1)", "`beta2_decay` must be a finite number of at most 0"),
        ("muon(adjust=wide)", "`adjust` must be match_rms_adamw or original"),
        ("prodigy(d0=0)", "`d0` of `prodigy` must be a finite number above 0"),
        ("adadelta(beta2=1)", "`beta2` of `adadelta` must be at least 0 and below 1"),
        ("lion(beta1=-1)", "`beta1` of `lion` must be"),
        ("nadam(eps=0)", "`eps` of `nadam` must be"),
    ],
)
def test_numbers_out_of_range_are_refused(text, words):
    """They are refused with the argument, the rule and the number."""
    with pytest.raises(ValueError, match=words):
        optimizers.parse(text)


def test_rules_are_told_their_loss_and_batches():
    """The suite's problem gives a loss to a rule that needs one, and changes with the step."""
    assert set(extra(optimizers.parse("momo"), start(), 0)) == {"loss"}
    assert not torch.equal(examples(0, torch.float64), examples(1, torch.float64))


@pytest.mark.parametrize("beta2", [0.0, 1 / 3, 0.6])
def test_radam_whose_average_never_is_long_enough(beta2):
    """With a short memory, also at the poles of the formula, RAdam is momentum with a bias correction, as in torch."""
    weights = {name: tensor.requires_grad_() for name, tensor in start().items()}
    theirs = torch.optim.RAdam(weights.values(), lr=0.01, betas=(0.9, beta2))
    for step in range(10):
        theirs.zero_grad()
        loss(weights, step).backward()
        theirs.step()
    for name, tensor in run(optimizers.parse(f"radam(beta2={beta2!r})"), 10, 0.01)[0].items():
        torch.testing.assert_close(tensor, weights[name].detach(), rtol=1e-10, atol=1e-12)


def test_gi_start_is_the_first_square_in_double_precision():
    """After the first update v is the square of the gradient, to the last digits of the weights' precision."""
    rule, weight = optimizers.parse("adam(gi_start=True)"), torch.ones(1, dtype=torch.float64)
    _, state = rule.update(torch.full_like(weight, 3.0), rule.init(weight), weight, 0.1)
    assert float(state["square"]) == pytest.approx(9.0, rel=1e-15)


def test_decay_is_at_the_rate_that_a_rule_works_out():
    """Around a rule with a rate of its own decay is as that rule's own is: a share of that rate."""
    for own in ("prodigy(d0=1e-3, weight_decay=0.1)", "dadapt_adam(d0=1e-3, weight_decay=0.1)"):
        around = f"decay({own.replace(', weight_decay=0.1', '')}, 0.1)"
        (first, _), (second, _) = (run(optimizers.parse(text), 20, 1.0) for text in (own, around))
        for name in first:
            torch.testing.assert_close(first[name], second[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", sorted({*optimizers.names()} - {"clip", "decay"}))
def test_a_wrapper_that_does_nothing_changes_nothing(name):
    """Around every rule: a norm that no gradient has, and no decay."""
    alone, _ = run(optimizers.parse(name), 5)
    for text in (f"clip({name}, norm=1e9)", f"decay({name}, 0, decoupled=False)"):
        around, _ = run(optimizers.parse(text), 5)
        for key, tensor in alone.items():
            torch.testing.assert_close(around[key], tensor, rtol=1e-12, atol=1e-15)


def test_decay_around_an_average():
    """Decoupled decay is refused around a rule that evaluates an average; within the gradient it is the rule's own."""
    with pytest.raises(ValueError, match="`decoupled` must be False around a rule that evaluates other weights"):
        optimizers.parse("decay(schedule_free_sgd, 0.1)")
    texts = "decay(schedule_free_sgd, 0.1, decoupled=False)", "schedule_free_sgd(weight_decay=0.1)"
    (first, _), (second, _) = (run(optimizers.parse(text), 20) for text in texts)
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-12, atol=1e-14)


def test_a_group_at_rate_zero_does_not_decay_around_momo():
    """Under a rule whose rate is capped by the group's, a group at rate 0 stays as it is, decay included."""
    rule = optimizers.parse("decay(momo, 0.1)")
    weights = {"a": torch.ones(3), "b": torch.ones(3)}
    grads = {name: torch.ones(3) for name in weights}
    moved, _ = rule.update(grads, rule.init(weights), weights, {"a": 0.1, "b": 0.0}, loss=torch.tensor(1.0))
    assert torch.equal(moved["b"], weights["b"])
    assert not torch.equal(moved["a"], weights["a"])
