"""The Answer a person holds."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pacesetter import records
from pacesetter.records import Cost, Finding, StudyRecord
from pacesetter.words import OWN

if TYPE_CHECKING:
    from pacesetter.api.study import Study
    from pacesetter.recipes import Recipe

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one strategy: an optimizer and a schedule, at their own best learning rate.

    record: the same as plain facts, with the recipe as text.
    cost: lane steps, full trainings and seconds that went into this strategy (of the seconds, its share by steps).
    study: what `find` has trained for it; None for the answers of a comparison, whose study is at hand.
    """

    record: records.Answer
    cost: Cost
    study: "Study | None" = None

    @classmethod
    def of(cls, record: records.Answer, study: StudyRecord, held: "Study | None" = None) -> "Answer":
        """The answer with what it cost in `study`; `held` is that study as `find` hands it on, all for this answer."""
        if held is not None:
            return cls(record, study.cost, held)
        strategy = (record.optimizer, record.schedule)
        steps = sum(lane.curve.steps for lane in study.lanes if lane.lane.strategy == strategy)
        whole = study.cost
        share = steps / whole.lane_steps if whole.lane_steps else 0.0
        return cls(record, Cost(steps, steps / max(study.total_steps, 1), whole.seconds * share))

    @property
    def optimizer(self) -> str:
        """The rule's text form."""
        return self.record.optimizer

    @property
    def schedule(self) -> str:
        """The schedule's text form."""
        return self.record.schedule

    @property
    def best_tried(self) -> float | None:
        """The rate with the lowest mean validation loss over seeds; None when no rate learned."""
        return self.record.best_tried

    @property
    def lr(self) -> float | None:
        """The claim; None when it cannot be made, and a finding says why."""
        return self.record.lr

    @property
    def interval(self) -> tuple[float, float] | None:
        """(low, high), which holds the best rate at level `confidence`; None with too few seeds or without a claim."""
        return self.record.interval

    @property
    def confidence(self) -> float:
        """The level of `interval`."""
        return self.record.confidence

    @property
    def equivalent(self) -> tuple[float, ...]:
        """Tried rates that cannot be told apart from the best, ascending, the best among them.

        Telling apart takes two seeds: with one it is empty, although `best_tried` is there.
        """
        return self.record.equivalent

    @property
    def safe_range(self) -> tuple[float, float] | None:
        """Tried rates around the best that lose little; None when nothing learned."""
        return self.record.safe_range

    @property
    def stability_edge(self) -> tuple[float, float] | None:
        """(largest rate known good, smallest known to diverge); None when none diverged."""
        return self.record.stability_edge

    @property
    def valid_loss(self) -> float | None:
        """Mean over seeds of the last validation loss at `best_tried`."""
        return self.record.valid_loss

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The judgements on this strategy, each with a sentence."""
        return self.record.findings

    @property
    def recipe(self) -> "Recipe | None":
        """The recipe to use, as in `answer.recipe.to_torch(params, total_steps)`.

        None without a claim, and where the optimizer or the schedule is a program's own; `lr` is its rate.
        """
        from pacesetter.recipes import Recipe

        own = OWN in (self.optimizer, self.schedule)
        return None if self.record.recipe is None or own else Recipe.parse(self.record.recipe)
