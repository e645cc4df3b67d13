"""What each panel shows, by value."""

from dataclasses import replace

import altair as alt
import pytest
from markupsafe import Markup

from pacesetter import findings, words
from pacesetter.records import Finding, Level, Outcome, StudyRecord
from pacesetter.report import _summary, panels, recommended
from pacesetter.report._theme import DARK, LIGHT
from pacesetter.report.panels import answer, curves, final_loss, impact, paths, provenance, ranges, recipe, strategies
from tests.report import studies


def test_panels_are_found_by_file_and_ordered():
    """Every file of the folder is a panel, the answer comes first and the provenance last."""
    found = [panel.__name__.rpartition(".")[2] for panel in panels.find()]
    assert found[0] == "answer"
    assert found[-1] == "provenance"
    assert {"curves", "paths", "final_loss", "impact", "strategies", "recipe"} <= set(found)
    orders = [panel.ORDER for panel in panels.find()]
    assert orders == sorted(set(orders))


@pytest.mark.parametrize(
    ("make", "theme"),
    [(studies.quadratic, DARK), (studies.wells, LIGHT), (studies.hostile, replace(LIGHT, picture=True))],
)
def test_every_chart_is_valid_vega_lite(make, theme):
    """Each template obeys Vega-Lite's own schema, in both themes and as a picture."""
    study = make()
    for panel in panels.find():
        data = panel.data(study)
        drawn = () if data is None else panel.draw(data, theme)
        for picture in () if isinstance(drawn, Markup) else drawn:
            alt.Chart.from_dict({"data": {"name": "rows"}, **picture.template})


def test_the_answer_is_the_best_strategy(small):
    """The headline names the strategy with the lowest validation loss, its rate, its interval and what breaks."""
    shown = answer.data(small)
    best = min(small.answers, key=lambda a: a.valid_loss)
    assert best.optimizer in shown.sentence
    assert shown.sentence.startswith("Use ")
    facts = {name: value for name, value, _ in shown.facts}
    assert facts["Learning rate"] in shown.sentence
    assert " to " in facts["Best rate lies in"]
    assert facts["Breaks at"] not in ("–", "")


def test_no_claim_is_said_to_be_none():
    """Where the best rate is not claimed, the page does not say "use", and offers no code."""
    study = studies.wells()
    assert answer.data(study).sentence.startswith("Not recommended yet, but the lowest of what was tried")
    assert recipe.data(study) is None


def test_nothing_learned_is_said():
    """A study without any rate that learned says so."""
    study = studies.quadratic()
    lost = replace(study.answers[0], best_tried=None, lr=None, valid_loss=None, recipe=None)
    shown = answer.data(replace(study, answers=(lost,)))
    assert shown.sentence == "No learning rate learned"
    assert shown.support.startswith("No rate ended better than the untrained model under every seed (7 learning rates")
    assert shown.facts == []
    assert strategies.data(replace(study, answers=(lost,))).rows[0].rank is None


def test_why_nothing_learned_is_the_finding_s_own_text(small):
    """The reason stands under the headline once, with the strategy's name where there are several."""
    finding = Finding("nothing-learned", Level.BAD, "One seed learned, another diverged.")
    lost = [replace(a, best_tried=None, lr=None, valid_loss=None, findings=(finding,)) for a in small.answers[:2]]
    alone = answer.data(replace(small, answers=(lost[0],), findings=()))
    assert alone.support == finding.text
    assert alone.findings == ([], [], [])
    both = answer.data(replace(small, answers=tuple(lost), findings=()))
    assert both.support == f"{lost[0].optimizer}: {finding.text}"
    assert [told.text for told in both.findings.others] == [f"{lost[1].optimizer}: {finding.text}"]
    assert both.findings.best == []


def test_a_running_study_says_what_is_left(small):
    """Nothing that has not ended is called unlearned, and what is best so far is not yet recommended."""
    begun = tuple(replace(record, outcome=Outcome.RUNNING) for record in small.lanes)
    lost = tuple(replace(a, best_tried=None, lr=None, valid_loss=None, findings=()) for a in small.answers)
    shown = answer.data(replace(small, lanes=begun, answers=lost))
    assert shown.sentence == "No answer yet: 0 of 96 lanes trained"
    assert shown.support.startswith("Asked for: 8 strategies")
    assert strategies.data(replace(small, lanes=begun, answers=lost)).rows[0].nothing == "not trained yet"
    almost = replace(small, lanes=(*small.lanes[1:], begun[0]))
    assert answer.data(almost).sentence.startswith("So far, with 95 of 96 lanes trained: ")
    assert recipe.data(almost) is None
    assert recommended(almost) is None


