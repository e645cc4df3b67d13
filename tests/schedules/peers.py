"""The schedules of other libraries in our text form: the rows of the tests and of docs/schedules-of-other-libraries.md.

What a row says of theirs is an expression that runs as it stands, with the names of that library and `optimizer`, whose
rate is 1. Every run has 200 updates, so that the numbers of a row can be compared with each other.
"""

from dataclasses import dataclass

import numpy as np
import torch

from pacesetter import schedules

STEPS = 200


@dataclass(frozen=True)
class Row:
    """One schedule of another library, and ours.

    note: what to know about it, for the page.
    skip: updates at the start for which theirs differs, for the reason in `note`.
    late: updates by which theirs comes later than ours.
    scale: what theirs has at its peak.
    """

    theirs: str
    ours: str
    note: str = ""
    skip: int = 0
    late: int = 0
    scale: float = 1.0

    @property
    def line(self) -> str:
        """How the row is written in the page."""
        return f"| `{self.theirs}` | `{self.ours}` | {self.note} |".replace("|  |", "| |")


TORCH = (
    Row("LambdaLR(optimizer, wave)", 'function("my_module:wave")', "`wave(k)` there, `wave(k, n)` here"),
    Row(
        "MultiplicativeLR(optimizer, lambda k: 0.98)",
        "exponential(decay=0.98, every=1)",
        "a ratio that changes: `function`, whose value is the product so far",
    ),
    Row("StepLR(optimizer, 30, gamma=0.5)", "step(decay=0.5, every=30)"),
    Row("MultiStepLR(optimizer, [60, 150], gamma=0.1)", "multistep(at=[60, 150])"),
    Row(
        "MultiStepLR(optimizer, [60, 150, 150], gamma=0.1)",
        "multistep(at=[60, 150]) * multistep(at=[150])",
        "a milestone named twice counts twice",
    ),
    Row("ConstantLR(optimizer, factor=0.25, total_iters=5)", "constant(5, value=0.25) >> constant"),
    Row("LinearLR(optimizer, 0.25, 1, total_iters=20)", "warmup(20, start=0.25, counts=from_zero)", "on the way up"),
    Row("LinearLR(optimizer, 1, 0.1, total_iters=150)", "linear(150, final=0.1)", "on the way down"),
    Row("LinearLR(optimizer, 0.05, 1, total_iters=19)", "warmup(20)", "our default has start = 1/W and W - 1 steps"),
    Row("LinearLR(optimizer, 0.5, 0.2, total_iters=150)", "piecewise(at=[150], values=[0.5, 0.2], shape=linear)"),
    Row("ExponentialLR(optimizer, 0.98)", "exponential(decay=0.98, every=1)"),
    Row(
        "SequentialLR(optimizer, [LinearLR(optimizer, 0.1, 1, 20), CosineAnnealingLR(optimizer, 180)], [20])",
        "warmup(20, start=0.1, counts=from_zero) >> cosine",
    ),
    Row(
        "SequentialLR(optimizer, [ConstantLR(optimizer, 0.5, 40), ExponentialLR(optimizer, 0.9)], [40])",
        "constant(40, value=0.5) >> exponential(decay=0.9, every=1)",
        "each piece begins at its own peak; ours may also be a `plateau`, which torch refuses",
    ),
    Row("CosineAnnealingLR(optimizer, 200, eta_min=0.1)", "cosine(final=0.1)"),
    Row("CosineAnnealingLR(optimizer, 150)", "cosine(150)", "up to step 150; then theirs climbs, ours stays"),
    Row(
        "ChainedScheduler([LinearLR(optimizer, 0.1, 1, 20), ExponentialLR(optimizer, 0.98)])",
        "warmup(20, start=0.1, counts=from_zero) * exponential(decay=0.98, every=1)",
    ),
    Row(
        "CyclicLR(optimizer, 0.1, 1, step_size_up=10, cycle_momentum=False)",
        "triangular(cycle=20)",
        "the momentum that it cycles by default is left alone here",
    ),
    Row(
        "CyclicLR(optimizer, 0.2, 1, step_size_up=5, step_size_down=20, cycle_momentum=False)",
        "triangular(cycle=25, low=0.2, rise=5)",
    ),
    Row(
        'CyclicLR(optimizer, 0.1, 1, step_size_up=10, mode="triangular2", cycle_momentum=False)',
        "triangular2(cycle=20)",
    ),
    Row(
        'CyclicLR(optimizer, 0.1, 1, step_size_up=10, mode="exp_range", gamma=0.99, cycle_momentum=False)',
        "exp_range(cycle=20, decay=0.99, every=1)",
    ),
    Row(
        "CosineAnnealingWarmRestarts(optimizer, 25, T_mult=1, eta_min=0.1)",
        "cosine_restarts(cycle=25, final=0.1)",
        "ends at `final`; theirs begins another wave at step 200",
    ),
    Row("CosineAnnealingWarmRestarts(optimizer, 20, T_mult=2)", "cosine_restarts(cycle=20, growth=2)"),
    Row(
        "OneCycleLR(optimizer, 1, total_steps=200)",
        "one_cycle(momentum=[0.85, 0.95], ends=last)",
        "theirs cycles the momentum by default, ours where it is named",
    ),
    Row(
        'OneCycleLR(optimizer, 1, total_steps=200, pct_start=0.25, anneal_strategy="linear")',
        "one_cycle(rise=0.25, shape=linear, momentum=[0.85, 0.95], ends=last)",
    ),
    Row(
        "OneCycleLR(optimizer, 1, total_steps=200, div_factor=10, final_div_factor=100, three_phase=True)",
        "one_cycle(start=0.1, final=0.001, phases=3, momentum=[0.85, 0.95], ends=last)",
    ),
    Row("PolynomialLR(optimizer, total_iters=150, power=2)", "polynomial(150)"),
    Row("PolynomialLR(optimizer, total_iters=200, power=0.5)", "polynomial(power=0.5)"),
    Row('SWALR(optimizer, swa_lr=0.05, anneal_epochs=50, anneal_strategy="linear")', "linear(50, final=0.05)"),
    Row('SWALR(optimizer, swa_lr=0.05, anneal_epochs=50, anneal_strategy="cos")', "cosine(50, final=0.05)"),
)

