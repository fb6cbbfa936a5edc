"""Policies that fail: whatever their code raises becomes one line, and others go on.

A policy may be a user's code. If it raises, returns something that is not a decision, or ends the
process, the run of this one policy has failed, as if its schedule broke a rule; the message says
what was raised and where. With TORTA_DEBUG=1 in the environment the traceback is printed as well;
in Python it is the ``__cause__``. Ctrl-C goes through.
"""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Iterator
from pathlib import Path

from torta_opt.io.errors import MethodFailed, TortaOptError

LONGEST = 300  # characters of what an exception says


class PolicyFailed(MethodFailed):
    """A policy cannot be made or run, or decides what is no decision."""


@contextlib.contextmanager
def blamed_on(policy: str, what: str, *, is_ours: bool = False) -> Iterator[None]:
    """Whatever is raised inside is the failure of ``policy`` while it does ``what``.

    Errors that a built-in policy raises for wrong input pass unchanged.
    """
    try:
        yield
    except PolicyFailed:
        raise
    except (Exception, SystemExit) as error:  # anyone's code may raise anything
        if is_ours and isinstance(error, TortaOptError):
            raise
        if os.environ.get("TORTA_DEBUG"):
            traceback.print_exception(error)
        raise PolicyFailed(policy, f"{what}: {_told(error)}") from error


def _told(error: BaseException) -> str:
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
