"""How a schedule serves: measured beside the cost, never inside it.

Response of a request = network latency + wait (whole slots) + service time. Requests of one region
and class leave their queue in the order of arrival slot, then origin (initial backlog first, its
network time unknown and taken as 0); the service units of a slot are taken in the order of servers,
hot units first. The n-th request to leave takes the n-th unit; what expires leaves last in its
slot. Both orders are runs of equal entries, so matching them is one merge of two cumulative sums.

Percentile p is the least response that at least p % of the served requests do not exceed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Command, Schedule
from torta_opt.allocation.schedule.timeline import (
    QueueTimeline,
    ServerTimeline,
    hot_requests,
    trace_queues,
)

Metrics = dict[str, float | int | None]


def measure(
    instance: Instance,
    schedule: Schedule,
    servers: ServerTimeline,
    queues: QueueTimeline,
    hot: np.ndarray,
) -> Metrics:
    """All metrics but those that are sums the evaluator has already."""
    return {
        **_response(instance, schedule, queues, hot),
        "load_balance": _load_balance(instance, schedule.processing, servers),
        **_operations(instance, schedule, servers),
        "prediction_accuracy": _prediction_accuracy(instance, schedule),
    }


def _response(
    instance: Instance, schedule: Schedule, queues: QueueTimeline, hot: np.ndarray
) -> Metrics:
    served, expired = int(queues.served.sum()), int(queues.expired.sum())
    requests = served + expired
    names = ("mean", "p50", "p95", "p99")
    metrics: Metrics = dict.fromkeys([f"response_{name}_s" for name in names])
    metrics |= dict.fromkeys(["wait_mean_s", "inference_mean_s", "network_mean_s"])
    metrics |= {
        "slo_share": None,
        "expired_share": expired / requests if requests else None,
        "requests": requests,
        "served": served,
        "expired": expired,
    }
    if not requests:
        return metrics
    if not served:
        return metrics | {"slo_share": 0.0}
    runs = matched(instance, schedule, queues, hot)
    count, network, wait, inference = runs.count, runs.network_s, runs.wait_s, runs.service_s
    slo = instance.system.slo_s[runs.group]
    response = network + wait + inference
    order = np.argsort(response, kind="stable")
    reached = count[order].cumsum()
    for percent in (50, 95, 99):
        rank = math.ceil(percent * served / 100)
        position = order[np.searchsorted(reached, rank)]
        metrics[f"response_p{percent}_s"] = float(response[position])
    return metrics | {
        "response_mean_s": float((count * response).sum()) / served,
        "wait_mean_s": float((count * wait).sum()) / served,
        "inference_mean_s": float((count * inference).sum()) / served,
        "network_mean_s": float((count * network).sum()) / served,
        "slo_share": int(count[response <= slo].sum()) / requests,
    }


@dataclass(frozen=True, eq=False)
class Responses:
    """Runs of served requests that are alike, all (N,).

    count                        requests of the run
    slot, region, group          slot in which they are served, region that serves them, class
    network_s, wait_s, service_s parts of the response of each [s]
    """

    count: np.ndarray
    slot: np.ndarray
    region: np.ndarray
    group: np.ndarray
    network_s: np.ndarray
    wait_s: np.ndarray
    service_s: np.ndarray


def responses(instance: Instance, schedule: Schedule) -> Responses:
    """The response of every served request of a schedule that ``verify`` accepts."""
    hot = hot_requests(instance, schedule.processing)
    return matched(instance, schedule, trace_queues(instance, schedule), hot)


def matched(
    instance: Instance, schedule: Schedule, queues: QueueTimeline, hot: np.ndarray
) -> Responses:
    """Arrivals matched with departures, first in first out."""
    system = instance.system
    arrived, arrival_count = _arrivals(instance, schedule)
    left, left_count = _departures(instance, schedule, queues, hot)
    arrival_ends, left_ends = arrival_count.cumsum(), left_count.cumsum()
    ends = np.union1d(arrival_ends, left_ends)
    count = np.diff(ends, prepend=0)
    one = np.searchsorted(arrival_ends, ends)
    two = np.searchsorted(left_ends, ends)
    slot_in, origin, region, group = (part[one] for part in arrived)
    slot_out, kind, is_hot, is_served = (part[two] for part in left)
    latency = np.append(
        np.where(system.allowed, system.latency_s, 0.0), [[0.0] * len(system.regions)], 0
    )
    cold_s, hot_s = np.nan_to_num(system.service_s), np.nan_to_num(system.hot_service_s)
    inference = np.where(is_hot, hot_s[kind, group], cold_s[kind, group])
    wait = (slot_out - slot_in) * system.slot_ms / 1000
    parts = (count, slot_out, region, group, latency[origin, region], wait, inference)
    return Responses(*(part[is_served] for part in parts))


def _arrivals(instance: Instance, schedule: Schedule) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Runs of requests by region, class, arrival slot, origin (−1 for backlog), with counts."""
    backlog = instance.initial.backlog
    j0, c0, age = np.nonzero(backlog)
    t, i, j, c = np.nonzero(schedule.routing)
    slot = np.concatenate([-1 - age, t])
    origin = np.concatenate([np.full(len(j0), -1), i])
    region, group = np.concatenate([j0, j]), np.concatenate([c0, c])
    count = np.concatenate([backlog[j0, c0, age], schedule.routing[t, i, j, c]])
    order = np.lexsort((origin, slot, group, region))
    return tuple(part[order] for part in (slot, origin, region, group)), count[order]


