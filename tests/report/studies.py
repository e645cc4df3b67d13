"""Made-up studies with realistic curves and hand-made judgements: what the report is tested on, and looked at with."""

import math

import numpy as np

from pacesetter.records import Answer, Curve, Finding, Lane, LaneRecord, Level, Outcome, StudyRecord

RATES = tuple(float(f"{10 ** (-5 + k / 2):.6g}") for k in range(13))
UNTRAINED = 2.33
OPTIMA = {
    "sgd": (-0.5, 0.135),
    "sgd(momentum=0.9)": (-1.5, 0.105),
    "adam": (-2.5, 0.098),
    "rmsprop": (-3.0, 0.112),
    "adagrad": (-1.5, 0.128),
}
SCHEDULES = ("warmup(0.05) >> cosine", "plateau(patience=2)", "triangular(cycle=0.2)")
EDGE = 0.9  # decades above its optimum where an optimizer begins to diverge
LABELS = {"too low": Level.INFO, "good": Level.GOOD, "high but stable": Level.WARNING, "too high": Level.BAD}


def comparison(steps: int = 440, rates: tuple[float, ...] = RATES, seeds: int = 3) -> StudyRecord:
    """Five optimizers, and three schedules with momentum, at every rate and seed; judged by hand."""
    strategies = [(name, "constant") for name in OPTIMA] + [("sgd(momentum=0.9)", text) for text in SCHEDULES]
    lanes = [
        _lane(optimizer, schedule, lr, seed, steps)
        for optimizer, schedule in strategies
        for lr in rates
        for seed in range(seeds)
    ]
    study = StudyRecord(
        name="digits-2026-11-22",
        task="digits-mlp",
        total_steps=steps,
        lanes=tuple(lanes),
        metrics={"accuracy": "max"},
        plan={
            "engine": "vectorised",
            "lanes_per_chunk": 32,
            "threads": 2,
            "reason": "3.1 times as fast as the plain loop",
        },
        provenance={
            "command": "pacesetter compare digits-mlp --optimizer sgd --optimizer adam --lr 1e-5:10:2 --seeds 3",
            "versions": {"pacesetter": "0.1.0", "torch": "2.13.0", "numpy": "2.3.1", "python": "3.11.2"},
            "data_hash": "sha256:5b1e8c0f2d7a44e1b0f6",
            "device": "cpu",
            "parameters": 6570,
        },
        created="2026-11-22T09:30:00Z",
        seconds=41.3,
    )
    answers = tuple(_answer(study, *key) for key in study.strategies())
    found = (
        Finding("best", Level.GOOD, "adam is best, but rmsprop cannot be told apart from it.", 2.0),
        Finding("diverged", Level.INFO, "Some runs diverged, all above the stability edge.", 62.0),
    )
    return StudyRecord(**{**_fields(study), "answers": answers, "findings": found})


def quadratic() -> StudyRecord:
    """Gradient descent on a rotated quadratic of two weights (curvatures 1 and 20), with its path and surface."""
    turn = math.radians(30)
    basis = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]])
    hessian = basis @ np.diag([1.0, 20.0]) @ basis.T
    x, y = np.linspace(-2.5, 2.5, 61), np.linspace(-2.0, 2.0, 61)
    grid = np.stack(np.meshgrid(x, y), axis=-1)
    surface = {
        "x": x.tolist(),
        "y": y.tolist(),
        "loss": (0.5 * np.einsum("abi,ij,abj->ab", grid, hessian, grid)).tolist(),
    }
    rates = (0.001, 0.00316, 0.01, 0.0316, 0.09, 0.11, 0.316)
    lanes = []
    for lr in rates:
        w, path, losses = np.array([-2.0, 1.3]), [], []
        path.append(w)
        for _ in range(100):
            losses.append(float(0.5 * w @ hessian @ w))
            w = w - lr * hessian @ w
            path.append(w)
            if not np.isfinite(w).all() or np.abs(w).max() > 1e30:
                break
        lanes.append(_quadratic_lane(lr, np.array(path), np.array(losses), hessian))
    best = 0.0316
    answer = Answer(
        "sgd", "constant", best, best, None, (best,), (0.01, 0.0316), (0.09, 0.11), 1e-3, 0.95,
        (Finding("too-few-seeds", Level.WARNING, "With 1 seed no interval can be given: 3 are needed.", 1.0),),
        f"sgd lr={best!r} constant",
    )  # fmt: skip
    return StudyRecord("teaching", "quadratic", 100, tuple(lanes), surface=surface, seconds=0.4, answers=(answer,))