TORCH_CONTROLLERS = (
    Row(
        "ReduceLROnPlateau(optimizer, factor=0.5, patience=3, eps=0)",
        "plateau(factor=0.5, patience=3)",
        "ours has no `eps`: reductions below 1e-8 count",
    ),
    Row(
        'ReduceLROnPlateau(optimizer, "max", 0.1, 2, 0.1, threshold_mode="abs", cooldown=4, min_lr=0.01, eps=0)',
        "plateau(patience=2, threshold=0.1, threshold_mode=abs, mode=max, cooldown=4, min_factor=0.01)",
    ),
)

OPTAX = (
    Row("constant_schedule(1.0)", "constant"),
    Row("linear_schedule(1.0, 0.1, 150)", "linear(150, final=0.1)"),
    Row("linear_schedule(0.0, 1.0, 20)", "warmup(20, counts=from_zero)"),
    Row("linear_schedule(1.0, 0.1, 150, transition_begin=30)", "constant(30) >> linear(150, final=0.1)"),
    Row(
        "polynomial_schedule(1.0, 0.1, 2, 150, transition_begin=30)",
        "constant(30) >> polynomial(150, final=0.1)",
        "on the way up, with another power than 1: `function`",
    ),
    Row("piecewise_constant_schedule(1.0, {60: 0.5, 150: 0.2})", "piecewise(at=[60, 150], values=[1, 0.5, 0.1])"),
    Row(
        "piecewise_constant_schedule(0.1, {60: 10.0, 150: 0.2})",
        "piecewise(at=[60, 150], values=[0.1, 1, 0.2])",
        "theirs are ratios to the value before, ours are values",
    ),
    Row(
        'piecewise_interpolate_schedule("linear", 0.2, {60: 5.0, 150: 0.4})',
        "piecewise(at=[60, 150], values=[0.2, 1, 0.4], shape=linear)",
    ),
    Row(
        'piecewise_interpolate_schedule("cosine", 0.2, {60: 5.0, 150: 0.4})',
        "piecewise(at=[60, 150], values=[0.2, 1, 0.4], shape=cosine)",
    ),
    Row("exponential_decay(1.0, 20, 0.5)", "exponential(decay=0.5, every=20)"),
    Row("exponential_decay(1.0, 20, 0.5, staircase=True)", "step(decay=0.5, every=20)"),
    Row(
        "exponential_decay(1.0, 20, 0.5, transition_begin=30, end_value=0.01)",
        "constant(30) >> exponential(133, decay=0.5, every=20) >> constant(value=0.01)",
        "a floor is the first step that would lie below it: here 20 * log2(100) = 132.9",
    ),
    Row("cosine_decay_schedule(1.0, 150, alpha=0.1)", "cosine(150, final=0.1)"),
    Row("cosine_decay_schedule(1.0, 200, exponent=2)", "cosine * cosine", "other exponents: `function`"),
    Row("warmup_constant_schedule(0.1, 1.0, 20)", "warmup(20, start=0.1, counts=from_zero)"),
    Row(
        "warmup_cosine_decay_schedule(0.0, 1.0, 20, 200, 0.1)",
        "warmup(20, counts=from_zero) >> cosine(final=0.1)",
        "`decay_steps` counts the warm-up",
    ),
    Row(
        "warmup_exponential_decay_schedule(0.0, 1.0, 20, 30, 0.5, transition_begin=10)",
        "warmup(20, counts=from_zero) >> constant(10) >> exponential(decay=0.5, every=30)",
    ),
    Row(
        "cosine_onecycle_schedule(200, 1.0)",
        "one_cycle",
    ),
    Row("cosine_onecycle_schedule(150, 1.0, 0.25, 10, 100)", "one_cycle(150, rise=37, start=0.1, final=0.001)"),
    Row(
        "linear_onecycle_schedule(200, 1.0)",
        "piecewise(at=[60, 170, 200], values=[0.04, 1, 0.04, 4e-06], shape=linear)",
        "the way down to the start ends at `pct_final`",
    ),
    Row(
        "linear_onecycle_schedule(200, 1.0, 0.3, 0.6)",
        "one_cycle(shape=linear, phases=3)",
        "with `pct_final` twice `pct_start`",
    ),
    Row(
        "sgdr_schedule([dict(init_value=0.0, peak_value=1.0, warmup_steps=10, decay_steps=50), "
        "dict(init_value=0.0, peak_value=0.5, warmup_steps=10, decay_steps=150)])",
        "warmup(10, counts=from_zero) >> cosine(40)"
        " >> warmup(10, counts=from_zero) * constant(10, value=0.5) >> cosine(140) * constant(140, value=0.5)",
        "without warm-ups: `cosine_restarts`",
    ),
    Row(
        "join_schedules([linear_schedule(0.0, 1.0, 20), constant_schedule(0.8), "
        "linear_schedule(0.8, 0.0, 80)], [20, 120])",
        "warmup(20, counts=from_zero) >> constant(100, value=0.8) >> cooldown",
        "what goes on from the value before it is a `cooldown`",
    ),
)

