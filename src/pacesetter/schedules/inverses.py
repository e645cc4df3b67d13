"""Decay like one over the step, or a root of it: mostly for runs whose length nobody knows yet."""

from dataclasses import dataclass
from typing import Any, ClassVar, final

from pacesetter.schedules._arrays import Namespace
from pacesetter.schedules._base import Kind
from pacesetter.schedules._pieces import Piece
from pacesetter.schedules._spans import Span, checked_span, steps_of

__all__ = ["anytime", "inverse_sqrt", "inverse_time", "noam", "power"]


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class inverse_time(Piece):
    """`factor = 1 / (1 + decay * k / every)`: fast at first, ever slower.

    span: in steps or as a share of the run, or None for the rest.
    decay: at least 0; after `every` steps the rate is 1 / (1 + decay) of the peak: half by default.
    every: steps (from 1) or a share of the span.

    Agrees with Keras's InverseTimeDecay(decay_steps=every, decay_rate=decay) up to the span's end; here it stays then.

    Use it for strongly convex problems, whose theory has rates like 1/k, or to follow a recipe that has it. For deep
    networks it falls early.

    As text: `inverse_time`, `warmup(0.05) >> inverse_time(every=0.2)`.

    Source: Robbins and Monro, "A Stochastic Approximation Method", 1951 (rates whose sum diverges and whose squares'
    does not).

    >>> inverse_time(decay=1, every=10)(30, 100)
    0.25
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    decay: float = 1.0
    every: int | float = 0.1

    def _validate(self) -> None:
        self._keep("decay", 0, 1e9, "how much is lost over `every`")
        object.__setattr__(self, "every", checked_span("every", self.every))

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return 1.0 / (1.0 + self.decay * (k / steps_of(self.every, n)))


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class inverse_sqrt(Piece):
    """`factor = sqrt(c / (c + k))`, c the time scale: after three of them the rate has halved.

    span: in steps or as a share of the run, or None for the rest.
    timescale: c, in steps (from 1) or as a share of the span; 0.1 by default. Where the length of the run is not known,
        give steps: then no value depends on it.

    Behind a warm-up of W steps, `warmup(W) >> inverse_sqrt(timescale=W)` goes on from its peak without a bend. Agrees
    with transformers' inverse_sqrt schedule as `warmup(W, counts="from_zero") >> inverse_sqrt(timescale=W)`.

    Use it where the length of the run is not known, with a `cooldown` once it is: `inverse_sqrt >> cooldown(0.2)`.
    Without one the loss ends above what a decay to zero reaches.

    As text: `inverse_sqrt`, `warmup(100) >> inverse_sqrt(timescale=100)`.

    Source: Raffel et al., "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer", 2020.

    >>> inverse_sqrt(timescale=10)(30, 100)
    0.5
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    timescale: int | float = 0.1

    def _validate(self) -> None:
        object.__setattr__(self, "timescale", checked_span("timescale", self.timescale))

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return _falling(k, steps_of(self.timescale, n))


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class anytime(Piece):
    """`factor = sqrt(alpha / (alpha + k))` with alpha in steps: at no step does it depend on the length of the run.

    span: in steps, or None for the rest; a share would depend on the length.
    alpha: steps, from 1; 1,000 by default: a rate that halves after 3,000 updates.

    The formula is that of `inverse_sqrt`; what this one promises is that training can go on or stop at any time. Meant
    to be used with an average of the weights instead of a cooldown.

    Use it where nobody knows how long the run will be and the weights that count are an average of those on the way.

    As text: `anytime(alpha=100)`, `warmup(100) >> anytime(alpha=100) >> cooldown(0.2)`.

    Source: "Anytime Training", arXiv:2602.03702, 2026.

    >>> anytime(alpha=100)(300, 400) == anytime(alpha=100)(300, 10**6) == 0.5
    True
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    alpha: int = 1000

    def _validate(self) -> None:
        object.__setattr__(self, "alpha", checked_span("alpha", self.alpha, shares=False))

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return _falling(k, self.alpha)


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class noam(Piece):
    """Up in a straight line, then down with the root: `factor = min((k + 1) / W, sqrt(W / (k + 1)))`.

    span: in steps or as a share of the run, or None for the rest.
    warmup: W, in steps (from 1) or as a share of the span, 0.1 by default; the paper has 4,000 of 100,000 steps. The
        peak is reached at step W - 1.

    The paper's rate, `d ** -0.5 * min(s ** -0.5, s * W ** -1.5)` with s = k + 1, has its peak `(d * W) ** -0.5`:
    multiply by that to have its numbers.

    Use it to repeat the first transformers. Later recipes end with a decay to a tenth or to zero, which this has not:
    `noam(0.9) >> cooldown` does.

    As text: `noam`, `noam(0.9) >> cooldown`.

    Source: Vaswani et al., "Attention Is All You Need", 2017.

    >>> [noam(warmup=4)(k, 100) for k in (0, 3, 15)]
    [0.25, 1.0, 0.5]
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    warmup: int | float = 0.1

    def _validate(self) -> None:
        object.__setattr__(self, "warmup", checked_span("warmup", self.warmup))

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        x = (k + 1) / steps_of(self.warmup, n)
        # Held at 1 on the side where the other one is in force, neither can be infinite.
        return xp.clip(x, 0.0, 1.0) * xp.clip(x, 1.0, float("inf")) ** -0.5


@final
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class power(Piece):
    """Flat, then down with a power of the step: `factor = min(1, (k / hold) ** -exponent)`.

    span: in steps or as a share of the run, or None for the rest.
    hold: how long the peak lasts, in steps (from 1) or as a share of the span; 0.1 by default.
    exponent: in [0, 10]; 0.51 by default, the paper's fit over batch sizes and lengths.

    The paper's rate is `min(peak, batch * a * tokens ** -0.51)`: `hold` is the step at which both are equal. It ends
    with a cooldown over the last tenth: `power(0.9) >> cooldown`.

    Use it for pre-training at several lengths or batch sizes with one peak: its authors fitted the exponent so that the
    peak need not be searched again. Their fit is of language models; of others nothing is known.

    As text: `power`, `warmup(0.02) >> power(0.88) >> cooldown`.

    Source: Shen et al., "Power Scheduler: A Batch Size and Token Number Agnostic Learning Rate Scheduler",
    arXiv:2408.13359, 2024.

    >>> power(hold=25, exponent=0.5)(100, 200)
    0.5
    """

    KIND: ClassVar[Kind] = "decay"
    span: Span = None
    hold: int | float = 0.1
    exponent: float = 0.51

    def _validate(self) -> None:
        object.__setattr__(self, "hold", checked_span("hold", self.hold))
        self._keep("exponent", 0, 10, "how fast it falls after `hold`")

    def _shape(self, k: Any, n: int, xp: Namespace) -> Any:
        return xp.clip(k / steps_of(self.hold, n), 1.0, float("inf")) ** -self.exponent


def _falling(k: Any, scale: int) -> Any:
    # Written this way, it is exactly 1 at step 0.
    return (1.0 + k / scale) ** -0.5
