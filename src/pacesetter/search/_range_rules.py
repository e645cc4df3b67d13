"""What an LR range test suggests: the rules of other tools by their formulas, as they are, and ours.

Each rule reads one sweep: the rates applied, ascending by one ratio, the batch losses, each measured before its update,
and `steps`, the length that was planned (a diverged sweep ends before). It gives a rate, or None where it has none to
give. Only ours can say that nothing learns.
"""

from collections.abc import Callable

import numpy as np

from pacesetter.records import Floats

__all__ = ["RULES", "Rule", "blow_up", "ours"]

Rule = Callable[[Floats, Floats, int], float | None]

LOWER = 0.9
"""Decades below the rate of the lowest loss. A sweep trains a few updates at each rate, and what is best for so few is
too high for a whole run. On the four tasks of `benchmarks/find` that are tuned on, 0.8 to 1.1 give up 2.5 to 2.6 %."""
BELOW = 1.0
"""Decades that are always left to the rate at which the loss blows up."""
RISE = 0.5
"""The share of the fall that is lost again where the loss has blown up."""
NOISE = 7.0
"""A fall of so many deviations is one, of a mean over as many losses as a running median takes in. Where nothing learns
one sweep in some hundreds falls so far by chance, as it has many places for its lowest loss."""
FEWEST = 16
"""A sweep of fewer updates tells nothing."""


def ours(lrs: Floats, losses: Floats, steps: int) -> float | None:
    """0.9 decades below the rate of the lowest loss, and at least one decade below the blow-up.

    The loss is taken as a running median. Only its differences count, so its sign and scale do not matter; one that is
    not finite counts as the worst. None where it does not fall by more than its noise.
    """
    smooth = _medians(losses)
    if _fall(losses, smooth) is None:
        return None
    found = float(lrs[smooth.argmin()]) * 10**-LOWER
    edge = blow_up(lrs, losses)
    return found if edge is None else min(found, edge * 10**-BELOW)