OPTAX_CONTROLLERS = (
    Row(
        "reduce_on_plateau(0.5, patience=4)",
        "plateau(factor=0.5, patience=3)",
        "theirs reduces when `patience` evaluations were no better, ours at the one after",
    ),
    Row(
        "reduce_on_plateau(0.1, patience=3, rtol=0.0, atol=0.1, cooldown=4, min_scale=0.01)",
        "plateau(patience=2, threshold=0.1, threshold_mode=abs, cooldown=4, min_factor=0.01)",
        "`rtol` and `atol` at once: not here; `accumulation_size`: give `update` the mean",
    ),
)

TRANSFORMERS = (
    Row('get_scheduler("constant", optimizer)', "constant"),
    Row('get_scheduler("constant_with_warmup", optimizer, 20)', "warmup(20, counts=from_zero)"),
    Row('get_scheduler("linear", optimizer, 20, 200)', "warmup(20, counts=from_zero) >> linear"),
    Row('get_scheduler("cosine", optimizer, 20, 200)', "warmup(20, counts=from_zero) >> cosine"),
    Row(
        'get_scheduler("cosine", optimizer, 20, 200, dict(num_cycles=1))',
        "warmup(20, counts=from_zero) >> piecewise(at=[90, 180], values=[1, 0, 1], shape=cosine)",
        "`num_cycles` is in whole waves: 1 climbs back to the peak",
    ),
    Row(
        'get_scheduler("cosine_with_restarts", optimizer, 20, 200, dict(num_cycles=3))',
        "warmup(20, counts=from_zero) >> cosine_restarts(cycle=60)",
        "where `num_cycles` does not divide the steps, theirs restarts between two of them, ours at one",
    ),
    Row(
        'get_scheduler("polynomial", optimizer, 20, 200, dict(power=2, lr_end=0.01))',
        "warmup(20, counts=from_zero) >> polynomial(final=0.01)",
        "`lr_end` is a rate, `final` a share of the peak",
    ),
    Row(
        'get_scheduler("inverse_sqrt", optimizer, 20)',
        "warmup(20, counts=from_zero) >> inverse_sqrt(timescale=20)",
    ),
    Row(
        'get_scheduler("inverse_sqrt", optimizer, 20, scheduler_specific_kwargs=dict(timescale=50))',
        "warmup(20, counts=from_zero) >> inverse_sqrt(timescale=50)",
    ),
    Row(
        'get_scheduler("cosine_with_min_lr", optimizer, 20, 200, dict(min_lr=0.1))',
        "warmup(20, counts=from_zero) >> cosine(final=0.1)",
    ),
    Row(
        'get_scheduler("cosine_warmup_with_min_lr", optimizer, 20, 200, dict(min_lr_rate=0.1))',
        "warmup(19, counts=between) >> cosine(final=0.1, ends=last)",
        "the peak, at the last step of the warm-up, is the first of the cosine, which ends a step early",
    ),
    Row(
        'get_scheduler("cosine_warmup_with_min_lr", optimizer, 20, 200, dict(min_lr_rate=0.1, warmup_lr_rate=0.2))',
        "warmup(19, start=0.2, counts=from_zero) >> cosine(final=0.1, ends=last)",
    ),
    Row(
        'get_scheduler("warmup_stable_decay", optimizer, 20, 200, dict(num_decay_steps=40))',
        "warmup(20, counts=from_zero) >> constant >> cooldown(40, shape=cosine)",
        "`wsd` where the first update is to move: its warm-up is (k + 1) / W",
    ),
    Row(
        'get_scheduler("warmup_stable_decay", optimizer, 20, 200, '
        'dict(num_decay_steps=40, warmup_type="cosine", decay_type="linear", min_lr_ratio=0.1))',
        "warmup(20, shape=cosine, start=0.1, counts=from_zero) >> constant >> cooldown(40, final=0.1)",
    ),
    Row(
        'get_scheduler("warmup_stable_decay", optimizer, 20, 200, '
        'dict(num_decay_steps=40, warmup_type="1-sqrt", decay_type="1-sqrt", min_lr_ratio=0.1))',
        "warmup(20, shape=sqrt, start=0.1, counts=from_zero) >> constant >> cooldown(40, shape=sqrt, final=0.1)",
    ),
)

