"""AGH: the adaptive greedy heuristic, built anew every few slots.

After "Fast Heterogeneous Serving: Scalable Mixed-Scale LLM Allocation for SLO-Constrained
Inference" (arXiv 2604.07472), of which abstract and overview were at hand: a greedy pass that ranks
choices by cost per effective coverage, started several times from different orders, then moves
demand between places where that is cheaper and takes away GPUs that are hardly used. Our reading:

1. *Greedy.* Demand is a list of (origin, class) with requests a slot: smoothed arrivals with a
   margin, and what waits. One after another, each takes the place with the least cost per request
   that it covers. A place is what is left of the servers of a type in a region that already hold
   the model in this plan, or one server more, whose idle energy, rent and (if it must be started)
   start spread over ``horizon_slots`` are divided by the requests it covers. Places that miss the
   target response (latency and service above ``slo_s``) count only if all others are full.
2. *Several starts.* Orders: most work first, fewest places first, tightest target first, and
   ``starts`` − 3 drawn at random. The plan of least cost is kept.
3. *Consolidation and relocation.* The last server of a type, if little of it is used, is taken away
   where its demand fits into what is left of others and that is cheaper.

What differs here: the paper plans once, and chooses models, parallelism and a budget too, all of
which an instance fixes. Here the plan is rolled forward every ``period_s`` seconds, and servers
that are on need no start; what a plan does without stays for ``hold_s`` seconds.
Requests are routed by the routing policy, not by the plan.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.allocation.policies.dispatch import Tables
from torta_opt.allocation.policies.fleets.hpa import Stabiliser
from torta_opt.allocation.policies.fleets.rule import FleetRule, View, slots_of
from torta_opt.allocation.policies.forecasters import forecaster
from torta_opt.allocation.policies.settings import check_number

MOST_STARTS = 1000
SMALL = 1e-9  # requests


class Agh(FleetRule):
    """See the module.

    target    share of a server's time that the plan fills
    margin    σ: demand is taken as F + σ√F
    """

    def __init__(
        self,
        period_s: float = 120.0,
        starts: int = 4,
        target: float = 0.9,
        margin: float = 1.0,
        smoothing: float = 0.4,
        horizon_slots: float = 40.0,
        hold_s: float = 300.0,
    ):
        check_number("period_s", period_s, 0.001, 1e6)
        check_number("starts", starts, 1, MOST_STARTS)
        check_number("target", target, 0.01, 1)
        check_number("margin", margin, 0, 1e6)
        check_number("smoothing", smoothing, 0, 1)
        check_number("horizon_slots", horizon_slots, 1, 1e6)
        check_number("hold_s", hold_s, 0, 1e6)
        self.period_s, self.starts, self.target = period_s, int(starts), target
        self.margin, self.smoothing, self.horizon_slots = margin, smoothing, horizon_slots
        self.hold_s = hold_s

    def reset(self, tables: Tables) -> None:
        super().reset(tables)
        self._every = slots_of(self.period_s, tables)
        self._forecaster = forecaster("smoothed", self.smoothing)
        self._plan: np.ndarray | None = None
        self._stabiliser = Stabiliser(slots_of(self.hold_s, tables))

    def levels(self, view: View) -> np.ndarray:
        expected = self._forecaster.update(view.observation.arrivals)
        if self._plan is None or view.observation.slot % self._every == 0:
            demand = expected + self.margin * np.sqrt(expected)
            demand = demand + view.observation.state.waiting.sum(axis=2)
            self._plan = self.best_plan(view, demand)
        return self._held(view, self._plan)

    def _held(self, view: View, plan: np.ndarray) -> np.ndarray:
        """(P, M) the plan, and servers beyond it that are still held where it needs no other."""
        held = np.maximum(self._stabiliser.settle(view.on, plan) - plan, 0)
        servers = np.bincount(self.kinds.of_server, view.observation.up, self.kinds.shape[0])
        room = np.maximum(servers.astype(np.int64) - plan.sum(axis=1), 0)
        before = held.cumsum(axis=1) - held
        return plan + np.clip(room[:, None] - before, 0, held)

    def best_plan(self, view: View, demand: np.ndarray) -> np.ndarray:
        """(P, M) servers of the cheapest plan for ``demand`` (R, C) requests a slot."""
        prices = _Prices.of(self, view)
        plans = []
        for order in self._orders(prices, demand):
            plan = _Plan(self, view, prices)
            for i, c in order:
                plan.cover(int(i), int(c), float(demand[i, c]))
            plan.consolidate()
            plans.append(plan)
        return min(plans, key=lambda each: each.cost()).servers

    def _orders(self, prices: _Prices, demand: np.ndarray) -> list[np.ndarray]:
        """Orders in which (origin, class) are covered."""
        pairs = np.argwhere(demand > 0)
        i, c = pairs.T
        work = demand[i, c] * self.mean_work_ms()[i, c]
        places = np.isfinite(prices.usd).sum(axis=1)[i, c]
        slo = self.tables.system.slo_s[c]
        keys = [(-work,), (-work, places), (-work, slo)]
        orders = [pairs[np.lexsort(key)] for key in keys[: self.starts]]
        rng = np.random.default_rng(len(pairs))
        return orders + [rng.permutation(pairs) for _ in range(self.starts - len(orders))]


@dataclass(frozen=True, eq=False)
class _Prices:
    """usd, late (R, P, C): $ of a request there (∞ if impossible), and whether it is late; work
    (P, C) ms; on (P,), start (P, M) $ a slot of one server more."""

    usd: np.ndarray
    late: np.ndarray
    work: np.ndarray
    on: np.ndarray
    start: np.ndarray

    @classmethod
    def of(cls, rule: Agh, view: View) -> _Prices:
        system, kind, region = rule.tables.system, rule.kinds.kind, rule.region
        weights, price = system.weights, view.observation.price
        usable = system.usable_by[kind] & rule.kinds.holds[:, system.class_model]
        seconds = system.latency_s[:, region, None] + np.nan_to_num(system.service_s)[kind][None]
        kwh = (system.peak_kw - system.idle_kw)[kind][:, None] * system.server_ms[kind] / 3.6e6
        usd = weights.time_usd_per_s * seconds
        usd = usd + weights.transfer_factor * system.transfer_usd[:, region]
        usd = usd + weights.energy_factor * price[region][:, None] * kwh
        possible = usable[None] & system.allowed[:, region, None]
        return cls(
            usd=np.where(possible, usd, np.inf),
            late=np.where(possible, seconds, 0.0) > system.slo_s,
            work=np.where(usable, system.server_ms[kind], 1),
            on=rule.kinds.on_usd(price),
            start=rule.kinds.start_usd(price) / rule.horizon_slots,
        )


class _Plan:
    """servers (P, M), free_ms (P, M) of them, flow (R, P, C) requests a slot."""

    def __init__(self, rule: Agh, view: View, prices: _Prices):
        self._rule, self._prices = rule, prices
        self._model = rule.tables.system.class_model
        self._now = view.on
        self._full_ms = rule.target * rule.tables.system.slot_ms
        self._left = np.bincount(
            rule.kinds.of_server, view.observation.up, rule.kinds.shape[0]
        ).astype(np.int64)
        self.servers = np.zeros(rule.kinds.shape, np.int64)
        self.free_ms = np.zeros(rule.kinds.shape)
        self.flow = np.zeros(prices.usd.shape)

    def cover(self, i: int, c: int, requests: float) -> None:
        """Hand out ``requests`` of one origin and class; what finds no server is left out."""
        m, prices = self._model[c], self._prices
        while requests > SMALL:
            work, usd = prices.work[:, c], prices.usd[i, :, c]
            held = self.free_ms[:, m] / work
            fresh = np.where(self._left > 0, self._full_ms / work, 0.0)
            one_more = self._one_more(m)
            covered = np.minimum(np.concatenate([held, fresh]), requests)
            each = np.concatenate([usd, usd + one_more / np.maximum(covered[len(usd) :], SMALL)])
            each = np.where(covered > SMALL, each, np.inf)
            late = np.tile(prices.late[i, :, c], 2) & np.isfinite(each)
            best = int(np.lexsort((each, late, ~np.isfinite(each)))[0])
            if not np.isfinite(each[best]):
                return
            p = best % len(usd)
            if best >= len(usd):
                self._add(p, m)
            self._put(i, p, c, float(covered[best]))
            requests -= float(covered[best])

    def consolidate(self) -> None:
        """Take away last servers whose demand others can take for less."""
        for p, m in np.argwhere(self.servers > 0):
            if self.free_ms[p, m] <= self._full_ms / 2:
                continue  # its last server is more than half used
            kept = self.servers.copy(), self.free_ms.copy(), self.flow.copy(), self._left.copy()
            before = self.cost()
            if not (self._empty_last(p, m) and self.cost() < before):
                self.servers, self.free_ms, self.flow, self._left = kept

    def cost(self) -> float:
        """$ a slot, less the expiry of every request that is covered."""
        prices, weights = self._prices, self._rule.tables.system.weights
        started = np.maximum(self.servers - self._now, 0)
        requests = (np.where(self.flow > 0, prices.usd, 0.0) * self.flow).sum()
        spared = (weights.expiry_usd * self.flow.sum(axis=(0, 1))).sum()
        fleet = (self.servers.sum(axis=1) * prices.on).sum() + (started * prices.start).sum()
        return float(requests + fleet - spared)

    def _one_more(self, m: int) -> np.ndarray:
        """(P,) $ a slot of one server more with model m."""
        starts = self.servers[:, m] >= self._now[:, m]
        return self._prices.on + np.where(starts, self._prices.start[:, m], 0.0)

    def _add(self, p: int, m: int) -> None:
        self.servers[p, m] += 1
        self.free_ms[p, m] += self._full_ms
        self._left[p] -= 1

    def _put(self, i: int, p: int, c: int, requests: float) -> None:
        self.flow[i, p, c] += requests
        left = self.free_ms[p, self._model[c]] - requests * self._prices.work[p, c]
        self.free_ms[p, self._model[c]] = max(left, 0.0)

    def _empty_last(self, p: int, m: int) -> bool:
        """Move as much demand off (p, m) as one server carries; False if it fits nowhere."""
        excess = self._full_ms - self.free_ms[p, m]
        self.servers[p, m] -= 1
        self._left[p] += 1
        self.free_ms[p, m] = 0.0
        for i, c in np.argwhere(self.flow[:, p, :] > SMALL):
            if self._model[c] != m or excess <= SMALL:
                continue
            requests = min(self.flow[i, p, c], excess / self._prices.work[p, c])
            excess -= requests * self._prices.work[p, c]
            self.flow[i, p, c] -= requests
            if not self._refill(int(i), int(c), requests, p):
                return False
        return excess <= SMALL * self._full_ms

    def _refill(self, i: int, c: int, requests: float, but: int) -> bool:
        """Put requests into what is left of other servers, the cheapest first."""
        room = self.free_ms[:, self._model[c]] / self._prices.work[:, c]
        room[but] = 0.0
        for p in np.argsort(self._prices.usd[i, :, c], kind="stable"):
            if requests <= SMALL or not np.isfinite(self._prices.usd[i, p, c]):
                break
            taken = min(requests, room[p])
            if taken > SMALL:
                self._put(i, int(p), c, taken)
                requests -= taken
        return requests <= SMALL
