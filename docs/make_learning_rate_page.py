"""Make `the-learning-rate.md` and its pictures anew, from nothing but training runs.

.venv/bin/python docs/make_learning_rate_page.py
.venv/bin/python docs/make_learning_rate_page.py --store sqlite:///page.db    keeps the runs
"""

import argparse
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import jinja2
import learning_rate_sections as sections
import learning_rate_strategies as strategies
import learning_rate_studies as studies
from learning_rate_facts import listing, part
from small_png import shrink

import pacesetter as ps
from pacesetter.report import pictures

HERE = Path(__file__).parent
TEMPLATE = "the-learning-rate.md.jinja"

# Sharp enough in a page's column, at half the pixels of a picture for print.
pictures.SCALE = 1.5


def make(folder: Path, store: str | None = None) -> Path:
    """Ask every question, draw the pictures into `folder`/pictures and write the page; its path."""
    asked: dict[str, ps.Study] = {}
    for question in studies.ALL:
        print(f"{question.name}: {question.command}", file=sys.stderr)
        asked[question.name] = question.ask(store)
    values = page_values(asked)
    _draw(asked, folder / "pictures")
    page = folder / "the-learning-rate.md"
    page.write_text(render(values), encoding="utf-8")
    return page


def page_values(asked: Mapping[str, ps.Study]) -> dict[str, object]:
    """Every figure and every sentence that depends on one, by section."""
    values: dict[str, dict[str, object]] = {
        "rule": sections.rule(asked["rule"]),
        "bowl": sections.bowl(asked["bowl"]),
        "rates": sections.rates(asked["rates"]),
        "wells": sections.wells(asked["wells"]),
        "long": sections.long(asked["long"]),
        "grid": strategies.grid(asked["rates"], asked["decay"]),
        "decay": strategies.schedules(asked["decay"]),
        "plateau": strategies.schedules(asked["plateau"]),
        "cycles": strategies.schedules(asked["cycles"]),
        "rules": strategies.rules(asked["rules"]),
    }
    values["command"] = {question.name: f"```\n{question.command}\n```" for question in studies.ALL}
    cost = [study.cost for study in asked.values()]
    return {
        **values,
        "runs": f"{sum(len(study.lanes) for study in asked.values()):,}",
        "updates": f"{sum(one.lane_steps for one in cost):,}",
        "seeds": len({record.lane.seed for record in asked["rates"].lanes}),
        "steps": asked["rates"].record.total_steps,
        "long_steps": f"{asked['long'].record.total_steps:,}",
        "summary": summary(values),
    }


def render(values: Mapping[str, object]) -> str:
    """The page's text."""
    loader = jinja2.FileSystemLoader(HERE)
    # The page is Markdown made from our own numbers: there is nothing to escape.
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    return environment.get_template(TEMPLATE).render(values)


def summary(values: Mapping[str, Mapping[str, object]]) -> list[tuple[str, str]]:
    """What people say, and whether these measurements bear it out."""
    rows = [
        (
            "cyclical rates escape a local minimum",
            _yes(values["wells"]["helped"], "yes, at a high peak, but not only they"),
        ),
        ("higher rates generalize better", _yes(values["long"]["borne"], "yes, at an equal fit, in every seed")),
    ]
    for name, said in (
        ("decay", "decay beats a constant rate"),
        ("plateau", "reduce-on-plateau beats a constant rate"),
        ("cycles", "cyclical rates beat a constant rate"),
        ("rules", "adaptive rules beat gradient descent"),
    ):
        won = values[name]["won"]
        assert isinstance(won, list)
        rows.append((said, _yes(bool(won), "yes: " + listing([f"`{one}`" for one in won]))))
    return rows


def _yes(borne: object, text: str) -> str:
    return text if borne else "not borne out"


def _draw(asked: Mapping[str, ps.Study], folder: Path) -> None:
    """The product's own pictures, those that the page shows."""
    two = part(asked["wells"], lambda record: record.lane.schedule != "cosine")
    grid = part(asked["decay"], lambda record: record.lane.schedule == "constant")
    wanted = [
        (asked["rule"], "paths", "rule-paths"),
        (asked["bowl"], "paths", "bowl-paths"),
        (asked["rates"], "final-loss", "rates-final-loss"),
        (asked["rates"], "curves-validation-loss", "rates-validation-loss"),
        (asked["rates"], "curves-training-loss", "rates-training-loss"),
        (two, "paths", "wells-paths"),
        (asked["long"], "curves-validation-loss", "long-validation-loss"),
        (grid, "final-loss", "grid-final-loss"),
        *((asked[name], "final-loss", f"{name}-final-loss") for name in ("decay", "plateau", "cycles", "rules")),
        (asked["rules"], "ranges", "rules-ranges"),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as all_of_them:
        for study, panel, name in wanted:
            drawn = {path.stem: path for path in study.pictures(Path(all_of_them) / name)}
            target = folder / f"{name}.png"
            target.write_bytes(drawn[panel].read_bytes())
            shrink(target)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", help="URL of a store that keeps the runs", default=None)
    parser.add_argument("--into", help="folder to write to", default=HERE, type=Path)
    arguments = parser.parse_args()
    print(make(arguments.into, arguments.store))
