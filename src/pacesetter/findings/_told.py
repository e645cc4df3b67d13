"""What a search found, in sentences: why this rate, how sure, what happens beside it, and what to do where it fails."""

from collections.abc import Iterator

import numpy as np

from pacesetter.findings._found import Found
from pacesetter.findings._judge import Findings
from pacesetter.findings._trials import learned
from pacesetter.records import Answer, Finding, Level, Outcome, StudyRecord
from pacesetter.words import listing, plural, rate, rates, share

__all__ = ["told"]

CLIFF_DECADES = 0.5
"""As close as this to a rate that diverges the best rate is limited by stability; as in `shape`."""
NOISY_SHARE = 0.1
"""Two seeds of the best rate further apart than this share of the improvement: one run says little."""
MOVES = 0.3
"""Decades per decade of length from which the best rate is said to move with the length."""


def told(answer: Answer, found: Found, study: StudyRecord) -> Findings:
    """The findings of a search, those that apply, in the order in which they matter."""
    if answer.best_tried is None:
        return tuple(_nothing(found, study))
    return tuple(
        finding
        for part in (_claim, _read_off, _verification, _beside, _interval, _equivalent, _edge, _warmed, _noise, _drift)
        for finding in part(answer, found, study)
    )


def _range(found: Found) -> str:
    tried = sorted({trial.lr for trial in found.trials})
    return f"{rate(tried[0])} to {rate(tried[-1])}" if tried else "the range"


def _nothing(found: Found, study: StudyRecord) -> Iterator[Finding]:
    """Why there is no rate to give, and what to try."""
    trials = found.trials
    failed = [record for record in study.lanes if record.outcome is Outcome.FAILED]
    if not trials:
        stopped = any(record.outcome is Outcome.STOPPED for record in study.lanes)
        text = (
            "No run came to its end" + (" before the time was over" if stopped else "") + ": there is nothing to say."
        )
        if failed:
            text = f"No run could be trained: {failed[0].message or 'all failed'}."
        yield Finding("nothing-learned", Level.BAD, text)
        return
    lost = sum(not np.isfinite(trial.value) for trial in trials)
    before = [trial.untrained for trial in trials]
    if np.isnan(before).all() and lost == len(trials):
        text = "Every run diverged, and the untrained loss is not finite or not known: look at loss and data first."
    elif lost == len(trials):
        text = f"Every rate from {_range(found)} diverged. Try lower rates, warm-up or clipping, and look at the data."
    elif learned(trials):
        text = (
            "Shorter runs improve on the untrained model, and no full run does: training on undoes what was learned. "
            "Train shorter, regularize, or look at the validation data."
        )
    else:
        text = (
            f"No rate from {_range(found)} ended below the untrained model by more than 1 % ({lost} of "
            f"{plural(len(trials), 'run')} diverged). Either there is nothing to learn from this data, or rates must "
            "be far from these, or runs must be longer: try another range, more steps, and look at labels and loss."
        )
    yield Finding("nothing-learned", Level.BAD, text, float(lost))


def _claim(answer: Answer, found: Found, study: StudyRecord) -> Iterator[Finding]:
    if answer.lr is None:
        side = "lowest" if all(trial.lr >= (found.best or 0) for trial in found.trials) else "highest"
        way = "lower" if side == "lowest" else "higher"
        text = f"No claim: the best rate, {rate(found.best)}, is the {side} that was tried. Try {way} rates."
        yield Finding("edge-of-range", Level.WARNING, text, found.best)


def _read_off(answer: Answer, found: Found, study: StudyRecord) -> Iterator[Finding]:
    """That the rate comes from sweeps alone."""
    if found.basin is None and found.swept is not None:
        text = (
            f"Read off a rate that rises from {rate(found.swept[0])} to {rate(found.swept[1])} within a short run: a "
            "few updates at each rate, which say little of whole runs. No interval can be told from them."
        )
        yield Finding("range-test", Level.WARNING, text, found.best)


def _verification(answer: Answer, found: Found, study: StudyRecord) -> Iterator[Finding]:
    """How far the claim was trained."""
    total = found.problem.total_steps
    full = [trial for trial in found.trials if trial.steps == total]
    seeds = sum(trial.lr == found.best for trial in full)
    others = sorted({trial.lr for trial in full} - {found.best})
    if found.verified:
        text = (
            f"Verified: {rate(found.best)} was trained to all {total} steps with {plural(seeds, 'seed')}, and beside "
            f"it {rates(others) or 'no other'}."
        )
        yield Finding("verified", Level.GOOD, text, float(seeds))
    elif not full:
        longest = max(trial.steps for trial in found.trials)
        text = (
            f"Not verified: no run was longer than {longest} of {total} steps, so this is a first look. "
            "Without `quick` the rate and its neighbours are trained to the end."
        )
        yield Finding("not-verified", Level.WARNING, text, 0.0)
    else:
        missing = [
            f"a {way} rate"
            for way, is_there in (
                ("lower", any(lr < (found.best or 0) for lr in others)),
                ("higher", any(lr > (found.best or 0) for lr in others) or found.unstable is not None),
            )
            if not is_there
        ]
        if seeds < 2 and found.problem.seeds != 1:
            missing.append("a second seed")
        text = (
            f"Verified only in part: {rate(found.best)} was trained to all {total} steps with {plural(seeds, 'seed')}; "
            f"what was spent did not reach for {listing(missing or ['more'])}. A larger budget would."
        )
        yield Finding("not-verified", Level.WARNING, text, float(seeds))


