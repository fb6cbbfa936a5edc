"""Requests played on their servers, event by event, with simpy.

A server admits one request at a time: each keeps it busy for its server time u, and is answered σ
(or σʰ) seconds after it was admitted. σ > u is what batching is: several requests are under way at
once, and the server admits 1000/u of them a second. So a server admits in a slot what the rules let
it process, if it is never idle. Requests are admitted in the order in which they reach the server:
when they arrive, or at the start of the slot in which the schedule serves them if they wait for it.
In a slot in which it loads, a server admits nothing until it has loaded.

A server that cannot admit everything within the slot goes on after it (work carried over), also if
the schedule stops it or gives it another model then; the report says how much that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.replay.requests import Requests
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.timeline import trace_servers
from torta_opt.io import InvalidInput

if TYPE_CHECKING:
    import simpy


def admitted_s(instance: Instance, schedule: Schedule, requests: Requests) -> np.ndarray:
    """(N,) when each request is admitted, seconds from the start of slot 0."""
    simpy = _simpy()
    ready, earliest = reached_s(instance, requests), loaded_s(instance, schedule, requests)
    kind = instance.system.server_type[requests.server]
    work = instance.system.server_ms[kind, requests.group] / 1000
    admitted = np.empty(len(ready))
    order = np.lexsort((np.arange(len(ready)), ready, requests.server))
    queues = np.split(order, np.flatnonzero(np.diff(requests.server[order])) + 1)
    start = min(0.0, float(ready.min(initial=0.0)))
    environment = simpy.Environment(initial_time=start)
    for queue in queues:
        if len(queue):
            times = (ready[queue], earliest[queue], work[queue])
            environment.process(_serve(environment, queue, *times, admitted))
    environment.run()
    return admitted


def reached_s(instance: Instance, requests: Requests) -> np.ndarray:
    """(N,) when each request reaches its server."""
    return np.maximum(requests.arrival_s, requests.slot_out * instance.system.slot_s)


def loaded_s(instance: Instance, schedule: Schedule, requests: Requests) -> np.ndarray:
    """(N,) from when on the server can admit in the slot in which it serves the request."""
    slot_ms = instance.system.slot_ms
    usable = trace_servers(instance, schedule).usable_ms[requests.slot_out, requests.server]
    return (requests.slot_out * slot_ms + slot_ms - usable) / 1000


def _serve(
    environment: simpy.Environment,
    queue: np.ndarray,
    ready: np.ndarray,
    earliest: np.ndarray,
    work: np.ndarray,
    admitted: np.ndarray,
) -> Iterator[Any]:
    """A server: takes its queue in order, waiting for requests and until it has loaded."""
    for n, at, loaded, busy in zip(
        queue.tolist(), ready.tolist(), earliest.tolist(), work.tolist(), strict=True
    ):
        begin = max(at, loaded)
        if begin > environment.now:
            yield environment.timeout(begin - environment.now)
        admitted[n] = environment.now
        yield environment.timeout(busy)


def _simpy() -> Any:
    try:
        import simpy
    except ImportError:
        rule = "needs simpy, which is not installed: pip install 'torta-opt[replay]'"
        raise InvalidInput(rule, field="replay") from None
    return simpy
