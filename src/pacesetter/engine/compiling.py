"""A recorded step as machine code: made by torch's compiler in a process of its own, and kept for the next study.

What is kept lies in the user's cache folder (`PACESETTER_CACHE`, else the system's own place for caches), named after
everything that it follows from: the recorded operations, shapes, constants' places, threads, torch and the processor.
"""

import hashlib
import multiprocessing
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from pacesetter.engine.recording import Recording
from pacesetter.errors import StoreError
from pacesetter.files import whole

__all__ = ["NotCompiled", "cache_folder", "compiled", "compiler_path", "is_kept"]

Call = Callable[..., list[torch.Tensor]]
Tensors = Sequence[torch.Tensor]

LONGEST_SECONDS = 600
"""A compiler that takes longer is given up: steps of ordinary models took 8 to 25 seconds."""
KEPT_FILES = 200
"""The latest so many compiled steps are kept, each of a few megabytes."""


class NotCompiled(Exception):
    """There is no machine code to be had; `str()` is the reason in a few words."""


def cache_folder() -> Path:
    """Where what is worth keeping between studies lies; it can be deleted at any time."""
    if told := os.environ.get("PACESETTER_CACHE"):
        return Path(told)
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pacesetter"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pacesetter"


def _compiler() -> str:
    return os.environ.get("CXX", "g++" if sys.platform == "linux" else "clang++")


def compiler_path() -> str:
    """Where the C++ compiler is that torch will call; empty when this machine has none."""
    return shutil.which(_compiler()) or ""


def is_kept(recording: Recording, leaves: Tensors, threads: int) -> bool:
    """Whether `compiled` would find its code ready."""
    return _place(recording, leaves, threads).exists()


def compiled(recording: Recording, leaves: Tensors, threads: int) -> Call:
    """A function that does what `recording(*leaves)` does, for leaves of the same shapes, on so many threads.

    Takes seconds the first time, and nothing when the code is kept from before. Raises NotCompiled.
    """
    place = _place(recording, leaves, threads)
    if not place.exists():
        _make(recording, [*leaves, *recording.constants], threads, place)
    try:
        # What `torch._inductor.aoti_load_package` calls, without a second's import of the compiler.
        run = torch._C._aoti.AOTIModelPackageLoader(str(place), "model", False, 1, -1).boxed_run  # noqa: SLF001
    except Exception as error:
        place.unlink(missing_ok=True)  # half a file, or one that this machine cannot run: made anew the next time
        raise NotCompiled(f"the compiled step could not be loaded ({_first_line(error)})") from error
    constants = recording.constants

    def call(*given: torch.Tensor) -> list[torch.Tensor]:
        made: list[torch.Tensor] = run([*given, *constants])
        return made

    return call


def _place(recording: Recording, leaves: Tensors, threads: int) -> Path:
    """The file of the compiled step, named by a hash of all that it follows from."""
    shapes = [(str(t.dtype), tuple(t.shape), t.stride(), str(t.device)) for t in (*leaves, *recording.constants)]
    machine = (platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.__version__, threads)
    text = repr((recording.module.code, shapes, machine))
    return cache_folder() / "compiled" / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.pt2"


def _make(recording: Recording, leaves: Tensors, threads: int, place: Path) -> None:
    if not compiler_path():
        raise NotCompiled(f"this machine has no C++ compiler called {_compiler()}")
    try:
        with whole(place, "PACESETTER_CACHE") as beside:
            _in_own_process(recording, leaves, threads, beside)
            if not beside.stat().st_size:
                raise NotCompiled("torch's compiler made nothing")
    except StoreError as error:
        raise NotCompiled(str(error)) from error
    _forget_oldest(place.parent)


def _in_own_process(recording: Recording, leaves: Tensors, threads: int, path: Path) -> None:
    """Compile into `path` in a child: torch's compiler changes settings, starts helpers, and may be slow to stop."""
    if "fork" not in multiprocessing.get_all_start_methods() or leaves[0].device.type != "cpu":
        reason = _compile(recording, leaves, threads, path)
    else:
        context = multiprocessing.get_context("fork")
        told, tell = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(recording, leaves, threads, path, tell), daemon=False)
        child.start()
        tell.close()
        try:
            reason = told.recv() if told.poll(LONGEST_SECONDS) else f"it took longer than {LONGEST_SECONDS} seconds"
        except EOFError:
            reason = "the compiler's process died"
        finally:
            child.kill()
            child.join()
    if reason:
        raise NotCompiled(f"torch's compiler cannot make it: {reason}")


def _child(recording: Recording, leaves: Tensors, threads: int, path: Path, tell: Any) -> None:
    """What the child does: silent, on one thread (a pool of threads does not survive a fork)."""
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    torch.set_num_threads(1)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "inductor"))
    tell.send(_compile(recording, leaves, threads, path))


def _compile(recording: Recording, leaves: Tensors, threads: int, path: Path) -> str:
    """Compile into `path`; the reason why not, or nothing."""
    try:
        # Torch's compiler warns of its own parts, which is an error where the user has made warnings errors.
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            from torch._inductor import aoti_compile_and_package
            from torch.export import export

            exported = export(recording.module, tuple(leaves))
            # Random numbers by torch's own generator, so that they are those of the plain loop.
            settings = {"fallback_random": True, "cpp.threads": threads, "compile_threads": 1}
            aoti_compile_and_package(exported, package_path=str(path), inductor_configs=settings)
    except BaseException as error:  # noqa: BLE001  # whatever a compiler raises, the step is then not compiled
        return _first_line(error)
    return ""


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


def _forget_oldest(folder: Path) -> None:
    files = sorted(folder.glob("*.pt2"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in files[KEPT_FILES:]:
        path.unlink(missing_ok=True)