def _departures(
    instance: Instance, schedule: Schedule, queues: QueueTimeline, hot: np.ndarray
) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
    """Runs of departures by region, class, slot; served (by server, hot first), then expired."""
    system = instance.system
    beyond = len(system.servers)  # sorts expiries behind every server
    parts = []
    for units, warm in ((hot, True), (schedule.processing - hot, False)):
        t, s, c = np.nonzero(units)
        parts.append((system.server_region[s], c, t, s, np.full(len(t), warm), units[t, s, c]))
    t, j, c = np.nonzero(queues.expired)
    no = np.zeros(len(t), bool)
    parts.append((j, c, t, np.full(len(t), beyond), no, queues.expired[t, j, c]))
    region, group, slot, server, is_hot, count = map(np.concatenate, zip(*parts, strict=True))
    order = np.lexsort((~is_hot, server, slot, group, region))
    is_served = server < beyond
    kind = system.server_type[np.where(is_served, server, 0)]
    return tuple(part[order] for part in (slot, kind, is_hot, is_served)), count[order]


def _load_balance(
    instance: Instance, processing: np.ndarray, servers: ServerTimeline
) -> float | None:
    """Mean over slots with work of 1/(1 + CV) of the utilisation of active servers (Eq. 11)."""
    system = instance.system
    busy_ms = np.einsum("tsc,sc->ts", processing, system.server_ms[system.server_type])
    working = busy_ms.any(axis=1)
    if not working.any():
        return None
    utilisation, on = busy_ms[working] / system.slot_ms, servers.on[working]
    active = on.sum(axis=1)
    mean = utilisation.sum(axis=1) / active
    deviation = np.where(on, utilisation - mean[:, None], 0.0)
    spread = np.sqrt((deviation**2).sum(axis=1) / active)
    return float((1 / (1 + spread / mean)).mean())


def _operations(instance: Instance, schedule: Schedule, servers: ServerTimeline) -> Metrics:
    """Unweighted dollars of rent, transfer and overhead; counts and seconds of loading."""
    system = instance.system
    kind = system.server_type
    target = np.maximum(schedule.command_model, 0)
    starts, switches = schedule.command == Command.START, schedule.command == Command.SWITCH
    loading_ms = system.start_ms[kind, target][starts].sum()
    loading_ms += system.switch_ms[kind, target][switches].sum()
    overhead = system.start_usd[kind, target][starts].sum()
    overhead += system.switch_usd[kind, target][switches].sum()
    rent_rate = system.rent_usd_per_hour[system.server_region, kind]
    return {
        "rent_usd": float((servers.on.sum(axis=0) * rent_rate).sum() * system.slot_hours),
        "transfer_usd": float((schedule.routing * system.transfer_usd).sum()),
        "starts": int(starts.sum()),
        "switches": int(switches.sum()),
        "loading_s": float(loading_ms / 1000),
        "overhead_usd": float(overhead),
    }


def _prediction_accuracy(instance: Instance, schedule: Schedule) -> float | None:
    """exp(−mean |F − D| / (D + 1)) over regions and slots after the first (Eq. 12)."""
    if schedule.forecast is None or instance.slots < 2:
        return None
    actual = instance.arrivals.sum(axis=2)[1:]
    error = np.abs(schedule.forecast[1:] - actual) / (actual + 1)
    return float(np.exp(-error.mean()))
