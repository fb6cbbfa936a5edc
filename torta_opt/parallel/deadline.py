"""A moment until which tasks may run, wherever they run.

A task of another process is told when to end, not how long it may take: it may wait for a worker
first. On one machine the monotonic clock is the same for all processes and never jumps. Machines of
a cluster share nothing but the time of day, so there, and only there, a clock that is set anew
changes what is left.
"""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")  # Linux: of this machine, since it was started


@dataclass(frozen=True)
class Deadline:
    """The same moment by two clocks, and the machine that the first one belongs to."""

    monotonic: float
    time_of_day: float
    machine: str

    @classmethod
    def after(cls, seconds: float) -> Deadline:
        """The moment ``seconds`` from now; may be infinitely far."""
        return cls(time.monotonic() + seconds, time.time() + seconds, _machine())

    def left(self) -> float:
        """Seconds until then, negative once it has passed."""
        if self.machine == _machine():
            return self.monotonic - time.monotonic()
        return self.time_of_day - time.time()


def _machine() -> str:
    try:
        return _BOOT.read_text()
    except OSError:
        return platform.node()
