"""Lanes whose task is a program: processes that run side by side, and what they print. Needs no torch.

The functions are called as those of `engine` are, which trains models.
"""

from pacesetter.programs._run import Plan, check, make_plan, provenance, surface, train

__all__ = ["Plan", "check", "make_plan", "provenance", "surface", "train"]
