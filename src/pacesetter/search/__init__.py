"""Which lanes next: strategies that ask for lanes, given what is known. No torch: they replay on recorded curves.

Whatever searches has one method, `ask(known) -> lanes`: a pure function of the records so far, so that it goes on
after a crash from what lies in the store. It is done when it asks for nothing. A comparison asks for a `Product`, a
`Search` for what its strategy says; each public file of this folder is a strategy.
"""

from pacesetter.search._product import Product
from pacesetter.search._search import Asks, Search
from pacesetter.search._strategy import Strategy, names, parse

__all__ = ["Asks", "Product", "Search", "Strategy", "names", "parse"]