TRANSFORMERS_CONTROLLERS = (
    Row(
        'get_scheduler("reduce_lr_on_plateau", optimizer, scheduler_specific_kwargs=dict(patience=4, eps=0))',
        "plateau(patience=4)",
        "torch's",
    ),
    Row(
        'get_scheduler("greedy", optimizer, scheduler_specific_kwargs=dict(max_lr=10, min_lr=0.01, patience=2, eps=0))',
        "greedy(patience=2)",
        "the optimizer's rate is `start` of the peak, here a tenth; `min_lr` and `max_lr` are rates",
        scale=10.0,
    ),
    Row(
        'get_scheduler("greedy", optimizer, scheduler_specific_kwargs=dict('
        "max_lr=2, min_lr=0.5, factor=0.8, patience=1, cooldown=2, warmup=3, "
        "smooth=True, window_size=5, reset_start=3, eps=0))",
        "greedy(factor=0.8, patience=1, start=0.5, min_factor=0.25, cooldown=2, warmup=3, window=5, restart=3)",
        scale=2.0,
    ),
)

KERAS = (
    Row("ExponentialDecay(1.0, 20, 0.5)", "exponential(decay=0.5, every=20)"),
    Row("ExponentialDecay(1.0, 20, 0.5, staircase=True)", "step(decay=0.5, every=20)"),
    Row(
        "PiecewiseConstantDecay([60, 150], [1.0, 0.5, 0.1])",
        "piecewise(at=[61, 151], values=[1, 0.5, 0.1])",
        "a boundary still has the value before it",
    ),
    Row("PolynomialDecay(1.0, 150, 0.1)", "linear(150, final=0.1)", "`end_learning_rate` is 0.0001 by default"),
    Row("PolynomialDecay(1.0, 150, 0.1, power=2)", "polynomial(150, final=0.1)"),
    Row(
        "PolynomialDecay(1.0, 100, 0.0, power=2, cycle=True)",
        "polynomial(101, ends=last) >> polynomial * constant(value=0.245025)",
        "wave m begins at about 1/m of the peak; here (99/200)**2, one step after its start",
    ),
    Row("InverseTimeDecay(1.0, 20, 0.5)", "inverse_time(decay=0.5, every=20)"),
    Row(
        "InverseTimeDecay(1.0, 50, 1.0, staircase=True)",
        "piecewise(at=[50, 100, 150], values=[1, 0.5, 0.3333333333333333, 0.25])",
        "stair by stair",
    ),
    Row("CosineDecay(1.0, 150, alpha=0.1)", "cosine(150, final=0.1)"),
    Row(
        "CosineDecay(0.1, 180, alpha=0.1, warmup_target=1.0, warmup_steps=20)",
        "warmup(20, start=0.1, counts=from_zero) >> cosine(final=0.1)",
        "`decay_steps` does not count the warm-up",
    ),
    Row("CosineDecayRestarts(1.0, 30)", "cosine_restarts(cycle=30, growth=2)"),
    Row(
        "CosineDecayRestarts(1.0, 25, t_mul=1.0, m_mul=0.8, alpha=0.1)",
        "cosine_restarts(cycle=25, decay=0.8, final=0.1)",
    ),
    Row(
        "CosineDecayRestarts(1.0, 30, t_mul=1.5, m_mul=0.8, alpha=0.1)",
        "cosine_restarts(cycle=30, growth=1.5, decay=0.8, final=0.1)",
    ),
)

