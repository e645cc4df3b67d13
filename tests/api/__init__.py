"""Tests of the verbs and of what they return."""
