"""Recorded sweeps from a table: one row for each rate, seed and length that was run."""

import csv
import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from pacesetter.errors import InputError
from pacesetter.records import Floats
from pacesetter.search._replay import Recording

__all__ = ["COLUMNS", "read_recordings"]

COLUMNS = ("sweep", "lr", "seed", "step", "value")
# Whole numbers beyond this are not told apart in float64, which the columns are read in.
LARGEST = 2**53


def read_recordings(path: str | Path) -> list[Recording]:
    """The sweeps of a CSV file (`.gz` too), in the order in which they first appear.

    Columns, in any order, others beside them: `sweep`, a name; `lr`; `seed`; `step`, the length of the run in updates,
    0 for the untrained model; `value`, lower is better, and diverged where it is empty or not finite. A run that is
    not in the table was not made; one that diverged must be there.

    Raises:
        InputError: there is no such file, it is no such table, a row does not read or is there twice, a sweep has no
            run, or no run of any sweep ended with a number.
    """
    file = Path(path)
    names, lr, seed, step, value = _columns(file)
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    sweep = np.fromiter((numbers[name] for name in names), dtype=np.int64, count=len(names))
    order = np.argsort(sweep, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(sweep[order])) + 1)
    found = [
        _recording(file, name, lr[rows], seed[rows], step[rows], value[rows])
        for name, rows in zip(numbers, parts, strict=True)
    ]
    if not any(recording.judged for recording in found):
        raise InputError(
            f"`data` must have a run that ended with a number, got data={str(file)!r}: all of it has diverged"
        )
    return found


def _columns(file: Path) -> tuple[Sequence[str], Floats, Floats, Floats, Floats]:
    """The columns as they are in the file, checked."""
    with _opened(file) as text:
        rows = csv.reader(text)
        header = [name.strip() for name in next(rows, [])]
        missing = [name for name in COLUMNS if name not in header]
        if missing:
            raise InputError(
                f"`data` must have the columns {', '.join(COLUMNS)}, got data={str(file)!r} without {missing[0]}"
            )
        table = [row for row in rows if row]
    if not table:
        raise InputError(f"`data` must have a row for each run, got data={str(file)!r} without rows")
    for number, row in enumerate(table, start=1):
        if len(row) != len(header):
            raise _broken(file, number, f"{len(row)} of {len(header)} columns")
    columns = dict(zip(header, zip(*table, strict=True), strict=True))
    names: Sequence[str] = columns["sweep"]
    lr, seed, step, value = (_numbers(file, name, columns[name]) for name in COLUMNS[1:])
    _hold(file, "lr", lr, np.isfinite(lr) & (lr > 0), "finite and above 0")
    for name, column in (("seed", seed), ("step", step)):
        _hold(file, name, column, (column >= 0) & (column < LARGEST) & (column % 1 == 0), "a whole number from 0")
    return names, lr, seed, step, value


@contextmanager
def _opened(file: Path) -> Iterator[TextIO]:
    """The file as text; what is wrong with it is told as what is wrong with `data`."""
    try:
        opening = gzip.open if file.suffix == ".gz" else open
        with opening(file, "rt", encoding="utf-8-sig", newline="") as text:
            yield text
    except FileNotFoundError:
        raise InputError(f"`data` must name a file that exists, got data={str(file)!r}") from None
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"`data` must be a CSV file that can be read, got data={str(file)!r} ({reason})") from error


def _numbers(file: Path, name: str, texts: Sequence[str]) -> Floats:
    """A column as numbers; nothing, in the column of values, is NaN."""
    if name == "value":
        texts = [text if text.strip() else "nan" for text in texts]
    try:
        return np.array(texts, dtype=np.float64)
    except ValueError:
        for number, text in enumerate(texts, start=1):
            try:
                float(text)
            except ValueError:
                raise _broken(file, number, f"{name}={text!r}, which is no number") from None
        raise


def _hold(file: Path, name: str, column: Floats, good: NDArray[np.bool_], rule: str) -> None:
    if not good.all():
        place = int(np.argmin(good))
        raise _broken(file, place + 1, f"{name}={column[place]:g}, which must be {rule}")


def _broken(file: Path, number: int, got: str) -> InputError:
    return InputError(
        f"`data` must have runs that read, got data={str(file)!r} with {got}, in row {number} of its runs"
    )


def _recording(file: Path, name: str, lr: Floats, seed: Floats, step: Floats, value: Floats) -> Recording:
    """The rows of one sweep as an array of rates, seeds and lengths."""
    rates, rate_at = np.unique(lr, return_inverse=True)
    seeds, seed_at = np.unique(seed, return_inverse=True)
    lengths, length_at = np.unique(step, return_inverse=True)
    place = (rate_at * len(seeds) + seed_at) * len(lengths) + length_at
    values = np.full(len(rates) * len(seeds) * len(lengths), np.nan)
    recorded = np.zeros(len(values), dtype=bool)
    values[place], recorded[place] = value, True
    if int(recorded.sum()) != len(place):
        raise InputError(f"`data` must have each run once, got data={str(file)!r} with one twice in sweep {name!r}")
    shape = (len(rates), len(seeds), len(lengths))
    values, recorded = values.reshape(shape), recorded.reshape(shape)
    untrained = np.full(len(seeds), np.nan)
    if lengths[0] == 0:
        untrained = _means(values[:, :, 0])
        values, recorded, lengths = values[:, :, 1:], recorded[:, :, 1:], lengths[1:]
    if not len(lengths):
        raise InputError(f"`data` must have runs, got data={str(file)!r} with step 0 alone in sweep {name!r}")
    return Recording(
        name=name,
        rates=tuple(rates.tolist()),
        seeds=tuple(seeds.astype(int).tolist()),
        lengths=tuple(lengths.astype(int).tolist()),
        values=values,
        recorded=recorded,
        untrained=untrained,
    )


def _means(values: Floats) -> Floats:
    """[seeds]: the mean over rates, which are all untrained alike, of those that are known; NaN where none is."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    means: Floats = np.where(known, values, 0.0).sum(axis=0) / np.where(count > 0, count, np.nan)
    return means