PYTORCH_OPTIMIZER = (
    Row(
        "LinearScheduler(optimizer, t_max=200, max_lr=1, min_lr=0.1, init_lr=0.05, warmup_steps=20)",
        "warmup(20, start=0.05, counts=from_zero) >> linear(final=0.1)",
        "before the first `step()` its rate is `min_lr`: stepped after each update, it comes an update late",
        late=1,
    ),
    Row(
        "CosineScheduler(optimizer, t_max=200, max_lr=1, min_lr=0.1, init_lr=0.05, warmup_steps=20)",
        "warmup(20, start=0.05, counts=from_zero) >> cosine(final=0.1)",
        "the same",
        late=1,
    ),
    Row(
        "CosineAnnealingWarmupRestarts(optimizer, 100, max_lr=1, min_lr=0, warmup_steps=10, gamma=0.5)",
        "warmup(10, counts=from_zero) >> cosine(90)"
        " >> warmup(10, counts=from_zero) * constant(10, value=0.5) >> cosine(90) * constant(90, value=0.5)",
        "without warm-ups: `cosine_restarts`, and its first update has `min_lr` nevertheless",
    ),
    Row(
        "get_chebyshev_schedule(optimizer, num_epochs=200)",
        "constant(2) >> chebyshev",
        "theirs begins at 1 / 0.05 times the optimizer's rate; its first three updates share a value",
        # The largest of its 256 step sizes.
        scale=float(1 / (0.525 - 0.475 * np.cos(np.pi / 512))),
    ),
    Row(
        "REXScheduler(optimizer, total_steps=200, max_lr=1, min_lr=0.1)",
        "rex(final=0.1)",
        "its first update has `min_lr`",
        skip=1,
    ),
    Row(
        'get_wsd_schedule(optimizer, 20, 140, 40, min_lr_ratio=0.1, cooldown_type="cosine")',
        "warmup(20, counts=from_zero) >> constant >> cooldown(40, shape=cosine, final=0.1)",
    ),
    Row(
        'get_wsd_schedule(optimizer, 20, 140, 40, cooldown_type="1-sqrt")',
        "warmup(20, counts=from_zero) >> constant >> cooldown(40, shape=sqrt)",
        "but for the cosine, `min_lr_ratio` is a jump after the end",
    ),
    Row(
        'get_wsd_schedule(optimizer, 20, 140, 40, cooldown_type="1-square")',
        "warmup(20, counts=from_zero) >> constant >> cooldown(40, shape=square)",
    ),
    Row(
        'get_wsd_schedule(optimizer, 20, 140, 40, cooldown_type="linear")',
        "warmup(20, counts=from_zero) >> constant >> cooldown(40)",
    ),
)

