"""What other packages add, by entry points: a group for each kind of thing.

    torta_opt.policies    a class or function that gives a policy (allocation.policies.base)
    torta_opt.bounds      a ``family.BoundMethod`` for allocation instances
    torta_opt.importers   an ``Importer`` (allocation.instance.imports.importer)
    torta_opt.families    an object that derives from ``family.Family``

Entries are listed without being loaded. Code that fails is named in one plain line and stops
nothing else; names of ours cannot be taken over. With TORTA_DEBUG=1 in the environment the
traceback is printed as well; in Python it is the ``__cause__``. Ctrl-C goes through.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import traceback
from collections.abc import Container, Iterator
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TypeVar

from torta_opt.io.errors import MethodFailed, TortaOptError

POLICIES, BOUNDS = "torta_opt.policies", "torta_opt.bounds"
IMPORTERS, FAMILIES = "torta_opt.importers", "torta_opt.families"
ANY_OF_OURS = (TortaOptError,)  # errors in words of this package, which others may raise too
LONGEST = 300  # characters of what an exception says

T = TypeVar("T")


def entries(group: str, ours: Container[str]) -> dict[str, EntryPoint]:
    """Entries of other packages by name, in alphabetical order, without names of ours."""
    found: dict[str, EntryPoint] = {}
    for point in _installed(group, _folders()):
        if point.name not in ours:
            found.setdefault(point.name, point)
    return found


@functools.lru_cache(maxsize=16)
def _installed(group: str, folders: tuple[tuple[str, int, int], ...]) -> tuple[EntryPoint, ...]:
    """Entries of a group, by name; they are read again when ``folders`` differ."""
    return tuple(sorted(entry_points(group=group), key=lambda point: point.name))


def _folders() -> tuple[tuple[str, int, int], ...]:
    """Where packages are looked for, with inode and time of change: installing one changes it.

    Reading the entries of all packages takes 10 ms, and methods are looked up for every run.
    """
    found = []
    for folder in sys.path:
        with contextlib.suppress(OSError):
            state = os.stat(folder or ".")
            found.append((folder, state.st_ino, state.st_mtime_ns))
    return tuple(found)


def origin(point: EntryPoint) -> str:
    """Where an entry comes from, in words."""
    return f"package {point.dist.name}" if point.dist else f"module {point.module}"


def load(point: EntryPoint, kind: type[T]) -> T:
    """The object of an entry. Raises MethodFailed if it cannot be loaded or is of another kind."""
    with blamed_on(point.name, f"loading it from {origin(point)}"):
        found = point.load()
    if not isinstance(found, kind):
        raise MethodFailed(point.name, f"{point.value} of {origin(point)} is no {kind.__name__}")
    return found


@contextlib.contextmanager
def blamed_on(
    name: str,
    what: str,
    failure: type[MethodFailed] = MethodFailed,
    passing: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """Whatever is raised inside is the failure of ``name`` while it does ``what``.

    ``passing`` exceptions go through as they are.
    """
    try:
        yield
    except (failure, *passing):
        raise
    except (Exception, SystemExit) as error:  # anyone's code may raise anything
        if os.environ.get("TORTA_DEBUG"):
            traceback.print_exception(error)
        raise failure(name, f"{what}: {told(error)}") from error


def failure_of(error: Exception) -> MethodFailed | None:
    """The failure of another package whose code was running when ``error`` was raised."""
    groups = (POLICIES, BOUNDS, IMPORTERS, FAMILIES)
    points = [point for group in groups for point in entries(group, ours=()).values()]
    theirs = {point.module.partition(".")[0]: point for point in points}
    theirs.pop("torta_opt", None)
    for frame, _ in traceback.walk_tb(error.__traceback__):
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        if package in theirs:
            if os.environ.get("TORTA_DEBUG"):
                traceback.print_exception(error)
            return MethodFailed(origin(theirs[package]), told(error))
    return None


def told(error: BaseException) -> str:
    """``ValueError: no room (mine.py, line 7)``, on one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:  # an exception whose text raises
        text = ""
    text = text if len(text) <= LONGEST else text[:LONGEST] + "..."
    text = "".join(char if char.isprintable() else "?" for char in text)
    kind = type(error).__name__
    return f"{kind}: {text}{_place(error)}" if text else f"{kind}{_place(error)}"


def _place(error: BaseException) -> str:
    """The innermost line that is not this module's."""
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename != __file__
    ]
    if not frames:
        return ""
    return f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
