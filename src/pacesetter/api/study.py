"""The Study a person holds: a judged record, and what can be made of it."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from pacesetter.api import defaults
from pacesetter.api.answer import Answer
from pacesetter.errors import InputError
from pacesetter.files import check_folder
from pacesetter.packages import require
from pacesetter.records import Cost, Finding, LaneRecord, Outcome, StudyRecord

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import RenderableType

    from pacesetter.store import StudySummary

__all__ = ["Study", "summaries_to_json"]


class Study:
    """Lanes, curves, findings and answers of one question. `compare` and `train` make one; `load` reads one.

    record: everything that is known, as plain facts.
    store: the URL of the store it lies in; None when it lives in this process only.
    written: files that the verb which made it has written into `out`.

    `rich` prints it: `rich.print(study)` is what `study.show()` does.
    """

    def __init__(self, record: StudyRecord, store: str | None = None, written: Iterable[Path] = ()) -> None:
        """Hold a judged `record`."""
        self.record = record
        self.store = store
        self.written = tuple(written)

    @classmethod
    def load(cls, name: str, store: str = defaults.STORE) -> "Study":
        """Read the study `name` from a store, also while another process trains it; torch is not needed.

        Raises:
            MissingPackage: the extra `store` is not installed.
            StoreError: there is no store at that URL.
            UnknownName: the store has no study of that name.

        Example:
            study = ps.Study.load("digits-mlp-1")
            study.answers[0].lr
        """
        require("store")
        from pacesetter import findings
        from pacesetter.store import Store

        with Store.open(store, must_exist=True) as opened:
            return cls(findings.judge(opened.load(name)), store)

    @staticmethod
    def summaries(store: str = defaults.STORE) -> "list[StudySummary]":
        """One line about each study of a store, oldest first; StoreError when there is no store at that URL."""
        require("store")
        from pacesetter.store import Store

        with Store.open(store, must_exist=True) as opened:
            return opened.summaries()

    @property
    def name(self) -> str:
        """Its name in the store."""
        return self.record.name

    @property
    def lanes(self) -> tuple[LaneRecord, ...]:
        """Each lane with its outcome, curve and findings, in the order they were asked for."""
        return self.record.lanes

    @property
    def answers(self) -> tuple[Answer, ...]:
        """One for each strategy (optimizer and schedule), in the order they were asked for."""
        return tuple(Answer.of(answer, self.record) for answer in self.record.answers)

    @property
    def best(self) -> Answer | None:
        """The answer to use, which the report recommends: the best strategy, at a rate that is claimed to be its best.

        None while lanes are left to be trained, where no rate learned, and where the lowest loss lies on the edge of
        the rates that were tried (a finding says which to try next); `answers` then has what is known so far.

        Example:
            optimizer, scheduler = study.best.recipe.to_torch(model.parameters(), total_steps=10_000)
        """
        from pacesetter.report import recommended

        found = recommended(self.record)
        return None if found is None else Answer.of(found, self.record)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The judgements on the whole comparison."""
        return self.record.findings

    @property
    def learned(self) -> bool:
        """Whether any strategy has a rate that learned."""
        return any(answer.best_tried is not None for answer in self.record.answers)

    @property
    def cost(self) -> Cost:
        """Lane steps, full trainings and seconds so far."""
        return self.record.cost

    def to_frame(self) -> "pd.DataFrame":
        """One row per lane, as a pandas data frame; MissingPackage without pandas."""
        from pacesetter.store import to_frame

        return to_frame(self.record)

    def to_json(self, lane: int | None = None) -> str:
        """The document of `pacesetter compare --json`, of a search that of `pacesetter find --json`.

        It is strict JSON text, in which what does not exist is null.

        lane: the number of a lane (from 0), for its entry of the document alone.
        """
        from pacesetter.store import compare_document, find_document, to_json

        if lane is None and self.record.problem is not None:
            return to_json(find_document(self.record))
        document = compare_document(self.record)
        return to_json(document if lane is None else document["lanes"][self._number(lane)])

    def export(self, path: str | Path) -> Path:
        """Write the lanes as a table: `.csv`, `.parquet` or `.json`; the path written."""
        from pacesetter.store import export

        return export(self.record, path)

    def report(self, path: str | Path) -> Path:
        """Write the report, one HTML file that opens without a network; the path written."""
        require("report")
        from pacesetter.report import page

        return page.write_html(self.record, path)

    def pictures(self, folder: str | Path) -> list[Path]:
        """Write each panel that is a picture as a PNG file into `folder`; the paths written."""
        require("report")
        from pacesetter.report import pictures

        return pictures.write_pngs(self.record, check_folder(folder, "folder"))

    def script(self, lane: int) -> str:
        """Python source that trains lane number `lane` (from 0) again, in plain PyTorch.

        InputError: there is no such lane, it made no update, or its task was given as an object.
        """
        from pacesetter.report.script import script

        return script(self.record, lane)

    def _number(self, lane: int) -> int:
        """`lane`, if there is a lane of that number."""
        if not 0 <= lane < len(self.lanes):
            raise InputError(f"`lane` must be from 0 to {len(self.lanes) - 1} in study {self.name}, got lane={lane}")
        return lane

    def show(self) -> None:
        """Print answers, strategies and findings."""
        from rich.console import Console

        Console().print(self)

    def __rich__(self) -> "RenderableType":
        """What `rich` prints: answers, strategies and findings."""
        from pacesetter.report import terminal

        return terminal.render(self.record)

    def __repr__(self) -> str:
        """Name, task and how the lanes ended."""
        counts = {outcome: sum(r.outcome is outcome for r in self.lanes) for outcome in Outcome}
        said = {Outcome.RUNNING: "not finished"}
        ends = ", ".join(f"{count} {said.get(outcome, outcome)}" for outcome, count in counts.items() if count)
        return f"Study({self.name!r}: {self.record.task}, {len(self.lanes)} lanes, {ends})"


def summaries_to_json(summaries: "Iterable[StudySummary]") -> str:
    """The document of `pacesetter studies --json`: strict JSON text."""
    from dataclasses import asdict

    from pacesetter.store import to_json

    return to_json({"studies": [asdict(summary) for summary in summaries]})
