"""How a run ended, in one word: the ``status`` of every result and document."""

from __future__ import annotations

DONE = "done"  # what was asked for is reached
LIMIT = "limit"  # the method ended before, for want of time, of work or of a stronger method
INTERRUPTED = "interrupted"  # Ctrl-C ended it


def status_of(reached: bool, interrupted: bool) -> str:
    if interrupted:  # first: the caller must know, whatever else was reached
        return INTERRUPTED
    return DONE if reached else LIMIT
