"""The schedules of other libraries, in our text form: one table for the tests and for the page in the docs.

Each row has what they call it, the text form that gives the same factors, and a function that gives their rates, with a
peak of 1, for updates 0, 1, 2 ... of a run of `total` updates.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.optim import lr_scheduler

TOTAL = 120
DOUBLE, SINGLE = 1e-12, 1e-6
"""How near ours are: to peers that compute in float64, and to those that compute in float32."""


@dataclass(frozen=True)
class Row:
    """One schedule of one library."""

    library: str
    theirs: str
    ours: str
    rates: Callable[[], list[float]]
    within: float = DOUBLE
    total: int = TOTAL

    @property
    def name(self) -> str:
        """Its name in the library."""
        return self.theirs.partition("(")[0]


def of_torch(make: Callable[[torch.optim.Optimizer], object], count: int = TOTAL, lr: float = 1.0) -> list[float]:
    """The rates of a torch scheduler before each update."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.9)
    scheduler = make(optimizer)
    rates = []
    for k in range(count):
        rates.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        if k < count - 1:
            scheduler.step()
    return rates


def after_step(make: Callable[[torch.optim.Optimizer], object], count: int = TOTAL) -> list[float]:
    """The rates of a scheduler that is stepped before each update, as pytorch_optimizer's own are."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    return [float(scheduler.step()) for _ in range(count)]


def of_transformers(name: str, warmup: int | None = 20, lr: float = 1.0, **options: object) -> list[float]:
    """The rates of transformers' `get_scheduler`."""
    from transformers import get_scheduler

    return of_torch(lambda o: get_scheduler(name, o, warmup, TOTAL, options or None), lr=lr)


def of_optax(name: str, *arguments: object, **options: object) -> list[float]:
    """The rates of a schedule function of optax."""
    import optax

    return _at_once(getattr(optax.schedules, name)(*arguments, **options))


def of_keras(name: str, **options: object) -> list[float]:
    """The rates of a `LearningRateSchedule` of Keras."""
    import keras

    found = getattr(keras.optimizers.schedules, name)(**options)
    return [float(found(k)) for k in range(TOTAL)]


