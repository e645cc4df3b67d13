"""The schedules of other libraries, read from their text and asked step by step: `torch:OneCycleLR(max_lr=1, ...)`.

A path names a public class or function of one library; its arguments are numbers, words and lists, never evaluated.
"""

import importlib
import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pacesetter.errors import InputError, MissingPackage
from pacesetter.textform import read_arguments

__all__ = ["LIBRARIES", "rates"]

Floats = NDArray[np.float64]
MOST = 1_000_000
"""Steps that a peer is asked for: most have no other way than one after the other."""


def rates(text: str, total_steps: int) -> Floats:
    """[total_steps + 1], the rates of another library's schedule before each update, with a base rate of 1.

    text: "library:Name(argument=value, ...)", of torch, transformers, optax or keras. Past the end of one that refuses
        to
    be stepped on, its last rate is held.

    Raises InputError for a library or a name that is not known, for arguments that it refuses, and for a length above a
    million; MissingPackage when the library is not installed.

    >>> rates("torch:LinearLR(start_factor=1, end_factor=0, total_iters=4)", 4).tolist()
    [1.0, 0.75, 0.5, 0.25, 0.0]
    """
    path, arguments = read_arguments(text, "from")
    library, _, name = path.partition(":")
    if library not in LIBRARIES:
        near = get_close_matches(library, LIBRARIES, n=1)
        hint = f"did you mean `{near[0]}`? " if near else ""
        raise InputError(f"`from` must name a known library, got {library}: {hint}known: {', '.join(LIBRARIES)}")
    if total_steps > MOST:
        raise InputError(f"`steps` must be at most {MOST} to read another library's, got steps={total_steps}")
    try:
        return LIBRARIES[library](name, arguments, total_steps)
    except (TypeError, ValueError, AssertionError, ZeroDivisionError, IndexError, KeyError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"`from` must be one that {library} can make, got {text}: {error}") from error


def _of_torch(name: str, arguments: dict[str, Any], total_steps: int) -> Floats:
    scheduler = _public(_library("torch.optim.lr_scheduler", "torch", "train"), name)
    return _stepped(lambda optimizer: scheduler(optimizer, **arguments), total_steps)


def _of_transformers(name: str, arguments: dict[str, Any], total_steps: int) -> Floats:
    library = _library("transformers", "transformers", "transformers")
    known = [kind.value for kind in library.SchedulerType]
    if name not in known:
        raise InputError(f"`from` must name one of transformers' schedules, got {name}: known: {', '.join(known)}")
    warmup = arguments.pop("num_warmup_steps", 0)
    length = arguments.pop("num_training_steps", total_steps)
    return _stepped(
        lambda optimizer: library.get_scheduler(name, optimizer, warmup, length, arguments or None), total_steps
    )


def _of_optax(name: str, arguments: dict[str, Any], total_steps: int) -> Floats:
    schedule = _public(_library("optax.schedules", "optax", "jax"), name)(**arguments)
    return _called(schedule, total_steps)


def _of_keras(name: str, arguments: dict[str, Any], total_steps: int) -> Floats:
    schedules = _library("keras", "keras", "keras").optimizers.schedules
    schedule = _public(schedules, name)(**arguments)
    return _called(schedule, total_steps)


LIBRARIES: dict[str, Callable[[str, dict[str, Any], int], Floats]] = {
    "torch": _of_torch,
    "transformers": _of_transformers,
    "optax": _of_optax,
    "keras": _of_keras,
}
"""How each library's are asked."""


def _library(module: str, package: str, extra: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingPackage.of(package, extra, "reading its schedules") from error


def _public(library: Any, name: str) -> Any:
    known = [
        one for one in getattr(library, "__all__", dir(library)) if one[0] != "_" and callable(getattr(library, one))
    ]
    found = getattr(library, name) if name in known else None
    if found is None:
        near = get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f": did you mean `{near[0]}`?" if near else ""
        raise InputError(f"`from` must name a schedule of {library.__name__}, got {name}{hint}")
    return found


def _stepped(make: Callable[[Any], Any], total_steps: int) -> Floats:
    """The rates of an optimizer whose scheduler is stepped after each update."""
    import warnings

    import torch

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0, momentum=0.9)
    found = np.empty(total_steps + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of how it is stepped, which is for its authors
        scheduler = make(optimizer)
        if "metrics" in inspect.signature(scheduler.step).parameters:
            what = f"got {type(scheduler).__name__}, which is told metrics"
            raise InputError(f"`from` must be a schedule of the step alone, {what}")
        for step in range(total_steps + 1):
            found[step] = float(optimizer.param_groups[0]["lr"])
            if step < total_steps:
                optimizer.step()
                try:
                    scheduler.step()
                except ValueError:  # OneCycleLR past its end
                    found[step + 1 :] = found[step]
                    break
    return found


def _called(schedule: Callable[[int], Any], total_steps: int) -> Floats:
    return np.array([float(schedule(step)) for step in range(total_steps + 1)])
