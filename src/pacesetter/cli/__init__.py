"""Words on a terminal: one file per command, each importing what is heavy only when it runs."""

from pacesetter.cli.entry import main, run

__all__ = ["main", "run"]
