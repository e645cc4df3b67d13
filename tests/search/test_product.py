"""Grid search asks for every combination once, in order, and never for what is known."""

from pacesetter.records import Curve, Lane, LaneRecord, Outcome
from pacesetter.search import Product

GRID = Product((("sgd", "constant"), ("adam", "cosine")), (0.01, 0.1), (3, 4), 50)


def test_grid_asks_for_every_combination():
    """Two strategies, two rates and two seeds are eight lanes, strategy by strategy, rate by rate, seed by seed."""
    asked = GRID.ask(())
    assert len(set(asked)) == len(asked) == 8
    assert asked[:3] == tuple(
        Lane("sgd", "constant", rate, seed, 50) for rate, seed in ((0.01, 3), (0.01, 4), (0.1, 3))
    )


def test_grid_never_asks_twice():
    """What is among the records is not asked for again, whatever became of it; a full grid asks for nothing."""
    asked = GRID.ask(())
    known = [LaneRecord(lane, Outcome.DIVERGED, Curve()) for lane in asked]
    assert GRID.ask(known[2:]) == asked[:2]
    assert GRID.ask(known) == ()
