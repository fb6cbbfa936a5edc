"""Where a printed result comes from: version, command, files, machine."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

WORDS: ContextVar[Sequence[str]] = ContextVar("WORDS", default=())  # of the command that runs
MOST_BYTES = 256 << 20  # of a file that is hashed; a trace may take a minute


def made_by() -> dict[str, Any]:
    """What it takes to run a command again, of the command that runs now.

    ``command`` has its words; options that are left out, seeds too, have the defaults of this
    version. ``files`` are those named among the words, with the SHA-256 of their bytes, or None
    where they cannot be read or are larger than ``MOST_BYTES``.
    """
    from torta_opt import __version__
    from torta_opt.doctor import machine

    words = list(WORDS.get())
    return {
        "torta_opt": __version__,
        "command": words,
        "files": {word: _sha256(word) for word in sorted(set(words)) if _is_file(word)},
        **machine(),
    }


def with_origin(document: Any) -> Any:
    """A document, or each of a list, with ``made_by`` as its last field."""
    if isinstance(document, list):
        return [with_origin(each) for each in document]
    return {**document, "made_by": made_by()} if isinstance(document, dict) else document


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except (OSError, ValueError):  # too long, or holds a zero
        return False


def _sha256(name: str) -> str | None:
    try:
        with open(name, "rb") as stream:
            if Path(name).stat().st_size > MOST_BYTES:
                return None
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return None
