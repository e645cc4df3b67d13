"""Make `schedules.md`, its pictures and `choosing-a-schedule.md` anew, from the schedules themselves.

.venv/bin/python docs/make_schedule_pages.py
"""

import argparse
import sys
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import jinja2
from convex_bound import bound
from schedule_pictures import EVERY, STEPS, picture
from schedule_texts import Entry, entry

from pacesetter import schedules

HERE = Path(__file__).parent

BOUNDED = [
    "linear", "rex", "cosine", "cosine(final=0.1)", "warmup(0.05) >> linear", "constant >> cooldown(0.4)",
    "inverse_sqrt >> cooldown(0.2)", "power(0.9) >> cooldown", "exponential", "polynomial",
    "constant >> cooldown(0.2)", "wsd", "one_cycle", "inverse_sqrt", "multistep", "cosine_restarts",
    "constant", "step", "triangular",
]  # fmt: skip
"""What the theory is asked about, in the page on choosing."""
UPDATES = 400
"""Length of the run in that question."""


def make(folder: Path) -> list[Path]:
    """Write the pages and the pictures into `folder`; their paths."""
    entries = [entry(name, getattr(schedules, name)) for name in schedules.names()]
    pictures = folder / "pictures" / "schedules"
    pictures.mkdir(parents=True, exist_ok=True)
    written = {
        pictures / f"{one.name}.svg": picture(schedules.parse(one.alone), schedules.parse(one.chain)) for one in entries
    }
    written[folder / "schedules.md"] = render(
        "schedules.md.jinja", families=families(entries), steps=STEPS, every=EVERY
    )
    written[folder / "choosing-a-schedule.md"] = render("choosing-a-schedule.md.jinja", **theory())
    for path, text in written.items():
        path.write_text(text, encoding="utf-8")
    return list(written)


def families(entries: Iterable[Entry]) -> list[tuple[str, str, list[Entry]]]:
    """(title, what the family's file says it holds, its schedules), in the registry's order."""
    found = []
    for name, members in groupby(entries, key=lambda one: one.family):
        about = sys.modules[f"{schedules.__name__}.{name}"].__doc__ or ""
        found.append((name.capitalize(), about.partition("\n\n")[0].strip(), list(members)))
    return found


def theory() -> dict[str, object]:
    """The bounds of the page on choosing."""
    found = sorted((*bound(text, UPDATES), str(schedules.parse(text))) for text in BOUNDED)
    best, peak = bound("linear", UPDATES)
    rows = [(text, f"{worst:.4f}", f"{worst / best:.2f}", f"{rate / peak:.2f}") for worst, rate, text in found]
    short, long = (bound("linear", steps)[1] / bound("constant >> cooldown(0.2)", steps)[1] for steps in (60, 1600))
    ratio = f"{bound('linear', UPDATES)[1] / bound('constant >> cooldown(0.2)', UPDATES)[1]:.2f}"
    return {"rows": rows, "updates": UPDATES, "ratio": ratio, "ratios": (f"{short:.2f}", f"{long:.2f}")}


def render(template: str, **values: object) -> str:
    """The page's text."""
    # The pages are Markdown made from our own texts: there is nothing to escape.
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template(template).render(values)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", help="folder to write to", default=HERE, type=Path)
    for path in make(parser.parse_args().into):
        print(path)
