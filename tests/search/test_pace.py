"""The default search: what it asks for, when it is done, and that it finds known valleys within its budget."""

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from pacesetter.findings import judge
from pacesetter.records import Curve, Lane, LaneRecord, Outcome, Problem, StudyRecord, Trial
from pacesetter.search.pace import Pace, _beyond_the_better

TOTAL = 540
UNTRAINED = 2.0
Ends = Callable[[Lane], float]


def valley(best: float = 1e-2, drift: float = 0.0, cliff: float = 1.0, gain: float = 1.8) -> Ends:
    """Final losses: a parabola in log rate whose bottom moves with the length, and infinite from `cliff` on."""

    def end(lane: Lane) -> float:
        if lane.lr >= cliff:
            return float("inf")
        bottom = np.log10(best) - drift * np.log10(lane.total_steps / TOTAL)
        return UNTRAINED - gain / (1 + (np.log10(lane.lr) - bottom) ** 2 * 4)

    return end


def record(lane: Lane, end: float) -> LaneRecord:
    """The lane as it came out."""
    steps = np.zeros(lane.total_steps)
    curve = Curve(
        lr=steps, train_loss=steps, grad_norm=steps, eval_steps=np.array([0, lane.total_steps]),
        valid_loss=np.array([UNTRAINED, end]),
    )  # fmt: skip
    return LaneRecord(lane, Outcome.FINISHED if np.isfinite(end) else Outcome.DIVERGED, curve)


def searched(problem: Problem, ends: Ends, search: Pace = Pace()) -> list[LaneRecord]:  # noqa: B008  # a frozen value
    """All lanes that the search asks for, until it is done."""
    known: list[LaneRecord] = []
    while asked := search.ask(problem, known):
        assert not {r.lane for r in known} & set(asked)
        known += [record(lane, ends(lane)) for lane in asked]
        assert len(known) < 100
    return known


def problem(**given: object) -> Problem:
    """A search from 1e-5 to 10."""
    return Problem(
        **{"optimizer": "adam", "schedule": "constant", "low": 1e-5, "high": 10.0, "total_steps": TOTAL, **given}
    )


def cost(known: list[LaneRecord]) -> float:
    """In full trainings."""
    return sum(r.lane.total_steps for r in known) / TOTAL


@pytest.mark.parametrize("best", [1e-4, 1e-2, 0.3])
@pytest.mark.parametrize("drift", [0.0, 0.5, 1.0])
def test_a_clean_valley_is_found_within_six_runs(best: float, drift: float) -> None:
    """Whether the best rate moves with the length or not, the suggestion is within a quarter decade of it."""
    known = searched(problem(), valley(best, drift))
    found = Pace().suggest(problem(), known)
    assert found is not None
    assert abs(np.log10(found / best)) <= 0.25 + 1e-6
    assert cost(known) <= 6


@pytest.mark.parametrize("best", [1e-3, 0.1])
def test_what_is_suggested_is_verified(best: float) -> None:
    """The suggested rate is trained to the full length under two seeds, a lower and a higher one under one."""
    known = searched(problem(), valley(best))
    found = Pace().suggest(problem(), known)
    full = [r.lane for r in known if r.lane.total_steps == TOTAL]
    assert len({lane.seed for lane in full if lane.lr == found}) == 2
    assert any(lane.lr < found for lane in full)
    assert any(lane.lr > found for lane in full)


def test_a_budget_that_was_given_is_used() -> None:
    """A verified answer ends a search whose budget nobody gave; one that was given is used."""
    usual, ample = searched(problem(), valley(1e-2)), searched(problem(budget=9.0), valley(1e-2))
    assert cost(usual) < cost(ample)
    assert cost(ample) > 8
    assert {r.lane for r in usual} < {r.lane for r in ample}


def test_a_quick_look_makes_short_runs_alone() -> None:
    """Nothing is trained to the full length, and all of it costs at most one and a half runs."""
    quick = problem(quick=True, budget=1.5)
    known = searched(quick, valley())
    assert max(r.lane.total_steps for r in known) <= TOTAL / 3
    assert cost(known) <= 1.5
    assert Pace().runs(quick) == pytest.approx(cost(known))


@pytest.mark.parametrize(("drift", "away"), [(0.0, 0.5), (1.2, -0.5)], ids=["up", "down"])
def test_the_third_of_the_longer_runs_of_a_quick_look_lies_beyond_the_better(drift: float, away: float) -> None:
    """Two runs half a decade apart, and half a decade beyond the better of them a third."""
    known = searched(problem(quick=True, budget=1.5), valley(1e-2, drift, cliff=np.inf))
    *two, third = [r.lane.lr for r in known if r.lane.total_steps == TOTAL / 3]
    assert np.log10(max(two) / min(two)) == pytest.approx(0.5, abs=1e-4)
    better = max(two) if away > 0 else min(two)
    assert np.log10(third / better) == pytest.approx(away, abs=1e-4)