def half_trained(study: StudyRecord) -> StudyRecord:
    """The study as an interruption leaves it: seed 1 and the last two strategies are not finished."""
    late = list(study.strategies())[-2:]
    lanes = []
    for record in study.lanes:
        if record.lane.seed == 1 or record.lane.strategy in late:
            seen = record.curve.eval_steps <= 30
            curve = replace(
                record.curve,
                **{name: getattr(record.curve, name)[:30] for name in ("lr", "train_loss", "grad_norm")},
                eval_steps=record.curve.eval_steps[seen],
                valid_loss=record.curve.valid_loss[seen],
                metrics={name: values[seen] for name, values in record.curve.metrics.items()},
            )
            lanes.append(replace(record, outcome=Outcome.RUNNING, curve=curve, message="", findings=()))
        else:
            lanes.append(record)
    return findings.judge(replace(study, lanes=tuple(lanes), answers=(), findings=()))


def test_a_half_trained_study_is_told_by_its_finished_lanes(small):
    """Means are over finished lanes alone, one has no spread, and a strategy without any is not trained yet."""
    study = half_trained(small)
    ended = sum(record.outcome.ended for record in study.lanes)
    shown = answer.data(study)
    assert shown.sentence.startswith(f"So far, with {ended} of 96 lanes trained: ")
    assert "with one seed" in shown.support
    assert "±" not in shown.support
    assert {remark for name, _, remark in shown.facts if name in ("Validation loss", "Accuracy")} == {"one seed"}
    rows = strategies.data(study).rows
    lanes = study.strategies()
    for row in rows[:6]:
        (best,) = (
            r for r in lanes[row.optimizer, row.schedule] if (r.lane.lr, r.lane.seed) == (row.answer.best_tried, 0)
        )
        assert (row.seeds, row.spread, row.valid_loss) == (1, None, best.curve.final_valid_loss)
        assert row.metrics == {"accuracy": (best.curve.final_metrics["accuracy"], None)}
    assert [row.nothing for row in rows[6:]] == ["not trained yet"] * 2
    drawn = final_loss.data(study)
    dots = [row for part in drawn.rows.values() for row in part if row["part"] in ("seed", "cross")]
    assert len(dots) == ended
    assert {row["seed"] for row in dots} == {0}
    lines = curves.data(study).measures[0].rows["adam"]
    assert {row["seed"] for row in lines if row["part"] == "open"} == {1}
    assert "not finished, 30 of 60 steps" in {row["ended"] for row in lines if row["part"] == "open"}
    for optimizer, schedule, _, rates in impact.data(study).strategies:
        untrained = all(not record.outcome.ended for record in lanes[optimizer, schedule])
        assert all(rate.seeds == (0 if untrained else 1) and rate.spread is None for rate in rates)
        assert not untrained or {rate.verdict for rate in rates} == {"not finished"}
    assert f"{96 - ended} not finished" in dict(provenance.data(study).rows)["runs"]


def test_means_and_spread_are_of_the_lanes_that_were_compared(small):
    """Where more seeds finished at the best rate than the answer compared, the others take no part in its mean."""
    of_sgd = small.strategies()["sgd", "constant"]
    rate = next(a.best_tried for a in small.answers if a.optimizer == "sgd")
    kept = [
        r if r.lane.seed == 0 or r.lane.lr == rate else replace(r, outcome=Outcome.RUNNING, findings=()) for r in of_sgd
    ]
    study = findings.judge(replace(small, lanes=tuple(kept), answers=(), findings=()))
    (row,) = strategies.data(study).rows
    assert (row.seeds, row.spread, row.valid_loss) == (1, None, study.answers[0].valid_loss)


def test_the_best_rate_is_named_at_its_line(small):
    """In each cell the lines of the best rate are set off, and one carries the rate."""
    for measure in curves.data(small).measures:
        for found in small.answers:
            rows = measure.rows[words.label(found.optimizer, found.schedule)]
            assert {row["lr"] for row in rows if row["part"] == "best"} == {found.best_tried}
            assert [row["text"] for row in rows if row["part"] == "name"] == [words.rate(found.best_tried)]


def test_seven_tiles_fill_their_rows(small):
    """Up to six figures stand in a row; seven stand as four and three, and none leaves a gap."""
    assert [answer._share(tiles) for tiles in (5, 6, 7, 8, 9)] == [18, 15, 22, 22, 18]


def test_the_headline_tells_what_was_asked(small):
    """What was trained is told as strategies, rates, seeds and steps, not as a number that nobody asked for."""
    assert "(8 strategies × 6 learning rates × 2 seeds, 60 steps each)." in answer.data(small).support
    assert "(95 runs, 60 steps each)." in answer.data(replace(small, lanes=small.lanes[1:])).support


