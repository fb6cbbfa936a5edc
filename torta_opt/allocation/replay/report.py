"""How far the response that the model counts is from the response of a replay.

For a request that arrives at a, is served in slot t by the schedule and admitted at b:

    modelled   L + (t − t0)·Δ + σ        t0 the slot of a: waits are whole slots
    replayed   L + (b − a) + σ
    difference = queue + rounding
    queue      b − r ≥ 0                 r = max(a, t·Δ): what happens inside slots, and the model
                                         leaves out
    rounding   (r − a) − (t − t0)·Δ ≤ 0  a request that waits for slot t waits from a, not from t0·Δ

Loads are those of the server in its slot, work over usable time.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.replay.play import admitted_s, reached_s
from torta_opt.allocation.replay.requests import NOWHERE, Requests, requests_of
from torta_opt.allocation.schedule import verify
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.timeline import trace_servers

LOADS = (0.0, 0.5, 0.7, 0.85, 0.95, 1.0)  # edges of the bands, in shares of the usable time
ROUNDING_S = 1e-9
PERCENTS = (50, 95, 99)


@dataclass(frozen=True, eq=False)
class Replay:
    """A schedule played; (N,) each, one entry per served request.

    requests     when, from where and where to
    modelled_s   response as the evaluator counts it
    queue_s      wait inside slots
    rounding_s   at most 0: what the model counts too much of waits of whole slots
    load         of the server in the slot, in [0, 1]
    late         bool: admitted after the slot in which the schedule serves it
    overdue      bool: admitted after the last slot of its deadline
    """

    instance: Instance
    requests: Requests
    modelled_s: np.ndarray
    queue_s: np.ndarray
    rounding_s: np.ndarray
    load: np.ndarray
    late: np.ndarray
    overdue: np.ndarray

    @property
    def replayed_s(self) -> np.ndarray:
        """(N,) response."""
        return self.modelled_s + self.queue_s + self.rounding_s

    def to_document(self) -> dict[str, Any]:
        """Figures over all requests, by class and by load."""
        group = self.requests.group
        bands = pairwise(LOADS)
        classes = enumerate(self.instance.system.classes)
        return {
            "all": self._figures(np.ones(len(group), bool)),
            "by_class": {name: self._figures(group == c) for c, name in classes},
            "by_load": {
                f"{100 * low:g} to {100 * high:g} %": self._figures(self._in_band(low, high))
                for low, high in bands
            },
        }

    def _in_band(self, low: float, high: float) -> np.ndarray:
        return (self.load > low) & (self.load <= high)

    def _figures(self, chosen: np.ndarray) -> dict[str, float | int | None]:
        modelled, replayed = self.modelled_s[chosen], self.replayed_s[chosen]
        slo = self.instance.system.slo_s[self.requests.group[chosen]]
        count = int(chosen.sum())
        figures: dict[str, float | int | None] = {"requests": count}
        for name, values in (("modelled", modelled), ("replayed", replayed)):
            figures[f"{name}_mean_s"] = _mean(values)
            for percent in PERCENTS:
                figures[f"{name}_p{percent}_s"] = _percentile(values, percent)
            figures[f"{name}_slo_share"] = _mean(values <= slo + ROUNDING_S)
        return figures | {
            "difference_mean_s": _mean(replayed - modelled),
            "queue_mean_s": _mean(self.queue_s[chosen]),
            "rounding_mean_s": _mean(self.rounding_s[chosen]),
            "late_share": _mean(self.late[chosen]),
            "overdue_share": _mean(self.overdue[chosen]),
        }


def replay(
    instance: Instance,
    schedule: Schedule,
    seed: int = 0,
    times: str | os.PathLike[str] | None = None,
) -> Replay:
    """Play ``schedule`` request by request.

    seed    of the arrival times within slots
    times   a CSV file with the arrival times instead: time_s, origin, class

    Raises VerificationFailed if the schedule breaks a rule, InvalidInput if the times are not those
    of the instance or simpy is not installed.
    """
    verify(instance, schedule).raise_if_broken("schedule")
    requests = requests_of(instance, schedule, seed, None if times is None else os.fspath(times))
    admitted = admitted_s(instance, schedule, requests)
    system, slot_s = instance.system, instance.system.slot_s
    reached, kind = reached_s(instance, requests), system.server_type[requests.server]
    waited = (requests.slot_out - requests.slot_in) * slot_s
    service = np.where(
        requests.is_hot,
        system.hot_service_s[kind, requests.group],
        system.service_s[kind, requests.group],
    )
    latency = np.where(system.allowed, system.latency_s, 0.0)
    trip = latency[requests.origin, system.server_region[requests.server]]
    network = np.where(requests.origin == NOWHERE, 0.0, trip)
    due = requests.slot_in + system.deadline_slots[requests.group] + 1
    return Replay(
        instance=instance,
        requests=requests,
        modelled_s=network + waited + service,
        queue_s=admitted - reached,
        rounding_s=reached - requests.arrival_s - waited,
        load=_loads(instance, schedule)[requests.slot_out, requests.server],
        late=admitted >= (requests.slot_out + 1) * slot_s + ROUNDING_S,
        overdue=admitted >= due * slot_s + ROUNDING_S,
    )


def _loads(instance: Instance, schedule: Schedule) -> np.ndarray:
    """(T, S) work over usable time; 0 where there is none."""
    system = instance.system
    work = np.einsum("tsc,sc->ts", schedule.processing, system.server_ms[system.server_type])
    usable = trace_servers(instance, schedule).usable_ms
    return np.where(usable > 0, work / np.maximum(usable, 1), 0.0)


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if len(values) else None


def _percentile(values: np.ndarray, percent: int) -> float | None:
    """The least value that at least ``percent`` % of the values do not exceed."""
    if not len(values):
        return None
    return float(np.percentile(values, percent, method="inverted_cdf"))
