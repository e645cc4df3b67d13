"""The PNG files."""

import struct
import sys

import pytest

from pacesetter.errors import MissingPackage, StoreError
from pacesetter.report import page, pictures


def test_pictures_are_sharp_enough_for_a_readme(tmp_path, quadratic):
    """Every main chart is a PNG, sharp and wide enough for a README, with all its cells' data in it."""
    written = pictures.write_pngs(quadratic, tmp_path / "pictures")
    assert [path.name for path in written] == [
        "ranges.png", "final-loss.png", "curves-training-loss.png", "curves-validation-loss.png", "paths.png",
    ]  # fmt: skip
    for path in written:
        start = path.read_bytes()[:24]
        assert start.startswith(b"\x89PNG")
        assert struct.unpack(">I", start[16:20])[0] >= 700


def test_every_layer_of_a_picture_has_its_data(quadratic):
    """No layer names data that is not in the specification."""
    from pacesetter.report._theme import LIGHT

    def named(part):
        if isinstance(part, dict):
            own = [part["data"]["name"]] if "name" in part.get("data", {}) else []
            return own + [name for key, value in part.items() if key != "datasets" for name in named(value)]
        return [name for value in part for name in named(value)] if isinstance(part, list) else []

    for _, specification in pictures._specifications(quadratic, LIGHT):
        assert set(named(specification)) <= set(specification["datasets"])


def test_a_folder_that_cannot_be_written_is_said(tmp_path, quadratic):
    """An unwritable place is an input error that names it."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="`pictures` must be a place that can be written to"):
        pictures.write_pngs(quadratic, tmp_path / "file")


@pytest.mark.parametrize("make", [page.write_html, pictures.write_pngs])
def test_a_missing_package_is_said_with_the_line_that_installs_it(make, monkeypatch, tmp_path, quadratic):
    """Without the extra `report`, the message says how to install it."""
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(MissingPackage, match=r"pip install 'pacesetter\[report\]'"):
        make(quadratic, tmp_path / "x")


def test_a_picture_carries_nothing_that_only_a_pointer_shows(quadratic):
    """Tooltips and their columns stay outside of a picture: they cost time and cannot be seen."""
    import json

    from pacesetter.report._theme import LIGHT

    specifications = dict(pictures._specifications(quadratic, LIGHT))
    for specification in specifications.values():
        assert '"tooltip"' not in json.dumps(specification)
    rows = specifications["curves-training-loss"]["datasets"]["rows0"]
    assert {name for row in rows for name in row} == {"lane", "lr", "part", "step", "value", "text"}
