"""The pages on schedules: made by their script from the docstrings, and the theory in them is the published one."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pacesetter import schedules
from tests.docs.blocks import ROOT

DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    """The script, imported as Python imports it when it is run."""
    sys.path.insert(0, str(DOCS))
    try:
        import make_schedule_pages  # type: ignore[import-not-found, unused-ignore]  # lies beside the pages

        yield make_schedule_pages
    finally:
        sys.path.remove(str(DOCS))


def test_the_pages_are_what_the_script_makes(script: ModuleType, tmp_path: Path) -> None:
    """The pages and pictures of the repository are those that `python docs/make_schedule_pages.py` writes, no more."""
    made = script.make(tmp_path)
    stale = [path.name for path in made if path.read_bytes() != (DOCS / path.relative_to(tmp_path)).read_bytes()]
    assert stale == [], "run .venv/bin/python docs/make_schedule_pages.py"
    pictures = {path.name for path in (DOCS / "pictures" / "schedules").iterdir()}
    assert pictures == {path.name for path in made if path.suffix == ".svg"}


def test_every_schedule_is_in_the_gallery() -> None:
    """Each registered name has a heading, a picture and a link to it."""
    page = (DOCS / "schedules.md").read_text(encoding="utf-8")
    for name in schedules.names():
        assert f"\n### {name}\n" in page
        assert f"(pictures/schedules/{name}.svg)" in page
        assert f"[{name}](#{name})" in page


def test_the_pictures_are_small() -> None:
    """All of them together are below 60 kB, so that they may lie in the repository and change there."""
    assert sum(path.stat().st_size for path in (DOCS / "pictures" / "schedules").iterdir()) < 60_000


GOOD = """Down.

    span: in steps.

    Use it to go down.

    As text: `cosine`, `warmup(5) >> cosine`.

    Source: somebody, 2000.
    """


@pytest.mark.parametrize(
    ("part", "instead", "told"),
    [
        ("    span: in steps.\n", "", "explain its arguments"),
        ("Use it to", "Take it to", "begins with 'Use it '"),
        ("As text: ", "", "begins with 'As text: '"),
        ("`warmup(5) >> cosine`", "and so on", "two texts in backticks"),
        ("`cosine`", "`linear`", "two texts in backticks"),
        (">> cosine", ">> linear", "two texts in backticks"),
        ("Source: ", "By ", "begins with 'Source: '"),
    ],
)
def test_a_docstring_without_a_part_is_told(
    script: ModuleType, monkeypatch: pytest.MonkeyPatch, part: str, instead: str, told: str
) -> None:
    """A schedule whose docstring lacks what the gallery shows is refused by its name, with what to write."""
    assert GOOD.count(part) == 1
    monkeypatch.setattr(schedules.cosine, "__doc__", GOOD)
    assert script.entry("cosine", schedules.cosine).source == "somebody, 2000."
    monkeypatch.setattr(schedules.cosine, "__doc__", GOOD.replace(part, instead))
    with pytest.raises(ValueError, match="`cosine`") as error:
        script.entry("cosine", schedules.cosine)
    assert told in str(error.value)


def test_a_simpler_line_is_the_same_line(script: ModuleType) -> None:
    """What is left out of a picture's line lies within a fifth of a pixel of what is kept."""
    simpler = sys.modules["schedule_pictures"].simpler
    x = np.linspace(0, 400, 1001)
    y = 60 + 60 * np.cos(x / 60)
    kept = simpler(list(zip(x.tolist(), y.tolist(), strict=True)))
    assert len(kept) < 100
    assert np.abs(np.interp(x, *zip(*kept, strict=True)) - y).max() < 0.2


# --------------------------------------------------------------------------------------------------------------- theory

# Of the same formula in double precision, with D = G = 1: (bound, best peak), at 60, 400 and 1,600 updates.
KNOWN = {
    "constant": (0.30722423, 0.13754481, 0.07481085),
    "cosine": (0.27269974, 0.10338591, 0.05155081),
    "linear": (0.26480884, 0.10062987, 0.05010069),
    "constant >> cooldown(0.2)": (0.29103001, 0.10932301, 0.05421330),
    "constant >> cooldown(0.2, shape=sqrt)": (0.28626040, 0.10728815, 0.05330147),
    "inverse_sqrt(timescale=1)": (0.28168504, 0.12226427, 0.06583025),
}
PEAKS = {
    "linear": (0.123813, 0.0495631, 0.0249342),
    "constant >> cooldown(0.2)": (0.0630472, 0.0253737, 0.0128050),
}


@pytest.mark.parametrize("text", KNOWN)
def test_the_bound_is_the_published_one(script: ModuleType, text: str) -> None:
    """Our schedules give the bounds, and the best peaks, that an independent implementation of the formula gives."""
    found = [script.bound(text, steps) for steps in (60, 400, 1600)]
    assert [worst for worst, _ in found] == pytest.approx(KNOWN[text], rel=3e-7)
    if text in PEAKS:
        assert [peak for _, peak in found] == pytest.approx(PEAKS[text], rel=5e-6)


def test_the_bound_of_a_constant_rate_is_its_closed_form(script: ModuleType) -> None:
    """Of a constant rate it is 1 / (2 gamma T) + gamma / 2 + gamma / 2 times the harmonic number of T - 1."""
    steps = 50
    harmonic = sum(1 / k for k in range(1, steps))
    assert script.bound("constant", steps)[0] == pytest.approx(2 * np.sqrt((1 + harmonic) / (4 * steps)), rel=1e-12)


def test_what_is_said_of_the_table_is_so(script: ModuleType) -> None:
    """Linear decay has the lowest bound, smooth ones are within a tenth of it, the others a fifth to two above."""
    shares = {text: float(share) for text, _, share, _ in script.theory()["rows"]}
    assert min(shares, key=lambda text: shares[text]) == "linear"
    high = {"inverse_sqrt", "multistep", "cosine_restarts", "constant", "step", "triangular"}
    assert {text for text, share in shares.items() if share > 1.1} == high
    assert all(1.2 < shares[text] <= 1.4 for text in high)
