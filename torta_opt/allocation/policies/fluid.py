"""Fluid routing: shares from a linear program of steady rates.

After "Large-Scale LLM Inference with Heterogeneous Workloads: Prefill-Decode Contention and
Asymptotically Optimal Control" (arXiv 2602.02987), of which abstract and summaries were at hand:
many servers are seen as a fluid, a linear program of the steady state says how much of each class
goes where, *gates* admit no more than that, and routing follows it; with ever more servers this is
optimal. Our reading, for requests routed to regions. With F the expected arrivals of a slot,
and the servers of each region p (a type in a region) that are ready with the model:

    minimise    Σ usd[i,p,c]·y[i,p,c] + Σ late[i,c]·w[i,c]
    subject to  Σ_p y[i,p,c] + w[i,c] = F[i,c]                                         (rate)
                Σ_{i, c of m} y[i,p,c]·u[p,c] ≤ target·usable time of (p, m)           (gate)

usd is routing, service and energy of a request, late a slot's wait and, where the class may not
wait, its expiry. Each origin's requests of a class follow the shares y/F, rounded by largest
remainder; what the gates keep out (w) and what rounding puts over the room of a region goes by the
rule of ``greedy_forecast``. The program is solved again every ``period_slots`` slots and whenever
the servers that are ready change.

What differs here: the paper's servers do prefill and decode, which slow each other down; here each
server has one service time for a class, so the program has one resource.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse

from torta_opt.allocation.instance.data import System
from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.dispatch import Capacity, SlotCapacity
from torta_opt.allocation.policies.greedy_forecast import GreedyForecast
from torta_opt.allocation.policies.routing import apportion
from torta_opt.allocation.policies.settings import check_number
from torta_opt.solvers import Problem, solve_lp

CLEAR = 1e-9


class Fluid(GreedyForecast):
    """See the module; the other parameters are those of ``Settings``."""

    name = "fluid"

    def __init__(self, target: float = 0.95, period_slots: int = 4, **settings: Any):
        super().__init__(**settings)
        check_number("target", target, 0.01, 1)
        check_number("period_slots", period_slots, 1, 1e6)
        self.target, self.period_slots = target, int(period_slots)

    def reset(self, system: System, seed: int) -> None:
        super().reset(system, seed)
        self._solved: tuple[int, bytes] | None = None
        types = len(system.types)
        self._pool = system.server_region * types + system.server_type
        self._region = np.repeat(np.arange(len(system.regions)), types)
        self._kind = np.tile(np.arange(types), len(system.regions))

    def prepare(self, observation: Observation) -> None:
        super().prepare(observation)
        self._fresh = False

    def route(self, c: int, requests: np.ndarray, desk: Capacity) -> np.ndarray:
        if desk.planning:
            return super().route(c, requests, desk)
        if not self._fresh:
            self._refresh(desk)
        admitted = np.floor(requests * self._share[:, :, c].sum(axis=1) + CLEAR).astype(np.int64)
        whole = self._share[:, :, c]
        share = whole / np.maximum(whole.sum(axis=1, keepdims=True), CLEAR)
        flow = apportion(admitted, share)
        flow = self._cut_to_room(flow, desk.region_room(c))
        left = requests - flow.sum(axis=1)
        if not left.any():
            return flow
        rest = SlotCapacity(self.tables, desk.free_ms, desk.model, desk.processing)
        rest.hot_quota = desk.hot_quota
        rest.take(c, self.assign(c, flow.sum(axis=0), rest))
        return flow + super().route(c, left, rest)

    def _cut_to_room(self, flow: np.ndarray, room: np.ndarray) -> np.ndarray:
        """(R, R) the flow, less what a region has no room for, origins in order."""
        before = flow.cumsum(axis=0) - flow
        return np.clip(room - before, 0, flow)

    def _refresh(self, desk: Capacity) -> None:
        """Shares (R, R, C) of this slot; the program is solved only if there is need."""
        self._fresh = True
        ready = self._usable_ms(desk)
        key = self.observation.slot // self.period_slots, ready.tobytes()
        if key != self._solved:
            self._solved, self._share = key, self._solve(ready)

    def _usable_ms(self, desk: Capacity) -> np.ndarray:
        """(P, M) a slot's time of the servers that hold each model and have some of it left."""
        system = self.tables.system
        ready = np.zeros((len(self._region), len(system.models)))
        here = np.flatnonzero((desk.model >= 0) & (desk.free_ms > 0))
        np.add.at(ready, (self._pool[here], desk.model[here]), float(system.slot_ms))
        return ready

    def _solve(self, usable_ms: np.ndarray) -> np.ndarray:
        """(R, R, C) shares of each origin's requests: y/F by region."""
        system, rate = self.tables.system, self.expected
        kind, region = self._kind, self._region
        fits = system.usable_by[kind] & (usable_ms[:, system.class_model] > 0)
        reach = fits[None] & system.allowed[:, region, None] & (rate > 0)[:, None, :]
        i, p, c = np.nonzero(reach)
        asked = np.flatnonzero(rate > 0)
        share = np.zeros((len(rate), len(rate), rate.shape[1]))
        if not len(i):
            return share
        found = solve_lp(self._problem(i, p, c, asked, usable_ms)).raise_if_interrupted()
        if found.x is None:
            raise RuntimeError(f"slot {self.observation.slot}: the fluid program is not solved")
        np.add.at(share, (i, region[p], c), np.maximum(found.x[: len(i)], 0) / rate[i, c])
        return share / np.maximum(share.sum(axis=1, keepdims=True), 1.0)

    def _problem(
        self, i: np.ndarray, p: np.ndarray, c: np.ndarray, asked: np.ndarray, usable_ms: np.ndarray
    ) -> Problem:
        system, rate, kind = self.tables.system, self.expected, self._kind
        weights, price, region = system.weights, self.observation.price, self._region
        flows, demands, gates = len(i), len(asked), usable_ms.size
        row_of = np.full(rate.size, -1)
        row_of[asked] = np.arange(demands)
        gate = demands + p * usable_ms.shape[1] + system.class_model[c]
        work = system.server_ms[kind[p], c].astype(float)
        entries = [
            (row_of[i * rate.shape[1] + c], np.arange(flows), np.ones(flows)),
            (np.arange(demands), flows + np.arange(demands), np.ones(demands)),
            (gate, np.arange(flows), work / system.slot_ms),
        ]
        row, column, value = (np.concatenate(part) for part in zip(*entries, strict=True))
        kwh = (system.peak_kw - system.idle_kw)[kind[p]] * work / 3.6e6
        usd = self._route_usd[i, region[p], c]
        usd = usd + weights.time_usd_per_s * system.service_s[kind[p], c]
        usd = usd + weights.energy_factor * kwh * price[region[p]]
        group = asked % rate.shape[1]
        expires = np.where(system.deadline_slots[group] == 0, weights.expiry_usd[group], 0.0)
        late = np.abs(usd).max() + weights.time_usd_per_s * system.slot_s + expires
        exact, room = rate.ravel()[asked], self.target * usable_ms.ravel() / system.slot_ms
        size = flows + demands
        return Problem(
            matrix=sparse.csc_array((value, (row, column)), shape=(demands + gates, size)),
            row_lower=np.concatenate([exact, np.full(gates, -np.inf)]),
            row_upper=np.concatenate([exact, room]),
            col_lower=np.zeros(size),
            col_upper=np.full(size, np.inf),
            cost=np.concatenate([usd, late]),
        )
