"""The end of a command that trained: its rendering, its document and the paths that were written."""

from pathlib import Path
from typing import TYPE_CHECKING

from pacesetter.cli.output import Output
from pacesetter.records import Outcome

if TYPE_CHECKING:
    from pacesetter.api.study import Study

__all__ = ["finish", "no_answer"]


def finish(study: "Study", output: Output) -> None:
    """Show what came out, write the document, and say where everything lies."""
    from pacesetter.report import terminal

    document = output.write(study.to_json())
    console = output.console
    console.print(terminal.render(study.record))
    for path in (*study.written, *([document] if document else [])):
        console.print(f"written: {_near(path)}", markup=False, soft_wrap=True)
    if study.store is not None:
        console.print(
            f"study {study.name} is kept in {study.store}: pacesetter show {study.name}", markup=False, soft_wrap=True
        )


def no_answer(study: "Study") -> str:
    """Why no lane learned, in a sentence: the finding's own, or what the lanes' outcomes say."""
    for finding in study.findings:
        if finding.name == "nothing-learned":
            return finding.text
    diverged = sum(record.outcome is Outcome.DIVERGED for record in study.lanes)
    message = next((record.message for record in study.lanes if record.message), "")
    return f"no lane learned; {diverged} of {len(study.lanes)} diverged. {message}".strip()


def _near(path: Path) -> str:
    """The path as seen from here, when it lies below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
