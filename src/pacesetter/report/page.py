"""The report: one HTML file that holds everything it shows and opens without a network."""

import json
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from markupsafe import Markup

from pacesetter import words
from pacesetter.files import whole
from pacesetter.packages import require
from pacesetter.records import StudyRecord
from pacesetter.report._theme import DARK, LIGHT

if TYPE_CHECKING:
    from pacesetter.report._picture import Picture

__all__ = ["html", "write_html"]

VEGA_LITE = "6.4"  # of the charts' specifications and of the library on the page


class Section(NamedTuple):
    """A panel on the page: its HTML, or the charts it draws (name, label, caption, cells)."""

    anchor: str
    title: str
    body: Markup | None
    charts: list[dict[str, Any]]


def write_html(study: StudyRecord, path: str | Path) -> Path:
    """Write the report of a judged study to `path` and give the path back.

    The file needs nothing beside it: charts, data, styles and the library that draws them are inside.
    Raises StoreError when it cannot be written, MissingPackage when the extra `report` is not installed.

    Example: `write_html(findings.judge(store.load("digits")), "report.html")`
    """
    target = Path(path)
    text = html(study)
    with whole(target, "report") as beside:
        beside.write_text(text, encoding="utf-8")
    return target


def html(study: StudyRecord) -> str:
    """The report of a judged study as one HTML document."""
    require("report")
    import jinja2
    import vl_convert

    sections, charts = _sections(study)
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    rates = sorted({record.lane.lr for record in study.lanes})
    return environment.from_string(_resource("_page.html.j2")).render(
        title=f"Pacesetter: {study.task}",
        sections=sections,
        chips=_chips(rates) if len(rates) > 1 and charts else [],
        charts=_json(charts),
        style=Markup(_resource("_page.css")),
        script=Markup(_resource("_page.js")),
        library=_library(vl_convert),
    )


def _sections(study: StudyRecord) -> tuple[list[Section], dict[str, Any]]:
    """The panels that have something to show, and every chart's specifications and data by name."""
    from pacesetter.report import panels
    from pacesetter.report._picture import columnar

    sections, charts = [], {}
    for panel in panels.find():
        data = panel.data(study)
        if data is None:
            continue
        anchor = panel.__name__.rpartition(".")[2].replace("_", "-")
        light = panel.draw(data, LIGHT)
        if isinstance(light, Markup):
            sections.append(Section(anchor, panel.TITLE, light, []))
            continue
        dark = cast("tuple[Picture, ...]", panel.draw(data, DARK))
        shown = []
        for bright, dim in zip(light, dark, strict=True):
            charts[bright.name] = {
                "light": bright.template,
                "dark": dim.template,
                "cells": [columnar(cell.rows) for cell in bright.cells],
                "shared": {name: columnar(rows) for name, rows in bright.shared.items()},
            }
            shown.append({"picture": bright, "cells": list(bright.cells)})
        sections.append(Section(anchor, panel.TITLE, None, shown))
    return sections, charts


def _chips(rates: list[float]) -> list[dict[str, Any]]:
    """The legend of the whole page: a button for each rate, in its colour; when there are many, some are named."""
    low, high = rates[0], rates[-1]
    every = max(1, -(-len(rates) // 14))
    return [
        {
            "lr": repr(lr),
            "label": words.rate(lr) if index % every == 0 or index == len(rates) - 1 else "",
            "name": words.rate(lr),
            "light": LIGHT.colour(lr, low, high),
            "dark": DARK.colour(lr, low, high),
        }
        for index, lr in enumerate(rates)
    ]


def _json(value: Any) -> Markup:
    """JSON that may stand inside a script element: no `<`, so nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


@cache
def _library(vl_convert: Any) -> Markup:
    """The chart library, as a script that may stand inside a script element."""
    bundle: str = vl_convert.javascript_bundle(vl_version=VEGA_LITE)
    return Markup(bundle.replace("</script", "<\\/script"))


@cache
def _resource(name: str) -> str:
    return resources.files("pacesetter.report").joinpath(name).read_text(encoding="utf-8")
