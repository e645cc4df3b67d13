"""Small pieces of HTML. Every text goes through `Markup.format`, which escapes it."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from pacesetter import words
from pacesetter.records import Level
from pacesetter.report._theme import DARK, LIGHT

_SIGNS = {Level.BAD: "✕", Level.WARNING: "!", Level.INFO: "i", Level.GOOD: "✓"}


class Table(NamedTuple):
    """A table's heads, and its rows of cells; `numeric` are the indices of columns of numbers.

    `remarks`, if there are any, is a text for each row, shown under it over the whole width.
    """

    heads: Sequence[str]
    rows: Sequence[Sequence[str | Markup]]
    numeric: frozenset[int] = frozenset()
    remarks: Sequence[str] = ()


def table(content: Table, marked: int | None = None, name: str = "") -> Markup:
    """A table that a narrow page shows as cards; row `marked` is set off."""
    heads = join(
        Markup('<th scope="col"{}>{}</th>').format(_numeric(content, k), head) for k, head in enumerate(content.heads)
    )
    body = join(_row(content, index, " marked" if index == marked else "") for index in range(len(content.rows)))
    shell = '<div class="scroll"><table class="{}"><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>'
    return Markup(shell).format(name, heads, body)


def _row(content: Table, index: int, mark: str) -> Markup:
    cells = join(
        Markup('<td data-head="{}"{}>{}</td>').format(content.heads[k], _numeric(content, k), cell)
        for k, cell in enumerate(content.rows[index])
    )
    if not content.remarks:
        return Markup('<tr class="row{}">{}</tr>').format(mark, cells)
    shell = '<tr class="row told{}">{}</tr><tr class="remark{}"><td colspan="{}">{}</td></tr>'
    return Markup(shell).format(mark, cells, mark, len(content.heads), content.remarks[index])


def badge(level: Level, text: str) -> Markup:
    """A word on a coloured ground, with a sign that says the same without colour."""
    return Markup('<span class="badge {}"><b aria-hidden="true">{}</b>{}</span>').format(level, _SIGNS[level], text)


def finding(level: Level, text: str) -> Markup:
    """A finding's sentence as an item of a list."""
    shell = '<li class="{}"><b class="sign" aria-label="{}">{}</b><span>{}</span></li>'
    return Markup(shell).format(level, level, _SIGNS[level], text)


def rate(lr: float | None, low: float, high: float) -> Markup:
    """A learning rate with its colour beside it."""
    if lr is None:
        return Markup("{}").format(words.DASH)
    shell = '<span class="rate" style="--l:{};--d:{}">{}</span>'
    return Markup(shell).format(LIGHT.colour(lr, low, high), DARK.colour(lr, low, high), words.rate(lr))


def strategy(optimizer: str, schedule: str) -> Markup:
    """A strategy in two weights: the optimizer, and its schedule if there is one."""
    if schedule == "constant":
        return Markup('<span class="strategy">{}</span>').format(optimizer)
    if optimizer == schedule == words.OWN:
        return Markup('<span class="strategy">{}</span>').format(words.strategy(optimizer, schedule))
    return Markup('<span class="strategy">{} <i>{}</i></span>').format(optimizer, schedule)


def join(parts: Iterable[str | Markup]) -> Markup:
    """Pieces of HTML, one after the other."""
    return Markup("").join(parts)


def _numeric(content: Table, column: int) -> Markup:
    return Markup(' class="number"') if column in content.numeric else Markup("")
