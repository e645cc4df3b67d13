"""What theory says of a schedule: a bound on the last loss of a convex problem, at the best peak for the schedule.

For updates along a subgradient of length at most G, from a start at distance D of the best weights, with the rates
`eta_t = gamma * factor_t`, t = 1 .. T, the last loss lies above the best one by at most

    D**2 / (2 * sum eta) + G**2 * sum eta**2 / (2 * sum eta)
        + G**2 / 2 * sum_{k<T} eta_k / (sum_{t>k} eta_t) * (sum_{t>=k} eta_t**2) / (sum_{t>=k} eta_t)

which is a / gamma + b * gamma with D = G = 1, and least at `gamma = sqrt(a / b)`, where it is `2 * sqrt(a * b)`.

Defazio, Cutkosky, Mehta and Mishchenko, "When, Why and How Much? Adaptive Learning Rate Scheduling by Refinement",
2023 (the bound); Schaipp, Hägele, Taylor, Simsekli and Bach, "The Surprising Agreement Between Convex Optimization
Theory and Learning-Rate Scheduling for Large Model Training", 2025 (that it orders schedules as trainings do).
"""

import numpy as np

from pacesetter import schedules


def bound(schedule: str, steps: int) -> tuple[float, float]:
    """(the bound at the best peak, that peak), in units of D * G and D / G, for a run of so many steps."""
    eta = schedules.parse(schedule)(np.arange(steps), steps)
    left = np.cumsum(eta[::-1])[::-1]
    squares = np.cumsum(np.square(eta)[::-1])[::-1]
    along = 1 / (2 * left[0])
    across = squares[0] / (2 * left[0]) + 0.5 * np.sum(eta[:-1] / left[1:] * squares[:-1] / left[:-1])
    return float(2 * np.sqrt(along * across)), float(np.sqrt(along / across))
