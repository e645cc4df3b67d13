"""The answer first: the best strategy, its rate, how sure that is and what breaks; then what was found, worst first."""

from markupsafe import Markup

from pacesetter.records import Level, StudyRecord
from pacesetter.report import _html
from pacesetter.report._headline import Headline, headline
from pacesetter.report._theme import Theme

TITLE = ""
ORDER = 10
MOST_TILES = 6  # in one row of a wide page


def data(study: StudyRecord) -> Headline:
    """The headline, the facts under it and the findings."""
    return headline(study)


def draw(data: Headline, theme: Theme) -> Markup:
    """The opening of the page."""
    facts = _html.join(
        Markup("<div><dt>{}</dt><dd>{}</dd><dd class='remark'>{}</dd></div>").format(*fact) for fact in data.facts
    )
    return Markup("<p class='kicker'>{} <span>{}</span></p><h1>{}</h1><p class='support'>{}</p>{}{}").format(
        "Learning rate search" if data.searched else "Learning rate comparison",
        data.task,
        data.sentence,
        data.support,
        Markup("<dl class='facts' style='--share:{}%'>{}</dl>").format(_share(len(data.facts)), facts)
        if data.facts
        else "",
        _found(data),
    )


def _share(tiles: int) -> int:
    """The least width of a tile in per cent: up to six are in one row, more in two rows of about the same length."""
    columns = tiles if tiles <= MOST_TILES else (tiles + 1) // 2
    return 90 // max(columns, 1)  # a little less than their share, which leaves room for the lines between them


def _found(data: Headline) -> Markup:
    """The findings under their headings; those on strategies other than the best are folded away."""
    whole, best, others = data.findings
    parts = []
    alone = not others and not whole
    for title, findings in (("What was found", whole), (f"About {data.best}" if not alone else "What was found", best)):
        if findings:
            items = _html.join(_html.finding(finding.level, finding.text) for finding in findings)
            parts.append(Markup("<h2 class='small'>{}</h2><ul class='findings'>{}</ul>").format(title, items))
    if others:
        loud = sum(finding.level in (Level.BAD, Level.WARNING) for finding in others)
        said = f"About the other strategies: {len(others)} findings" + (f", {loud} of them warnings" if loud else "")
        items = _html.join(_html.finding(finding.level, finding.text) for finding in others)
        shell = "<details class='others'><summary>{}</summary><ul class='findings'>{}</ul></details>"
        parts.append(Markup(shell).format(said, items))
    return _html.join(parts)