def _beside(answer: Answer, found: Found, study: StudyRecord) -> Iterator[Finding]:
    """What happens at half and at twice the rate."""
    assert found.best is not None
    if found.basin is None:
        return
    half, twice = found.given_up([found.best / 2, found.best * 2])
    where = [
        f"{word} ({rate(lr)}) {'training diverges' if lost >= 1 else f'it gives up {share(lost)}'}"
        for word, lr, lost in (("half of it", found.best / 2, half), ("twice", found.best * 2, twice))
    ]
    text = f"At {where[0]} of the improvement, at {where[1]}." if half < 1 else f"At {where[0]}, at {where[1]}."
    steep = max(half, twice)
    yield Finding("beside", Level.INFO, text + (" The choice is forgiving." if steep < 0.02 else ""), steep)


def _interval(answer: Answer, found: Found, study: StudyRecord) -> Iterator[Finding]:
    if answer.interval is None:
        return
    low, high = answer.interval
    width = float(np.log10(high / low))
    runs, lengths = plural(len(found.trials), "run"), plural(len({trial.steps for trial in found.trials}), "length")
    text = (
        f"The rate of lowest expected loss lies between {rate(low)} and {rate(high)} (level "
        f"{share(answer.confidence)}, by a model of loss against rate over {runs} of {lengths})."
    )
    yield Finding("interval", Level.INFO, text, width)


def _equivalent(answer: Answer, found: Found, study: StudyRecord) -> Iterator[Finding]:
    if len(answer.equivalent) > 1:
        text = f"Cannot be told apart from the best: {rates(answer.equivalent)} (same level and model)."
        yield Finding("equivalent", Level.INFO, text, float(len(answer.equivalent)))


def _edge(answer: Answer, found: Found, study: StudyRecord) -> Iterator[Finding]:
    """Where training breaks."""
    if answer.stability_edge is None or found.best is None:
        if found.unstable is None:
            text = f"No rate up to {rate(max(t.lr for t in found.trials))} diverged, so no stability edge was found."
            yield Finding("no-stability-edge", Level.INFO, text)
        return
    good, bad = answer.stability_edge
    text = (
        f"Training does not diverge up to {rate(good)}, and does at {rate(bad)}, {bad / found.best:.3g} times the best."
    )
    if np.log10(bad / found.best) > CLIFF_DECADES + 1e-9:
        yield Finding("stability-edge", Level.INFO, text, bad)
    else:
        text += " That is close: the best rate is limited by stability, and warm-up or clipping may allow a better one."
        yield Finding("stability-limited", Level.WARNING, text, bad)


def _warmed(answer: Answer, found: Found, study: StudyRecord) -> Iterator[Finding]:
    """Rates that diverge without warm-up and train with it."""
    warm = [
        record
        for record in study.lanes
        if record.lane.optimizer == answer.optimizer
        and record.lane.schedule != answer.schedule
        and record.lane.schedule.startswith("warmup(")
    ]
    plain = {(t.lr, t.steps): t.value for t in found.trials if t.seed == found.problem.seed}
    for record in warm:
        without = plain.get((record.lane.lr, record.lane.total_steps))
        trained = record.outcome is Outcome.FINISHED and record.curve.final_valid_loss < record.curve.untrained_loss
        if without == float("inf") and trained:
            text = (
                f"Unstable without warm-up, fine with: at {rate(record.lane.lr)} training diverges, and with "
                f"`{record.lane.schedule}` it does not. Search with that schedule too."
            )
            yield Finding("warm-up-helps", Level.WARNING, text, record.lane.lr)
            return


def _noise(answer: Answer, found: Found, study: StudyRecord) -> Iterator[Finding]:
    """Seeds of the best rate that end far apart."""
    total = found.problem.total_steps
    ends = [t for t in found.trials if t.lr == found.best and t.steps == total and np.isfinite(t.value)]
    gains = [t.untrained - t.value for t in ends if np.isfinite(t.untrained)]
    if len(gains) > 1 and np.mean(gains) > 0:
        apart = (max(t.value for t in ends) - min(t.value for t in ends)) / float(np.mean(gains))
        if apart > NOISY_SHARE:
            text = (
                f"Seeds of one rate end {share(apart)} of the improvement apart: validation is noisy, as little data "
                "makes it, and finer differences between rates are chance. More validation data or seeds would tell."
            )
            yield Finding("noisy", Level.WARNING, text, apart)


def _drift(answer: Answer, found: Found, study: StudyRecord) -> Iterator[Finding]:
    """How the best rate moves with the length of training."""
    if found.basin is None or len({trial.steps for trial in found.trials}) < 2:
        return
    drift = found.basin.drift
    if drift >= MOVES:
        text = f"The best rate falls with the length: about {10**drift:.2g} times lower for runs ten times as long."
    else:
        text = "The best rate hardly depends on the length of training."
    yield Finding("horizon", Level.INFO, text, drift)
