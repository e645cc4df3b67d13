"""The verb `find`: an answer with its evidence, within its budget, that goes on where it was."""

import json

import numpy as np
import pytest
import torch

import pacesetter as ps
from pacesetter.errors import InputError, UnknownName
from pacesetter.records import Outcome
from pacesetter.report._summary import strategies
from pacesetter.report.panels import final_loss

HERE = {"engine": "vectorised", "workers": 1}


def line(**changes):
    """A task that learns in a moment: a straight line through three inputs."""
    inputs = torch.randn(96, 3, generator=torch.Generator().manual_seed(0))
    parts = {
        "model": lambda: torch.nn.Linear(3, 1),
        "loss": torch.nn.functional.mse_loss,
        "train": (inputs, inputs.sum(1, keepdim=True)),
        "batch_size": 16,
        "steps": 135,
        "name": "line",
    }
    return ps.Task(**{**parts, **changes})


@pytest.fixture(scope="module")
def answer():
    """The answer of a search with gradient descent."""
    return ps.find(line(), optimizer="sgd", **HERE)


def names(answer):
    """The findings' names."""
    return {finding.name for finding in answer.findings}


def test_find_answers_with_its_evidence(answer):
    """A rate in its interval, among the equivalent ones, in the safe range, below the edge, and verified."""
    low, high = answer.interval
    assert low <= answer.lr <= high
    assert answer.lr in answer.equivalent
    assert answer.safe_range[0] <= answer.lr <= answer.safe_range[1]
    good, bad = answer.stability_edge
    assert answer.lr <= good < bad
    assert answer.recipe.lr == answer.lr
    assert "verified" in names(answer)
    full = [r.lane for r in answer.study.lanes if r.lane.total_steps == 135 and r.lane.lr == answer.lr]
    assert len({lane.seed for lane in full}) == 2


def test_the_cost_is_what_was_trained(answer):
    """At most six full trainings, counted from the lanes."""
    steps = sum(record.curve.steps for record in answer.study.lanes)
    assert answer.cost.lane_steps == steps
    assert answer.cost.runs == pytest.approx(steps / 135)
    assert answer.cost.runs <= 6


def test_the_rate_is_as_good_as_a_grid_of_many_runs(answer):
    """Trained in full under three other seeds, it gives up at most 2 % of what the best of thirteen rates reaches."""
    rates = [10.0**k for k in np.arange(-3, 0.1, 0.25)]
    study = ps.compare(line(), lr=[*rates, answer.lr * 1.0001], optimizers="sgd", seeds=3, seed=50, **HERE)
    means = {}
    for record in study.lanes:
        if record.outcome is Outcome.FINISHED:
            means.setdefault(record.lane.lr, []).append(record.curve.final_valid_loss)
    ends = {lr: np.mean(values) for lr, values in means.items() if len(values) == 3}
    untrained = np.mean([record.curve.untrained_loss for record in study.lanes])
    best = min(ends.values())
    assert (ends[answer.lr * 1.0001] - best) / (untrained - best) <= 0.02


def test_the_same_search_gives_the_same_answer(answer):
    """To the last bit."""
    again = ps.find(line(), optimizer="sgd", **HERE)
    assert again.record == answer.record


def test_a_quick_look_says_that_nothing_is_verified(store):
    """It makes short runs alone; and the same study may be gone on with until it is verified, keeping them."""
    quick = ps.find(line(), optimizer="sgd", quick=True, store=store, study="look", **HERE)
    assert quick.cost.runs <= 1.5
    assert "not-verified" in names(quick)
    assert quick.lr is not None
    before = {record.lane for record in quick.study.lanes}
    whole = ps.find(line(), optimizer="sgd", store=store, study="look", **HERE)
    assert "verified" in names(whole)
    assert before < {record.lane for record in whole.study.lanes}
    assert ps.Study.load("look", store).answers[0].record == whole.record


def test_a_quick_range_test_gives_its_own_suggestion():
    """The rate that the sweeps say, and that there is no more to say: one short run is no valley."""
    answer = ps.find(line(steps=300), optimizer="sgd", strategy="range_test", quick=True, **HERE)
    own = [one.lane for one in answer.study.lanes if one.lane.schedule == "constant"]
    assert [lane.lr for lane in own] == [answer.lr]
    assert answer.interval is None
    assert answer.safe_range is None
    assert {"range-test", "not-verified"} <= names(answer)
    assert not {"beside", "edge-of-range"} & names(answer)


def test_a_quick_look_is_not_drawn_as_one_that_learned_nothing():
    """No run went to the end, so there is no loss to rank by; that is what is said in its place."""
    answer = ps.find(line(), optimizer="sgd", quick=True, **HERE)
    assert answer.lr is not None
    (row,) = strategies(answer.study.record)
    assert row.nothing == "not trained in full"