# What pytorch_optimizer has from torch, by its own names.
SAME_AS_TORCH = {
    "constant": "ConstantLR",
    "step": "StepLR",
    "multi_step": "MultiStepLR",
    "multiplicative": "MultiplicativeLR",
    "cyclic": "CyclicLR",
    "one_cycle": "OneCycleLR",
    "cosine_annealing": "CosineAnnealingLR",
    "cosine_annealing_with_warm_restart": "CosineAnnealingWarmRestarts",
}

TIMM = (
    Row("CosineLRScheduler(optimizer, t_initial=200, lr_min=0.1)", "cosine(final=0.1)"),
    Row("CosineLRScheduler(optimizer, t_initial=200, k_decay=1.5)", "cosine(power=1.5)"),
    Row(
        "CosineLRScheduler(optimizer, t_initial=50, cycle_decay=0.5, cycle_limit=4)",
        "cosine_restarts(cycle=50, decay=0.5)",
        "with `cycle_decay` and `lr_min`, its waves begin lower than ours",
    ),
    Row(
        "CosineLRScheduler(optimizer, t_initial=20, lr_min=0.1, cycle_mul=2, cycle_limit=3)",
        "cosine_restarts(140, cycle=20, growth=2, final=0.1)",
    ),
    Row(
        "CosineLRScheduler(optimizer, t_initial=180, warmup_t=20, warmup_prefix=True)",
        "warmup(20, counts=from_zero) >> cosine",
        "without `warmup_prefix` the cosine jumps in at step 20 of its own: `function`",
    ),
    Row("TanhLRScheduler(optimizer, t_initial=200, lr_min=0.1)", "tanh(final=0.1)"),
    Row(
        "TanhLRScheduler(optimizer, t_initial=180, lb=-4, ub=4, warmup_t=20, warmup_prefix=True)",
        "warmup(20, counts=from_zero) >> tanh(low=-4, high=4)",
        "past its end theirs drops to `lr_min`",
    ),
    Row(
        "PolyLRScheduler(optimizer, t_initial=150, lr_min=0.1)",
        "polynomial(150, power=0.5, final=0.1)",
        "with `k_decay`: `function`",
    ),
    Row(
        "StepLRScheduler(optimizer, decay_t=30, decay_rate=0.5, warmup_t=20)",
        "warmup(20, counts=from_zero) >> step(decay=0.5, every=30)",
        "`warmup_prefix` is True here by default",
    ),
    Row(
        "MultiStepLRScheduler(optimizer, decay_t=[60, 150], decay_rate=0.1)",
        "multistep(at=[59, 149])",
        "a milestone m applies at m - 1",
    ),
    Row(
        "WSDLRScheduler(optimizer, t_initial=180, decay_t=40, lr_min=0.1, warmup_t=20)",
        "warmup(20, counts=from_zero) >> constant >> cooldown(40, shape=sqrt, final=0.1)",
    ),
    Row(
        'WSDLRScheduler(optimizer, t_initial=180, decay_t=40, stable_fn="rsqrt", decay_fn="linear", warmup_t=20)',
        "warmup(20, counts=from_zero) >> inverse_sqrt(timescale=20) * (constant(140) >> cooldown)",
        "its stable phase goes on falling while it cools down",
    ),
)

