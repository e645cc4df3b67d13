"""The Answer a person holds."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from pacesetter import records
from pacesetter.records import Cost, Finding, StudyRecord

if TYPE_CHECKING:
    from pacesetter.recipes import Recipe

__all__ = ["Answer"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer for one strategy: an optimizer and a schedule, at their own best learning rate.

    optimizer, schedule: their text forms.
    best_tried: the rate with the lowest mean validation loss over seeds; None when no rate learned.
    lr: the claim; None when it cannot be made, and a finding says why.
    interval: (low, high), holds the best rate at level `confidence`; None with too few seeds or without a claim.
    equivalent: tried rates that cannot be told apart from the best, ascending.
    safe_range: tried rates around the best that lose little; None when nothing learned.
    stability_edge: (largest rate known good, smallest known to diverge); None when none diverged.
    valid_loss: mean over seeds of the last validation loss at `best_tried`.
    findings: the judgements on this strategy, each with a sentence.
    cost: lane steps, full trainings and seconds that went into this strategy (of the seconds, its share by steps).
    recipe_text: what `Recipe.parse` reads; None without a claim.
    """

    optimizer: str
    schedule: str
    best_tried: float | None
    lr: float | None
    interval: tuple[float, float] | None
    equivalent: tuple[float, ...]
    safe_range: tuple[float, float] | None
    stability_edge: tuple[float, float] | None
    valid_loss: float | None
    confidence: float
    findings: tuple[Finding, ...]
    cost: Cost
    recipe_text: str | None

    @classmethod
    def of(cls, answer: records.Answer, study: StudyRecord) -> "Answer":
        """The answer as it is held, with what it cost in `study`."""
        values = {field.name: getattr(answer, field.name) for field in fields(answer)}
        recipe = values.pop("recipe")
        return cls(**values, recipe_text=recipe, cost=_cost(answer, study))

    @property
    def recipe(self) -> "Recipe | None":
        """The recipe to use, as in `answer.recipe.to_torch(params, total_steps)`; None without a claim."""
        if self.recipe_text is None:
            return None
        from pacesetter.recipes import Recipe

        return Recipe.parse(self.recipe_text)


def _cost(answer: records.Answer, study: StudyRecord) -> Cost:
    strategy = (answer.optimizer, answer.schedule)
    steps = sum(record.curve.steps for record in study.lanes if record.lane.strategy == strategy)
    whole = study.cost
    share = steps / whole.lane_steps if whole.lane_steps else 0.0
    return Cost(steps, steps / max(study.total_steps, 1), whole.seconds * share)
