"""Tests of lanes that are programs."""
