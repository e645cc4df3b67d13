"""Schedules as pictures: PNG, SVG, and a page that opens without a network."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacesetter.files import whole
from pacesetter.report._theme import LIGHT
from pacesetter.report.page import VEGA_LITE

__all__ = ["write"]

Floats = NDArray[np.float64]
MOST = 1500
"""Points of a curve in a picture: as many as it has pixels."""
SCALE = 2.0
COLOURS = ["#3b6fb6", "#d1495b", "#2e8b57", "#8e5ea2", "#c98a1b", "#59636d"]


def write(curves: Mapping[str, Floats], steps: NDArray[np.int64], lr: float, folder: Path) -> list[Path]:
    """Draw rates against steps into `schedule.png`, `.svg` and `.html` in `folder`; their paths."""
    import vl_convert

    drawing = _specification(curves, steps, "learning rate" if lr != 1 else "factor")
    png, svg, page = (folder / f"schedule.{kind}" for kind in ("png", "svg", "html"))
    with whole(png, "out") as beside:
        beside.write_bytes(vl_convert.vegalite_to_png(drawing, vl_version=VEGA_LITE, scale=SCALE))
    with whole(svg, "out") as beside:
        beside.write_text(vl_convert.vegalite_to_svg(drawing, vl_version=VEGA_LITE), encoding="utf-8")
    with whole(page, "out") as beside:
        beside.write_text(
            vl_convert.vegalite_to_html(json.dumps(drawing), vl_version=VEGA_LITE, bundle=True), encoding="utf-8"
        )
    return [png, svg, page]


def _specification(curves: Mapping[str, Floats], steps: NDArray[np.int64], title: str) -> dict[str, Any]:
    import altair as alt

    # Where a curve jumps both sides are kept, so that a step is drawn as one.
    kept = np.unique(np.linspace(0, len(steps) - 1, min(MOST, len(steps))).astype(int))
    for rates in curves.values():
        jumps = np.flatnonzero(np.abs(np.diff(rates)) > 0.02 * max(float(rates.max()), 1e-300))
        if len(jumps) < MOST:
            kept = np.union1d(kept, np.concatenate([jumps, jumps + 1]))
    rows = [
        {"schedule": name, "step": int(steps[place]), "rate": float(rates[place])}
        for name, rates in curves.items()
        for place in kept
    ]
    names = list(curves)
    colour = alt.Color(
        "schedule:N",
        sort=names,
        scale=alt.Scale(domain=names, range=[COLOURS[i % len(COLOURS)] for i in range(len(names))]),
        legend=alt.Legend(orient="top", direction="vertical", title=None, labelLimit=700, symbolType="stroke"),
    )
    chart = (
        alt.Chart(alt.InlineData(values=rows))
        .mark_line(strokeWidth=2)
        .encode(
            x=alt.X("step:Q", title="update"),
            y=alt.Y("rate:Q", title=title),
            color=colour,
            strokeDash=alt.StrokeDash("schedule:N", sort=names, legend=None),
            tooltip=["schedule:N", "step:Q", "rate:Q"],
        )
        .properties(width=640, height=300, padding=16)
    )
    drawing: dict[str, Any] = chart.to_dict(validate=False)
    drawing["config"] = {**LIGHT.config(), "background": LIGHT.ground}
    return drawing
