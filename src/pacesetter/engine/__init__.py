"""The only code that runs gradients: bundles of lanes, the one training loop, and the two engines it drives."""

from pacesetter.engine.bundle import Bundle, Part, advance, keep, start
from pacesetter.engine.check import check
from pacesetter.engine.memory import peaks
from pacesetter.engine.plan import ENGINES, PRECISIONS, Plan
from pacesetter.engine.planning import make_plan
from pacesetter.engine.provenance import provenance
from pacesetter.engine.saved import State, load, pack, save, size, unpack
from pacesetter.engine.surface import surface
from pacesetter.engine.train import train
from pacesetter.engine.workers import refuse_while_spawning

__all__ = [
    "ENGINES",
    "PRECISIONS",
    "Bundle",
    "Part",
    "Plan",
    "State",
    "advance",
    "check",
    "keep",
    "load",
    "make_plan",
    "pack",
    "peaks",
    "provenance",
    "refuse_while_spawning",
    "save",
    "size",
    "start",
    "surface",
    "train",
    "unpack",
]
