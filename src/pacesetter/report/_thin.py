"""Fewer points for the same picture: a curve of any length becomes a short one that still shows every spike."""

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BUCKETS = 40  # a chart cell is some 350 px wide: a point every 9 px; with more one would see batches, not the curve
SPIKE = 4.0  # a batch is drawn as it is when its loss is this many times its neighbours' mean ...
SPIKE_SHARE = 0.25  # ... and above this share of the first loss: near its end a good run is all small hard batches


def thin(
    values: NDArray[np.float64], buckets: int = BUCKETS, tail: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions and values that stand for `values` in a picture.

    A curve of up to `2 * buckets` points is kept as it is. A longer one gives the mean of each of `buckets` equal
    stretches, at the middle of the stretch, and besides it the highest point of every stretch that spikes (`SPIKE`
    times the mean of the rest, and `SPIKE_SHARE` of the first), the first point, and of the last `tail` points those
    that do nothing but rise to the end: where a run died, they are how. Values that are not finite are left out.
    """
    steps = np.flatnonzero(np.isfinite(values)).astype(np.float64)
    known = values[np.isfinite(values)]
    if len(known) <= 2 * buckets:
        return steps, known
    falls = np.flatnonzero(np.diff(known) <= 0)
    rise = min(tail, len(known) - 1 - (int(falls[-1]) + 1 if len(falls) else 0))
    stretches = min(buckets, (len(known) - rise) // 2)
    edges = np.linspace(0, len(known) - rise, stretches + 1).round().astype(int)
    places: dict[float, float] = {}
    for start, stop in pairwise(edges):
        stretch = known[start:stop]
        peak = int(np.argmax(stretch))
        rest = np.delete(stretch, peak)
        spikes = bool(stretch[peak] > SPIKE * np.mean(rest) > 0 and stretch[peak] > SPIKE_SHARE * abs(known[0]))
        places[float(np.mean(steps[start:stop]))] = float(np.mean(rest if spikes else stretch))
        if spikes:
            places[float(steps[start + peak])] = float(stretch[peak])
    for position in (0, *range(len(known) - rise, len(known))):
        places[float(steps[position])] = float(known[position])
    order = np.array(sorted(places))
    return order, np.array([places[place] for place in order])


def shorten(value: float) -> float:
    """Four significant digits: what a picture can show, and short in the file."""
    return float(f"{value:.4g}") if math.isfinite(value) else value
