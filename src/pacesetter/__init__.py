"""Pacesetter."""
