"""Lines of equal height on a grid: marching squares."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Point = tuple[float, float]
Node = tuple[int, int]
Edge = tuple[Node, Node]  # from the lower node of the grid to the higher
# Corners of a square, counted from its lowest: 0 (x0, y0), 1 (x1, y0), 2 (x1, y1), 3 (x0, y1). Edges join k and k + 1.
_EDGES = ((0, 1), (1, 2), (2, 3), (3, 0))


def contour(x: Floats, y: Floats, height: Floats, level: float) -> list[list[Point]]:
    """The lines on which `height` ([len(y)][len(x)]) equals `level`, each a list of points.

    Every square is crossed between the corners above and below the level, at the place linear interpolation gives;
    squares with two separate crossings are joined in the order of their edges. Squares with a value that is not finite
    are left out.
    """
    segments: list[tuple[Edge, Edge]] = []
    points: dict[Edge, Point] = {}
    above = height > level
    corners = np.stack([above[:-1, :-1], above[:-1, 1:], above[1:, 1:], above[1:, :-1]])
    known = np.isfinite(height)
    whole = known[:-1, :-1] & known[:-1, 1:] & known[1:, 1:] & known[1:, :-1]
    mixed = whole & corners.any(axis=0) & ~corners.all(axis=0)
    for row, column in zip(*np.nonzero(mixed), strict=True):
        i, j = int(row), int(column)
        places = ((i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j))
        crossings = []
        for a, b in _EDGES:
            one, two = sorted((places[a], places[b]))  # an edge has one name, whichever square it is seen from
            if above[one] != above[two]:
                share = (level - height[one]) / (height[two] - height[one])
                across = float(x[one[1]] + share * (x[two[1]] - x[one[1]]))
                points[one, two] = (across, float(y[one[0]] + share * (y[two[0]] - y[one[0]])))
                crossings.append((one, two))
        segments += list(zip(crossings[::2], crossings[1::2], strict=True))
    return [[points[edge] for edge in line] for line in _joined(segments)]


def _joined(segments: list[tuple[Edge, Edge]]) -> list[list[Edge]]:
    """Segments chained into lines as long as they go."""
    ends: dict[Edge, list[int]] = {}
    for index, pair in enumerate(segments):
        for edge in pair:
            ends.setdefault(edge, []).append(index)
    unused = set(range(len(segments)))

    def follow(edge: Edge) -> list[Edge]:
        line: list[Edge] = []
        while True:
            index = next((k for k in ends[edge] if k in unused), None)
            if index is None:
                return line
            unused.discard(index)
            one, two = segments[index]
            edge = two if edge == one else one
            line.append(edge)

    lines = []
    for index in range(len(segments)):
        if index in unused:
            unused.discard(index)
            one, two = segments[index]
            lines.append([*reversed(follow(one)), one, two, *follow(two)])
    return lines
