"""Work for processes side by side: functions of a module, as workers import them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from torta_opt.allocation.policies.failures import PolicyFailed


def square(x: int) -> int:
    return x * x


def slower_first(x: int, tasks: int) -> int:
    """So that results come in another order than tasks were given."""
    time.sleep(0.02 * (tasks - x))
    return x


def killed_once(x: int, marker: str) -> int:
    """The square; whoever computes that of 3 first dies of it."""
    if x == 3 and not Path(marker).exists():
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x * x


def always_killed(x: int) -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return x


def refused(x: int) -> int:
    raise KeyError(f"no {x}")


def process(x: int) -> int:
    time.sleep(0.1)
    return os.getpid()


def policy_failed(rule: str) -> None:
    raise PolicyFailed("mine", rule)
