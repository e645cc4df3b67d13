"""The engine: lanes against the plain loop, the loop itself, plans."""
