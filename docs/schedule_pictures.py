"""Small pictures of schedules: SVG of a few kilobytes, legible on a white page and on a dark one."""

from collections.abc import Sequence

from pacesetter.schedules import Schedule

STEPS, FEW = 1000, 64
"""Lengths of the run that is drawn; the short one is for curves that turn at every step."""
EVERY = 20
"""Updates between two evaluations; only controllers hear of them."""

WIDTH, HEIGHT = 440, 150
LEFT, RIGHT, TOP, BOTTOM = 18, 8, 8, 20  # what the labels take at each side
GREY, BLUE, ORANGE = "#808690", "#3080d8", "#d8802a"  # each stands out from white and from black
NEAR = 0.15
"""A point this near to the line between its neighbours, in pixels, is left out."""

Point = tuple[float, float]


def factors(schedule: Schedule, steps: int = STEPS) -> list[float]:
    """The factor of each step of the run, and of the first one after it."""
    state, found = schedule.init(), []
    for step in range(steps + 1):
        if step and step % EVERY == 0:
            state = schedule.update(state, loss(step, steps), step, steps)
        found.append(schedule.factor(state, step, steps))
    return found


def loss(step: int, steps: int) -> float:
    """What controllers are told in the pictures: a loss that falls for half of the run, and then no more."""
    return max(0.5, 1 - step / steps)


def picture(alone: Schedule, chain: Schedule) -> str:
    """The SVG of a schedule (a line) and of a chain with it (dashes)."""
    steps = STEPS
    curves = [_points(one, steps) for one in (alone, chain)]
    if min(map(len, curves)) > STEPS / 2:
        steps = FEW
        curves = [_points(one, steps) for one in (alone, chain)]
    line, dashes = ("M" + "L".join(f"{x:g} {y:g}" for x, y in points) for points in curves)
    top, bottom = _height(1), _height(0)
    marks = [(0, "start", "0"), (0.5, "middle", f"{steps // 2:,}"), (1, "end", f"{steps:,} steps")]
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">',
        f'<g fill="{GREY}" font-family="sans-serif" font-size="11">',
        *(f'<text x="{_across(u):g}" y="{HEIGHT - 4}" text-anchor="{how}">{said}</text>' for u, how, said in marks),
        *(f'<text x="{LEFT - 6}" y="{y + 4:g}" text-anchor="end">{said}</text>' for y, said in ((top, 1), (bottom, 0))),
        "</g>",
        f'<g fill="none" stroke="{GREY}" stroke-opacity=".5">',
        f'<path d="M{LEFT} {top:g}H{WIDTH - RIGHT}M{LEFT} {bottom:g}H{WIDTH - RIGHT}"/>',
        "</g>",
        '<g fill="none" stroke-linejoin="round">',
        f'<path stroke="{BLUE}" stroke-width="2" d="{line}"/>',
        f'<path stroke="{ORANGE}" stroke-width="1.5" stroke-dasharray="5 3" d="{dashes}"/>',
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _points(schedule: Schedule, steps: int) -> list[Point]:
    # Without the last digits, which differ between machines, no coordinate falls to another side of its rounding.
    heights = [_height(round(factor, 9)) for factor in factors(schedule, steps)]
    return simpler([(_across(k / steps), height) for k, height in enumerate(heights)])


def _across(share: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * share, 1)


def _height(factor: float) -> float:
    return round(TOP + (HEIGHT - TOP - BOTTOM) * (1 - factor), 1)


def simpler(points: Sequence[Point]) -> list[Point]:
    """The points without those that nobody would miss (Douglas and Peucker's algorithm, 1973)."""
    kept, open_ = {0, len(points) - 1}, [(0, len(points) - 1)]
    while open_:
        first, last = open_.pop()
        (x1, y1), (x2, y2) = points[first], points[last]
        length = ((x2 - x1) ** 2 + (y2 - y1) ** 2) ** 0.5
        off = [abs((x2 - x1) * (y - y1) - (x - x1) * (y2 - y1)) for x, y in points[first + 1 : last]]
        if off and max(off) > NEAR * length:
            middle = first + 1 + off.index(max(off))
            kept.add(middle)
            open_ += [(first, middle), (middle, last)]
    return [points[k] for k in sorted(kept)]
