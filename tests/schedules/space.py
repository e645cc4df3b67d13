"""The whole space of schedules, to draw from: each family with any valid arguments, chains, products, controllers."""

from hypothesis import strategies as st

from pacesetter import schedules

shares = st.sampled_from([0.0, 0.1, 1 / 3, 0.25, 0.5, 0.9, 1e-8, 1.0]) | st.floats(0.0, 1.0)
small = st.integers(1, 40)
parts = st.floats(0.01, 0.2)
spans = st.none() | small | parts
given_spans = small | parts
ends = st.sampled_from(["after", "last"])
# Long enough that four pieces of up to 40 steps, or of up to a fifth, always fit.
totals = st.integers(800, 3000)
SHAPES = ("linear", "cosine", "sqrt", "square")


@st.composite
def places(draw):
    """A few places of a span in increasing order, all in steps or all as shares."""
    found = sorted(draw(st.lists(st.integers(1, 60), min_size=1, max_size=4, unique=True)))
    return [place / 64 for place in found] if draw(st.booleans()) else found


@st.composite
def piecewises(draw, length, shapes):
    """Values of one's own."""
    # In a short span two shares may be the same step, and that is a jump.
    at = [place for place in draw(places()) if shapes == ["steps"] or isinstance(place, int)] or [1, 2]
    values = draw(st.lists(shares, min_size=len(at) + 1, max_size=len(at) + 1))
    return schedules.piecewise(draw(length), at=at, values=values, shape=draw(st.sampled_from(shapes)))


@st.composite
def one_cycles(draw, length):
    """Two or three phases."""
    phases = draw(st.sampled_from([2, 3]))
    rise = draw(st.floats(0.05, 0.9 if phases == 2 else 0.45))
    shape = draw(st.sampled_from(["linear", "cosine"]))
    momentum = draw(st.none() | st.just([0.85, 0.95]))
    given = {"start": draw(shares), "final": draw(shares), "momentum": momentum, "ends": draw(ends)}
    return schedules.one_cycle(draw(length), rise=rise, shape=shape, phases=phases, **given)


def warmups(length):
    """Every way up; the exponential one needs a start above 0."""
    counts = st.sampled_from(["within", "from_zero", "between", "to_last"])
    return st.builds(schedules.warmup, length, st.sampled_from(SHAPES[:3]), shares, counts) | st.builds(
        schedules.warmup, length, st.just("exponential"), st.floats(1e-6, 1.0), counts
    )


def anytime_or_like_it(span, alpha):
    """`anytime`, and for a span given as a share, which it refuses, the family with the same formula."""
    return (schedules.inverse_sqrt if isinstance(span, float) else schedules.anytime)(span, alpha)


def smooth(length):
    """Families whose curve has no jump inside its span; `warmup` is apart, because its span must be given."""
    return st.one_of(
        st.builds(schedules.constant, length, shares),
        st.builds(schedules.linear, length, shares, ends),
        st.builds(schedules.polynomial, length, st.floats(0.5, 20.0), shares, ends),
        st.builds(schedules.cosine, length, shares, ends, st.floats(0.2, 20.0)),
        st.builds(schedules.flat_cosine, length, parts, shares),
        st.builds(schedules.exponential, length, st.floats(0.01, 1.0), given_spans),
        st.builds(schedules.inverse_time, length, st.floats(0.0, 100.0), given_spans),
        st.builds(schedules.inverse_sqrt, length, given_spans),
        st.builds(anytime_or_like_it, length, st.integers(1, 500)),
        st.builds(schedules.power, length, given_spans, st.floats(0.0, 10.0)),
        st.builds(schedules.noam, length, given_spans),
        st.builds(schedules.tanh, length, st.floats(-9.0, -1.0), st.floats(0.0, 9.0), shares, ends),
        st.builds(schedules.rex, length, shares, ends),
        st.builds(schedules.sweep, length, st.floats(1e-12, 1.0)),
        st.builds(schedules.cooldown, length, st.sampled_from(SHAPES), shares),
        st.builds(schedules.wsd, length, parts, parts, st.sampled_from(SHAPES), shares),
        st.builds(
            schedules.triangular, length, st.integers(4, 50) | parts, shares, st.floats(0.1, 0.9) | st.integers(1, 3)
        ),
        one_cycles(length),
        piecewises(length, ["linear", "cosine"]),
    )


def stairs(length):
    """Families that jump."""
    return st.one_of(
        st.builds(schedules.step, length, shares, given_spans),
        st.builds(schedules.exponential, length, shares, given_spans),
        st.builds(schedules.multistep, length, places(), shares),
        piecewises(length, ["steps"]),
        st.builds(schedules.chebyshev, length, st.floats(1e-6, 1.0)),
        st.builds(schedules.triangular2, length, st.integers(2, 50) | parts, shares),
        st.builds(schedules.exp_range, length, st.integers(2, 50) | parts, shares, shares, given_spans),
        st.builds(schedules.cosine_restarts, length, given_spans, st.floats(1.0, 5.0), shares, shares),
    )


def leaves(length):
    """Schedules of one piece whose span is drawn from `length`."""
    return smooth(length) | stairs(length)


def controllers(length):
    """Schedules that react."""
    waits, modes, kinds = st.integers(0, 4), st.sampled_from(["min", "max"]), st.sampled_from(["rel", "abs"])
    return st.builds(
        schedules.plateau, length, st.floats(0.0, 0.99), waits, st.floats(0.0, 0.5), kinds, modes, waits, shares
    ) | st.builds(
        schedules.greedy, length, st.floats(0.1, 0.99), waits, st.floats(0.1, 1.0), st.floats(0.0, 0.1),
        st.floats(0.0, 0.5), kinds, modes, waits, waits, st.integers(1, 5), st.integers(1, 5),
    )  # fmt: skip


@st.composite
def chains(draw, pieces, rest):
    """Up to three of `pieces`, all with spans, and mostly one of `rest`, anywhere."""
    found = draw(st.lists(pieces, min_size=1, max_size=3))
    if draw(st.booleans()):
        found.insert(draw(st.integers(0, len(found))), draw(rest))
    joined = found[0]
    for piece in found[1:]:
        joined = joined >> piece
    return joined


@st.composite
def products(draw, pieces):
    """Two of `pieces`, multiplied."""
    return draw(pieces) * draw(pieces)


def alike(length):
    """Two of the same span, multiplied: in a chain they have that span."""
    return length.flatmap(lambda span: products(leaves(st.just(span))))


bounded = leaves(given_spans) | warmups(given_spans)
chained = chains(bounded | alike(given_spans), leaves(st.none()) | alike(st.none()))
pure = leaves(spans) | bounded | chained | products(chained) | products(leaves(spans))
reacting = bounded | controllers(given_spans)
chained_reacting = chains(reacting, leaves(st.none()) | controllers(st.none()))
any_schedule = pure | controllers(spans) | chained_reacting | products(chained_reacting)
metrics = st.lists(st.floats(-1e3, 1e3) | st.just(float("inf")), min_size=1, max_size=25)
