"""Tests of the judge of curves."""
