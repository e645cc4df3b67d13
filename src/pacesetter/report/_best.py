"""Which strategy is best, and whether it is recommended: the one place where both are decided."""

from pacesetter.records import Answer, LaneRecord, Outcome, StudyRecord

__all__ = ["compared", "ranked", "recommended"]

SAME = 1e-9  # of a mean; far above what adding in another order changes, far below any difference between losses


def ranked(study: StudyRecord) -> list[Answer]:
    """Every strategy's answer, the lowest validation loss first, those without one last in the order of asking."""
    known = [answer for answer in study.answers if answer.valid_loss is not None]
    known.sort(key=lambda answer: answer.valid_loss or 0.0)
    return known + [answer for answer in study.answers if answer.valid_loss is None]


def recommended(study: StudyRecord) -> Answer | None:
    """The answer to use: the lowest validation loss of all strategies, at a rate that is claimed to be its best.

    None while lanes are left to be trained, where no rate learned, and where the lowest loss lies on the edge of the
    rates that were tried.
    """
    first = next(iter(ranked(study)), None)
    return first if first is not None and first.lr is not None and study.finished else None


def compared(records: list[LaneRecord], answer: Answer) -> list[LaneRecord]:
    """The lanes at the answer's best rate that its validation loss is the mean of. records: all of the strategy.

    They are all of them when the strategy is trained; before that they are those of the seeds that most rates have
    finished, so that rates are compared under the same seeds.
    """
    finished = [record for record in records if record.outcome is Outcome.FINISHED]
    best = [record for record in finished if record.lane.lr == answer.best_tried]
    if answer.valid_loss is None:
        return []
    best.sort(key=lambda record: -sum(other.lane.seed == record.lane.seed for other in finished))
    for many in range(len(best), 0, -1):
        mean = sum(record.curve.final_valid_loss for record in best[:many]) / many
        if abs(mean - answer.valid_loss) <= SAME * abs(answer.valid_loss):
            return sorted(best[:many], key=lambda record: record.lane.seed)
    return best
