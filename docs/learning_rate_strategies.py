"""The second half of `the-learning-rate.md`: grid search, schedules and adaptive rules, each at its own best rate."""

import math
import statistics
from typing import Any

import learning_rate_facts as facts
from learning_rate_facts import DASH, number, spread, table

import pacesetter as ps

Values = dict[str, Any]


def grid(coarse: ps.Study, fine: ps.Study) -> Values:
    """One, two and four rates per decade, and a range that ends too early."""
    tried = sorted({record.lane.lr for record in coarse.lanes})
    one = facts.part(coarse, lambda record: record.lane.lr in tried[::2])
    four = facts.part(fine, lambda record: record.lane.schedule == "constant")
    rows, losses = [], []
    for name, study in (("1", one), ("2", coarse), ("4", four)):
        (answer,) = study.answers
        span = f"{number(min(_lrs(study)))} to {number(max(_lrs(study)))}"
        alike = ", ".join(number(lr) for lr in answer.equivalent)
        rows.append([name, span, f"{study.cost.runs:.0f}", number(answer.best_tried), alike, number(answer.valid_loss)])
        losses.append(answer.valid_loss or math.nan)
    (whole,) = coarse.answers
    best = whole.best_tried or math.nan
    cut = facts.part(coarse, lambda record: record.lane.lr < best)
    (answer,) = cut.answers
    said = next((finding.text for finding in answer.findings if "edge" in finding.text), "")
    assert answer.lr is None
    return {
        "table": table(
            ["rates per decade", "range", "runs", "best tried", "cannot be told apart", "validation loss"], rows
        ),
        "finer_sentence": f"With one rate per decade the best loss is {number(losses[0])}, with two "
        f"{number(losses[1])}, with four {number(losses[2])}.",
        "cut": number(max(_lrs(cut))),
        "edge_text": said,
    }


def _lrs(study: ps.Study) -> list[float]:
    return sorted({record.lane.lr for record in study.lanes})


def schedules(study: ps.Study) -> Values:
    """Schedules against the constant rate, each at its own best, and at a rate too high for the constant one."""
    found = facts.strategies(study)
    constant = found["constant"]
    assert constant.answer.best_tried is not None
    above = min(lr for lr in _lrs(study) if lr > constant.answer.best_tried)
    rows: list[list[str]] = []
    duels: dict[str, facts.Duel] = {}
    higher: dict[str, float] = {}
    for name, one in found.items():
        lanes = facts.by_rate(study.record.strategies()[one.answer.optimizer, one.answer.schedule])[above]
        higher[name] = statistics.fmean(facts.finals(lanes))
        word = DASH
        if name != "constant":
            duels[name] = facts.duel(study, "constant", name)
            word = duels[name].word
        accuracy = statistics.fmean(facts.accuracies(one.lanes))
        loss = spread(facts.finals(one.lanes))
        rows.append([f"`{name}`", number(one.answer.best_tried), loss, f"{accuracy:.3f}", word, number(higher[name])])
    rescued = [f"`{name}`" for name in duels if higher[name] < higher["constant"]]
    won = [name for name, one in duels.items() if one.won]
    heads = ["schedule", "best rate", "validation loss", "accuracy", "against `constant`", f"loss at {number(above)}"]
    return {
        "table": table(heads, rows),
        "duels": "\n".join(f"- {one.sentence}" for one in duels.values()),
        "won": won,
        "won_sentence": _won(won, list(duels)),
        "above": number(above),
        "higher_sentence": f"At {number(above)}, one rate above the best constant one, where the constant rate ends at "
        f"{number(higher['constant'])}, "
        + (
            f"lower losses come from {facts.listing(rescued)}"
            if rescued
            else "none of these schedules ends lower than that"
        )
        + ".",
        "rescued": len(rescued) == len(duels),
        "same": facts.listing([f"`{name}`" for name in duels if found[name].loss == constant.loss]),
    }


def _won(won: list[str], names: list[str]) -> str:
    """Whether the common wisdom is borne out, in a sentence."""
    which = facts.listing([f"`{name}`" for name in won])
    if not won:
        many = "neither of the two" if len(names) == 2 else "none of them"
        return f"On this task, at this length, {many} beat a constant rate at its own best."
    return f"On this task, at this length, {which} beat a constant rate at its own best."


def rules(study: ps.Study) -> Values:
    """Adaptive rules against gradient descent: best rates, breadth, loss."""
    found = facts.strategies(study)
    rows, widths, duels = [], {}, []
    for name, one in found.items():
        answer = one.answer
        safe = answer.safe_range
        widths[name] = math.log10(safe[1] / safe[0]) if safe else 0.0
        span = f"{number(safe[0])} to {number(safe[1])}" if safe else DASH
        edge = number(answer.stability_edge[1]) if answer.stability_edge else "not seen"
        word = DASH
        if name != "sgd":
            duels.append(facts.duel(study, "sgd", name))
            word = duels[-1].word
        target = facts.to_target(one.lanes)
        rows.append([f"`{name}`", number(answer.best_tried), span, edge, spread(facts.finals(one.lanes)), target, word])
    best = [one.answer.best_tried or math.nan for one in found.values()]
    won = [one.other.name for one in duels if one.won]
    wider = [f"`{name}`" for name in widths if widths[name] > widths["sgd"] + 1e-6]
    heads = ["rule", "best rate", "safe range", "diverges at", "validation loss", "steps to target", "against `sgd`"]
    return {
        "table": table(heads, rows),
        "duels": "\n".join(f"- {one.sentence}" for one in duels),
        "won": won,
        "apart": f"{max(best) / min(best):.0f}",
        "wider_sentence": (
            f"A wider safe range than `sgd` ({widths['sgd']:.1f} decades) was measured for {facts.listing(wider)}."
            if wider
            else f"None has a wider safe range than `sgd` ({widths['sgd']:.1f} decades)."
        ),
        "faster_sentence": _faster(found),
        **_default_rate(study, found),
    }


def _faster(found: dict[str, facts.Strategy]) -> str:
    steps = {name: [facts.value(r, "convergence") or math.inf for r in one.lanes] for name, one in found.items()}
    means = {name: statistics.fmean(values) for name, values in steps.items()}
    faster = [f"`{name}` ({means[name]:.0f})" for name in means if means[name] < means["sgd"]]
    if not faster:
        return f"None of them reached the target loss sooner than `sgd` did ({means['sgd']:.0f} steps)."
    return f"The target loss was reached sooner than by `sgd` ({means['sgd']:.0f} steps) by {facts.listing(faster)}."


def _default_rate(study: ps.Study, found: dict[str, facts.Strategy]) -> Values:
    """Adam's usual 0.001 against its best rate, and a rate ten times too high."""
    adam = found["adam"]
    lanes = facts.by_rate(study.record.strategies()["adam", "constant"])
    best = adam.answer.best_tried or math.nan
    usual = statistics.fmean(facts.finals(lanes[0.001]))
    too_high = min(lanes, key=lambda lr: abs(math.log(lr / (100 * best))))
    end = statistics.fmean(facts.finals(lanes[too_high]))
    start = lanes[best][0].curve.untrained_loss
    moral = ": an adaptive rule adapts the weights' rates to each other, and still needs its own."
    far = moral if end > start / 2 else "."
    return {
        "usual_sentence": f"At the customary 0.001, `adam` ended at {number(usual)}; at its best rate tried, "
        f"{number(best)}, at {number(adam.loss)}. At {number(too_high)} it ended at {number(end)}, "
        f"{'above' if end > start else 'below'} the untrained model's {number(start)}{far}",
    }