def blow_up(lrs: Floats, losses: Floats) -> float | None:
    """The rate from which on the loss has lost half of its fall or more, or where the sweep had to end; else None.

    Where it did not fall: from which on it lies above its start by more than noise.
    """
    if len(losses) < FEWEST:
        return None
    smooth = _medians(losses)
    fall = _fall(losses, smooth)
    if fall is None:
        begin = _begin(losses)
        most = _start(losses) + NOISE * _noise(losses[: len(losses) // 2])
    else:
        begin = int(smooth.argmin())
        most = smooth[begin] + RISE * fall
    above = np.flatnonzero(smooth[begin:] > most)
    if len(above):
        return float(lrs[begin + above[0]])
    return None if np.isfinite(losses[-1]) else float(lrs[len(losses) - 1])


def _medians(losses: Floats) -> Floats:
    """Of each loss and its neighbours, fewer at the ends: without the lag of a mean over the past, and blind to spikes.

    What is not finite counts as infinitely high.
    """
    reach = _reach(len(losses))
    known = np.where(np.isfinite(losses), losses, np.inf)
    around = [known[max(0, place - reach) : place + reach + 1] for place in range(len(known))]
    # The upper one of two in the middle: their mean may be one of infinities.
    return np.array([np.sort(near)[len(near) // 2] for near in around])


def _reach(count: int) -> int:
    """How many neighbours to each side a running median takes in: six of 100 losses, and no fewer than two."""
    return max(2, count // 16)


def _fall(losses: Floats, smooth: Floats) -> float | None:
    """From where the loss starts to where it is lowest; None where that is no more than noise."""
    if len(losses) < FEWEST:
        return None
    start, lowest = _start(losses), int(smooth.argmin())
    if lowest < _begin(losses):  # it rises from the first: what is lower there than the start is no fall
        return None
    if not np.isfinite(start) or not np.isfinite(smooth[lowest]):
        return None
    noise = _noise(losses[: max(lowest, FEWEST)])
    fall = start - float(smooth[lowest])
    return fall if fall > NOISE * noise / np.sqrt(2 * _reach(len(losses)) + 1) else None


def _begin(losses: Floats) -> int:
    return max(FEWEST // 2, len(losses) // 7)


def _start(losses: Floats) -> float:
    return float(np.median(np.where(np.isfinite(losses), losses, np.inf)[: _begin(losses)]))


def _noise(losses: Floats) -> float:
    """From the median of jumps from batch to batch, which neither a trend nor a few spikes move."""
    jumps = np.diff(losses[np.isfinite(losses)])
    return float(np.median(np.abs(jumps))) * 1.4826 / np.sqrt(2) if len(jumps) else 0.0


def fastai_valley(lrs: Floats, losses: Floats, steps: int) -> float | None:
    """The middle of the longest falling run of losses, gaps allowed, as if it had none."""
    lrs, smooth = _fastai(lrs, losses, steps)
    if len(smooth) < 2:
        return None
    length = np.ones(len(smooth), dtype=int)
    for place in range(1, len(smooth)):
        length[place] = 1 + max(length[:place][smooth[:place] > smooth[place]], default=0)
    longest = int(length.max())
    if longest == 1:  # nothing falls
        return float(lrs[0])
    end = int(length.argmax())
    start = end - longest
    section = (end - start) / 3
    # The run is counted in its own losses and not in those it left out, so it may seem to begin before the first.
    return float(lrs[max(start + int(section) + int(section / 2), 0)])


def fastai_slide(lrs: Floats, losses: Floats, steps: int) -> float | None:
    """From the right, down to the last rate whose slope differs by more than 0.005 from that 15 rates later."""
    lrs, smooth = _fastai(lrs, losses, steps)
    if len(smooth) < 16:
        return None
    slope = np.gradient(smooth)
    unlike = np.abs(slope[15:] - slope[:-15]) > 0.005
    alike = np.flatnonzero(~unlike)
    last = int(alike[-1]) + 1 if len(alike) else 0
    return float(lrs[min(last, len(unlike) - 1)])


def fastai_minimum(lrs: Floats, losses: Floats, steps: int) -> float | None:
    """A tenth of the rate of the lowest smoothed loss."""
    lrs, smooth = _fastai(lrs, losses, steps)
    return float(lrs[smooth.argmin()]) / 10 if len(smooth) else None


def fastai_steep(lrs: Floats, losses: Floats, steps: int) -> float | None:
    """Where the smoothed loss falls fastest in log lr."""
    lrs, smooth = _fastai(lrs, losses, steps)
    return float(lrs[(np.diff(smooth) / np.diff(np.log(lrs))).argmin()]) if len(smooth) > 1 else None


def steepest(lrs: Floats, losses: Floats, steps: int) -> float | None:
    """torch-lr-finder: where the loss, smoothed from its first value on, falls fastest from step to step."""
    smooth, mean, least = [], 0.0, np.inf
    for place, loss in enumerate(losses):
        mean = float(loss) if place == 0 else 0.05 * float(loss) + 0.95 * mean
        smooth.append(mean)
        least = min(least, mean)
        if mean > 5 * least:
            break
    kept = np.array(smooth)[10:-5]
    return float(lrs[10 + _slope(kept).argmin()]) if len(kept) > 1 else None


def lightning(lrs: Floats, losses: Floats, steps: int) -> float | None:
    """Lightning since 2.5.3: where the loss, whose smoothing starts too low, falls fastest in lr itself."""
    smooth, mean, least = [], 0.0, np.inf
    for place, loss in enumerate(losses):
        mean = 0.98 * mean + 0.02 * float(loss)
        smooth.append(mean / (1 - 0.98 ** (place + 2)))
        if place and smooth[-1] > 4 * least:
            break
        least = smooth[-1] if place == 0 else min(least, smooth[-1])
    kept, at = np.array(smooth)[10:-1], lrs[10 : len(smooth) - 1]
    finite = np.isfinite(kept)
    kept, at = kept[finite], at[finite]
    return float(at[np.gradient(kept, at).argmin()]) if len(kept) > 1 else None


def _fastai(lrs: Floats, losses: Floats, steps: int) -> tuple[Floats, Floats]:
    """The rates and losses that fastai's rules see: smoothed without bias, to 4 times the least, cut at both ends."""
    smooth, mean, least = [], 0.0, np.inf
    for place, loss in enumerate(losses):
        mean = 0.98 * mean + 0.02 * float(loss)
        smooth.append(mean / (1 - 0.98 ** (place + 1)))
        least = min(least, smooth[-1])
        if smooth[-1] > 4 * least:
            break
    kept = np.array(smooth)[steps // 10 : -5]
    known = np.isfinite(kept)
    kept = kept if known.all() else kept[: int(known.argmin())]
    return lrs[steps // 10 : steps // 10 + len(kept)], kept


def _slope(values: Floats) -> Floats:
    with np.errstate(invalid="ignore"):
        slope: Floats = np.gradient(values)
    return slope


RULES: dict[str, Rule] = {
    "ours": ours,
    "fastai_valley": fastai_valley,
    "fastai_slide": fastai_slide,
    "fastai_minimum": fastai_minimum,
    "fastai_steep": fastai_steep,
    "steepest": steepest,
    "lightning": lightning,
}