@pytest.mark.parametrize("steps", [135, 150, 300])
def test_sweeps_are_shorter_where_the_length_is(steps):
    """Three sweeps of 100 updates do not fit into a quick look at a short training."""
    answer = ps.find(line(steps=steps), optimizer="sgd", strategy="range_test", quick=True, **HERE)
    assert answer.lr is not None
    assert answer.cost.runs <= 1.5


def test_an_interrupted_search_goes_on_to_the_same_answer(answer, store):
    """Ctrl-C in the middle loses nothing that was trained, and the same call ends with the same answer."""

    def interrupt(progress):
        if progress.settled > 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ps.find(line(), optimizer="sgd", store=store, study="s", progress=interrupt, **HERE)
    assert ps.Study.load("s", store).lanes
    assert ps.find(line(), optimizer="sgd", store=store, study="s", **HERE).record == answer.record


def test_a_finished_search_trains_nothing(store):
    """Asked again, it answers from the store."""
    first = ps.find(line(), optimizer="sgd", store=store, study="s", **HERE)
    again = ps.find(line(), optimizer="sgd", store=store, study="s", **HERE)
    assert again.record == first.record
    assert again.cost.lane_steps == first.cost.lane_steps


@pytest.mark.parametrize("changed", [{"optimizer": "adam"}, {"lr": "1e-4:1"}, {"seed": 3}, {"steps": 60}])
def test_a_search_goes_on_with_its_own_question_alone(store, changed):
    """Another optimizer, range, seed or length under the name of a study is refused, and so is a comparison."""
    ps.find(line(), optimizer="sgd", quick=True, store=store, study="s", **HERE)
    with pytest.raises(InputError, match="study"):
        ps.find(line(), **{"optimizer": "sgd", "store": store, "study": "s", **HERE, **changed})
    with pytest.raises(InputError, match="study"):
        ps.compare(line(), lr=[0.1], optimizers="sgd", store=store, study="s", **HERE)


def test_time_that_runs_out_leaves_what_is_known():
    """With next to no time, lanes are stopped, nothing fails, and the answer says how far it came."""
    found = ps.find(line(), optimizer="sgd", seconds=1e-6, **HERE)
    assert {record.outcome for record in found.study.lanes} & {Outcome.STOPPED, Outcome.FINISHED}
    assert found.cost.runs < 1
    assert names(found) & {"nothing-learned", "not-verified"}


def test_a_metric_of_which_more_is_better_can_be_judged():
    """By accuracy the suggested rate classifies; negative and unbounded values are as good as any."""
    inputs = torch.randn(300, 2, generator=torch.Generator().manual_seed(0))
    labels = (inputs[:, 0] > 0).long()
    task = ps.Task(
        model=lambda: torch.nn.Linear(2, 2), loss=lambda o, t: torch.nn.functional.cross_entropy(o, t) - 100,
        train=(inputs, labels), batch_size=20, steps=81, metrics={"accuracy": ps.accuracy},
    )  # fmt: skip
    found = ps.find(task, optimizer="sgd", metric="accuracy", **HERE)
    best = [r for r in found.study.lanes if r.lane.lr == found.best_tried and r.lane.total_steps == 81]
    assert min(r.curve.final_metrics["accuracy"] for r in best) > 0.9
    with pytest.raises(UnknownName, match="did you mean `accuracy`"):
        ps.find(task, metric="acuracy", **HERE)


def test_a_plateau_is_a_whole_run_at_any_length():
    """A schedule that reacts to evaluations has as many of them in a short run."""
    found = ps.find(line(evaluations=4), optimizer="sgd", schedule="plateau", quick=True, **HERE)
    assert {len(record.curve.eval_steps) for record in found.study.lanes if record.outcome is Outcome.FINISHED} == {5}


