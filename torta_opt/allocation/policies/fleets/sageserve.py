"""SageServe: an integer program once an hour, on a forecast of the hour's peak.

After "SageServe: Optimizing LLM Serving on Cloud Data Centers with Forecast Aware Auto-Scaling"
(arXiv 2502.14617) and the program in its public code. Every ``period_minutes``, with F the forecast
peak of a slot by origin and class, and n⁰ the servers that are on:

    minimise    Σ on·n + Σ β·(n − n⁰)⁺ / slots + Σ usd·y + Σ π·miss
    subject to  Σ_p y[i,p,c] + miss[i,c] = (1 + buffer)·F[i,c]                           (demand)
                Σ_{i, c of m} y[i,p,c]·u[p,c] ≤ target·Δ·n[p,m]                          (capacity)
                Σ_m n[p,m] ≤ servers of p that are up,   n integer                       (fleet)

p is a server type in a region, usd what routing, serving and energy of a request cost. The paper
co-optimises routing and servers in the same way; its code has one server type and fixed demand by
region, starts weighed by their time, and takes the largest forecast between 20 and 60 minutes ahead
plus 10 % for work that is not interactive (``buffer``).

``scaling=immediate`` brings the servers to the answer at once. With ``deferred`` the answer is a
target: a deployment moves one replica a slot towards it, up once its utilisation is above ``high``,
down once it is below ``low``.

What differs here: the paper's forecast is ARIMA on weeks of history. Ours is a line through the
last ``period_minutes`` (through what there is, at first), the larger of its values now and at the
end of the period, and one standard deviation of what is left; no history is assumed.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.fleets.rule import FleetRule, View, slots_of
from torta_opt.allocation.policies.settings import check_number
from torta_opt.io import InvalidInput
from torta_opt.solvers import Limits, Problem, solve_milp

SCALINGS = ("immediate", "deferred")
ENOUGH = 8  # slots of history from which on a trend is fitted
LIMITS = Limits(gap=0.02, work=100)


class SageServe(FleetRule):
    """See the module."""

    def __init__(
        self,
        period_minutes: float = 60.0,
        target: float = 0.8,
        buffer: float = 0.1,
        scaling: str = "immediate",
        high: float = 0.7,
        low: float = 0.3,
    ):
        check_number("period_minutes", period_minutes, 0.01, 1e5)
        check_number("target", target, 0.01, 1)
        check_number("buffer", buffer, 0, 100)
        check_number("high", high, 0, 1)
        check_number("low", low, 0, 1)
        if scaling not in SCALINGS:
            raise InvalidInput(f"must be one of {', '.join(SCALINGS)}", field="scaling")
        self.period_minutes, self.target, self.buffer = period_minutes, target, buffer
        self.scaling, self.high, self.low = scaling, high, low

    def reset(self, tables: Tables) -> None:
        super().reset(tables)
        self._period = slots_of(60 * self.period_minutes, tables)
        self._goal: np.ndarray | None = None

    def levels(self, view: View) -> np.ndarray:
        seen = view.observation
        if self._goal is None or seen.slot % self._period == 0:
            history = np.concatenate([seen.past_arrivals, seen.arrivals[None]])
            self._goal = self.solve(view, forecast_peak(history[-self._period :], self._period))
        if self.scaling == "immediate":
            return self._goal
        return self.place(self._towards(view, self.by_region(self._goal)), view)

    def _towards(self, view: View, goal: np.ndarray) -> np.ndarray:
        """(R, M) replicas one step nearer to the goal, where utilisation asks for it."""
        now, ready = self.by_region(view.on), self.by_region(view.ready)
        use = (view.busy_ms + view.waiting_ms) / np.maximum(ready * self.tables.system.slot_ms, 1)
        up = (now < goal) & ((use > self.high) | (ready == 0))
        down = (now > goal) & (use < self.low)
        return now + up - down

    def solve(self, view: View, peak: np.ndarray) -> np.ndarray:
        """(P, M) servers of the program for ``peak`` (R, C) requests a slot."""
        program = _Program(self, view, (1 + self.buffer) * peak)
        found = solve_milp(program.problem(), LIMITS)
        if found.x is None:
            raise RuntimeError(f"slot {view.observation.slot}: the program of the hour has no plan")
        levels = np.zeros(self.kinds.shape, np.int64)
        levels[program.pool, program.model] = np.rint(found.x[: len(program.pool)])
        return levels


def forecast_peak(history: np.ndarray, ahead: int) -> np.ndarray:
    """(R, C) the most that a slot of the next ``ahead`` slots should bring, by a line through
    ``history`` (slots, R, C)."""
    slots = len(history)
    mean = history.mean(axis=0)
    if slots < ENOUGH:
        return np.maximum(mean, history[-1])
    time = np.arange(slots) - (slots - 1) / 2
    slope = np.tensordot(time, history, axes=1) / (time**2).sum()
    spread = (history - mean - time[:, None, None] * slope).std(axis=0)
    now = mean + slope * time[-1]
    return np.maximum(np.maximum(now, now + slope * ahead), 0) + spread


class _Program:
    """The columns n, growth, y, miss and the rows of one solve."""

    def __init__(self, rule: SageServe, view: View, demand: np.ndarray):
        self.rule, self.view, self.demand = rule, view, demand
        self.system, kind = rule.tables.system, rule.kinds.kind
        usable = self.system.usable_by[kind]  # (P, C)
        models = np.zeros(rule.kinds.shape, bool)
        for c, m in enumerate(self.system.class_model):
            models[:, m] |= usable[:, c]
        self.pool, self.model = np.nonzero(models & rule.kinds.holds)
        number = np.full(rule.kinds.shape, -1)
        number[self.pool, self.model] = np.arange(len(self.pool))
        reach = self.system.allowed[:, rule.region][:, :, None] & usable[None]
        reach &= (number[:, self.system.class_model] >= 0)[None] & (demand > 0)[:, None, :]
        self.origin, self.at, self.group = np.nonzero(reach)
        self.column = number[self.at, self.system.class_model[self.group]]
        self.asked = np.flatnonzero(demand > 0)

    def problem(self) -> Problem:
        system, rule, view = self.system, self.rule, self.view
        counts, flows, asked = len(self.pool), len(self.at), len(self.asked)
        ones = np.ones
        row_of = np.full(self.demand.size, -1)
        row_of[self.asked] = np.arange(asked)
        served = row_of[self.origin * self.demand.shape[1] + self.group]
        columns = 2 * counts + flows + asked
        n, grown, y = np.arange(counts), counts + np.arange(counts), 2 * counts + np.arange(flows)
        miss = 2 * counts + flows + np.arange(asked)
        capacity, fleet = asked + n, asked + counts + self.pool
        growth = asked + counts + rule.kinds.shape[0] + n
        work = system.server_ms[rule.kinds.kind[self.at], self.group] / system.slot_ms
        entries = [
            (served, y, ones(flows)),
            (np.arange(asked), miss, ones(asked)),
            (asked + self.column, y, work),
            (capacity, n, np.full(counts, -rule.target)),
            (fleet, n, ones(counts)),
            (growth, n, ones(counts)),
            (growth, grown, -ones(counts)),
        ]
        row, column, value = (np.concatenate(part) for part in zip(*entries, strict=True))
        rows = asked + 2 * counts + rule.kinds.shape[0]
        servers = np.bincount(rule.kinds.of_server, view.observation.up, rule.kinds.shape[0])
        exact = self.demand.ravel()[self.asked]
        upper = np.concatenate([exact, np.zeros(counts), servers, view.on[self.pool, self.model]])
        lower = np.concatenate([exact, np.full(rows - asked, -np.inf)])
        return Problem(
            matrix=sparse.csc_array((value, (row, column)), shape=(rows, columns)),
            row_lower=lower,
            row_upper=upper.astype(float),
            col_lower=np.zeros(columns),
            col_upper=np.concatenate([servers[self.pool], np.full(columns - counts, np.inf)]),
            cost=self._cost(),
            integrality=np.arange(columns) < counts,
        )

    def _cost(self) -> np.ndarray:
        """$ a slot of every column."""
        system, rule = self.system, self.rule
        weights, price = system.weights, self.view.observation.price
        on = rule.kinds.on_usd(price)[self.pool]
        start = rule.kinds.start_usd(price)[self.pool, self.model] / rule._period
        kind, region = rule.kinds.kind[self.at], rule.region[self.at]
        seconds = system.latency_s[self.origin, region] + system.service_s[kind, self.group]
        kwh = (system.peak_kw - system.idle_kw)[kind] * system.server_ms[kind, self.group] / 3.6e6
        usd = weights.time_usd_per_s * seconds + weights.energy_factor * kwh * price[region]
        moved = system.transfer_usd[self.origin, region, self.group]
        missed = weights.expiry_usd[self.asked % self.demand.shape[1]]
        return np.concatenate([on, start, usd + weights.transfer_factor * moved, missed])
