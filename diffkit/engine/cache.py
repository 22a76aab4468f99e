"""The machine's native code on disk: compiled once for a computer, then loaded.

Numba does not notice changes in functions that a cached function calls, so the folder
is named by a hash of all sources that become native code, the versions, the CPU and
Python. Files carry checksums: a damaged one is removed and compiled again. Of several
processes that need the code at once one compiles, and the others wait for it.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import perf_counter
from typing import Any

import llvmlite
import llvmlite.binding
import numba
import numpy as np
import platformdirs

from diffkit import rules
from diffkit.engine import enter, loop, update_loop
from diffkit.engine.jit import compile_native, settings
from diffkit.errors import CacheWarning

if sys.platform != "win32":
    import fcntl

Native = Callable[..., Any]
VARIABLE = "DIFFKIT_CACHE_DIR"
WORTH_SAYING_SECONDS = 5


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A function that becomes native code of its own, of and to int64 alone.

    `typical_seconds` is what compiling cost on the machine this was written on; it is
    only said (if it is worth saying), never relied on.
    """

    function: Callable[..., Any]
    signature: str
    typical_seconds: int


# By the names of their files: no name may be a part of another's.
ENTRY_POINTS = {
    "float64": EntryPoint(loop.run_float64, "void(int64)", 20),
    "float32": EntryPoint(loop.run_float32, "void(int64)", 20),
    "enter": EntryPoint(enter.enter, "int64(int64, int64, int64)", 1),
    "step_double": EntryPoint(update_loop.step_double, "void(int64)", 4),
    "step_single": EntryPoint(update_loop.step_single, "void(int64)", 4),
}

_lock = Lock()
_ready: dict[str, Native] = {}


@dataclass(frozen=True, slots=True)
class CacheState:
    """What `diffkit doctor` says of the cache: `warm` if all is loaded from it."""

    folder: Path
    writable: bool
    warm: bool
    bytes: int


def native(dtype: np.dtype) -> Native:
    """The compiled interpreter for a dtype (see `compiled`)."""
    return compiled(dtype.name)


def compiled(name: str) -> Native:
    """An entry point's native code: loaded, or compiled with a message.

    Warns CacheWarning, once, when the compiled code cannot be kept.
    """
    found = _ready.get(name)
    if found is None:
        with _lock:
            found = _ready.get(name)
            if found is None:
                found = _ready[name] = _load_or_compile(name)
    return found


def direct(name: str) -> Native:
    """The same without Numba's choice by types: for calls that count nanoseconds.

    The arguments must be exactly Python's integers.
    """
    return _only_version(name).entry_point


def address(name: str) -> int:
    """Where an entry point's native code lies, for other native code to call."""
    version = _only_version(name)
    return version.library.get_pointer_to_function(
        version.fndesc.llvm_cfunc_wrapper_name
    )


def _only_version(name: str) -> Any:
    dispatcher: Any = compiled(name)
    (version,) = dispatcher.overloads.values()
    return version


def state() -> CacheState:
    """Where the cache is and what it holds."""
    folder = cache_folder()
    files = _files(folder)
    return CacheState(
        folder=folder,
        writable=_unwritable(folder) is None,
        warm=all(_is_warm(folder, name) for name in ENTRY_POINTS),
        bytes=sum(file.stat().st_size for file in files),
    )


def missing() -> tuple[str, ...]:
    """The entry points that this computer has no compiled code for, and could keep."""
    folder = cache_folder()
    if _unwritable(folder) is not None:
        return ()
    return tuple(name for name in ENTRY_POINTS if not _is_warm(folder, name))


def fill(name: str) -> None:
    """Have the compiled code of an entry point on disk."""
    compiled(name)


def cache_folder() -> Path:
    """The folder of this build of the engine on this computer (it may not exist yet).

    `DIFFKIT_CACHE_DIR` replaces the user's cache folder.
    """
    chosen = os.environ.get(VARIABLE)
    base = Path(chosen) if chosen else Path(platformdirs.user_cache_dir("diffkit"))
    return base / f"engine-{_fingerprint()}"


def _fingerprint() -> str:
    digest = hashlib.sha256()
    root = Path(__file__).parent
    compiled = (
        "cache.py",
        "emit.py",
        "enter.py",
        "jit.py",
        "jump.py",
        "loop.py",
        "native_arrays.py",
        "rounded.py",
        "update_loop.py",
    )
    sources = [Path(rules.__file__), *(root / name for name in compiled)]
    for folder in ("kernels", "vector_math"):
        sources += (root / folder).glob("*.py")
    for source in sorted(sources):
        digest.update(source.name.encode())
        digest.update(source.read_bytes())
    versions = (numba.__version__, llvmlite.__version__, np.__version__)
    host = (llvmlite.binding.get_host_cpu_name(), platform.machine(), sys.platform)
    host += (settings.CPU_NAME, settings.CPU_FEATURES)  # the user may choose
    # Numba keeps code by the path of its source: checkouts must not share a folder.
    digest.update(repr((versions, host, sys.version_info[:3], str(root))).encode())
    return digest.hexdigest()[:20]


