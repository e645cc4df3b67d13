"""The studies that the tests of the report share: made once."""

import pytest

from pacesetter.records import StudyRecord
from tests.report import studies


@pytest.fixture(scope="session")
def small() -> StudyRecord:
    """Eight strategies at six rates with two seeds."""
    return studies.comparison(steps=60, rates=(*studies.RATES[3:12:2], 10.0), seeds=2)


@pytest.fixture(scope="session")
def quadratic() -> StudyRecord:
    """Gradient descent on a surface of two weights."""
    return studies.quadratic()
