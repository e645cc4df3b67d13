"""What there is to train, and how it comes apart into bundles."""

from collections.abc import Sequence
from dataclasses import dataclass

from pacesetter.engine.plan import even_parts
from pacesetter.records import Lane

__all__ = ["MOST_IN_BUNDLE", "Work"]

SPREAD = 4
"""With so many bundles for each process, whole seeds end together well enough; with fewer they are divided."""
MOST_IN_BUNDLE = 512
"""More lanes than this gain nothing from sharing batches."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done: updates of all lanes, the lanes of each seed, the most of a seed and rule, and the rules."""

    steps: int
    by_seed: tuple[int, ...]
    together: int
    rules: tuple[str, ...]

    @classmethod
    def of(cls, lanes: Sequence[Lane]) -> "Work":
        """Counted from the lanes."""
        seeds: dict[tuple[int, int], int] = {}
        groups: dict[tuple[int, int, str], int] = {}
        for lane in lanes:
            seed = (lane.seed, lane.total_steps)
            seeds[seed] = seeds.get(seed, 0) + 1
            groups[*seed, lane.optimizer] = groups.get((*seed, lane.optimizer), 0) + 1
        rules = tuple(dict.fromkeys(lane.optimizer for lane in lanes))
        return cls(sum(lane.total_steps for lane in lanes), tuple(seeds.values()), max(groups.values()), rules)

    def per_bundle(self, room: int, workers: int) -> int:
        """Lanes of a bundle such that memory for `room` lanes is enough and the processes end together."""
        seeds, most = len(self.by_seed), max(self.by_seed)
        parts = 1
        while workers > 1 and seeds * parts % workers and seeds * parts < SPREAD * workers and parts < most:
            parts += 1
        return max(1, min(room, -(-most // parts), MOST_IN_BUNDLE))

    def longest_share(self, workers: int) -> float:
        """The share of all lanes that the process with the most of them trains."""
        each = self.per_bundle(MOST_IN_BUNDLE, workers)
        bundles = [len(part) for lanes in self.by_seed for part in even_parts(range(lanes), each)]
        loads = [0] * workers
        for bundle in sorted(bundles, reverse=True):
            loads[loads.index(min(loads))] += bundle
        return max(loads) / sum(self.by_seed)

    def in_bundle(self, together: int, workers: int) -> int:
        """Of so many lanes of a seed and rule, those that come into one bundle."""
        return max(1, -(-together * self.per_bundle(MOST_IN_BUNDLE, workers) // max(self.by_seed)))
