"""A chart that is drawn twice: on the page as cells that flow with its width, and as one PNG."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pacesetter.report._theme import Theme

Value = str | float | int | None
Rows = Sequence[Mapping[str, Value]]
PAIRED = (2, 4)  # numbers of cells that look best two by two
ROWS = "rows"  # the name of a cell's own data in the template


@dataclass(frozen=True, slots=True)
class Cell:
    """One small multiple: its heading, a remark, and its own rows. `marked` cells (the best) are set off."""

    title: str
    note: str
    rows: Rows
    marked: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart: one Vega-Lite `template` whose data is named `rows`, drawn once for every cell.

    `name` is a file name's stem, `label` what a reader picks it by, `caption` how to read it, and `description` what
    a screen reader says. `shared` are tables every cell can name. Pictures that are not `main` get no PNG.
    `narrowest` is the width in pixels below which cells are put under each other, `columns` (0: by the
    number of cells) and `cell_width` lay out the PNG.
    """

    name: str
    label: str
    caption: str
    description: str
    template: Mapping[str, Any]
    cells: Sequence[Cell]
    shared: Mapping[str, Rows] = field(default_factory=dict)
    main: bool = True
    narrowest: int = 300
    columns: int = 0
    cell_width: int = 300


def template(chart: Any, theme: Theme) -> dict[str, Any]:
    """An altair chart as a plain Vega-Lite specification in `theme`."""
    specification: dict[str, Any] = chart.to_dict(
        validate=False
    )  # a test validates every chart; doing it again takes seconds
    specification.pop("$schema", None)
    return {**specification, "config": theme.config()}


def for_picture(picture: Picture, title: str, theme: Theme) -> dict[str, Any]:
    """One Vega-Lite specification with every cell in it, for a PNG."""
    shell = dict(picture.template)
    config, params = shell.pop("config"), shell.pop("params", [])
    datasets: dict[str, Any] = {name: list(rows) for name, rows in picture.shared.items()}
    # No pointer points at a picture and no reader reads it out: what only tooltips and labels need stays outside.
    shell, config = _silent(shell), {**config, "aria": False}
    named = json.dumps(shell)
    cells = []
    for index, cell in enumerate(picture.cells):
        datasets[f"{ROWS}{index}"] = [{name: row[name] for name in row if name in named} for row in cell.rows]
        one = {**_renamed(shell, f"{ROWS}{index}"), "width": picture.cell_width}
        if cell.title:
            one["title"] = {"text": cell.title, "subtitle": cell.note} if cell.note else {"text": cell.title}
        cells.append(one)
    columns = picture.columns or (2 if len(cells) in PAIRED else min(3, len(cells)))
    width = columns * (picture.cell_width + 60)
    return {
        "title": {
            "text": title,
            "subtitle": _wrapped(picture.caption, max(50, width // 6)),
            "fontSize": 17,
            "subtitleFontSize": 12,
            "offset": 14,
            "color": theme.ink,
        },
        "concat": cells,
        "columns": columns,
        "spacing": 24,
        "padding": 18,
        "params": params,
        "datasets": datasets,
        "config": config,
    }


def columnar(rows: Rows) -> dict[str, Any]:
    """Rows as columns, each either a list of values or `{"runs": [value, count, ...]}`, whichever is shorter.

    The page turns them back into rows; a curve's rows repeat its rate, seed and outcome, which costs nothing so.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns: dict[str, Any] = {}
    for name in names:
        values = [row.get(name) for row in rows]
        runs: list[Any] = []
        for value in values:
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"`{name}` must be finite in a picture, got {name}={value}")
            if runs and runs[-2] == value and type(runs[-2]) is type(value):
                runs[-1] += 1
            else:
                runs += [value, 1]
        columns[name] = {"runs": runs} if len(runs) < len(values) else values
    return columns


def _silent(part: Any) -> Any:
    """A copy of a part of a specification without tooltips."""
    if isinstance(part, Mapping):
        return {key: _silent(value) for key, value in part.items() if key != "tooltip"}
    return [_silent(value) for value in part] if isinstance(part, list) else part


def _renamed(part: Any, name: str) -> Any:
    """A copy of a part of a specification whose data `rows` are called `name`."""
    if isinstance(part, Mapping):
        if part.get("name") == ROWS and len(part) == 1:
            return {"name": name}
        return {key: _renamed(value, name) for key, value in part.items()}
    return [_renamed(value, name) for value in part] if isinstance(part, list) else part


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, broken at spaces."""
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + 1 + len(word) > width:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines
