"""Which lanes next: strategies that ask for lanes, given what is known. No torch: they replay on recorded curves.

A strategy is a value with one method, `ask(known) -> lanes`: a pure function of the records so far, so that it goes on
after a crash from what lies in the store. It is done when it asks for nothing.
"""

from pacesetter.search.grid import Grid

__all__ = ["Grid"]
