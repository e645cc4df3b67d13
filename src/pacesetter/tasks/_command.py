"""A task that is a program: whatever can be started with a learning rate, and prints how it gets on."""

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from pacesetter.errors import InputError, TaskError

if TYPE_CHECKING:
    from pacesetter.records import Lane

__all__ = ["EXAMPLE", "SCRIPTS", "Command"]

PLACEHOLDERS = ("lr", "steps", "seed", "optimizer", "schedule")
EXAMPLE = '{"step": 22, "valid_loss": 1.9}'
"""A line that a program prints."""
SCRIPTS = (".py", ".sh", ".R", ".r", ".jl", ".js", ".ts", ".lua", ".pl", ".rb", ".m")
"""Endings of files that an interpreter is given to run."""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")


@dataclass(frozen=True)
class Command:
    """A training job that is a program of its own, in any language; it may use any number of devices.

    Each lane is one process, started without a shell. On standard output it prints a JSON object on a line of its own
    after every evaluation, as in `{"step": 22, "valid_loss": 1.9}`:

    - `step`: weight updates made, from 0 (the untrained model, optional) to the last; each line has a larger one.
    - `valid_loss`: what is compared. NaN, an infinity or null means that the run diverged, and it is ended.
    - `train_loss`, `lr`, `grad_norm`: optional; they stand for all updates since the line before. Without `lr` the
      recorded rate is the lane's own.
    - any other finite number beside a `valid_loss` is a metric.

    A line may have other parts without `valid_loss`. What is no such line is ignored. A program that is not written in
    Python must flush each line.

    Args:
        command: the program and its arguments, as text (split as a shell would, and nothing else) or a sequence. In the
            arguments `{lr}` (there must be one), `{steps}`, `{seed}`, `{optimizer}` and `{schedule}` stand for those of
            the lane. What has no place in it is the program's own choice.
        timeout: seconds, above 0, without a byte of output after which a program counts as hanging and is ended. An
            hour by default: far longer than a program that reports is silent, and far shorter than a lost night.
        maximize: names of the metrics of which more is better; of the others less is.

    Raises:
        TaskError: the command is empty, its quotes do not close, `{lr}` is missing or a placeholder is unknown.

    Example:
        >>> Command("python train.py --lr {lr} --steps {steps} --seed {seed}").name
        'python train.py --lr {lr} --steps {steps} --seed {seed}'
    """

    command: str | Sequence[str]
    timeout: float = 3600.0
    maximize: Sequence[str] = ()
    words: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Take the command apart, and refuse one that no lane can be started with."""
        words = tuple(_split(self.command))
        if not words:
            raise TaskError("`command` must start with a program, got an empty one: try 'python train.py --lr {lr}'")
        object.__setattr__(self, "words", words)
        for name in (name for word in words for name in _PLACEHOLDER.findall(word)):
            if name not in PLACEHOLDERS:
                near = get_close_matches(name, PLACEHOLDERS, n=1, cutoff=0.5)
                hint = f"did you mean {{{near[0]}}}? " if near else ""
                known = ", ".join(f"{{{each}}}" for each in PLACEHOLDERS)
                raise TaskError(f"`command` must have known placeholders, got {{{name}}}: {hint}known: {known}")
        if not self.takes("lr"):
            raise TaskError(f"`command` must say where the rate goes, got {self.name!r}: add {{lr}}, as in --lr {{lr}}")
        if _PLACEHOLDER.search(words[0]):
            raise TaskError(f"`command` must start with a program, got {words[0]!r}: put placeholders behind it")
        number = isinstance(self.timeout, int | float) and not isinstance(self.timeout, bool)
        if not number or not 0 < self.timeout < math.inf:
            raise InputError(f"`timeout` must be seconds above 0, got timeout={self.timeout!r}")
        if isinstance(self.maximize, str) or not all(isinstance(name, str) for name in self.maximize):
            raise InputError(f"`maximize` must be a list of metrics' names, got maximize={self.maximize!r}")
        object.__setattr__(self, "maximize", tuple(self.maximize))

    @property
    def name(self) -> str:
        """The command as one text: what the study calls its task."""
        return self.command if isinstance(self.command, str) else shlex.join(self.words)

    @property
    def title(self) -> str:
        """The name of the program's script, module or file: what a new study is called after."""
        script = next((word for word in self.words if word.endswith(SCRIPTS)), None)
        if script is None and "-m" in self.words[1:-1]:
            return self.words[self.words.index("-m") + 1]
        return Path(script).stem if script else Path(self.words[0]).name

    @property
    def metric_directions(self) -> dict[str, str]:
        """The metrics that are known before any was printed, each with "max"."""
        return dict.fromkeys(self.maximize, "max")

    def takes(self, name: str) -> bool:
        """Whether the command has a place for `name`, one of the placeholders."""
        return any(name in _PLACEHOLDER.findall(word) for word in self.words)

    def arguments(self, lane: "Lane") -> list[str]:
        """What is started for `lane`: the program and its arguments, each placeholder filled in."""
        values = {
            "lr": repr(lane.lr),
            "steps": str(lane.total_steps),
            "seed": str(lane.seed),
            "optimizer": lane.optimizer,
            "schedule": lane.schedule,
        }
        return [_PLACEHOLDER.sub(lambda found: values[found[1]], word) for word in self.words]

    def line(self, lane: "Lane") -> str:
        """The same as a line to type in a shell."""
        return shlex.join(self.arguments(lane))


def _split(command: str | Sequence[str]) -> Sequence[str]:
    if not isinstance(command, str):
        if not isinstance(command, Sequence) or not all(isinstance(word, str) for word in command):
            raise TaskError(f"`command` must be a text or a list of texts, got command={command!r}")
        return command
    try:
        return shlex.split(command)
    except ValueError as error:
        raise TaskError(f"`command` must be split like a shell's line, got command={command!r}: {error}") from error
