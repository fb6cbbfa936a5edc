"""The timetable: of earlier days where there are some, else of today's busiest window."""

from __future__ import annotations

import numpy as np
from support.plain import make_instance

from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule import verify
from torta_opt.allocation.schedule.timeline import trace_servers

WINDOW, DAY = 1.5, 0.1  # two slots of 45 s; six minutes: four windows, eight slots


def replicas(requests: list[int], **settings: object) -> list[int]:
    instance = make_instance(
        np.array(requests)[:, None, None],
        server_ms=4500,
        server_region=[0] * 10,
        initial={"model": [0] + [-1] * 9},
        weights={"time_usd_per_s": 0.01, "expiry_usd": 5.0},
    )
    given = {"window_minutes": WINDOW, "day_hours": DAY, "stabilise_s": 0, "target": 1, "lead_s": 0}
    spec = "keda_cron" + "".join(f":{k}={v}" for k, v in {**given, **settings}.items())
    made = run(create(spec), instance).schedule
    assert verify(instance, made).ok
    return trace_servers(instance, made).on.sum(axis=1).tolist()


QUIET, BUSY = [10, 10], [35, 50]
TODAY = [*QUIET, *BUSY, *QUIET, *QUIET]


def test_the_second_day_follows_the_first():
    on = replicas([*TODAY, *TODAY], reactive="false")
    assert on[8:] == [1, 1, 5, 5, 1, 1, 1, 1]


def test_the_first_day_pins_the_busiest_window_so_far():
    assert replicas(TODAY, reactive="false") == [1, 1, 1, 1, 5, 5, 5, 5]


def test_servers_come_before_the_window_begins():
    on = replicas([*TODAY, *TODAY], reactive="false", lead_s=45)
    assert on[8:] == [1, 5, 5, 5, 1, 1, 1, 1]


def test_the_second_trigger_asks_for_more():
    on = replicas([*QUIET, 40, 40, 40, 40], metric="inflight", target=0.5)
    assert on[4] > replicas([*QUIET, 40, 40, 40, 40], reactive="false")[2]
