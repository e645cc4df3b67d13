"""The page on the learning rate: made by its script, and never at odds with its figures."""

import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.docs.blocks import ROOT, commands, options

DOCS = ROOT / "docs"
PAGE = DOCS / "the-learning-rate.md"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script, imported as Python imports it when it is run."""
    sys.path.insert(0, str(DOCS))
    try:
        import make_learning_rate_page  # type: ignore[import-not-found, unused-ignore]  # lies beside the pages

        yield make_learning_rate_page
    finally:
        sys.path.remove(str(DOCS))


def test_the_page_is_the_script_s(script: ModuleType) -> None:
    """The page shows the very questions that the script asks, and what is hand-written in it is in the template."""
    assert set(commands(PAGE)) >= {question.command for question in script.studies.ALL}
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    template = (DOCS / script.TEMPLATE).read_text(encoding="utf-8")
    pieces = (" ".join(piece.split()) for piece in re.split(r"{{.*?}}|{%.*?%}", template, flags=re.DOTALL))
    missing = [piece for piece in pieces if piece not in page]
    # What stands between {% if %} and {% endif %} may be absent.
    optional = [" ".join(x.split()) for x in re.findall(r"{% if .*?%}(.*?){% endif %}", template, re.DOTALL)]
    assert [piece for piece in missing if not any(piece in one for one in optional)] == []


def test_the_pictures_are_small_and_all_shown() -> None:
    """All pictures together are below 1.5 MB, and each is shown on a page."""
    pictures = sorted((DOCS / "pictures").glob("*.png"))
    assert sum(picture.stat().st_size for picture in pictures) < 1_500_000
    shown = PAGE.read_text(encoding="utf-8") + (DOCS / "index.md").read_text(encoding="utf-8")
    assert [picture.name for picture in pictures if f"pictures/{picture.name}" not in shown] == []


def test_command_and_question_are_the_same(script: ModuleType) -> None:
    """What stands under a table asks for the lanes that were trained for it."""
    from pacesetter.api.question import Question

    for question in script.studies.ALL:
        given = options(question.command)
        rules, pace = given["optimizers"], given["schedules"]
        typed = Question.read(
            given["task"], given["lr"], list(rules) or None, list(pace) or None, (), given["seeds"], given["seed"]
        )
        asked = Question.read(
            question.task, question.lr, question.optimizers, question.schedules, (), question.seeds, 0
        )
        assert typed == asked
        assert (given["steps"], given["engine"], given["task"]) == (question.steps, question.engine, question.task)


def test_a_duel_says_what_the_figures_say(script: ModuleType) -> None:
    """Better, worse, the same and undecided are each said as what they are, and a winner is never called a loser."""
    import pacesetter as ps
    from pacesetter import findings

    facts = script.strategies.facts
    study = ps.compare("quadratic", lr="0.01,0.03,0.05", optimizers="sgd", schedules=["constant", "linear"], seeds=4,
                       steps=20)  # fmt: skip

    def shifted(by: float, noise: float) -> ps.Study:
        """The study in which `linear` ends by this much above `constant`, give or take."""
        random = np.random.default_rng(0)
        lanes = []
        for record in study.lanes:
            ends = 1.0 + (record.lane.schedule == "linear") * by + 0.1 * abs(record.lane.lr - 0.03)
            ends += noise * random.standard_normal()
            valid = record.curve.valid_loss.copy()
            valid[-1] = ends
            lanes.append(replace(record, curve=replace(record.curve, valid_loss=valid), findings=()))
        return ps.Study(findings.judge(replace(study.record, lanes=tuple(lanes), answers=(), findings=())))

    better, worse = (facts.duel(shifted(by, 0.001), "constant", "linear") for by in (-0.5, 0.5))
    open_, same = facts.duel(shifted(0.01, 0.3), "constant", "linear"), facts.duel(shifted(0, 0), "constant", "linear")
    assert better.won
    assert "beat `constant`" in better.sentence
    assert "did not" not in better.sentence
    assert worse.lost
    assert "by more than chance" in worse.sentence
    assert not open_.told
    assert "cannot tell" in open_.sentence
    assert "the very same loss" in same.sentence
    assert {one.word for one in (better, worse, open_)} == {"better", "worse", "cannot be told apart"}


def test_a_smaller_picture_shows_the_same(script: ModuleType, tmp_path: Path) -> None:
    """Few colours are kept as they are, and the file gets smaller."""
    import struct
    import zlib

    small = sys.modules["small_png"]
    pixels = np.full((20, 30, 4), 255, np.uint8)
    pixels[5:9, 4:20, :3] = (200, 30, 40)
    filtered = np.diff(pixels, axis=1, prepend=np.zeros((20, 1, 4), np.uint8))
    lines = np.concatenate([np.ones((20, 1), np.uint8), filtered.reshape(20, -1)], axis=1)
    parts = [
        (b"IHDR", struct.pack(">IIBBBBB", 30, 20, 8, 6, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines.tobytes(), 0)),
        (b"IEND", b""),
    ]
    path = tmp_path / "picture.png"
    path.write_bytes(small.HEAD + b"".join(small._chunk(name, data) for name, data in parts))
    before = path.stat().st_size
    small.shrink(path)
    assert path.stat().st_size < before
    chunks = small._chunks(path.read_bytes())
    palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
    index = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(20, 31)[:, 1:]
    assert (palette[index] == pixels[..., :3]).all()
