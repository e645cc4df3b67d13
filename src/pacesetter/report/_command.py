"""The command of a study whose task is a program."""

from pacesetter.errors import InputError
from pacesetter.records import StudyRecord
from pacesetter.tasks import Command

__all__ = ["of"]


def of(study: StudyRecord) -> Command | None:
    """The command that trained the lanes; None where the task is a model, or of a version that this one cannot read."""
    if study.plan.get("engine") != "command":
        return None
    try:
        return Command(study.task)
    except InputError:
        return None