def quietly(function: Callable[[], list[float]]) -> list[float]:
    """Without torch's word that `SequentialLR` steps its own parts in a deprecated way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return function()


def _sequential(optimizer: torch.optim.Optimizer) -> object:
    parts = [lr_scheduler.LinearLR(optimizer, 0.2, 1.0, 20), lr_scheduler.CosineAnnealingLR(optimizer, TOTAL - 20)]
    return lr_scheduler.SequentialLR(optimizer, parts, [20])


TORCH = [
    Row("torch", "LambdaLR(lr_lambda=f)", "function('tests.schedules.peers:halving')",
        lambda: of_torch(lambda o: lr_scheduler.LambdaLR(o, lambda k: halving(k, TOTAL)))),
    Row("torch", "MultiplicativeLR(lr_lambda=lambda k: 0.97)", "exponential(decay=0.97, every=1)",
        lambda: of_torch(lambda o: lr_scheduler.MultiplicativeLR(o, lambda k: 0.97))),
    Row("torch", "StepLR(step_size=30, gamma=0.1)", "step(every=30)",
        lambda: of_torch(lambda o: lr_scheduler.StepLR(o, 30, 0.1))),
    Row("torch", "MultiStepLR(milestones=[30, 80], gamma=0.5)", "multistep(at=[30, 80], decay=0.5)",
        lambda: of_torch(lambda o: lr_scheduler.MultiStepLR(o, [30, 80], 0.5))),
    Row("torch", "ConstantLR(factor=0.25, total_iters=5)", "constant(5, value=0.25) >> constant",
        lambda: of_torch(lambda o: lr_scheduler.ConstantLR(o, 0.25, 5))),
    Row("torch", "LinearLR(start_factor=1, end_factor=0.2, total_iters=50)", "linear(50, final=0.2)",
        lambda: of_torch(lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, 50))),
    Row("torch", "LinearLR(start_factor=0.25, total_iters=20)", "warmup(20, start=0.25, counts=from_zero)",
        lambda: of_torch(lambda o: lr_scheduler.LinearLR(o, 0.25, 1.0, 20))),
    Row("torch", "ExponentialLR(gamma=0.97)", "exponential(decay=0.97, every=1)",
        lambda: of_torch(lambda o: lr_scheduler.ExponentialLR(o, 0.97))),
    Row("torch", "PolynomialLR(total_iters=100, power=1.5)", "polynomial(100, power=1.5)",
        lambda: of_torch(lambda o: lr_scheduler.PolynomialLR(o, 100, 1.5))),
    Row("torch", "SequentialLR([LinearLR(0.2, 1, 20), CosineAnnealingLR(100)], [20])",
        "warmup(20, start=0.2, counts=from_zero) >> cosine", lambda: quietly(lambda: of_torch(_sequential))),
    Row("torch", "CosineAnnealingLR(T_max=100, eta_min=0.1 * lr)", "cosine(100, final=0.1)",
        lambda: of_torch(lambda o: lr_scheduler.CosineAnnealingLR(o, 100, 0.1), 101), total=101),
    Row("torch", "ChainedScheduler([ExponentialLR(0.97), StepLR(30)])",
        "exponential(decay=0.97, every=1) * step(every=30)",
        lambda: of_torch(lambda o: lr_scheduler.ChainedScheduler(
            [lr_scheduler.ExponentialLR(o, 0.97), lr_scheduler.StepLR(o, 30)]))),
    Row("torch", "CyclicLR(base_lr=0.1 * lr, max_lr=lr, step_size_up=10)", "triangular(cycle=20)",
        lambda: of_torch(lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, 10))),
    Row("torch", "CyclicLR(base_lr=0.1 * lr, max_lr=lr, step_size_up=10, mode='triangular2')", "triangular2(cycle=20)",
        lambda: of_torch(lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, 10, mode="triangular2"))),
    Row("torch", "CyclicLR(base_lr=0.1 * lr, max_lr=lr, step_size_up=10, mode='exp_range', gamma=0.99)",
        "exp_range(cycle=20, decay=0.99, every=1)",
        lambda: of_torch(lambda o: lr_scheduler.CyclicLR(o, 0.1, 1.0, 10, mode="exp_range", gamma=0.99))),
    Row("torch", "OneCycleLR(max_lr=lr, total_steps=n)", "one_cycle(ends=last, momentum=[0.85, 0.95])",
        lambda: of_torch(lambda o: lr_scheduler.OneCycleLR(o, 1.0, TOTAL))),
    Row("torch", "OneCycleLR(max_lr=lr, total_steps=n, anneal_strategy='linear', three_phase=True)",
        "one_cycle(shape=linear, phases=3, ends=last)",
        lambda: of_torch(
            lambda o: lr_scheduler.OneCycleLR(o, 1.0, TOTAL, anneal_strategy="linear", three_phase=True))),
    Row("torch", "CosineAnnealingWarmRestarts(T_0=30)", "cosine_restarts(cycle=30)",
        lambda: of_torch(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 30))),
    Row("torch", "CosineAnnealingWarmRestarts(T_0=17, T_mult=2, eta_min=0.1 * lr)",
        "cosine_restarts(cycle=17, growth=2, final=0.1)",
        lambda: of_torch(lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 17, 2, 0.1))),
]  # fmt: skip

TRANSFORMERS = [
    Row("transformers", "constant", "constant", lambda: of_transformers("constant", None)),
    Row("transformers", "constant_with_warmup(num_warmup_steps=20)", "warmup(20, counts=from_zero)",
        lambda: of_transformers("constant_with_warmup")),
    Row("transformers", "linear(num_warmup_steps=20)", "warmup(20, counts=from_zero) >> linear",
        lambda: of_transformers("linear")),
    Row("transformers", "cosine(num_warmup_steps=20)", "warmup(20, counts=from_zero) >> cosine",
        lambda: of_transformers("cosine")),
    Row("transformers", "cosine_with_restarts(num_warmup_steps=20, num_cycles=4)",
        "warmup(20, counts=from_zero) >> cosine_restarts(cycle=0.25)",
        lambda: of_transformers("cosine_with_restarts", num_cycles=4)),
    Row("transformers", "polynomial(num_warmup_steps=20, power=2, lr_end=0.1)",
        "warmup(20, counts=from_zero) >> polynomial(final=0.1)",
        lambda: of_transformers("polynomial", power=2.0, lr_end=0.1, lr=1.0)),
    Row("transformers", "inverse_sqrt(num_warmup_steps=20)",
        "warmup(20, counts=from_zero) >> inverse_sqrt(timescale=20)",
        lambda: of_transformers("inverse_sqrt")),
    Row("transformers", "cosine_with_min_lr(num_warmup_steps=20, min_lr_rate=0.1)",
        "warmup(20, counts=from_zero) >> cosine(final=0.1)",
        lambda: of_transformers("cosine_with_min_lr", min_lr_rate=0.1)),
    Row("transformers", "cosine_warmup_with_min_lr(num_warmup_steps=20, min_lr_rate=0.1)",
        "warmup(19, counts=between) >> cosine(final=0.1, ends=last)",
        lambda: of_transformers("cosine_warmup_with_min_lr", min_lr_rate=0.1)),
    Row("transformers", "cosine_warmup_with_min_lr(num_warmup_steps=20, min_lr_rate=0.1, warmup_lr_rate=0.2)",
        "warmup(19, start=0.2, counts=from_zero) >> cosine(final=0.1, ends=last)",
        lambda: of_transformers("cosine_warmup_with_min_lr", min_lr_rate=0.1, warmup_lr_rate=0.2)),
    *(
        Row("transformers",
            "warmup_stable_decay(num_warmup_steps=20, num_decay_steps=40, min_lr_ratio=0.1, "
            f"warmup_type='{up}', decay_type='{down}')",
            f"warmup(20{shape(up)}, start=0.1, counts=from_zero) >> constant >> cooldown(40{shape(down)}, final=0.1)",
            lambda up=up, down=down: of_transformers(
                "warmup_stable_decay", num_decay_steps=40, min_lr_ratio=0.1, warmup_type=up, decay_type=down))
        for shape in [lambda kind: "" if kind == "linear" else f", shape={kind.removeprefix('1-')}"]
        for up, down in (("linear", "linear"), ("cosine", "cosine"), ("1-sqrt", "1-sqrt"))
    ),
]  # fmt: skip

OPTAX = [
    Row("optax", "constant_schedule(1)", "constant", lambda: of_optax("constant_schedule", 1.0), SINGLE),
    Row("optax", "linear_schedule(1, 0.2, 100)", "linear(100, final=0.2)",
        lambda: of_optax("linear_schedule", 1.0, 0.2, 100), SINGLE),
    Row("optax", "polynomial_schedule(1, 0.1, power=3, transition_steps=100)", "polynomial(100, power=3, final=0.1)",
        lambda: of_optax("polynomial_schedule", 1.0, 0.1, power=3, transition_steps=100), SINGLE),
    Row("optax", "piecewise_constant_schedule(1, {30: 0.5, 80: 0.2})",
        "piecewise(at=[30, 80], values=[1, 0.5, 0.1])",
        lambda: of_optax("piecewise_constant_schedule", 1.0, {30: 0.5, 80: 0.2}), SINGLE),
    Row("optax", "piecewise_interpolate_schedule('linear', 0.2, {30: 5, 80: 0.5})",
        "piecewise(at=[30, 80], values=[0.2, 1, 0.5], shape=linear)",
        lambda: of_optax("piecewise_interpolate_schedule", "linear", 0.2, {30: 5.0, 80: 0.5}), SINGLE),
    Row("optax", "piecewise_interpolate_schedule('cosine', 0.2, {30: 5, 80: 0.5})",
        "piecewise(at=[30, 80], values=[0.2, 1, 0.5], shape=cosine)",
        lambda: of_optax("piecewise_interpolate_schedule", "cosine", 0.2, {30: 5.0, 80: 0.5}), SINGLE),
    Row("optax", "exponential_decay(1, transition_steps=10, decay_rate=0.8)", "exponential(decay=0.8, every=10)",
        lambda: of_optax("exponential_decay", 1.0, 10, 0.8), SINGLE),
    Row("optax", "exponential_decay(1, transition_steps=10, decay_rate=0.8, staircase=True)",
        "step(decay=0.8, every=10)",
        lambda: of_optax("exponential_decay", 1.0, 10, 0.8, staircase=True), SINGLE),
    Row("optax", "cosine_decay_schedule(1, 100, alpha=0.1)", "cosine(100, final=0.1)",
        lambda: of_optax("cosine_decay_schedule", 1.0, 100, 0.1), SINGLE),
    Row("optax", "linear_onecycle_schedule(n, 1)",
        "piecewise(at=[0.3, 0.85, 1.0], values=[0.04, 1, 0.04, 4e-06], shape=linear)",
        lambda: of_optax("linear_onecycle_schedule", TOTAL, 1.0), SINGLE),
    Row("optax", "cosine_onecycle_schedule(n, 1)", "one_cycle",
        lambda: of_optax("cosine_onecycle_schedule", TOTAL, 1.0), SINGLE),
    Row("optax", "warmup_constant_schedule(0.1, 1, 20)", "warmup(20, start=0.1, counts=from_zero)",
        lambda: of_optax("warmup_constant_schedule", 0.1, 1.0, 20), SINGLE),
    Row("optax", "warmup_cosine_decay_schedule(0.1, 1, 20, n, end_value=0.05)",
        "warmup(20, start=0.1, counts=from_zero) >> cosine(final=0.05)",
        lambda: of_optax("warmup_cosine_decay_schedule", 0.1, 1.0, 20, TOTAL, 0.05), SINGLE),
    Row("optax", "warmup_exponential_decay_schedule(0.1, 1, 20, transition_steps=10, decay_rate=0.8)",
        "warmup(20, start=0.1, counts=from_zero) >> exponential(decay=0.8, every=10)",
        lambda: of_optax("warmup_exponential_decay_schedule", 0.1, 1.0, 20, 10, 0.8), SINGLE),
    Row("optax", "sgdr_schedule([{init_value=0.1, peak_value=1, warmup_steps=10, decay_steps=60}] * 2)",
        "warmup(10, start=0.1, counts=from_zero) >> cosine(50) >> "
        "warmup(10, start=0.1, counts=from_zero) >> cosine(50)",
        lambda: of_optax(
            "sgdr_schedule", [{"init_value": 0.1, "peak_value": 1.0, "warmup_steps": 10, "decay_steps": 60}] * 2),
        SINGLE),
    Row("optax", "join_schedules([constant_schedule(0.5), linear_schedule(1, 0, 90)], [30])",
        "constant(30, value=0.5) >> linear", lambda: _joined(), SINGLE),  # noqa: PLW0108  # defined below
]  # fmt: skip

KERAS = [
    Row("keras", "CosineDecay(1, 100, alpha=0.1)", "cosine(100, final=0.1)",
        lambda: of_keras("CosineDecay", initial_learning_rate=1.0, decay_steps=100, alpha=0.1), SINGLE),
    Row("keras", "CosineDecay(0.1, 100, warmup_target=1, warmup_steps=20)",
        "warmup(20, start=0.1, counts=from_zero) >> cosine(100)",
        lambda: of_keras(
            "CosineDecay", initial_learning_rate=0.1, decay_steps=100, warmup_target=1.0, warmup_steps=20), SINGLE),
    Row("keras", "CosineDecayRestarts(1, 17, t_mul=2, m_mul=0.5, alpha=0.1)",
        "cosine_restarts(cycle=17, growth=2, decay=0.5, final=0.1)",
        lambda: of_keras(
            "CosineDecayRestarts", initial_learning_rate=1.0, first_decay_steps=17, t_mul=2.0, m_mul=0.5, alpha=0.1),
        SINGLE),
    Row("keras", "ExponentialDecay(1, 10, 0.8)", "exponential(decay=0.8, every=10)",
        lambda: of_keras("ExponentialDecay", initial_learning_rate=1.0, decay_steps=10, decay_rate=0.8), SINGLE),
    Row("keras", "ExponentialDecay(1, 10, 0.8, staircase=True)", "step(decay=0.8, every=10)",
        lambda: of_keras(
            "ExponentialDecay", initial_learning_rate=1.0, decay_steps=10, decay_rate=0.8, staircase=True), SINGLE),
    Row("keras", "InverseTimeDecay(1, 10, 0.5)", "inverse_time(decay=0.5, every=10)",
        lambda: of_keras("InverseTimeDecay", initial_learning_rate=1.0, decay_steps=10, decay_rate=0.5), SINGLE),
    Row("keras", "PiecewiseConstantDecay([29, 79], [1, 0.5, 0.1])", "piecewise(at=[30, 80], values=[1, 0.5, 0.1])",
        lambda: of_keras("PiecewiseConstantDecay", boundaries=[29, 79], values=[1.0, 0.5, 0.1]), SINGLE),
    Row("keras", "PolynomialDecay(1, 100, 0.1, power=2)", "polynomial(100, final=0.1)",
        lambda: of_keras(
            "PolynomialDecay", initial_learning_rate=1.0, decay_steps=100, end_learning_rate=0.1, power=2.0), SINGLE),
]  # fmt: skip

PYTORCH_OPTIMIZER = [
    Row("pytorch_optimizer", "linear(t_max=n, max_lr=1, min_lr=0.1, init_lr=0.2, warmup_steps=20)",
        "warmup(20, start=0.2, counts=from_zero) >> linear(final=0.1)",
        lambda: after_step(_of_po("linear", t_max=TOTAL, max_lr=1.0, min_lr=0.1, init_lr=0.2, warmup_steps=20))),
    Row("pytorch_optimizer", "cosine(t_max=n, max_lr=1, min_lr=0.1, init_lr=0.2, warmup_steps=20)",
        "warmup(20, start=0.2, counts=from_zero) >> cosine(final=0.1)",
        lambda: after_step(_of_po("cosine", t_max=TOTAL, max_lr=1.0, min_lr=0.1, init_lr=0.2, warmup_steps=20))),
    Row("pytorch_optimizer",
        "cosine_annealing_with_warmup(first_cycle_steps=60, max_lr=1, min_lr=0.1, warmup_steps=10, gamma=1)",
        "warmup(10, start=0.1, counts=from_zero) >> cosine(50, final=0.1) >> "
        "warmup(10, start=0.1, counts=from_zero) >> cosine(50, final=0.1)",
        lambda: of_torch(_of_po(
            "cosine_annealing_with_warmup", first_cycle_steps=60, max_lr=1.0, min_lr=0.1, warmup_steps=10, gamma=1.0))),
    Row("pytorch_optimizer", "rex(total_steps=n, max_lr=1, min_lr=0.1)", "rex(final=0.1)",
        lambda: [1.0, *after_step(_of_po("rex", total_steps=TOTAL, max_lr=1.0, min_lr=0.1))[:-1]]),
    *(
        Row("pytorch_optimizer",
            "warmup_stable_decay(num_warmup_steps=20, num_stable_steps=60, num_decay_steps=40, min_lr_ratio=0, "
            f"cooldown_type='{down}')",
            f"warmup(20, counts=from_zero) >> constant >> cooldown(40{text})",
            lambda down=down: of_torch(_of_po(
                "warmup_stable_decay", num_warmup_steps=20, num_stable_steps=60, num_decay_steps=40, min_lr_ratio=0.0,
                cooldown_type=down)))
        for down, text in (("linear", ""), ("cosine", ", shape=cosine"), ("1-sqrt", ", shape=sqrt"),
                           ("1-square", ", shape=square"))
    ),
]  # fmt: skip

TIMM = [
    Row("timm", "CosineLRScheduler(t_initial=n, lr_min=0.1, k_decay=1.5)", "cosine(final=0.1, power=1.5)",
        lambda: [0.1 + 0.45 * (1 + math.cos(math.pi * k**1.5 / TOTAL**1.5)) for k in range(TOTAL)]),
    Row("timm", "CosineLRScheduler(t_initial=17, cycle_mul=2, cycle_decay=0.5, cycle_limit=9)",
        "cosine_restarts(cycle=17, growth=2, decay=0.5)", lambda: [_timm_cosine(k) for k in range(TOTAL)]),
    Row("timm", "TanhLRScheduler(t_initial=n, lb=-7, ub=3, lr_min=0.1)", "tanh(final=0.1)",
        lambda: [0.1 + 0.45 * (1 - math.tanh(-7 * (1 - k / TOTAL) + 3 * k / TOTAL)) for k in range(TOTAL)]),
    Row("timm", "PolyLRScheduler(t_initial=n, power=0.5, lr_min=0.1)", "polynomial(power=0.5, final=0.1)",
        lambda: [0.1 + 0.9 * (1 - k / TOTAL) ** 0.5 for k in range(TOTAL)]),
    Row("timm", "StepLRScheduler(decay_t=30, decay_rate=0.5)", "step(decay=0.5, every=30)",
        lambda: [0.5 ** (k // 30) for k in range(TOTAL)]),
    Row("timm", "MultiStepLRScheduler(decay_t=[30, 80], decay_rate=0.5)", "multistep(at=[30, 80], decay=0.5)",
        lambda: [0.5 ** ((k >= 30) + (k >= 80)) for k in range(TOTAL)]),
]  # fmt: skip

ROWS = [*TORCH, *TRANSFORMERS, *OPTAX, *KERAS, *PYTORCH_OPTIMIZER, *TIMM]

ELSEWHERE = {
    "torch": {"ReduceLROnPlateau"},
    "optax": {"reduce_on_plateau"},
    "transformers": {"reduce_lr_on_plateau", "greedy"},
    "keras": {"ReduceLROnPlateau", "LearningRateScheduler"},
    # torch's own classes under other names; see the rows of torch.
    "pytorch_optimizer": {
        "constant", "step", "multi_step", "multiplicative", "cyclic", "one_cycle", "cosine_annealing",
        "cosine_annealing_with_warm_restart",
        "chebyshev",  # two steps late and not of peak 1; a test of its own
        "poly",  # climbs with a power of the step, above any peak; no schedule of ours does
        "proportion",  # maps one rate to another value: nothing of a step
    },
    "timm": {"PlateauLRScheduler"},
}  # fmt: skip
"""Names without a row, which tests of their own or nothing can match."""


def halving(step: float, length: int) -> float:
    """A user's function of the step."""
    return 0.5 ** (step // 25)


def _joined() -> list[float]:
    import optax

    parts = [optax.constant_schedule(0.5), optax.linear_schedule(1.0, 0.0, TOTAL - 30)]
    return _at_once(optax.join_schedules(parts, [30]))


def _at_once(found: Callable[..., object]) -> list[float]:
    import jax
    import jax.numpy as jnp

    rates: list[float] = jax.vmap(lambda k: jnp.asarray(found(k), dtype=jnp.float32))(jnp.arange(TOTAL)).tolist()
    return rates


def _of_po(name: str, **options: object) -> Callable[[torch.optim.Optimizer], object]:
    from pytorch_optimizer import load_lr_scheduler

    return lambda optimizer: load_lr_scheduler(name)(optimizer, **options)


def _timm_cosine(k: int) -> float:
    """The formula of timm for cycles that double and halve their peak."""
    cycle = math.floor(math.log2(1 + k / 17))
    begin = 17 * (2**cycle - 1)
    return 0.5 * 0.5**cycle * (1 + math.cos(math.pi * (k - begin) / (17 * 2**cycle)))
