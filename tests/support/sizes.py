"""How many random examples a property is tried on.

``make test`` tries a third of what ``make test-all`` tries (hypothesis's profile ``all``).
"""

from __future__ import annotations

from hypothesis import settings

SHARE, LEAST = 3, 10


def examples(count: int) -> int:
    """``count`` in ``make test-all``; a third of it, but not below 10, in ``make test``."""
    if settings.get_current_profile_name() == "all":
        return count
    return min(count, max(LEAST, count // SHARE))
