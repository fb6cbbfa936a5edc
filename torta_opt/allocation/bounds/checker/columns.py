"""Columns: what each stands for, the most it can be, and what one unit of it costs at least.

A column that is not given here is 0 for every schedule. Every column is at least 0. Dollars are
integers in units of 1/``SCALE`` dollars, rounded down from exact products of what the instance
holds; all else is exact. Docs: allocation.md, "The lift", "Bounds" and "Costs"; merged.md, "Cost".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise, product
from typing import Any

from torta_opt.allocation.bounds.checker.counted import Counted, Group
from torta_opt.allocation.instance.data import Instance
from torta_opt.io.errors import InvalidInput

SCALE = 2**80
KWH = Fraction(1, 3_600_000)  # kW·ms

Column = tuple[Any, ...]  # family, then the cell


def units(usd: Fraction | float) -> int:
    """Units of 1/SCALE dollars, rounded down."""
    exact = Fraction(usd)
    return exact.numerator * SCALE // exact.denominator


class Columns:
    """All columns of an instance's program.

    inflow, waiting, expired   [t][j][c] most requests
    processed, hot             [t][p][c] most requests
    reuse                      [p][c] (n, d): hot[t] ≤ n/d·z[t−1]
    has_moved, has_change      re-routed requests, squares are counted
    on                         [t][p] cost and number of servers by region, the cheapest first
    constant                   what is paid whatever the columns are
    """

    def __init__(self, data: Counted, tangents: Sequence[float]) -> None:
        self.data = data
        weights = data.instance.system.weights
        self.segments = segments(tangents)
        self.has_moved = not data.as_one and weights.reroute_usd > 0
        self.has_change = not data.as_one and weights.frobenius_usd > 0
        self._count_requests()
        self._count_processing()
        self.on = [[_on_by_region(data, t, group) for group in data.groups] for t in _slots(data)]
        self.constant = self._initial_loading() + self._least_routes()

    def __iter__(self) -> Iterator[tuple[Column, int, int | Fraction]]:
        """(column, cost in units, most)"""
        yield from self._requests()
        yield from self._processing()
        yield from self._servers()
        yield from self._dearer_servers()
        yield from self._changes()

    # --- the most there can be ---

    def fresh_backlog(self, t: int, j: int, c: int) -> int:
        """Requests of the backlog that are not due by the end of slot t."""
        return sum(n for due, n in self.data.backlog[j][c].items() if due > t)

    def _count_requests(self) -> None:
        """What is routed to a region, waits at the end of a slot, and expires there."""
        data = self.data
        last, cells = data.slots - 1, _table(data.slots, data.regions, data.classes)
        self.inflow, self.waiting, self.expired = cells(), cells(), cells()
        self.present = cells()
        for t, j, c in product(_slots(data), range(data.regions), range(data.classes)):
            self.inflow[t][j][c] = sum(
                data.arrivals[t][i][c] for i in range(data.regions) if data.allowed[i][j]
            )
        for t, j, c in product(_slots(data), range(data.regions), range(data.classes)):
            most = data.deadline[c]
            recent = range(max(0, t - most + 1), t + 1)
            if t < last:
                self.waiting[t][j][c] = self.fresh_backlog(t, j, c) + sum(
                    self.inflow[s][j][c] for s in recent
                )
            before = self.waiting[t - 1][j][c] if t else sum(data.backlog[j][c].values())
            self.present[t][j][c] = self.inflow[t][j][c] + before
            if t == last:
                self.expired[t][j][c] = self.present[t][j][c]
            elif t < most:
                self.expired[t][j][c] = data.backlog[j][c].get(t, 0)
            else:
                self.expired[t][j][c] = self.inflow[t - most][j][c]

    def _count_processing(self) -> None:
        """What the servers of a group can process, and find hot."""
        data = self.data
        cells = _table(data.slots, len(data.groups), data.classes)
        self.processed, self.hot = cells(), cells()
        self.reuse = [
            [_reuse(data, group, c) for c in range(data.classes)] for group in data.groups
        ]
        for p, group in enumerate(data.groups):
            for t, c in product(_slots(data), range(data.classes)):
                if not group.up[t] or not group.work_ms[c]:
                    continue
                able = group.size * (data.slot_ms // group.work_ms[c])
                most = min(able, self.present[t][group.region][c])
                self.processed[t][p][c] = most
                if _is_faster_hot(data, group, c):
                    n, d = self.reuse[p][c]
                    again = self.processed[t - 1][p][c] * n // d if t else group.hot_before[c]
                    self.hot[t][p][c] = min(most, again)

    # --- columns by kind ---

    def _requests(self) -> Iterator[tuple[Column, int, int]]:
        """x, inflow, q, expired"""
        data, instance = self.data, self.data.instance
        weights = instance.system.weights
        route = _routes(instance)
        cell = range(data.regions), range(data.classes)
        wait = units(Fraction(weights.time_usd_per_s) * Fraction(data.slot_ms, 1000))
        expiry = [units(usd) for usd in weights.expiry_usd.tolist()]
        for t, i, c in product(_slots(data), *cell):
            if most := data.arrivals[t][i][c]:
                if data.as_one:
                    yield ("x", t, 0, 0, c), 0, most
                    continue
                for j in range(data.regions):
                    if data.allowed[i][j]:
                        yield ("x", t, i, j, c), units(route[i, j, c]), most
        for t, j, c in product(_slots(data), *cell):
            yield ("inflow", t, j, c), 0, self.inflow[t][j][c]
            yield ("q", t, j, c), wait, self.waiting[t][j][c]
            yield ("expired", t, j, c), expiry[c], self.expired[t][j][c]

    def _processing(self) -> Iterator[tuple[Column, int, int]]:
        """z, hot"""
        data, system = self.data, self.data.instance.system
        v, factor = Fraction(system.weights.time_usd_per_s), Fraction(system.weights.energy_factor)
        price = [
            [Fraction(usd) for usd in slot] for slot in data.instance.price_usd_per_kwh.tolist()
        ]
        for p, group in enumerate(data.groups):
            span_kw = Fraction(float(system.peak_kw[group.kind]))
            span_kw -= Fraction(float(system.idle_kw[group.kind]))
            for c in range(data.classes):
                if not group.work_ms[c]:
                    continue
                service_s = Fraction(float(system.service_s[group.kind, c]))
                saved_s = service_s - Fraction(float(system.hot_service_s[group.kind, c]))
                busy = factor * span_kw * group.work_ms[c] * KWH
                service, saved = v * service_s, units(-v * saved_s)
                for t in _slots(data):
                    if not self.processed[t][p][c]:
                        continue
                    least = min(price[t][region] * busy for region in group.homes)
                    yield ("z", t, p, c), units(service + least), self.processed[t][p][c]
                    yield ("hot", t, p, c), saved, self.hot[t][p][c]

    def _servers(self) -> Iterator[tuple[Column, int, int]]:
        """off, ready, start, stop, leave, enter: a server costs what the cheapest one does"""
        data, system = self.data, self.data.instance.system
        factor = Fraction(system.weights.loading_factor)
        for p, group in enumerate(data.groups):
            start_usd = [
                units(factor * Fraction(usd)) for usd in system.start_usd[group.kind].tolist()
            ]
            switch_usd = [
                units(factor * Fraction(usd)) for usd in system.switch_usd[group.kind].tolist()
            ]
            for t in (t for t in _slots(data) if group.up[t]):
                yield ("off", t, p), 0, group.size
                for m in range(data.models):
                    start, switch = group.start[m], group.switch[m]
                    if start is None:
                        continue
                    yield ("ready", t, p, m), self.on[t][p][0][0], group.size
                    yield ("stop", t, p, m), 0, group.size
                    loading = self._on_usd(p, t, start.slots)
                    yield ("start", t, p, m), start_usd[m] + loading, group.size
                    if switch is not None:
                        loading = self._on_usd(p, t, switch.slots)
                        yield ("leave", t, p, m), 0, group.size
                        yield ("enter", t, p, m), switch_usd[m] + loading, group.size

    def _dearer_servers(self) -> Iterator[tuple[Column, int, int]]:
        """excess: servers on beyond those of the cheapest region of the group"""
        for t, p in product(_slots(self.data), range(len(self.data.groups))):
            least, _ = self.on[t][p][0]
            if self.data.groups[p].up[t]:
                for k, (usd, servers) in enumerate(self.on[t][p][1:], start=1):
                    yield ("excess", t, p, k), usd - least, servers

    def _changes(self) -> Iterator[tuple[Column, int, int | Fraction]]:
        """moved; rise, fall"""
        data, weights = self.data, self.data.instance.system.weights
        if not (self.has_moved or self.has_change):
            return
        frobenius = Fraction(weights.frobenius_usd)
        slopes = [(units(frobenius * slope), length) for slope, length in self.segments]
        for t, i, j in product(_slots(data), range(data.regions), range(data.regions)):
            less = min(data.arrivals_of(t, i), data.arrivals_of(t - 1, i))
            if not data.allowed[i][j] or not less:
                continue
            yield ("moved", t, i, j), units(weights.reroute_usd), less
            for k, (usd, length) in enumerate(slopes if self.has_change else ()):
                yield ("rise", t, i, j, k), usd, length
                yield ("fall", t, i, j, k), usd, length

    # --- what servers cost ---

    def _on_usd(self, p: int, t: int, slots: int) -> int:
        """A server that loads from slot t on, until that ends, an outage comes, or the run ends."""
        after = min(t + slots, self.data.groups[p].until[t])
        return sum(self.on[s][p][0][0] for s in range(t, after))

    def _initial_loading(self) -> int:
        return sum(
            self._on_usd(p, 0, each.loading.slots)
            for p, group in enumerate(self.data.groups)
            for each in group.loading
        )

    def _least_routes(self) -> int:
        """With regions as one, every request is routed where that is cheapest."""
        if not self.data.as_one:
            return 0
        instance = self.data.instance
        route, allowed = _routes(instance), instance.system.allowed.tolist()
        total = 0
        for i, by_class in enumerate(instance.arrivals.sum(axis=0).tolist()):
            for c, requests in enumerate(by_class):
                least = min(route[i, j, c] for j, may in enumerate(allowed[i]) if may)
                total += requests * units(least)
        return total


def segments(tangents: Sequence[float]) -> list[tuple[Fraction, Fraction]]:
    """(slope, length) of the largest of the tangents of d² at these points and 0, over |d| ≤ 1."""
    points = [Fraction(0), *map(Fraction, tangents)]
    if len(points) < 2 or points[-1] > 1 or any(b <= a for a, b in pairwise(points)):
        raise InvalidInput("must grow, from above 0 to at most 1", "certificate.tangents")
    ends = [Fraction(0), *((a + b) / 2 for a, b in pairwise(points)), Fraction(1)]
    lengths = [b - a for a, b in pairwise(ends)]
    return [(2 * a, length) for a, length in zip(points, lengths, strict=True) if length]


def _slots(data: Counted) -> range:
    return range(data.slots)


def _table(*sizes: int) -> Any:
    """Makes tables of zeros."""

    def zeros(depth: int = 0) -> Any:
        if depth == len(sizes):
            return 0
        return [zeros(depth + 1) for _ in range(sizes[depth])]

    return zeros


def _reuse(data: Counted, group: Group, c: int) -> tuple[int, int]:
    """The largest of ⌊h·n/1000⌋/n over the whole n that one server can process, n smallest.

    n = 1000 attains h/1000, which no n exceeds.
    """
    if not group.work_ms[c]:
        return 0, 1
    hot, best = data.instance.system.hot_permille, Fraction(-1)
    found = 0, 1
    for n in range(1, min(data.slot_ms // group.work_ms[c], 1000) + 1):
        if Fraction(hot * n // 1000, n) > best:
            best, found = Fraction(hot * n // 1000, n), (hot * n // 1000, n)
    return found


def _is_faster_hot(data: Counted, group: Group, c: int) -> bool:
    system = data.instance.system
    return bool(system.hot_service_s[group.kind, c] < system.service_s[group.kind, c])


def _routes(instance: Instance) -> dict[tuple[int, int, int], Fraction]:
    """Dollars of routing a request from i to j, where that is allowed."""
    system, weights = instance.system, instance.system.weights
    v, factor = Fraction(weights.time_usd_per_s), Fraction(weights.transfer_factor)
    latency, transfer = system.latency_s.tolist(), system.transfer_usd.tolist()
    return {
        (i, j, c): v * Fraction(latency[i][j]) + factor * Fraction(transfer[i][j][c])
        for i, j, c in product(*map(range, system.transfer_usd.shape))
        if system.allowed[i, j]
    }


def _on_by_region(data: Counted, t: int, group: Group) -> list[tuple[int, int]]:
    """(cost of a server that is on during slot t, servers) by region, the cheapest first."""
    system, weights = data.instance.system, data.instance.system.weights
    hours = Fraction(data.slot_ms, 3_600_000)
    idle_kw = Fraction(weights.energy_factor) * Fraction(float(system.idle_kw[group.kind]))
    by_region = []
    for region, servers in group.homes.items():
        price = Fraction(float(data.instance.price_usd_per_kwh[t, region]))
        rent = Fraction(float(system.rent_usd_per_hour[region, group.kind]))
        usd = hours * (price * idle_kw + Fraction(weights.rent_factor) * rent)
        by_region.append((units(usd), servers))
    return sorted(by_region)
