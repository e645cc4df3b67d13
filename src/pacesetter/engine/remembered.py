"""What was measured of a model on this machine, kept for the next study of it."""

import hashlib
import inspect
import json
import platform
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import torch

from pacesetter.engine.batches import Batches, tensors_of
from pacesetter.engine.compiling import cache_folder, compiler_path
from pacesetter.engine.looking import Plain, Seen
from pacesetter.engine.program import fresh_program
from pacesetter.errors import StoreError
from pacesetter.files import whole
from pacesetter.tasks._task import Task

__all__ = ["Memory"]


class Memory:
    """Named numbers and texts in a small file of the user's cache folder; without one they are measured anew."""

    def __init__(self, path: Path) -> None:
        """Read what is there; a file that cannot be read is as good as none."""
        self._path = path
        self._read: dict[str, Any] = {}
        self._trusted = True
        with suppress(OSError, ValueError):
            read = json.loads(path.read_text())
            self._read = read if isinstance(read, dict) else {}
        self._values = dict(self._read)

    @classmethod
    def of(cls, task: Task, rules: Sequence[str], device: str, precision: str, cores: int) -> "Memory":
        """What is known of this task's model and code, under these rules, on this machine."""
        what = (_code_of(task), tuple(rules), device, precision, cores, _machine())
        name = hashlib.sha256(repr(what).encode()).hexdigest()[:32]
        return cls(cache_folder() / "plans" / f"{name}.json")

    def number(self, name: str, measure: Callable[[], float]) -> float:
        """The number called so, measured if it is not known."""
        value = self._values.get(name)
        if isinstance(value, int | float):
            return float(value)
        made = measure()
        if made < float("inf"):
            self.know(name, made)
        return made

    def text(self, name: str, find: Callable[[], str]) -> str:
        """The text called so, found out if it is not known."""
        value = self._values.get(name)
        if isinstance(value, str):
            return value
        found = find()
        self.know(name, found)
        return found

    def know(self, name: str, value: float | str) -> None:
        """Take a value in."""
        self._values[name] = value

    def distrust(self) -> None:
        """Do not keep what is measured now: the machine was busy with other things."""
        self._trusted = False

    def keep(self) -> None:
        """Write all that is known to the file, if it can be trusted; where nothing can be written, it is forgotten."""
        if self._trusted and self._values != self._read:
            with suppress(StoreError), whole(self._path, "PACESETTER_CACHE") as beside:
                beside.write_text(json.dumps(self._values, indent=1))


def _machine() -> tuple[str, ...]:
    processor = (platform.machine(), platform.processor(), torch.backends.cpu.get_cpu_capability())
    # That nothing could be compiled is not remembered beyond the day on which a compiler is installed.
    return *processor, torch.__version__, compiler_path(), _own_code()


@cache
def _own_code() -> str:
    """What the engine and the rules are, in a hash: another version may be faster, or stack what this one cannot."""
    folders = (Path(__file__).parent, Path(__file__).parents[1] / "optimizers")
    texts = [path.read_bytes() for folder in folders for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256(b"".join(texts)).hexdigest()


def _code_of(task: Task) -> tuple[Any, ...]:
    """The model as it prints itself, the shapes of its weights and of a batch, and what the user's code is.

    That is the text of its files and the plain values it can be seen to reach: a switch on the model, which it does not
    print, may decide whether it can be stacked.
    """
    program = fresh_program(task, 0, torch.device("cpu"))
    batch = next(Batches(task.train_source, 0, torch.device("cpu")))
    weights = [(name, tuple(p.shape), str(p.dtype), p.requires_grad) for name, p in program.named_parameters()]
    functions = (task.model, task.loss, task.objective, *task.metrics.values())
    seen = Seen.of(task, program)
    plain = sorted(repr((path, value)) for path, value in seen.values.items() if isinstance(value, Plain))
    files = {_file_of(thing) for thing in (*map(type, program.modules()), *functions)}
    files |= {Path(name) for name in seen.files if Path(name).is_file()}
    texts = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in files if path is not None)
    return (
        re.sub("0x[0-9a-f]+", "", repr(program.model)),
        weights,
        [(tuple(t.shape), str(t.dtype)) for t in tensors_of(batch)],
        (task.accumulate, task.clip_norm, sorted(task.lr_ratios.items())),
        plain,
        texts,
    )


def _file_of(thing: Any) -> Path | None:
    """The file that a class or function is written in, unless it is torch's own."""
    with suppress(TypeError, OSError):
        path = Path(inspect.getsourcefile(inspect.unwrap(getattr(thing, "metric", thing))) or "")
        if path.is_file() and not path.is_relative_to(Path(torch.__file__).parent):
            return path
    return None