def test_the_third_of_the_longer_runs_lies_between_where_the_rate_beyond_diverges() -> None:
    """What is known to diverge in a short run is not tried in a longer one."""
    ends = ((0.01, 180, 1.5), (0.0316228, 180, 1.0), (0.1, 20, float("inf")))
    trials = [Trial(lr, 0, steps, end, UNTRAINED) for lr, steps, end in ends]
    (third,) = _beyond_the_better(problem(quick=True), trials, 180)
    assert third.lr == pytest.approx(0.0177828)
    (beyond,) = _beyond_the_better(problem(quick=True), trials[:2], 180)
    assert beyond.lr == pytest.approx(0.1)


def test_a_search_goes_on_from_any_record_of_it() -> None:
    """What is asked depends on the lanes that are known alone, not on their order."""
    known = searched(problem(), valley())
    for count in (13, 16, 19):
        assert Pace().ask(problem(), known[:count]) == Pace().ask(problem(), known[:count][::-1])


@pytest.mark.parametrize("budget", [0.6, 1.5, 3.0, 4.7, 9.0])
def test_the_budget_is_never_passed(budget: float) -> None:
    """Whatever it is, no more is spent; and with more, further seeds of the best rates are trained."""
    known = searched(problem(budget=budget), valley())
    assert cost(known) <= budget + 1e-9
    if budget == 9.0:
        assert len({r.lane.seed for r in known}) >= 3