def test_findings_are_told_worst_first_and_by_strategy():
    """Findings on other strategies name theirs, and a warning comes before what is good to know."""
    study = studies.comparison(60, (0.001, 0.01), 1)
    told = _summary.told(study)
    assert len(told.others) == 7
    assert all(":" in finding.text for finding in told.others)
    found = tuple(Finding(level, level, f"{level}.") for level in (Level.GOOD, Level.INFO, Level.WARNING, Level.BAD))
    told = _summary.told(replace(study, findings=found))
    assert [finding.level for finding in told.whole] == [Level.BAD, Level.WARNING, Level.GOOD, Level.INFO]


def test_strategies_are_ranked_with_their_kind(small):
    """One row per strategy, from best to worst, with the kind that its texts mean."""
    rows = strategies.data(small).rows
    assert len(rows) == len(small.answers)
    losses = [row.valid_loss for row in rows]
    assert losses == sorted(losses)
    kinds = {(row.optimizer, row.schedule): row.kind for row in rows}
    assert kinds["adam", "constant"] == "adaptive"
    assert kinds["sgd", "constant"] == "grid of constant rates"
    assert kinds["sgd(momentum=0.9)", "plateau(patience=2)"] == "reduce on plateau"
    assert kinds["sgd(momentum=0.9)", "warmup(0.05) >> cosine"] == "decay"
    assert kinds["sgd(momentum=0.9)", "triangular(cycle=0.2)"] == "cyclical"
    assert _summary.kind("somebody_elses", "constant") == "–"
    assert sum(row.runs for row in rows) == pytest.approx(small.cost.runs)


def test_final_loss_marks_seeds_means_and_the_lost(small):
    """Each run is a dot or a cross, each rate without a lost seed has a mean, and the best is ringed once."""
    shown = final_loss.data(small)
    rows = shown.rows["adam"]
    lanes = small.strategies()["adam", "constant"]
    parts = [row["part"] for row in rows]
    assert parts.count("cross") == sum(record.outcome is Outcome.DIVERGED for record in lanes)
    assert parts.count("seed") == len(lanes) - parts.count("cross")
    assert parts.count("interval") == parts.count("edge") == 1
    assert sum(row.get("best", 0) for row in rows) == 1
    assert parts.count("mean") == len({r.lane.lr for r in lanes}) - parts.count("cross") / 2


def test_curves_end_where_the_run_died(small):
    """A diverged lane has a cross at its last step and no point after it."""
    shown = curves.data(small)
    assert [measure.label for measure in shown.measures] == ["Training loss", "Validation loss", "Accuracy"]
    rows = shown.measures[0].rows["adam"]
    crosses = [row for row in rows if row["part"] == "cross"]
    assert crosses
    for cross in crosses:
        points = [row["step"] for row in rows if row["part"] == "line" and row["lane"] == cross["lane"]]
        assert max(points) < cross["step"]


def test_ranges_have_a_row_for_each_strategy(small):
    """Every strategy has its name, the rates it was tried at, its best rate and its edge."""
    shown = ranges.data(small)
    assert len(shown.labels) == len(small.answers)
    for label in shown.labels:
        assert {"name", "tried", "best"} <= {row["part"] for row in shown.rows if row["label"] == label}


def test_paths_are_too_low_right_and_too_high(quadratic):
    """On a surface of two weights three runs are drawn: a lower rate, the best, and the first that diverges."""
    shown = paths.data(quadratic)
    assert shown.dimensions == 2
    assert [note.partition(":")[0] for _, note, _ in shown.cells] == ["a lower rate", "the best rate", "a higher rate"]
    assert shown.cells[2][1].endswith("diverged")
    assert all(rows[0]["end"] == "start" for _, _, rows in shown.cells)


def test_one_weight_is_drawn_on_its_curve():
    """With one weight the surface is a curve, and the path lies on it."""
    shown = paths.data(studies.wells())
    assert shown.dimensions == 1
    assert len(shown.surface) == 161
    low, high = shown.y
    assert all(low <= row["y"] <= high for _, _, rows in shown.cells for row in rows)


def test_no_path_without_a_surface(small):
    """Models of many weights have no such panel."""
    assert paths.data(small) is None


def test_impact_has_every_rate(small):
    """Each strategy has all its rates with a verdict; a rate that lost every seed has no loss."""
    shown = impact.data(small)
    assert all(len(rates) == 6 for *_, rates in shown.strategies)
    adam = next(rates for optimizer, _, _, rates in shown.strategies if optimizer == "adam")
    assert adam[-1].verdict == "diverged"
    assert adam[-1].level is Level.BAD
    assert adam[-1].valid_loss is None
    assert adam[-1].stability.startswith("lost at step")
    assert any(rate.verdict == "good" and rate.gap is not None for rate in adam)


