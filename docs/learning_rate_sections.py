"""What each section of `the-learning-rate.md` says in figures: one function for each, from its study to its values."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import learning_rate_facts as facts
import numpy as np
from learning_rate_facts import DASH, number, spread, table
from learning_rate_studies import SEEDS

import pacesetter as ps
from pacesetter.records import LaneRecord
from pacesetter.tasks import quadratic

EQUAL_FIT = 0.1  # nats of training loss at which rates are compared in their validation loss
GUESSING = math.log(10)  # nats: the loss of ten classes guessed evenly

Values = dict[str, Any]


def rule(study: ps.Study) -> Values:
    """Each move against lr times the gradient."""
    (lane,) = study.lanes
    curve = lane.curve
    assert curve.path is not None
    moved = np.linalg.norm(np.diff(curve.path, axis=0), axis=1)
    asked = curve.lr * curve.grad_norm
    # Moves below a thousandth of the first are lost in the rounding of 32-bit weights.
    large = moved > moved[0] / 1000
    rows = [
        [str(k), *(number(float(x), 4) for x in (curve.train_loss[k], curve.grad_norm[k], asked[k], moved[k]))]
        for k in (0, 1, 2, 3, 10, 20)
    ]
    return {
        "table": table(["update", "loss before", "gradient", "lr x gradient", "distance moved"], rows),
        "apart": number(float((np.abs(moved - asked) / moved)[large].max()), 1),
        "lr": number(lane.lane.lr),
    }


def bowl(study: ps.Study) -> Values:
    """What theory says about each rate, and what was measured."""
    low, high = min(quadratic.EIGENVALUES), max(quadratic.EIGENVALUES)
    rows = []
    for lr, (record,) in facts.by_rate(study.lanes).items():
        factors = [number(1 - lr * curvature) for curvature in (low, high)]
        end = "not finite" if not math.isfinite(record.curve.final_valid_loss) else _number(record)
        rows.append([number(lr), *factors, end, facts.verdict([record])])
    kept = [r.lane.lr for r in study.lanes if r.curve.final_valid_loss < r.curve.untrained_loss]
    lost = [r.lane.lr for r in study.lanes if r.lane.lr not in kept]
    edge, best = 2 / high, 2 / (low + high)
    tried = [record.lane.lr for record in study.lanes]
    agrees = max(kept) < edge < min(lost)
    (answer,) = study.answers
    right = answer.best_tried == min(tried, key=lambda lr: abs(lr - best))
    return {
        "table": table(["rate", "1 - lr x 1", "1 - lr x 20", "loss after 100 steps", "verdict"], rows),
        "start": number(study.lanes[0].curve.untrained_loss, 4),
        "edge": number(edge),
        "edge_sentence": f"Of the rates tried, {number(max(kept))} is the largest that ended below its start and "
        f"{number(min(lost))} the smallest that ended above: theory and measurement "
        f"{'agree' if agrees else 'do not agree'}.",
        "best_sentence": f"The best rate tried is {number(answer.best_tried)}; theory puts the best of all at "
        f"2 / (1 + 20) = {number(best)}, and {'that is' if right else 'that is not'} the nearest one tried.",
    }


def _number(record: LaneRecord) -> str:
    return number(record.curve.final_valid_loss)


def rates(study: ps.Study) -> Values:
    """Too low, right and too high on digits; speed, stability and accuracy by rate."""
    groups = facts.by_rate(study.lanes)
    (answer,) = study.answers
    best = answer.best_tried
    assert best is not None
    high, speed, steady = [], [], []
    for lr, lanes in groups.items():
        high.append([number(lr), spread(facts.finals(lanes)), facts.verdict(lanes), str(facts.diverged(lanes))])
        speed.append([number(lr), facts.to_target(lanes), spread(facts.finals(lanes))])
        spikes = statistics.fmean(facts.value(record, "stability") or 0.0 for record in lanes)
        swings = [share for record in lanes if (share := facts.value(record, "oscillation")) is not None]
        swing = f"{statistics.fmean(swings):.1%}" if swings else DASH
        steady.append([number(lr), number(spikes, 2), swing, spread(facts.accuracies(lanes))])
    heads = ["rate", "validation loss"]
    return {
        "table": table([*heads, "verdict", f"diverged (of {SEEDS})"], high),
        "speed_table": table(["rate", "steps to the target", "validation loss at the end"], speed),
        "steady_table": table(["rate", "spikes", "late swing", "accuracy"], steady),
        "best": number(best),
        "loss": spread(facts.finals(groups[best])),
        **_too_high(groups, best),
        **_speed(groups, best),
        **_steady(groups, best),
    }


def _too_high(groups: Mapping[float, Sequence[LaneRecord]], best: float) -> Values:
    lost = sum(facts.diverged(lanes) for lanes in groups.values())
    guessing = [lr for lr, x in groups.items() if lr > best and statistics.fmean(facts.finals(x)) > 0.95 * GUESSING]
    every = sum(len(lanes) for lanes in groups.values())
    said = f"Of {every} runs, {lost} diverged."
    if not lost and guessing:
        said = (
            f"None of {every} runs diverged, and yet from {number(min(guessing))} on the model ends no better than "
            f"guessing (a loss of ln 10 = {GUESSING:.3f}): too high does not always mean that the numbers blow up, so "
            "a loss that stays finite proves nothing."
        )
    return {"high_sentence": said}


def _speed(groups: Mapping[float, Sequence[LaneRecord]], best: float) -> Values:
    reached = {lr: known for lr, lanes in groups.items() if len(known := _steps(lanes)) == len(lanes)}
    fastest = min(reached, key=lambda lr: statistics.fmean(reached[lr]))
    first = min(reached)
    said = f"Every seed reached the target at {facts.listing([number(lr) for lr in reached])} only."
    if first != fastest:
        times = statistics.fmean(reached[first]) / statistics.fmean(reached[fastest])
        said += (
            f" From {number(first)} to {number(fastest)}, {fastest / first:.1f} times the rate, "
            f"it took {times:.1f} times fewer steps."
        )
    same = "also" if fastest == best else "not"
    return {"speed_sentence": f"{said} The fastest of them, {number(fastest)}, is {same} the one that ended lowest."}


def _steps(lanes: Sequence[LaneRecord]) -> list[float]:
    return [steps for record in lanes if (steps := facts.value(record, "convergence")) is not None]


def _steady(groups: Mapping[float, Sequence[LaneRecord]], best: float) -> Values:
    above = min(lr for lr in groups if lr > best)
    at, over = facts.finals(groups[best]), facts.finals(groups[above])
    best_accuracy = max(groups, key=lambda lr: statistics.fmean(facts.accuracies(groups[lr])))
    also = "is also" if best_accuracy == best else f"is not ({number(best_accuracy)} is)"
    return {
        "steady_sentence": f"At the best rate, {number(best)}, the final losses of {len(at)} seeds lie between "
        f"{number(min(at))} and {number(max(at))}; one rate higher, at {number(above)}, between {number(min(over))} "
        f"and {number(max(over))}. The rate with the lowest loss {also} the one with the highest accuracy.",
    }


def wells(study: ps.Study) -> Values:
    """Who is stuck, who escapes, who settles."""
    groups = study.record.strategies()
    ends = {key[1]: {r.lane.lr: r.curve.final_valid_loss for r in lanes} for key, lanes in groups.items()}
    tried = sorted({record.lane.lr for record in study.lanes})
    rows = [[number(lr), *(_well(ends[name][lr]) for name in ends)] for lr in tried]
    deep = {name: [lr for lr in tried if _settled(ends[name][lr])] for name in ends}
    stuck = [lr for lr in tried if not any(lr in deep[name] for name in ends)]
    only = [lr for lr in deep["triangular"] if lr not in deep["constant"]]
    escaped = [lr for lr in deep["constant"] if not any(low >= lr for low in stuck)]
    cycle = (
        f"At a peak of {facts.listing([number(lr) for lr in only])} the triangular cycle ends at the bottom of the "
        "deep well and the constant rate does not: it is too high to settle."
        if only
        else "No rate was found at which the triangular cycle settles in the deep well and the constant rate does not."
    )
    decay = "also" if set(only) <= set(deep["cosine"]) else "not"
    return {
        "table": table(["peak rate", *(f"`{name}`" for name in ends)], rows),
        "stuck_sentence": f"With peaks of {facts.listing([number(lr) for lr in stuck])} every schedule ends in the "
        "shallow well, the cyclical one too: cycling at low rates does not help.",
        "escape_sentence": f"Constant rates of {facts.listing([number(lr) for lr in escaped])} escape by themselves, "
        "without any cycle.",
        "cycle_sentence": f"{cycle} The cosine, which only comes down, {decay} settles there.",
        "helped": bool(only),
    }


def _settled(loss: float) -> bool:
    return loss < 0.15  # the bottom of the deep well is at 0.1, that of the shallow one at 1.41


def _well(loss: float) -> str:
    where = "deep well" if _settled(loss) else "shallow well" if abs(loss - 1.44) < 0.04 else "not settled"
    return f"{loss:.3f} ({where})"


def long(study: ps.Study) -> Values:
    """Gap between training and validation, at the end and at an equal fit."""
    groups = facts.by_rate(study.lanes)
    rows, equal = [], {}
    for lr, lanes in groups.items():
        at = [_at_equal_fit(record) for record in lanes]
        if all(value is not None for value in at):
            equal[lr] = [value for value in at if value is not None]
        train = [record.curve.final_train_loss for record in lanes]
        gap = [facts.value(record, "generalization") or math.nan for record in lanes]
        same = spread(equal[lr]) if lr in equal else DASH
        rows.append([number(lr), spread(train), spread(facts.finals(lanes)), spread(gap), same])
    heads = ["rate", "training loss", "validation loss", "gap", f"validation loss at a training loss of {EQUAL_FIT}"]
    over = sum(facts.value(record, "overfitting") is not None for record in study.lanes)
    low, high = min(equal), max(equal)
    better, seeds = sum(b < a for a, b in zip(equal[low], equal[high], strict=True)), len(equal[low])
    means = [statistics.fmean(equal[lr]) for lr in (low, high)]
    word = "lower" if means[1] < means[0] else "higher"
    chance = sum(math.comb(seeds, k) for k in range(better, seeds + 1)) / 2**seeds
    return {
        "table": table(heads, rows),
        "gap_sentence": _gap_sentence(groups),
        "equal_sentence": f"At the same training loss of {EQUAL_FIT}, the highest rate that reached it with every "
        f"seed, {number(high)}, has a {word} validation loss than the lowest, {number(low)}: {number(means[1])} "
        f"against {number(means[0])}, lower in {better} of {seeds} seeds. {_borne(better, seeds, chance)}",
        "borne": chance < 0.05,
        "over": f"{over} of {len(study.lanes)}",
    }


def _borne(better: int, seeds: int, chance: float) -> str:
    """What the count of seeds says about "higher rates generalize better"; `chance` is that of so many by luck."""
    if better <= seeds / 2:
        return "That speaks against the saying that higher rates generalize better."
    luck = f"a coin would do as well in {chance:.0%} of cases"
    if chance < 0.05:
        return f"That bears out the saying that higher rates generalize better ({luck})."
    return f"That is in line with the saying that higher rates generalize better, but it is no proof of it: {luck}."


def _gap_sentence(groups: Mapping[float, Sequence[LaneRecord]]) -> str:
    train = {lr: statistics.fmean(r.curve.final_train_loss for r in lanes) for lr, lanes in groups.items()}
    valid = {lr: statistics.fmean(facts.finals(lanes)) for lr, lanes in groups.items()}
    gaps = {lr: valid[lr] - train[lr] for lr in groups}
    best, widest = min(valid, key=lambda lr: valid[lr]), max(gaps, key=lambda lr: gaps[lr])
    said = f"The widest gap is that of {number(widest)} ({number(gaps[widest])}), "
    if best == widest:
        return said + "which has the lowest validation loss as well: a gap alone is no reason to lower the rate."
    return said + f"the lowest validation loss that of {number(best)}."


def _at_equal_fit(record: LaneRecord) -> float | None:
    """Validation loss when the training loss first came down to `EQUAL_FIT`; None when it never did.

    The training loss at an evaluation is the geometric mean over the batches around it, which an even fall does not
    bias; between two evaluations both losses are
    interpolated in their logarithms, so that a fast rate is not looked at later than a slow one.
    """
    curve = record.curve
    half = max(int(curve.eval_steps[1] - curve.eval_steps[0]) // 2, 1)
    logs = np.log(curve.train_loss)
    train = [math.exp(logs[max(step - half, 0) : step + half].mean()) for step in curve.eval_steps]
    for k in range(1, len(train)):
        if train[k] <= EQUAL_FIT < train[k - 1]:
            share = math.log(train[k - 1] / EQUAL_FIT) / math.log(train[k - 1] / train[k])
            before, after = math.log(curve.valid_loss[k - 1]), math.log(curve.valid_loss[k])
            return math.exp(before + share * (after - before))
    return None
