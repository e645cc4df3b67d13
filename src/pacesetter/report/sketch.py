"""Curves drawn with characters, for a terminal."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

__all__ = ["LETTERS", "sketch"]

Floats = NDArray[np.float64]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bits of Unicode's braille patterns (from U+2800), by row and column of their eight dots."""


def sketch(curves: Sequence[Floats], width: int = 64, height: int = 14, plain: bool = False) -> list[str]:
    """Lines of `width` characters with the curves from left to right, 0 at the bottom and the highest value at the top.

    curves: arrays of one length, at even distances, at least 0. One alone is drawn in dots, eight to a character,
        unless
    `plain`; several are drawn in the letters of `LETTERS`, with `*` where they meet.
    """
    top = max(float(curve.max()) for curve in curves) or 1.0
    if len(curves) == 1 and not plain:
        return _dots(curves[0] / top, width, height)
    grid = [[" "] * width for _ in range(height)]
    for letter, curve in zip(LETTERS, curves, strict=False):
        for column, (low, high) in enumerate(_spans(curve / top, width, height)):
            for row in range(low, high + 1):
                here = grid[height - 1 - row][column]
                grid[height - 1 - row][column] = letter if here in (" ", letter) else "*"
    return ["".join(row) for row in grid]


def _spans(shares: Floats, columns: int, rows: int) -> list[tuple[int, int]]:
    """For each column the lowest and the highest row that the curve goes through there; neighbours touch."""
    places = np.clip(np.round(shares * (rows - 1)), 0, rows - 1).astype(int)
    edges = np.linspace(0, len(places), columns + 1)
    found: list[tuple[int, int]] = []
    for first, last in pairwise(edges):
        own = places[int(first) : max(int(last), int(first) + 1)]
        low, high = int(own.min()), int(own.max())
        if found:  # a step between two columns is drawn as a line
            low, high = min(low, found[-1][1] + 1), max(high, found[-1][0] - 1)
        found.append((low, high))
    return found


def _dots(shares: Floats, width: int, height: int) -> list[str]:
    cells = np.zeros((height, width), dtype=int)
    for column, (low, high) in enumerate(_spans(shares, 2 * width, 4 * height)):
        for row in range(low, high + 1):
            from_top = 4 * height - 1 - row
            cells[from_top // 4, column // 2] |= DOTS[from_top % 4, column % 2]
    return ["".join(chr(0x2800 + cell) if cell else " " for cell in row) for row in cells]
