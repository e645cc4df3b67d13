"""Colours and type of the charts, light and dark. The page's own colours are in `_page.css` and agree with these."""

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

# Plasma (van der Walt and Smith, 2015): even in lightness and ordered for every kind of colour vision. Of the ramps
# with both, its neighbours are the easiest to tell apart where a ground takes away the lightest or the darkest part.
_PLASMA = (
    "#0d0887", "#46039f", "#7201a8", "#9c179e", "#bd3786", "#d8576b", "#ed7953", "#fb9f3a", "#fdca26", "#f0f921",
)  # fmt: skip
_STOPS = 9  # enough that interpolating between them in RGB cannot be told from the original
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'Liberation Sans', sans-serif"
PICTURE_FONT = "Liberation Sans, Arial, Helvetica, DejaVu Sans, sans-serif"


@dataclass(frozen=True, slots=True)
class Theme:
    """How a chart looks. `extent` is the part of the colour ramp that stands out from `ground`.

    `picture` is true for PNGs, which carry their own legend and ground; on the page both are HTML.
    """

    name: str
    ground: str
    ink: str
    muted: str
    grid: str
    band: str
    bad: str
    extent: tuple[float, float]
    picture: bool = False

    def ramp(self, count: int = _STOPS) -> list[str]:
        """`count` colours from the lowest rate to the highest."""
        return [_shade(share) for share in np.linspace(*self.extent, count)]

    def colour(self, lr: float, low: float, high: float) -> str:
        """The colour of one rate among rates from `low` to `high`, even in its logarithm."""
        start, end = self.extent
        share = 0.5 if high <= low else (math.log(lr) - math.log(low)) / (math.log(high) - math.log(low))
        return _shade(start + (end - start) * min(max(share, 0.0), 1.0))

    def config(self) -> dict[str, Any]:
        """The Vega-Lite configuration."""
        font = PICTURE_FONT if self.picture else FONT
        axis = {
            "labelColor": self.muted,
            "titleColor": self.muted,
            "gridColor": self.grid,
            "domainColor": self.muted,
            "domainOpacity": 0.5,
            "tickColor": self.muted,
            "tickOpacity": 0.5,
            "tickSize": 4,
            "labelFontSize": 11,
            "titleFontSize": 11.5,
            "titleFontWeight": "normal",
            "titlePadding": 6,
            "labelOverlap": "greedy",
            "labelSeparation": 4,
        }
        title = {"color": self.ink, "fontSize": 13, "fontWeight": 600, "anchor": "start", "offset": 6}
        return {
            "background": self.ground if self.picture else "transparent",
            "font": font,
            "view": {"stroke": None},
            "axis": axis,
            "title": {**title, "subtitleColor": self.muted, "subtitleFontSize": 11.5, "subtitlePadding": 4},
            "legend": {"labelColor": self.muted, "titleColor": self.ink, "titleFontWeight": 600, "labelFontSize": 11},
            "text": {"color": self.ink},
        }


LIGHT = Theme("light", "#ffffff", "#1b2126", "#59636d", "#e8ebee", "#3b6fb6", "#c4161c", (0.0, 0.82))
DARK = Theme("dark", "#171b20", "#e8ebee", "#a3adb7", "#2b323a", "#7aa7e0", "#ff6b6b", (0.22, 1.0))


def _shade(share: float) -> str:
    """The colour at `share` (0 to 1) of the ramp."""
    place = min(max(share, 0.0), 1.0) * (len(_PLASMA) - 1)
    left = min(int(place), len(_PLASMA) - 2)
    ends = [[int(_PLASMA[k][i : i + 2], 16) for i in (1, 3, 5)] for k in (left, left + 1)]
    mixed = [round(a + (b - a) * (place - left)) for a, b in zip(*ends, strict=True)]
    return "#" + "".join(f"{value:02x}" for value in mixed)


def ticks(low: float, high: float, most: int = 9) -> list[float]:
    """The powers of ten from `low` to `high`, thinned evenly to at most `most`; where there are few, 2 and 5 too."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first < 2:
        marks = (float(f"{m}e{e}") for e in range(first - 1, last + 1) for m in (1, 2, 5))
        return [mark for mark in marks if low <= mark <= high]
    step = max(1, math.ceil((last - first + 1) / most))
    return [float(f"1e{exponent}") for exponent in range(first, last + 1, step)]


def widened(values: Sequence[float], share: float = 0.04) -> tuple[float, float]:
    """A log axis' domain: from the least to the greatest value and `share` of it more on both sides."""
    low, high = min(values), max(values)
    more = 3.0 if low == high else 10 ** (share * (math.log10(high) - math.log10(low)))
    # Rates may lie anywhere among the numbers; their axis must not end at zero or infinity.
    return max(low / more, sys.float_info.min), min(high * more, sys.float_info.max)
