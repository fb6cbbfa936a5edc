"""Price a schedule: the one place that turns decisions into dollars and metrics.

Cost in $ of a schedule (x routing, z processing, q queue, on/start/switch server states):

    Σ x·(v·L + g) + v·Σ served·(σ or σʰ) + v·Δ·Σ q + energy + rent + starts + switches
    + κ·Σ_{t,i} min(D_t[i], D_{t−1}[i])·½‖A_t[i,:] − A_{t−1}[i,:]‖₁ + α·Σ_t ‖A_t − A_{t−1}‖_F²
    + Σ π·expired,

A_t[i,j] = Σ_c x[t,i,j,c] / D_t[i]; a row without arrivals in t or t−1 counts for nothing.
Everything counted is an integer; each term is one exact count times one price, summed in float64.
Sums are NumPy's own (``sum``, ``einsum``), not those of BLAS (``@``), whose order of summation and
so last digits differ between processors.
A schedule should pass ``verify`` first: the price of one that breaks rules means nothing.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.data import Instance, System
from torta_opt.allocation.schedule.data import Command, Schedule
from torta_opt.allocation.schedule.metrics import measure
from torta_opt.allocation.schedule.timeline import (
    QueueTimeline,
    ServerTimeline,
    hot_requests,
    trace_queues,
    trace_servers,
)
from torta_opt.results import Evaluation


def evaluate(instance: Instance, schedule: Schedule) -> Evaluation:
    """Cost and metrics of a schedule that ``verify`` accepts."""
    servers = trace_servers(instance, schedule)
    queues = trace_queues(instance, schedule)
    hot = hot_requests(instance, schedule.processing)
    energy_kwh = energy_by_pool(instance, schedule.processing, servers)
    moved, frobenius = rerouting(instance, schedule)
    by_slot = _costs(instance, schedule, servers, queues, hot, energy_kwh, moved, frobenius)
    costs = {name: float(values.sum()) for name, values in by_slot.items()}
    metrics = measure(instance, schedule, servers, queues, hot)
    metrics |= {
        "energy_kwh": float(energy_kwh.sum()),
        "energy_usd": float((energy_kwh * instance.price_usd_per_kwh).sum()),
        "rerouted_requests": float(moved.sum()),
        "frobenius": float(frobenius.sum()),
    }
    if instance.carbon_g_per_kwh is not None:
        metrics["carbon_g"] = float((energy_kwh * instance.carbon_g_per_kwh).sum())
    return Evaluation(sum(costs.values()), costs, metrics, by_slot)


def _costs(
    instance: Instance,
    schedule: Schedule,
    servers: ServerTimeline,
    queues: QueueTimeline,
    hot: np.ndarray,
    energy_kwh: np.ndarray,
    moved: np.ndarray,
    frobenius: np.ndarray,
) -> dict[str, np.ndarray]:
    system, weights = instance.system, instance.system.weights
    latency = np.where(system.allowed, system.latency_s, 0.0)
    flow = schedule.routing.sum(axis=3)
    time = weights.time_usd_per_s
    start_usd, switch_usd = loading_usd(system, schedule)
    energy_usd = (energy_kwh * instance.price_usd_per_kwh).sum(axis=1)
    rent_rate = system.rent_usd_per_hour[system.server_region, system.server_type]
    on_hours = system.slot_hours * servers.on
    return {
        "network": time * np.einsum("tij,ij->t", flow, latency),
        "transfer": weights.transfer_factor
        * np.einsum("tijc,ijc->t", schedule.routing, system.transfer_usd),
        "service": time * service_seconds(system, schedule.processing, hot),
        "waiting": time * system.slot_s * queues.queued.sum(axis=(1, 2)),
        "energy": weights.energy_factor * energy_usd,
        "rent": weights.rent_factor * np.einsum("ts,s->t", on_hours, rent_rate),
        "starts": weights.loading_factor * start_usd,
        "switches": weights.loading_factor * switch_usd,
        "rerouting": weights.reroute_usd * moved,
        "frobenius": weights.frobenius_usd * frobenius,
        "expiry": np.einsum("tjc,c->t", queues.expired, weights.expiry_usd),
    }


def service_seconds(system: System, processing: np.ndarray, hot: np.ndarray) -> np.ndarray:
    """(T,) service time of all requests processed, hot ones at their own time."""
    kind = system.server_type
    cold_s = np.nan_to_num(system.service_s)[kind]
    saved_s = cold_s - np.nan_to_num(system.hot_service_s)[kind]
    return np.einsum("tsc,sc->t", processing, cold_s) - np.einsum("tsc,sc->t", hot, saved_s)


def energy_by_pool(
    instance: Instance, processing: np.ndarray, servers: ServerTimeline
) -> np.ndarray:
    """(T, R) kWh: idle power of servers that are on plus the rest while they process."""
    system = instance.system
    kind = system.server_type
    busy_h = np.einsum("tsc,sc->ts", processing, system.server_ms[kind]) / 3.6e6
    span_kw = (system.peak_kw - system.idle_kw)[kind]
    energy = servers.on * (system.idle_kw[kind] * system.slot_hours) + busy_h * span_kw
    regions = np.eye(len(system.regions))[system.server_region]
    return np.einsum("ts,sj->tj", energy, regions)


def rerouting(instance: Instance, schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """(T,) re-routed requests and ‖A_t − A_{t−1}‖_F², both against the slot before."""
    fewer, change = _routing_changes(instance, schedule)
    moved = (fewer * np.abs(change).sum(axis=2)).sum(axis=1) / 2
    return moved, (change**2).sum(axis=(1, 2))


def rerouting_by_origin(instance: Instance, schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """(T, R) the same by origin."""
    fewer, change = _routing_changes(instance, schedule)
    return fewer * np.abs(change).sum(axis=2) / 2, (change**2).sum(axis=2)


def _routing_changes(instance: Instance, schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """(T, R) min(D_t[i], D_{t−1}[i]) and (T, R, R) A_t − A_{t−1}, 0 where either is missing."""
    flow = np.concatenate([instance.initial.routing[None], schedule.routing.sum(axis=3)])
    total = flow.sum(axis=2)
    both = (total[1:] > 0) & (total[:-1] > 0)
    share = flow / np.maximum(total, 1)[:, :, None]
    change = np.where(both[:, :, None], np.diff(share, axis=0), 0.0)
    return np.minimum(total[1:], total[:-1]), change


def loading_usd(system: System, schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
    """(T,) unweighted dollars of starts and of switches."""
    target = np.maximum(schedule.command_model, 0)
    kind = system.server_type
    starts = np.where(schedule.command == Command.START, system.start_usd[kind, target], 0.0)
    switches = np.where(schedule.command == Command.SWITCH, system.switch_usd[kind, target], 0.0)
    return starts.sum(axis=1), switches.sum(axis=1)