def test_provenance_says_how_it_was_made(small):
    """Versions, data hash, device, command, seeds, plan and cost are there, whatever their nesting."""
    rows = dict(provenance.data(small).rows)
    assert rows["versions: torch"] == "2.13.0"
    assert rows["data hash"].startswith("sha256:")
    assert rows["command"].startswith("pacesetter compare")
    assert rows["seeds"] == "0, 1"
    again = provenance.data(replace(small, provenance={**small.provenance, "seeds": [0, 1]})).rows
    assert [name for name, _ in again].count("seeds") == 1
    assert rows["plan: engine"] == "vectorised"
    assert rows["plan: lanes in one pass"] == "32"
    assert rows["plan: why so"] == "3.1 times as fast as the plain loop"
    assert "full trainings" in rows["cost"]


def test_provenance_says_the_whole_plan_in_words(small):
    """Compiled code, processes and precision are shown, and a study that says nothing of its plan shows none."""
    plan = {**small.plan, "compiled": True, "lanes_per_bundle": 512, "workers": 2, "precision": "bfloat16"}
    rows = dict(provenance.data(replace(small, plan=plan)).rows)
    assert rows["plan: engine"] == "vectorised, compiled"
    assert (rows["plan: side by side"], rows["plan: precision"]) == ("2", "bfloat16")
    assert not any("_" in name for name in rows)
    assert not any("plan" in name for name, _ in provenance.data(replace(small, plan={})).rows)


def test_provenance_says_how_much_memory_was_used_in_words(small):
    """The peak is shown as people say sizes, once, and not at all where nobody could say."""
    known = replace(small, provenance={**small.provenance, "peak_memory_bytes": 1_234_567_890})
    rows = provenance.data(known).rows
    assert ("most memory used", "1.2 GB") in rows
    assert not any("peak" in name or "1234567890" in text for name, text in rows)
    assert "most memory used" not in dict(provenance.data(small).rows)


@pytest.mark.parametrize(
    "schedule",
    ["constant", "cosine", "cosine(final=0.1)", "linear(final=0.2)", "step", "exponential", "plateau(patience=2)"],
)
@pytest.mark.parametrize("optimizer", ["adam(beta2=0.95)", "sgd(momentum=0.9)", "adagrad"])
def test_plain_code_is_the_recipe(optimizer, schedule):
    """The plain PyTorch code runs, and gives the rates of the recipe step by step."""
    import torch

    from pacesetter import schedules

    code = recipe.plain(optimizer, schedule, 0.1, 50).replace("scheduler.step(valid_loss)", "")
    model = torch.nn.Linear(2, 1)
    names = {"model": model}
    exec(code, names)
    made, pace = names["optimizer"], schedules.parse(schedule)
    for k in range(50 if pace.pure else 1):
        expected = 0.1 * (pace(k, 50) if pace.pure else 1.0)
        assert made.param_groups[0]["lr"] == pytest.approx(expected, abs=1e-12)
        if k == 0:
            model(torch.ones(1, 2)).sum().backward()
        made.step()
        if "scheduler" in names and pace.pure:
            names["scheduler"].step()


@pytest.mark.parametrize("total", [1, 50, 100, 103])
@pytest.mark.parametrize("every", [0.145, 0.3, 0.005, 7])
def test_plain_code_drops_where_the_schedule_does(every, total):
    """A share is rounded as the schedule rounds it: 0.145 of 100 steps is 15."""
    from pacesetter import schedules

    pace = schedules.step(every=every)
    size = int(recipe.plain("sgd", str(pace), 0.1, total).partition("step_size=")[2].partition(",")[0])
    first = next((k for k in range(total) if pace(k, total) < 1), None)
    assert size == first or (first is None and size >= total)
    if (every, total) == (0.145, 100):
        assert size == 15


def test_code_that_is_no_line_or_two_is_left_out():
    """A chain of schedules has no plain equivalent on the page; ours stands alone."""
    assert recipe.plain("adam", "warmup(0.05) >> cosine", 0.1, 50) is None
    assert recipe.plain("unheard_of", "constant", 0.1, 50) is None


def test_our_code_runs(quadratic):
    """The code to paste builds the optimizer and scheduler of the recommended recipe."""
    import torch

    code = recipe.data(quadratic).ours.partition("for inputs")[0].replace("import pacesetter as ps", "")
    from pacesetter import recipes

    names = {"ps": recipes, "model": torch.nn.Linear(2, 1)}
    exec(code, names)
    assert names["optimizer"].param_groups[0]["lr"] == quadratic.answers[0].lr


def test_an_empty_study_has_only_its_headline_and_provenance():
    """A study without lanes is no error."""
    study = StudyRecord("empty", "none", 10, ())
    shown = [panel.__name__.rpartition(".")[2] for panel in panels.find() if panel.data(study) is not None]
    assert shown == ["answer", "provenance"]
