"""The only code that runs gradients: bundles of lanes, the one training loop, and the two engines it drives."""

from pacesetter.engine.bundle import Bundle, Part, advance, keep, start
from pacesetter.engine.check import check
from pacesetter.engine.plan import ENGINES, Plan, make_plan
from pacesetter.engine.provenance import provenance
from pacesetter.engine.saved import load, save, size
from pacesetter.engine.surface import surface
from pacesetter.engine.train import train

__all__ = [
    "ENGINES",
    "Bundle",
    "Part",
    "Plan",
    "advance",
    "check",
    "keep",
    "load",
    "make_plan",
    "provenance",
    "save",
    "size",
    "start",
    "surface",
    "train",
]
