"""How a study's lanes were run, in words: the engine that was chosen, its figures, and why."""

from collections.abc import Mapping
from typing import Any

from pacesetter import words

__all__ = ["LABELS", "engine", "sentence"]

LABELS = {
    "lanes_per_chunk": "lanes in one pass",
    "lanes_per_bundle": "lanes that share batches, at most",
    "threads": "threads of each process",
    "workers": "side by side",
    "reason": "why so",
}
"""What a plan's figures are called; the others by their own names."""


def engine(plan: Mapping[str, Any]) -> str:
    """The engine, and whether its steps are compiled; empty for a study that does not say."""
    return f"{plan.get('engine', '')}{', compiled' if plan.get('compiled') else ''}"


def sentence(plan: Mapping[str, Any]) -> str:
    """All of it in one sentence; empty for a study that does not say."""
    if "engine" not in plan:
        return ""
    parts = [f"engine {engine(plan)}"]
    if plan["engine"] == "vectorised" and "lanes_per_chunk" in plan:
        parts.append(f"{words.plural(plan['lanes_per_chunk'], 'lane')} in one pass")
    if "threads" in plan:
        parts.append(words.plural(plan["threads"], "thread"))
    if plan.get("workers", 1) > 1:
        parts.append(f"{plan['workers']} processes side by side")
    parts += [str(plan[name]) for name in ("precision", "device") if name in plan]
    why = f": {plan['reason']}" if plan.get("reason") else ""
    return f"Trained with {', '.join(parts)}{why}."
