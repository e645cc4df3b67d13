"""The end of a command that trained: its rendering, its document and the paths that were written."""

from pathlib import Path
from typing import TYPE_CHECKING

from pacesetter.cli.output import Output
from pacesetter.records import Outcome

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pacesetter.api.study import Study

__all__ = ["finish", "no_answer"]

NOTHING_LEARNED = "nothing-learned"


def finish(study: "Study", output: Output, rendering: "RenderableType") -> None:
    """Write the document, show the rendering of what came out, and say where everything lies."""
    document = output.write(study.to_json())
    console = output.console
    console.print(rendering)
    for path in (*study.written, *([document] if document else [])):
        console.print(f"written: {_near(path)}", markup=False, soft_wrap=True)
    if study.store is not None:
        console.print(
            f"study {study.name} is kept in {study.store}: pacesetter show {study.name}", markup=False, soft_wrap=True
        )


def no_answer(study: "Study") -> str:
    """Why no lane learned, in a sentence: the finding's own, or what the lanes' outcomes say."""
    of_strategies = {f.text for answer in study.record.answers for f in answer.findings if f.name == NOTHING_LEARNED}
    of_study = {f.text for f in study.findings if f.name == NOTHING_LEARNED}
    for texts in (of_strategies, of_study):
        if len(texts) == 1:
            return texts.pop()
    diverged = sum(record.outcome is Outcome.DIVERGED for record in study.lanes)
    message = next((record.message for record in study.lanes if record.message), "")
    return f"no lane learned; {diverged} of {len(study.lanes)} diverged. {message}".strip()


def _near(path: Path) -> str:
    """The path as seen from here, when it lies below."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