def wells() -> StudyRecord:
    """One weight on a curve with a shallow and a deep minimum: a constant rate is stuck, a cyclical one is not."""

    def loss(w: np.ndarray) -> np.ndarray:
        return 0.05 * (w - 2.2) ** 2 + 0.9 - 0.9 * np.exp(-((w - 2.6) ** 2)) - 0.35 * np.exp(-6 * (w + 0.6) ** 2)

    x = np.linspace(-1.6, 4.4, 161)
    surface = {"x": x.tolist(), "y": None, "loss": loss(x).tolist()}
    lanes, answers = [], []
    for schedule, ends in (("constant", -0.58), ("triangular(cycle=0.2)", 2.58)):
        for lr in (0.01, 0.1, 1.0):
            path = np.linspace(-1.4, ends, 61) + 0.1 * lr * np.sin(np.arange(61))
            curve = _curve(np.full(60, lr), loss(path[:-1]), 60, float(loss(path[-1:])[0]), {}, path=path[:, None])
            lanes.append(LaneRecord(Lane("sgd", schedule, lr, 0, 60), Outcome.FINISHED, curve))
        answers.append(
            Answer("sgd", schedule, 0.1, None, None, (), None, None, float(loss(np.array([ends]))[0]), 0.95, (), None)
        )
    return StudyRecord("wells", "two-wells", 60, tuple(lanes), surface=surface, answers=tuple(answers))


def hostile() -> StudyRecord:
    """A study whose every text a browser would run if it were not escaped."""
    text = "<script>alert('x')</script>"
    lane = Lane("sgd", "constant", 0.1, 0, 10)
    bad = LaneRecord(lane, Outcome.FAILED, Curve(), text, (Finding("verdict", Level.BAD, text),))
    other = Lane("sgd", "constant", 0.2, 0, 10)
    curve = _curve(np.full(10, 0.2), np.linspace(2, 1, 10), 10, 1.0, {text: np.linspace(0, 1, 11)})
    good = LaneRecord(other, Outcome.FINISHED, curve, "", (Finding("verdict", Level.GOOD, text),))
    answer = Answer(
        "sgd", "constant", 0.2, 0.2, None, (0.2,), None, None, 1.0, 0.95, (Finding("x", Level.BAD, text),), text
    )
    return StudyRecord(
        text, text, 10, (bad, good), {text: "max"}, {"engine": text}, {text: text}, text, answers=(answer,),
        findings=(Finding("y", Level.BAD, f"{text}</script><img src=x onerror=alert(1)>"),),
    )  # fmt: skip


def _fields(study: StudyRecord) -> dict[str, object]:
    return {name: getattr(study, name) for name in StudyRecord.__slots__}


