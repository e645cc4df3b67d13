"""Studies that outlive a process: a SQLite file that is written while they run, and what it can be exported to."""

from pacesetter.store._store import Store, StudySummary
from pacesetter.store.document import answer_document, compare_document, cost_document, find_document, to_json
from pacesetter.store.export import export, to_frame, to_rows

__all__ = [
    "Store",
    "StudySummary",
    "answer_document",
    "compare_document",
    "cost_document",
    "export",
    "find_document",
    "to_frame",
    "to_json",
    "to_rows",
]