def test_a_full_run_has_the_short_ones_within_it():
    """Under a constant rate it is evaluated where short runs end, and was there what they were; not under a cosine.

    At its own end it is evaluated three times over the last tenth.
    """
    at, ends = {}, {}
    for schedule in ("constant", "cosine"):
        records = ps.find(
            line(evaluations=2), optimizer="sgd", schedule=schedule, lr="0.01,0.03,0.1", **HERE
        ).study.lanes
        full = [r for r in records if r.lane.total_steps == 135 and r.outcome is Outcome.FINISHED]
        at[schedule] = {tuple(r.curve.eval_steps.tolist()) for r in full}
        short = {(r.lane.lr, r.lane.seed, r.lane.total_steps): r.curve.final_valid_loss for r in records}
        ends[schedule] = [
            (short[key], float(r.curve.valid_loss[list(r.curve.eval_steps).index(n)]))
            for r in full for n in (5, 15)
            if (key := (r.lane.lr, r.lane.seed, n)) in short and n in r.curve.eval_steps
        ]  # fmt: skip
    assert at == {"constant": {(0, 5, 15, 45, 68, 122, 128, 135)}, "cosine": {(0, 68, 135)}}
    assert ends["constant"]
    assert all(one == pytest.approx(other, rel=1e-6) for one, other in ends["constant"])


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_a_loss_that_is_never_finite_is_an_answer(broken):
    """No lane learns, none fails, and the loss is blamed."""
    found = ps.find(line(loss=lambda o, t: (o - t).mean() * broken), optimizer="sgd", **HERE)
    assert found.lr is None
    assert names(found) == {"nothing-learned"}


def test_a_constant_loss_is_an_answer():
    """Where no rate changes anything, none is given."""
    found = ps.find(line(loss=lambda o, t: (o * 0).sum() + 1.0), optimizer="sgd", **HERE)
    assert found.lr is None


@pytest.mark.parametrize("metric", [None, "accuracy"])
def test_labels_drawn_by_chance_are_hardly_ever_learned(metric):
    """Short runs get the classes' shares right, and some accuracies are better by chance: of four one is fooled."""
    answers = []
    for seed in range(1, 5):
        chance = torch.Generator().manual_seed(seed)
        inputs, labels = torch.randn(400, 4, generator=chance), torch.randint(0, 4, (400,), generator=chance)
        task = ps.Task(
            model=lambda: torch.nn.Sequential(torch.nn.Linear(4, 32), torch.nn.Tanh(), torch.nn.Linear(32, 4)),
            loss=torch.nn.functional.cross_entropy, train=(inputs, labels), batch_size=16, steps=135,
            metrics={"accuracy": ps.accuracy},
        )  # fmt: skip
        answers.append(ps.find(task, metric=metric, **HERE))
    none = [found for found in answers if found.lr is None]
    assert len(none) >= 3
    assert all(names(found) == {"nothing-learned"} for found in none)


def test_the_optimum_beyond_the_range_is_found():
    """A range that ends below the best rate is widened."""
    found = ps.find(line(), optimizer="sgd", lr="1e-6:1e-4", **HERE)
    assert found.lr > 1e-3


def test_groups_of_rates_keep_their_ratios():
    """One multiplier is searched for, and the recipe is of the task with its ratios."""
    found = ps.find(line(lr_ratios={"bias": 10.0}), optimizer="sgd", quick=True, **HERE)
    assert found.study.record.provenance["lr_ratios"] == {"bias": 10.0}
    assert found.lr is not None


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"lr": "0.1"}, "`lr` must have at least two rates"),
        ({"lr": "0.1:0.1"}, "`lr` must have at least two rates"),
        ({"lr": "1:0.1"}, "`low` must not be above `high`"),
        ({"budget": 0.1}, "`budget` must be at least 0.4"),
        ({"budget": -1}, "`budget` must be a number of full trainings above 0"),
        ({"seconds": 0}, "`seconds` must be a number above 0"),
        ({"strategy": "paece"}, "did you mean `pace`"),
        ({"strategy": "range_test", "lr": "0.1,0.01"}, "`lr` must be a range LOW:HIGH for strategy=range_test"),
        ({"optimizer": "adamm"}, "did you mean `adam`"),
        ({"schedule": "cosine >> warmup("}, "schedule"),
        ({"metric": "accuracy"}, "`metric` must name a known metric"),
    ],
)
def test_a_wrong_question_is_refused_before_any_work(asked, said):
    """Each in the one grammar."""
    with pytest.raises(InputError) as error:
        ps.find(line(steps=540), **HERE, **asked)
    assert said in str(error.value)


def test_the_report_of_a_search_can_be_written(answer, tmp_path):
    """The page opens with the rate and draws full runs alone; the document is strict JSON with the promised keys."""
    page = answer.study.report(tmp_path / "report.html").read_text(encoding="utf-8")
    assert "Learning rate search" in page
    assert "What each rate does" not in page
    full = final_loss.data(answer.study.record).rows
    drawn = {row["lr"] for rows in full.values() for row in rows if row["part"] in ("seed", "mean")}
    assert drawn == {r.lane.lr for r in answer.study.lanes if r.lane.total_steps == 135}
    document = json.loads(answer.study.to_json())
    assert list(document) == ["study", "task", "total_steps", "answer", "cost"]
    assert document["answer"]["lr"] == answer.lr
