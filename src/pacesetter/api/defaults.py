"""What is taken when nobody says: one place for the verbs and the command line."""

__all__ = ["GRID", "OUT", "STORE"]

STORE = "sqlite:///pacesetter.db"
# From far too low to divergent for every rule that ships, with default settings, on tasks of ordinary scale.
GRID = "1e-5:10:2"
# Each study has a folder of its own in it.
OUT = "pacesetter-out"
