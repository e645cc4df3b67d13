"""A schedule's curve as SVG, for notebooks: text alone, in colours that stand out from light and from dark."""

from html import escape

import numpy as np
from numpy.typing import NDArray

__all__ = ["svg"]

WIDTH, HEIGHT = 420, 130
LEFT, TOP, BOTTOM = 34, 24, 18
INK, LINE = "#7a8490", "#4c8bd6"
"""A grey and a blue that can be read on white and on black."""


def svg(title: str, factors: NDArray[np.float64]) -> str:
    """The curve of `factors`, at even steps from the first update to the first after the run; 0 is the bottom."""
    high = max(1.0, float(factors.max()))
    across, down = WIDTH - LEFT - 6, HEIGHT - TOP - BOTTOM
    places = LEFT + across * np.linspace(0, 1, len(factors))
    heights = TOP + down * (1 - factors / high)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(places, heights, strict=True))
    base = TOP + down
    text = f'font-family="sans-serif" font-size="11" fill="{INK}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'role="img" aria-label="{escape(title)}">'
        f'<text x="{LEFT}" y="14" {text} font-weight="bold">{escape(title)}</text>'
        f'<path d="M{LEFT},{TOP}V{base}H{WIDTH - 6}" fill="none" stroke="{INK}" stroke-width="1"/>'
        f'<text x="{LEFT - 5}" y="{TOP + 8}" text-anchor="end" {text}>{high:.3g}</text>'
        f'<text x="{LEFT - 5}" y="{base}" text-anchor="end" {text}>0</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 4}" {text}>start</text>'
        f'<text x="{WIDTH - 6}" y="{HEIGHT - 4}" text-anchor="end" {text}>end</text>'
        f'<polyline points="{points}" fill="none" stroke="{LINE}" stroke-width="2" stroke-linejoin="round"/></svg>'
    )