@pytest.mark.parametrize(("best", "low", "high"), [(1e-2, 1e-6, 1e-4), (1e-4, 1e-2, 10.0)])
def test_a_range_beside_the_best_rate_is_widened(best: float, low: float, high: float) -> None:
    """Where the best of the first look lies at an end, rates beyond it are tried, at most three decades beyond."""
    known = searched(problem(low=low, high=high), valley(best))
    found = Pace().suggest(problem(low=low, high=high), known)
    assert found == pytest.approx(best, rel=0.8)
    look = [r.lane.lr for r in known if r.lane.total_steps == TOTAL // 27]
    assert all(low / 1100 <= lr <= high * 1100 for lr in look)


@pytest.mark.parametrize("ends", [lambda lane: float("inf"), lambda lane: UNTRAINED, lambda lane: UNTRAINED - 0.01])
def test_where_nothing_learns_the_search_ends_without_full_runs(ends: Ends) -> None:
    """Diverged everywhere, or nowhere better than untrained: no suggestion, and no full training is spent on it."""
    known = searched(problem(), ends)
    assert Pace().suggest(problem(), known) is None
    assert max(r.lane.total_steps for r in known) < TOTAL


def test_only_the_rates_that_were_given_are_tried() -> None:
    """Candidates are the only rates, and the best of them is suggested."""
    rates = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
    given = problem(rates=rates, low=rates[0], high=rates[-1])
    known = searched(given, valley(4e-3))
    assert {r.lane.lr for r in known} <= set(rates)
    assert Pace().suggest(given, known) == 3e-3


def test_full_runs_alone_can_be_searched_with() -> None:
    """Where no run can be shorter, the range is covered coarsely and then narrowed down, within the budget."""
    for budget in (6.0, 9.0):
        given = problem(lengths=(TOTAL,), budget=budget)
        known = searched(given, valley(5e-3))
        assert [r.lane.lr for r in known[:3]] == pytest.approx([1e-4, 1e-2, 1.0])
        found = Pace().suggest(given, known)
        assert found is not None
        assert abs(np.log10(found / 5e-3)) <= 0.5
        assert cost(known) <= budget


def test_full_runs_alone_repeat_the_best_once_they_have_looked_about() -> None:
    """The most runs are of rates near the best, under several seeds; one seed where there is no other."""
    known = searched(problem(lengths=(TOTAL,), budget=14.0), valley(5e-3))
    near = [r.lane for r in known if abs(np.log10(r.lane.lr / 5e-3)) <= 0.5]
    assert len(near) > len(known) / 2
    assert len({lane.seed for lane in near}) > 1
    known = searched(problem(lengths=(TOTAL,), budget=14.0, seeds=1), valley(5e-3))
    assert {r.lane.seed for r in known} == {0}
    assert [r.lane.lr for r in known if r.lane.lr >= 1.0] == [1.0]  # which diverged


def test_full_runs_alone_look_everywhere_before_they_find_that_nothing_learns() -> None:
    """Three rates are not enough to say so; and the best may lie between them."""
    given = problem(lengths=(TOTAL,), budget=12.0)
    known = searched(given, lambda lane: UNTRAINED)
    assert sorted(r.lane.lr for r in known) == pytest.approx([10.0**k for k in range(-5, 2)])
    assert Pace().suggest(given, known) is None
    narrow = lambda lane: 0.2 if abs(np.log10(lane.lr / 1e-3)) < 0.3 else UNTRAINED
    found = Pace().suggest(given, searched(given, narrow))
    assert found == pytest.approx(1e-3)


def test_a_close_cliff_is_tried_with_warm_up() -> None:
    """The lowest rate that diverges near the best is trained once more with a warm-up, as shortly."""
    known = searched(problem(budget=8.0), valley(0.1, cliff=0.5))
    warmed = [r.lane for r in known if r.lane.schedule != "constant"]
    assert [lane.schedule for lane in warmed] == ["warmup(0.2) >> constant"]
    assert warmed[0].lr == pytest.approx(1.0)
    assert warmed[0].total_steps == 20


def test_full_runs_have_the_last_word_on_whether_anything_was_learned() -> None:
    """Where short runs improve and full ones end as untrained, nothing is suggested, and no second seed is spent."""
    known = searched(problem(), lambda lane: valley()(lane) if lane.total_steps < TOTAL else UNTRAINED)
    assert Pace().suggest(problem(), known) is None
    assert sum(r.lane.total_steps == TOTAL for r in known) == 3
    study = StudyRecord("s", "t", TOTAL, tuple(known), provenance={"problem": problem().to_json()})
    (answer,) = judge(study).answers
    assert (answer.lr, answer.interval) == (None, None)
    assert [finding.name for finding in answer.findings] == ["nothing-learned"]
    assert "no full run does" in answer.findings[0].text


def test_a_bottom_below_the_full_runs_is_followed_before_a_second_seed() -> None:
    """Where full runs get better downwards to the last of them, as where long training overfits, the search goes on."""

    def end(lane: Lane) -> float:
        bottom = -4.0 if lane.total_steps == TOTAL else -1.0  # no drift of short runs foretells it
        return UNTRAINED - 1.8 / (1 + (np.log10(lane.lr) - bottom) ** 2)

    known = searched(problem(), end)
    full = [r.lane for r in known if r.lane.total_steps == TOTAL]
    assert len({lane.lr for lane in full}) == 5
    assert {lane.seed for lane in full} == {0}
    assert Pace().suggest(problem(), known) == min(lane.lr for lane in full)
    assert cost(known) <= 6


@pytest.mark.parametrize("part", [9, 3])
def test_where_short_runs_are_too_short_to_learn_the_highest_rates_have_longer_ones(part: int) -> None:
    """A network that trains badly at first is no reason to give up; what diverges in a short run is not tried again."""

    def end(lane: Lane) -> float:
        tells = lane.total_steps >= TOTAL // part or lane.lr >= 1.0
        return valley(3e-2, drift=0.5)(lane) if tells else UNTRAINED

    known = searched(problem(), end)
    again = [r.lane.lr for r in known if r.lane.total_steps == TOTAL // part]
    assert sorted(again) == pytest.approx([10**-2.0, 10**-1.5, 0.1, 10**-0.5])
    found = Pace().suggest(problem(), known)
    assert found is not None
    assert abs(np.log10(found / 3e-2)) <= 0.25
    assert cost(known) <= 6


@pytest.mark.parametrize("best", [2e-4, 0.03])
@pytest.mark.parametrize(("low", "high"), [(1e-5, 10.0), (3e-4, 0.5)])
def test_all_runs_are_at_rates_of_the_first_look_or_the_middles_between_them(
    best: float, low: float, high: float
) -> None:
    """So runs of several lengths meet, and so do two searches."""
    own = problem(low=low, high=high)
    known = searched(own, valley(best))
    look = np.log10(sorted(lane.lr for lane in Pace().ask(own, ())))
    apart = (look[1] - look[0]) / 2
    places = (np.log10([r.lane.lr for r in known]) - look[0]) / apart
    assert places == pytest.approx(np.round(places), abs=1e-4)
    assert len({r.lane.lr for r in known if r.lane.total_steps == TOTAL}) >= 3


@pytest.mark.parametrize("best", [1e-3, 1e-2])
def test_the_interval_reaches_half_way_to_the_next_full_runs(best: float) -> None:
    """However sharp the valley is: what lies between a good run and a bad one, no run has told."""
    known = searched(problem(), lambda lane: UNTRAINED - 1.8 * np.exp(-20 * np.log10(lane.lr / best) ** 2))
    study = StudyRecord("s", "t", TOTAL, tuple(known), provenance={"problem": problem().to_json()})
    (answer,) = judge(study).answers
    full = sorted({r.lane.lr for r in known if r.lane.total_steps == TOTAL})
    assert answer.lr in full[1:-1]
    at = full.index(answer.lr)
    low, high = answer.interval
    assert low <= np.sqrt(full[at - 1] * answer.lr) * (1 + 1e-5)
    assert high >= np.sqrt(answer.lr * full[at + 1]) * (1 - 1e-5)


@pytest.mark.parametrize("edge", [-2.6, -1.4, -0.3, 0.2])
def test_what_improves_up_to_where_it_breaks_is_left_alone_just_below(edge: float) -> None:
    """The answer is the rate half a decade below what diverged, or the next where runs lie a quarter apart."""
    known = searched(problem(), lambda lane: 1.9 - 0.2 * np.log10(lane.lr / 1e-5) if lane.lr < 10**edge else np.inf)
    found = Pace().suggest(problem(), known)
    lost = min(r.lane.lr for r in known if r.outcome is Outcome.DIVERGED)
    assert 0.3 < np.log10(lost / found) < 0.8
    assert sum(r.lane.lr == found and r.lane.total_steps == TOTAL for r in known) >= 2


def test_the_interval_of_a_search_holds_the_best_rate_nine_times_in_ten() -> None:
    """By simulation, over bottoms between the rates that are trained, drifts, widths of the valley and noise."""
    chance = np.random.default_rng(3)
    held = []
    for _ in range(60):
        best, drift = chance.uniform(-4, -1), chance.uniform(0, 1)
        noise, sharp = chance.choice([0.01, 0.03, 0.1]), chance.choice([0.5, 2.0, 8.0])

        def end(lane: Lane, best=best, drift=drift, noise=noise, sharp=sharp) -> float:
            bottom = best - drift * np.log10(lane.total_steps / TOTAL)
            return UNTRAINED - 1.8 / (1 + sharp * (np.log10(lane.lr) - bottom) ** 2) + chance.normal(0, noise)

        known = searched(problem(), end)
        study = StudyRecord("s", "t", TOTAL, tuple(known), provenance={"problem": problem().to_json()})
        low, high = np.log10(judge(study).answers[0].interval)
        held.append(low <= best <= high)
    assert np.mean(held) >= 0.9


@pytest.mark.parametrize("kept", ["low", "high"])
def test_a_best_rate_at_the_end_of_the_full_runs_has_an_interval(kept: str) -> None:
    """Where the budget ended before a full run to one side of it: from there the model alone is asked."""
    known = searched(problem(), valley(1e-2, cliff=np.inf))
    best = Pace().suggest(problem(), known)
    beside = {"low": lambda lr: lr > best, "high": lambda lr: lr < best}[kept]
    left = [r for r in known if r.lane.total_steps < TOTAL or not beside(r.lane.lr)]
    study = StudyRecord("s", "t", TOTAL, tuple(left), provenance={"problem": problem().to_json()})
    (answer,) = judge(study).answers
    low, high = answer.interval
    assert answer.lr == best
    assert low < best < high


@pytest.mark.parametrize(
    ("rates", "best"),
    [((1.09e-4, 0.0148, 0.0664, 0.531), 0.0664), ((1e-3, 1e-2, 0.1), 1e-2), ((1e-4, 0.01, 0.011, 0.3, 5.0), 0.011)],
)
def test_of_an_uneven_list_the_rates_beside_the_best_are_trained_in_full(rates: tuple[float, ...], best: float) -> None:
    """However far apart the rates are: the next to each side counts as beside."""
    own = problem(low=min(rates), high=max(rates), rates=rates, budget=12.0)
    known = searched(own, valley(best, cliff=np.inf))
    at = rates.index(best)
    assert {r.lane.lr for r in known if r.lane.total_steps == TOTAL} >= set(rates[at - 1 : at + 2])
    assert Pace().suggest(own, known) == best


def test_equivalent_rates_lie_in_the_interval_and_the_best_is_one_that_was_tried_or_a_middle() -> None:
    """Also where all runs are so short that the valley is noise, and a rate beyond a bad one is as good as the best."""
    chance = np.random.default_rng(0)
    answered = 0
    for _ in range(30):
        own = problem(quick=True, budget=1.5)
        known = searched(own, lambda lane: valley()(lane) + chance.normal(0, 0.3))
        study = StudyRecord("s", "t", TOTAL, tuple(known), provenance={"problem": own.to_json()})
        (answer,) = judge(study).answers
        if answer.lr is None:
            continue
        answered += 1
        low, high = answer.interval
        assert low <= min(answer.equivalent) <= answer.lr <= max(answer.equivalent) <= high
        tried = sorted({r.lane.lr for r in known})
        assert answer.lr in tried or answer.lr in {float(f"{np.sqrt(a * b):.6g}") for a, b in pairwise(tried)}
    assert answered > 15