def _load_or_compile(name: str) -> Native:
    folder = cache_folder()
    problem = _unwritable(folder)
    if problem is not None:
        seconds = ENTRY_POINTS[name].typical_seconds
        if seconds >= WORTH_SAYING_SECONDS:
            warnings.warn(
                f"diffkit cannot keep its compiled engine in {folder}: {problem}. All "
                f"works, but every new process compiles again (about {seconds} s). "
                f"Set {VARIABLE} to a folder that can be written.",
                CacheWarning,
                stacklevel=5,
            )
        return _announced(name, None)
    with _alone(folder, name):
        _remove_damaged(folder, name)
        if not _is_warm(folder, name):
            return _announced(name, folder)
        try:
            function: Any = _decorated(name, folder)
        except Exception:  # Unreadable in a way that its checksum did not show.
            _remove(folder, name)
            return _announced(name, folder)
        if not function.stats.cache_hits:
            # Written for another CPU or by another Numba: Numba put its own beside it.
            _write_checksums(folder, name)
        return function


@contextmanager
def _alone(folder: Path, name: str) -> Iterator[None]:
    """Hold the folder's lock: a file that another process has begun is not damaged."""
    if sys.platform == "win32":
        yield
        return
    with (folder / f"{name}.lock").open("w") as file:
        # On a file system without locks code is compiled twice, at worst.
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)  # Given back when the file is closed.
        yield


def _announced(name: str, folder: Path | None) -> Native:
    typical = ENTRY_POINTS[name].typical_seconds
    _say(
        typical,
        f"compiling the {name} engine for this machine, once, about {typical} s ...",
    )
    began = perf_counter()
    function = _decorated(name, folder)
    _say(typical, f"compiled in {perf_counter() - began:.0f} s.")
    if folder is not None:
        _write_checksums(folder, name)
    return function


def _say(typical_seconds: int, text: str) -> None:
    if typical_seconds >= WORTH_SAYING_SECONDS:
        print(f"diffkit: {text}", file=sys.stderr, flush=True)


def _decorated(name: str, folder: Path | None) -> Native:
    # The setting is the user's: it is ours only while this function is decorated.
    kept = settings.CACHE_DIR
    try:
        if folder is not None:
            settings.CACHE_DIR = str(folder)
        entry = ENTRY_POINTS[name]
        decorate = compile_native(
            entry.signature,
            nogil=True,
            error_model="numpy",
            cache=folder is not None,
        )
        return decorate(entry.function)
    finally:
        settings.CACHE_DIR = kept


def _unwritable(folder: Path) -> str | None:
    """Why nothing can be written there, or None."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as problem:
        return problem.strerror or str(problem)


def _files(folder: Path, name: str = "") -> list[Path]:
    try:
        return [
            file
            for file in folder.rglob("*.nb[ic]")
            if name in file.name and file.is_file()
        ]
    except OSError:
        return []


def _is_warm(folder: Path, name: str) -> bool:
    kinds = {file.suffix for file in _files(folder, name)}
    return kinds == {".nbi", ".nbc"}


def _checksum_file(file: Path) -> Path:
    return file.with_name(file.name + ".sha256")


def _write_checksums(folder: Path, name: str) -> None:
    for file in _files(folder, name):
        text = hashlib.sha256(file.read_bytes()).hexdigest()
        try:
            handle, temporary = tempfile.mkstemp(dir=file.parent)
            with os.fdopen(handle, "w") as stream:
                stream.write(text)
            os.replace(temporary, _checksum_file(file))
        except OSError:
            return  # A full disk: the next process compiles again.


def _remove_damaged(folder: Path, name: str) -> None:
    """Remove everything of this entry point if one of its files is not as written."""
    for file in _files(folder, name):
        try:
            expected = _checksum_file(file).read_text()
            whole = hashlib.sha256(file.read_bytes()).hexdigest() == expected
        except (OSError, UnicodeDecodeError):
            whole = False
        if not whole:
            _remove(folder, name)
            return


def _remove(folder: Path, name: str) -> None:
    for file in _files(folder, name):
        for victim in (file, _checksum_file(file)):
            try:
                victim.unlink(missing_ok=True)
            except OSError:
                continue
