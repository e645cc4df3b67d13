"""What is kept about a study while it trains: its wall time, the state to go on from, and the count people watch."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from pacesetter.api.progress import Progress
from pacesetter.records import Lane, Outcome

if TYPE_CHECKING:
    from pacesetter.engine import Part, State
    from pacesetter.store import Store

__all__ = ["Clock", "Count", "Saver", "steps_in"]

# Wall time is written at most this often: often enough that a killed process loses no more than this of it.
SECONDS_BETWEEN_TIMES = 1.0


class Saver:
    """Saves what the bundles in training can go on from to the store."""

    def __init__(self, store: "Store", name: str) -> None:
        self._store, self._name = store, name

    def __call__(self, states: "Sequence[State]") -> None:
        """Save them in the place of those before."""
        from pacesetter import engine

        if states:
            self._store.save_state(self._name, min(state.step for state in states), engine.pack(states))


class Clock:
    """Adds the wall time of training to the study, a little at a time."""

    def __init__(self, store: "Store", name: str) -> None:
        self._store, self._name, self._since = store, name, time.monotonic()

    def tick(self) -> None:
        """Write the time if the last time is long ago."""
        if time.monotonic() - self._since >= SECONDS_BETWEEN_TIMES:
            self.stop()

    def stop(self) -> None:
        """Write the time."""
        now = time.monotonic()
        self._store.update(self._name, seconds_added=now - self._since)
        self._since = now


class Count:
    """Counts lanes and updates for `Progress`."""

    def __init__(self, name: str, todo: Sequence[Lane]) -> None:
        self._name, self._began = name, time.monotonic()
        self._made = dict.fromkeys(todo, 0)
        self._ended: dict[Lane, Outcome] = {}
        self._before = 0

    def go_on(self, states: "Iterable[State]") -> None:
        """Count what lanes had made before they were saved, which is not of this call."""
        for state in states:
            for lane in self._made.keys() & set(state.lanes):
                self._made[lane] = state.step
                self._before += state.step

    def add(self, parts: Iterable["Part"]) -> None:
        """Count what lanes have made since."""
        for part in parts:
            self._made[part.lane] += part.curve.steps
            if part.outcome.ended:
                self._ended[part.lane] = part.outcome

    def progress(self) -> Progress:
        """The count as people see it."""
        settled = sum(lane.total_steps if lane in self._ended else made for lane, made in self._made.items())
        return Progress(
            study=self._name,
            lanes=len(self._made),
            ended=len(self._ended),
            diverged=sum(outcome is Outcome.DIVERGED for outcome in self._ended.values()),
            steps=sum(self._made.values()) - self._before,
            settled=settled,
            total=steps_in(self._made),
            seconds=time.monotonic() - self._began,
        )


def steps_in(lanes: Iterable[Lane]) -> int:
    """Updates that lanes make when all reach their end."""
    return sum(lane.total_steps for lane in lanes)
