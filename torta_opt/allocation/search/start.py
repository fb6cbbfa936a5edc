"""Schedules to begin with: what the fast policies do."""

from __future__ import annotations

import time
from collections.abc import Iterator

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.policies.registry import BUILT_IN, create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule.data import Schedule

FIRST = "greedy_forecast"
STARTERS = (
    FIRST,
    *(name for name, entry in BUILT_IN.items() if name != FIRST and not entry.on_request),
)


class _Late(Exception):
    """The time of a policy is up."""


def policy_schedules(
    instance: Instance, whole: bool, seconds: float, policies: tuple[str, ...] = STARTERS
) -> Iterator[Schedule]:
    """The schedules of policies, the best known policy first, for as long as the time lasts.

    whole   the first one runs to its end, whatever time it takes
    """
    until = time.perf_counter() + seconds

    def stop_if_late(done: int, slots: int) -> None:
        if time.perf_counter() >= until:
            raise _Late

    for number, name in enumerate(policies):
        try:
            progress = None if whole and number == 0 else stop_if_late
            yield run(create(name), instance, progress=progress).schedule
        except _Late:
            return
