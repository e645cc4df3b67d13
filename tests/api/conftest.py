"""Small questions for the verbs' tests."""

import pytest


@pytest.fixture
def store(tmp_path):
    """The URL of a store that does not exist yet."""
    return f"sqlite:///{tmp_path / 'studies.db'}"


@pytest.fixture
def small():
    """Keywords of a comparison that takes a fraction of a second: two rates of gradient descent on `quadratic`."""
    return {"lr": [0.01, 0.05], "optimizers": "sgd", "seeds": 2, "steps": 20, "engine": "looped"}
