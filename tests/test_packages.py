"""Optional packages: who brings them, and what works without them."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import pacesetter as ps
from pacesetter import packages
from pacesetter.errors import MissingPackage

EXTRAS = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"][
    "optional-dependencies"
]


def declared(extra: str) -> set[str]:
    """The packages of an extra of pyproject.toml, and of the extras that it includes."""
    found: set[str] = set()
    for requirement in EXTRAS[extra]:
        included = re.fullmatch(r"pacesetter\[(.+)\]", requirement)
        found |= declared(included[1]) if included else {re.split(r"[<>=!~ \[]", requirement)[0]}
    return found


@pytest.mark.parametrize("extra", packages.EXTRAS)
def test_an_extra_brings_what_is_asked_of_it(extra: str) -> None:
    """The packages that an extra is asked for before work begins are those that pyproject.toml declares for it."""
    distributions = packages_distributions()
    _, modules = packages.EXTRAS[extra]
    assert {distributions[module][0].lower() for module in modules} == declared(extra)


def test_a_package_that_is_not_there_is_told_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the line that installs it; what is there passes."""
    packages.require("report")
    monkeypatch.setitem(sys.modules, "altair", None)
    with pytest.raises(MissingPackage, match=r"`altair` is needed for the report.*'pacesetter\[report\]'"):
        packages.require("report")
    assert packages.extra_of("torch.nn") == "train"
    assert packages.extra_of("sqlalchemy") == "store"
    assert packages.extra_of("json") is None


def test_a_study_is_read_where_nothing_can_be_trained(tmp_path: Path) -> None:
    """Without torch and safetensors a study is loaded, judged, shown and exported; training says what it lacks."""
    store = f"sqlite:///{tmp_path}/a.db"
    made = ps.compare("quadratic", lr=[0.01, 0.05], optimizers="sgd", seeds=2, steps=20, store=store, engine="looped")
    code = f"""if True:
        import sys
        sys.modules["torch"] = sys.modules["safetensors"] = None
        import pacesetter as ps
        study = ps.Study.load({made.name!r}, {store!r})
        assert ps.Study.summaries({store!r})[0].name == study.name
        study.show()
        study.export("lanes.csv")
        print(study.answers[0].best_tried, study.answers[0].recipe)
        try:
            ps.train("quadratic", "sgd lr=0.05")
        except ps.errors.MissingPackage as error:
            print(error)
    """
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert f"{made.answers[0].best_tried} {made.answers[0].recipe}" in ran.stdout
    assert "pip install 'pacesetter[train]'" in ran.stdout
