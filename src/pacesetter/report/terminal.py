"""A judged study on a terminal: the answer, a table of answers, a table of strategies, the findings. 80 columns do."""

from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pacesetter import words
from pacesetter.records import Finding, Level, StudyRecord
from pacesetter.report import _plan, _summary
from pacesetter.report._headline import Headline, headline

__all__ = ["render"]

# Every level has a sign of its own, so that nothing depends on colour.
_SIGNS = {
    Level.BAD: ("✕", "bold red"),
    Level.WARNING: ("!", "yellow"),
    Level.INFO: ("·", "dim"),
    Level.GOOD: ("✓", "green"),
}


DOUBT = "?"  # marks a rate that is not claimed to be the best


def render(study: StudyRecord) -> RenderableType:
    """What a person sees at the end of a comparison: something for `rich` to print.

    Example: `rich.print(render(findings.judge(store.load("digits"))))`
    """
    head = headline(study)
    rows = _summary.strategies(study)
    if head.searched:
        return _search(study, head)
    parts: list[RenderableType] = [Text(f"{head.sentence}.", style="bold"), Text(head.support), Text()]
    if rows:
        so_far = "" if study.finished else ", so far"
        parts += [_answers(rows, so_far), Text(), _strategies(rows, list(study.metrics), so_far), Text()]
    whole, best, others = head.findings
    loud = [finding for finding in others if finding.level in (Level.BAD, Level.WARNING)]
    if whole or best or others:
        parts.append(_findings([*whole, *best, *loud], len(others) - len(loud)))
    if how := _plan.sentence(study.plan):
        parts += [Text(), Text(how, style="dim")]
    return Group(*parts)


def _search(study: StudyRecord, head: Headline) -> RenderableType:
    """What a person sees at the end of a search: the rate, its figures, and the findings in their own order."""
    parts: list[RenderableType] = [Text(f"{head.sentence}.", style="bold"), Text(head.support), Text()]
    facts = Table.grid(padding=(0, 2, 0, 0))
    facts.add_column(style="dim")
    facts.add_column(justify="right")
    facts.add_column(style="dim")
    for name, value, remark in head.facts:
        facts.add_row(name, value, remark)
    findings = [finding for answer in study.answers for finding in answer.findings if finding.text != head.support]
    parts += [facts, Text(), _findings(findings, 0)] if head.facts else [_findings(findings, 0)]
    if how := _plan.sentence(study.plan):
        parts += [Text(), Text(how, style="dim")]
    return Group(*parts)


def _table(title: str) -> Table:
    looks: dict[str, Any] = {"title_justify": "left", "title_style": "bold", "header_style": "dim"}
    looks |= {"caption_justify": "left", "caption_style": "dim"}
    return Table(title=title, box=None, padding=(0, 1, 0, 0), pad_edge=False, **looks)


def _answers(rows: list[_summary.Strategy], so_far: str) -> Table:
    """What each strategy answers: its best rate, where that lies, and where it breaks."""
    table = _table(f"Learning rates{so_far}")
    table.add_column("strategy", overflow="fold", min_width=21)
    for name in ("best rate", "best rate lies in", "safe to use", "breaks at"):
        table.add_column(name, justify="right", max_width=19 if " " in name else None)
    if any(map(_unclaimed, rows)):
        table.caption = f"{DOUBT}: lowest of the rates tried, but not recommended; see the findings"
    for row in rows:
        answer = row.answer
        best = words.rate(answer.best_tried) + (f" {DOUBT}" if _unclaimed(row) else "")
        edge = _summary.edge(row) if answer.stability_edge is None else words.rate(answer.stability_edge[1])
        table.add_row(
            row.label,
            best,
            words.span(answer.interval) if row.rank else row.nothing,
            words.span(answer.safe_range),
            edge,
            style="bold" if row.rank == 1 else "",
        )
    return table


def _unclaimed(row: _summary.Strategy) -> bool:
    return row.answer.lr is None and row.answer.best_tried is not None


def _strategies(rows: list[_summary.Strategy], metrics: list[str], so_far: str) -> Table:
    """Every strategy at its own best rate."""
    table = _table(f"Strategies, each at its own best rate{so_far}")
    table.caption = "cost: of all rates and seeds together, in full trainings"
    table.add_column("strategy", overflow="fold", min_width=21)
    table.add_column("kind", max_width=10)
    table.add_column("valid. loss", justify="right", no_wrap=True)
    shown = metrics[:1]  # more do not fit into 80 columns; the report has them all
    for name in [*shown, "steps to target", "cost"]:
        table.add_column(name, justify="right", max_width=9)
    for row in rows:
        table.add_row(
            row.label,
            row.kind.replace(_summary.KINDS["constant"], "grid"),  # the whole name takes three lines here
            words.spread(row.valid_loss, row.spread) if row.rank else words.DASH,
            *(words.number(row.metrics.get(name, (None, None))[0]) for name in shown),
            _summary.steps(row),
            words.number(row.runs),
            style="bold" if row.rank == 1 else "",
        )
    return table


def _findings(findings: list[Finding], more: int) -> RenderableType:
    """Signs and sentences, worst first."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    for finding in findings:
        sign, style = _SIGNS[finding.level]
        table.add_row(Text(sign, style=style), Text(finding.text))
    if more:
        table.add_row("", Text(f"and {more} more in the report", style="dim"))
    return Padding(table, (0, 0))
