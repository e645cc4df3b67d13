"""A package, so that test modules share their helpers as `tests.<area>.<module>`."""