def _curve(
    lr: np.ndarray,
    train: np.ndarray,
    total: int,
    final: float,
    metrics: dict[str, np.ndarray],
    path: np.ndarray | None = None,
) -> Curve:
    every = max(1, total // 20)
    steps = np.unique(np.append(np.arange(0, len(lr) + 1, every), len(lr)))
    smooth = np.interp(steps, np.arange(len(train)), train)
    smooth[-1] = final
    return Curve(lr, train, np.abs(train), steps, smooth, metrics, 0.05, path)


def _lane(optimizer: str, schedule: str, lr: float, seed: int, steps: int) -> LaneRecord:
    rng = np.random.default_rng([seed, round(1000 * math.log10(lr) + 9000), len(optimizer), len(schedule)])
    optimum, floor = OPTIMA[optimizer]
    away = math.log10(lr) - optimum
    k = np.arange(steps)
    wander = 1.0 if schedule == "constant" else 0.35
    floor = floor * (1.0 if schedule == "constant" else 0.93) * (1 + 0.03 * rng.standard_normal())
    pace = 11 * 10 ** (0.85 * min(away, 0.3)) / steps
    level = floor + 0.5 * wander * max(0.0, away) ** 2
    noise = np.exp(0.28 * rng.standard_normal(steps))
    train = (level * 0.75 + (UNTRAINED - level) * np.exp(-pace * k)) * noise**0.6
    lane = Lane(optimizer, schedule, lr, seed, steps)
    factor = np.linspace(1, 0.02, steps) if schedule != "constant" else np.ones(steps)
    if away > EDGE:
        died = max(3, int(steps * 0.3 * math.exp(-2.5 * (away - EDGE)) * rng.uniform(0.6, 1.3)))
        train = train[:died] * np.exp(np.linspace(0, 12 + 6 * away, died) ** 1.2)
        curve = Curve(
            lr * factor[:died], train, train, np.array([0]), np.array([UNTRAINED]), {"accuracy": np.array([0.1])}, 0.05
        )
        text = f"diverged: the loss was not finite at step {died}."
        findings = (
            Finding("verdict", Level.BAD, text, None),
            Finding("convergence", Level.BAD, "The target was not reached."),
        )
        return LaneRecord(lane, Outcome.DIVERGED, curve, f"The loss was not finite at step {died}.", findings)
    if away > 0.6:
        train[steps // 3] *= 9  # one spike
    final = float(level + (UNTRAINED - level) * math.exp(-pace * steps) + 0.004 * rng.standard_normal())
    curve = _curve(lr * factor, train, steps, final, {})
    good = np.clip(1 - curve.valid_loss / UNTRAINED * 0.9, 0.1, 1) - 0.012
    curve = Curve(**{**{n: getattr(curve, n) for n in Curve.__slots__}, "metrics": {"accuracy": good}})
    return LaneRecord(lane, Outcome.FINISHED, curve, "", _judged(curve, away, pace, steps))


def _judged(curve: Curve, away: float, pace: float, steps: int) -> tuple[Finding, ...]:
    word = "too low" if away < -0.9 else "good" if away < 0.3 else "high but stable" if away < 0.6 else "too high"
    target = math.log(10) / pace
    gap = curve.final_valid_loss - curve.final_train_loss
    reached = target < steps
    return (
        Finding(
            "convergence",
            Level.GOOD if reached else Level.WARNING,
            f"The target loss 0.33 was reached after {target:.0f} steps."
            if reached
            else "The target loss 0.33 was not reached.",
            target if reached else None,
        ),
        Finding(
            "stability",
            Level.WARNING if away > 0.6 else Level.GOOD,
            "1 spike of the training loss." if away > 0.6 else "Calm.",
        ),
        Finding("generalization", Level.INFO, f"Validation loss is {gap:.3f} above training loss.", gap),
        Finding("verdict", LABELS[word], f"{word}: the run ended at {curve.final_valid_loss:.3f}."),
    )


def _answer(study: StudyRecord, optimizer: str, schedule: str) -> Answer:
    records = study.strategies()[optimizer, schedule]
    rates = sorted({r.lane.lr for r in records})
    means = {}
    for lr in rates:
        here = [r for r in records if r.lane.lr == lr]
        if all(r.outcome is Outcome.FINISHED for r in here):
            means[lr] = float(np.mean([r.curve.final_valid_loss for r in here]))
    best = min(means, key=lambda lr: means[lr])
    at = rates.index(best)
    equivalent = tuple(lr for lr in means if means[lr] < means[best] * 1.06)
    safe = [lr for lr in means if means[lr] - means[best] < 0.05 * (UNTRAINED - means[best])]
    lost = [lr for lr in rates if lr not in means]
    edge = (rates[rates.index(lost[0]) - 1], lost[0]) if lost else None
    interval = (rates[at - 1], rates[min(at + 1, len(rates) - 1)])
    return Answer(
        optimizer, schedule, best, best, interval, equivalent, (safe[0], safe[-1]), edge, means[best], 0.95,
        (Finding("equivalent", Level.INFO, f"Not told apart from the best: {equivalent}.", float(len(equivalent))),),
        f"{optimizer} lr={best!r} {schedule}",
    )  # fmt: skip


def theory(lr: float) -> str:
    """What theory says of gradient descent with this rate at a highest curvature of 20."""
    return "diverged" if lr > 0.1 else "too low" if lr < 0.01 else "good" if lr < 0.08 else "high but stable"


def _quadratic_lane(lr: float, path: np.ndarray, losses: np.ndarray, hessian: np.ndarray) -> LaneRecord:
    verdict = theory(lr)
    final = float(0.5 * path[-1] @ hessian @ path[-1])
    curve = _curve(np.full(len(losses), lr), losses, 100, final, {}, path)
    outcome = Outcome.DIVERGED if verdict == "diverged" else Outcome.FINISHED
    level = {"diverged": Level.BAD, **LABELS}[verdict]
    findings = (Finding("verdict", level, f"{verdict}: the highest curvature is 20."),)
    return LaneRecord(Lane("sgd", "constant", lr, 0, 100), outcome, curve, "", findings)
