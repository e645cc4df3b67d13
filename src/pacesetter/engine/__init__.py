"""The only code that runs gradients: bundles of lanes, the one training loop, and the two engines it drives."""

from pacesetter.engine.bundle import Bundle, Part, advance, keep, start, train
from pacesetter.engine.check import check
from pacesetter.engine.plan import ENGINES, Plan, make_plan
from pacesetter.engine.provenance import provenance
from pacesetter.engine.surface import surface

__all__ = [
    "ENGINES",
    "Bundle",
    "Part",
    "Plan",
    "advance",
    "check",
    "keep",
    "make_plan",
    "provenance",
    "start",
    "surface",
    "train",
]