TIMM_CONTROLLERS = (
    Row(
        "PlateauLRScheduler(optimizer, decay_rate=0.5, patience_t=3, warmup_t=20)",
        "warmup(20, counts=from_zero) >> constant(1) >> plateau(factor=0.5, patience=3, mode=max)",
        "the first epoch after the warm-up is not judged; stepped once an epoch, where ours counts updates",
    ),
)

KERAS_CONTROLLERS = (
    Row(
        'ReduceLROnPlateau("loss", factor=0.5, patience=4)',
        "plateau(factor=0.5, patience=3, threshold_mode=abs)",
        "theirs reduces when `patience` epochs were no better, ours at the one after",
    ),
    Row(
        'ReduceLROnPlateau("loss", patience=3, min_delta=0.05, cooldown=4, min_lr=0.01)',
        "plateau(patience=2, threshold=0.05, threshold_mode=abs, cooldown=3, min_factor=0.01)",
        "the last epoch of its cooldown is judged already",
    ),
    Row(
        'ReduceLROnPlateau("accuracy", mode="max", patience=2)',
        "plateau(patience=1, threshold_mode=abs, mode=max)",
    ),
)

# What is no schedule of the step, or has no text form here, and why.
NOT_HERE = {
    "pytorch_optimizer": {
        "proportion": "maps another scheduler's rate to another value, such as a radius of SAM: no schedule",
        "poly": "after its warm-up it is `min_lr + (max_lr - min_lr) * k ** poly_order`, which grows without end",
    },
    "optax": {
        "inject_hyperparams": "hands numbers to an optimizer; it has no formula of its own",
    },
}


def evaluated(text, names, **more):
    """What `text` makes with the public names of a module."""
    return eval(text, {name: getattr(names, name) for name in dir(names)} | more)


def wave(k, n=STEPS):
    """A function of the step, as a user might write it."""
    return 0.75 + 0.25 * np.cos(k / 10)


def new_optimizer():
    """An optimizer with a rate of 1, whose update does nothing."""
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    return torch.optim.SGD([parameter], lr=1.0, momentum=0.5)


def torch_rates(text, names, count=STEPS, metrics=None, key="lr"):
    """The rates (or what `key` names) of a scheduler of torch's kind in the first `count` updates of a loop."""
    optimizer = new_optimizer()
    scheduler = evaluated(text, names, optimizer=optimizer, wave=wave)
    found = []
    for step in range(count):
        found.append(float(optimizer.param_groups[0][key]))
        optimizer.step()
        if step < count - 1:
            scheduler.step(*([] if metrics is None else [metrics[step]]))
    return np.array(found)


def our_factors(text, count=STEPS):
    """The factors of our schedule in the first `count` updates."""
    return schedules.parse(text)(np.arange(count), STEPS)


def assert_row_agrees(row, rates, tolerance=1e-12):
    """Each of `rates` is the factor of our text form, within `tolerance` of the peak."""
    ours = our_factors(row.ours, len(rates) - row.late)
    np.testing.assert_allclose(rates[row.late + row.skip :] / row.scale, ours[row.skip :], rtol=0, atol=tolerance)


def assert_controller_agrees(row, rates, metrics, tolerance=1e-12):
    """Our controller, told `metrics` once after every update, has the factors `rates`."""
    schedule = schedules.parse(row.ours)
    state, ours = schedule.init(), []
    for step in range(len(rates)):
        ours.append(schedule.factor(state, step, STEPS))
        state = schedule.update(state, metrics[step], step + 1, STEPS)
    np.testing.assert_allclose(np.array(rates) / row.scale, ours, rtol=0, atol=tolerance)
    assert len(set(ours)) > 3, "metrics must be such that the controller acts"


def metrics(seed, count=STEPS):
    """A loss that falls, stalls and jumps; for `mode="max"` it serves as well as any other random curve."""
    random = np.random.default_rng(seed)
    falling = 2.0 * np.exp(-np.arange(count) / random.uniform(10, 60))
    noise = random.normal(0, random.choice([0.01, 0.1, 0.5]), count)
    return [float(value) for value in falling + noise]
