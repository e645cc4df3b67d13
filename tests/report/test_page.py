"""The page as a file: self-contained, small, safe, and drawn by a browser without a network."""

import html
import json
import re
import shutil
import subprocess
from dataclasses import replace

import pytest

from pacesetter import findings
from pacesetter.errors import StoreError
from pacesetter.records import Outcome
from pacesetter.report import page
from tests.report import studies

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr", "--virtual-time-budget=20000", "--dump-dom",
)  # fmt: skip


def charts(text: str) -> dict:
    """The specifications and data in a page."""
    return json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', text, re.DOTALL)[1])


def without_scripts(text: str) -> str:
    """A page's HTML alone."""
    return re.sub(r"<(script|style)\b.*?</\1>", "", text, flags=re.DOTALL)


def opened(path) -> tuple[str, str]:
    """The document after a browser without a network has drawn it, and what its console said."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        return "", ""
    folder = path.parent / "profile"
    command = [browser, *FLAGS, f"--user-data-dir={folder}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


@pytest.mark.parametrize("name", ["comparison", "quadratic"])
def test_a_browser_draws_every_chart_without_a_network(name, tmp_path, small, quadratic):
    """Every chart has marks and the console is silent; without a browser, every chart has its parts and rows."""
    study = {"comparison": small, "quadratic": quadratic}[name]
    path = page.write_html(study, tmp_path / "report.html")
    text = path.read_text(encoding="utf-8")
    found = charts(text)
    plots = without_scripts(text).count('class="plot"')
    assert plots == sum(len(chart["cells"]) for chart in found.values()) > 3
    for chart in found.values():
        assert chart["light"]["layer"]
        assert chart["dark"]["layer"]
        assert all(cell for cell in chart["cells"])
    document, console = opened(path)
    if document:
        assert console == ""
        assert f'data-drawn="{plots}"' in document
        drawn = document.split('class="plot')[1:]
        assert len(drawn) == plots
        for plot in drawn:
            assert len(re.findall(r'<g class="mark-(?:line|symbol|rule|rect)[^"]*"[^>]*>\s*<path', plot)) >= 2


def test_the_page_asks_the_network_for_nothing(small):
    """No address in a src, href, import or url, and a policy that forbids any request."""
    text = page.html(small)
    assert not re.findall(r"""(?:src|href|action)\s*=\s*["']?(?:https?:)?//""", without_scripts(text))
    assert not re.findall(r"""(?:@import|url\(\s*["']?(?:https?:)?//)""", text)
    assert not re.findall(r"""\bimport\s*(?:\(|[\w{*][^;\n]{0,80}\bfrom)\s*["']https?://""", text)
    assert "default-src 'none'" in text
    addresses = set(re.findall(r"https?://([\w.-]+)", text))
    assert addresses <= {"www.w3.org", "vega.github.io", "github.com"}  # names of formats, and texts never followed


def test_the_answer_comes_first_and_provenance_last(small):
    """The order of the page is: answer, code, pictures, tables, provenance."""
    anchors = re.findall(r'<section id="([\w-]+)"', page.html(small))
    assert anchors == [
        "answer", "recipe", "ranges", "final-loss", "curves", "strategies", "impact", "provenance",
    ]  # fmt: skip


def test_what_a_user_named_is_only_text():
    """Markup in the names of tasks, metrics and strategies and in messages is shown, never run."""
    text = page.html(studies.hostile())
    bare = without_scripts(text)
    assert "<script>alert" not in text
    assert "<img" not in bare
    assert html.escape("<script>alert('x')</script>", quote=False).replace("'", "&#39;") in bare
    assert text.count("</script>") == 2


def test_three_megabytes_hold_two_hundred_lanes_of_ten_thousand_steps():
    """200 lanes x 10,000 steps fit into 3 MB."""
    study = studies.comparison(10_000, studies.RATES[::3], 5)
    assert len(study.lanes) == 200
    assert len(page.html(study).encode()) <= 3_000_000


def test_real_judgements_fit_the_page(small):
    """What `findings.judge` says of a study is shown as it is."""
    judged = findings.judge(small)
    text = html.unescape(page.html(judged))
    assert all(finding.text in text for finding in judged.findings)
    assert all(finding.text in text for finding in judged.answers[0].findings)


@pytest.mark.parametrize("lanes", [0, 1, 5])
def test_an_unfinished_study_has_a_page(small, lanes):
    """A page can be made at any stage: without lanes, with one, with some that still run."""
    records = tuple(replace(record, outcome=Outcome.RUNNING) for record in small.lanes[:lanes])
    study = findings.judge(replace(small, lanes=records, answers=(), findings=()))
    assert "<h1>" in page.html(study)


def test_a_path_that_cannot_be_written_is_said(tmp_path, quadratic):
    """An unwritable place is an input error that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="`report` must be a place that can be written to"):
        page.write_html(quadratic, tmp_path / "file" / "report.html")
    with pytest.raises(StoreError, match="got"):
        page.write_html(quadratic, tmp_path)
