"""What the docstring of a schedule says, part by part: the gallery shows nothing that stands elsewhere."""

import inspect
import re
from dataclasses import dataclass

from pacesetter import schedules
from pacesetter.schedules import Schedule

_ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): ")
_ITEM = re.compile(r'^( +)("\w+"): ')


@dataclass(frozen=True)
class Entry:
    """One schedule of the gallery."""

    name: str
    family: str
    summary: str
    signature: str
    arguments: str
    use: str
    alone: str
    chain: str
    notes: str
    source: str


def entry(name: str, cls: type[Schedule]) -> Entry:
    """The parts of a schedule's docstring; ValueError, with what to write, where one is missing.

    The paragraphs: what it is, with the formula; the arguments; then in any order notes, "Use it ...", "As text: ..."
    with one text of it alone and one in a chain, and "Source: ..."; last an example.
    """
    paragraphs = inspect.getdoc(cls).split("\n\n") if cls.__doc__ else []
    if paragraphs and paragraphs[-1].startswith(">>>"):
        del paragraphs[-1]
    first = next(iter(inspect.signature(cls).parameters))
    place = next((i for i, text in enumerate(paragraphs) if text.startswith(f"{first}: ")), None)
    if not place:
        raise ValueError(f"the docstring of `{name}` must say what it is, then explain its arguments, `{first}` first")
    rest = paragraphs[place + 1 :]
    use = _taken(name, rest, "Use it ")
    alone, chain = _examples(name, cls, _taken(name, rest, "As text: "))
    source = _taken(name, rest, "Source: ").removeprefix("Source: ")
    return Entry(
        name=name,
        family=cls.__module__.rpartition(".")[2],
        summary=_joined(paragraphs[:place]),
        signature=f"{name}{_signature(cls)}",
        arguments=_listed(paragraphs[place]),
        use=use,
        alone=alone,
        chain=chain,
        notes=_joined(rest),
        source=source,
    )


def _taken(name: str, paragraphs: list[str], start: str) -> str:
    """The one paragraph that begins so, taken out of the others."""
    found = [text for text in paragraphs if text.startswith(start)]
    if len(found) != 1:
        raise ValueError(f"the docstring of `{name}` must have one paragraph that begins with {start!r}, got {found}")
    paragraphs.remove(found[0])
    return _joined(found)


def _examples(name: str, cls: type[Schedule], text: str) -> tuple[str, str]:
    texts = re.findall(r"`([^`]+)`", text)
    kinds = [type(schedules.parse(one)) for one in texts]
    if len(texts) != 2 or kinds[0] is not cls or kinds[1] is cls or name not in texts[1]:
        rule = "two texts in backticks, of it alone and of a chain or product with it"
        raise ValueError(f"'As text: ' in the docstring of `{name}` must have {rule}, got {texts}")
    return texts[0], texts[1]


def _signature(cls: type[Schedule]) -> str:
    signature = inspect.signature(cls)
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    return str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty)).replace("'", '"')


def _joined(paragraphs: list[str]) -> str:
    return "\n\n".join(" ".join(text.split()) for text in paragraphs)


def _listed(text: str) -> str:
    """The arguments as a Markdown list; words that an argument may be are a list inside it."""
    items: list[str] = []
    for line in text.splitlines():
        if found := _ARGUMENT.match(line):
            items.append("- " + ", ".join(f"`{one}`" for one in found[1].split(", ")) + line[found.end() - 2 :])
        elif (found := _ITEM.match(line)) and len(found[1]) == 4 and items:
            items.append(f"  - `{found[2]}`{line[found.end() - 2 :]}")
        else:
            items[-1] += " " + line.strip()
    return "\n".join(items)
