"""The charts as PNG files, for a README, a paper or a chat."""

from pathlib import Path
from typing import Any

from pacesetter.errors import MissingPackage, StoreError
from pacesetter.records import StudyRecord
from pacesetter.report._theme import DARK, LIGHT, Theme
from pacesetter.report.page import VEGA_LITE

__all__ = ["write_pngs"]

SCALE = 2.0  # pixels per point: sharp on today's screens
SCALE_OF_MANY = 1.5  # of pictures with three cells in a row, which are wider than a page and shown smaller


def write_pngs(study: StudyRecord, folder: str | Path, dark: bool = False) -> list[Path]:
    """Draw every chart of a judged study into `folder`, one PNG each, and give their paths in the page's order.

    dark: for a dark ground; light by default, which also prints.
    Raises StoreError when the folder cannot be written, MissingPackage when the extra `report` is not installed.

    Example: `write_pngs(findings.judge(store.load("digits")), "pictures")`
    """
    try:
        import altair  # noqa: F401  needed by the panels; asked for here so that what is missing is said once
        import vl_convert
    except ImportError as error:
        raise MissingPackage.of(error.name or "altair", "report", "pictures") from None
    target, written = Path(folder), []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, specification in _specifications(study, DARK if dark else LIGHT):
            path = target / f"{name}.png"
            scale = SCALE if specification["columns"] < 3 else SCALE_OF_MANY
            path.write_bytes(vl_convert.vegalite_to_png(specification, vl_version=VEGA_LITE, scale=scale))
            written.append(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise StoreError(f"`pictures` must be a folder that can be written, got {str(target)!r}: {why}") from None
    return written


def _specifications(study: StudyRecord, theme: Theme) -> list[tuple[str, dict[str, Any]]]:
    """The name and the Vega-Lite specification of every picture."""
    from dataclasses import replace

    from markupsafe import Markup

    from pacesetter.report import panels
    from pacesetter.report._picture import for_picture

    found = []
    for panel in panels.find():
        data = panel.data(study)
        drawn = None if data is None else panel.draw(data, replace(theme, picture=True))
        if drawn is None or isinstance(drawn, Markup):
            continue
        for picture in (picture for picture in drawn if picture.main):
            title = picture.label if picture.label == panel.TITLE else f"{picture.label} at each rate"
            found.append((picture.name, for_picture(picture, f"{title}: {study.task}", theme)))
    return found
