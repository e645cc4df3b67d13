"""Every registered schedule, alone and joined, through the public conformance suite."""

import pytest

from pacesetter import schedules
from pacesetter.schedules import Schedule
from pacesetter.testing.schedules import ScheduleConformance, examples

EXAMPLES = [example for name in schedules.names() for example in examples(name)]


class TestRegistered(ScheduleConformance):
    """The suite over examples of each name in the registry."""

    @pytest.fixture(params=EXAMPLES, ids=str)
    def schedule(self, request: pytest.FixtureRequest) -> Schedule:
        """One example."""
        example: Schedule = request.param
        return example
