"""The panels of the page, one file each, found by file name.

A panel has a `TITLE`, an `ORDER` (panels are shown by it, ascending), `data(study)`: plain values and no drawing, None
where the study has nothing for it, and `draw(data, theme)`: HTML (as `Markup`) or pictures. A file whose name starts
with `_` is no panel.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import Any, Protocol, cast

from markupsafe import Markup

from pacesetter.records import StudyRecord
from pacesetter.report._picture import Picture
from pacesetter.report._theme import Theme

__all__ = ["Drawing", "Panel", "find"]

Drawing = Markup | tuple[Picture, ...]


class Panel(Protocol):
    """What a panel's module must have."""

    __name__: str
    TITLE: str
    ORDER: int

    def data(self, study: StudyRecord) -> Any:
        """What the panel shows, as plain values; None when the study has nothing for it."""
        ...

    def draw(self, data: Any, theme: Theme) -> Drawing:
        """The panel's HTML or its pictures."""
        ...


def find() -> list[Panel]:
    """Every panel, in the order it is shown."""
    names = [module.name for module in iter_modules(__path__) if not module.name.startswith("_")]
    panels = [cast("Panel", import_module(f"{__name__}.{name}")) for name in names]
    return sorted(panels, key=lambda panel: (panel.ORDER, panel.__name__))
