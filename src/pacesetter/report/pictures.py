"""The charts as PNG files, for a README, a paper or a chat."""

from pathlib import Path
from typing import Any

from pacesetter.files import whole
from pacesetter.packages import require
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
    require("report")
    import vl_convert

    written = []
    for name, specification in _specifications(study, DARK if dark else LIGHT):
        path = Path(folder) / f"{name}.png"
        scale = SCALE if specification["columns"] < 3 else SCALE_OF_MANY
        with whole(path, "pictures") as beside:
            beside.write_bytes(vl_convert.vegalite_to_png(specification, vl_version=VEGA_LITE, scale=scale))
        written.append(path)
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
