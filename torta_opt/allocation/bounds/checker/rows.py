"""Rows: one function for each family, which writes down the row of one cell.

Every legal schedule, its columns valued as in docs/formulations/allocation.md ("The lift"), keeps
every row that can be written down here; the proofs stand there under the same names, those of
``hull`` in knapsack.md, those of ``whole`` in whole_servers.md, those of ``spread`` and of all rows
with regions as one in merged.md.
A cell for which there is no row raises ``NoSuchRow``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from torta_opt.allocation.bounds.certificate import Cut, Rounding
from torta_opt.allocation.bounds.checker.columns import Column, Columns
from torta_opt.allocation.bounds.checker.counted import Counted, Group
from torta_opt.allocation.bounds.checker.knapsack import most_worth
from torta_opt.io.errors import InvalidInput


class NoSuchRow(Exception):
    """The family has no row for a cell."""


class Row(NamedTuple):
    """lower ≤ Σ coefficient·column ≤ upper, all divided by ``over``; None: no such side."""

    entries: list[tuple[Column, int]]
    lower: int | None
    upper: int | None
    over: int = 1


class Rows:
    """The rows of an instance's program."""

    def __init__(
        self, columns: Columns, cuts: Sequence[Cut], roundings: Sequence[Rounding] = ()
    ) -> None:
        self.columns, self.data, self.cuts = columns, columns.data, cuts
        self.roundings = roundings
        for n, each in enumerate(roundings):
            if not 0 <= each.class_ < self.data.classes or each.divisor < 1:
                rule = "must name a class, and a divisor of at least 1"
                raise InvalidInput(rule, f"certificate.roundings.{n}")
        for n, cut in enumerate(cuts):
            _check_cut(self.data, cut, f"certificate.cuts.{n}")
        self.homes = [
            [p for p, group in enumerate(self.data.groups) if group.region == j]
            for j in range(self.data.regions)
        ]
        self.of_family: dict[str, Callable[..., Row]] = {
            "route": self.route,
            "gather": self.gather,
            "queue": self.queue,
            "deadline": self.deadline,
            "aging": self.aging,
            "off_flow": self.off_flow,
            "ready_flow": self.ready_flow,
            "switch_flow": self.switch_flow,
            "capacity": self.capacity,
            "fit": self.fit,
            "hot_served": self.hot_served,
            "reuse": self.reuse,
            "reroute": self.reroute,
            "change": self.change,
            "spread": self.spread,
            "hull": self.hull,
            "whole": self.whole,
        }

    # --- requests ---

    def route(self, t: int, i: int, c: int) -> Row:
        """Σ_j x[t,i,j,c] = D[t,i,c]"""
        data = self.data
        to = [j for j in range(data.regions) if data.allowed[i][j]]
        return _equal([(("x", t, i, j, c), 1) for j in to], data.arrivals[t][i][c])

    def gather(self, t: int, j: int, c: int) -> Row:
        """inflow[t,j,c] − Σ_i x[t,i,j,c] = 0"""
        data = self.data
        origins = [i for i in range(data.regions) if data.allowed[i][j]]
        routed = [(("x", t, i, j, c), -1) for i in origins]
        return _equal([(("inflow", t, j, c), 1), *routed], 0)

    def queue(self, t: int, j: int, c: int) -> Row:
        """q[t] − q[t−1] − inflow[t] + Σ_{p in j} z[t,p,c] + expired[t] = backlog in slot 0"""
        entries = [
            (("q", t, j, c), 1),
            (("inflow", t, j, c), -1),
            (("expired", t, j, c), 1),
            *((("z", t, p, c), 1) for p in self.homes[j]),
        ]
        if t == 0:
            return _equal(entries, sum(self.data.backlog[j][c].values()))
        return _equal([*entries, (("q", t - 1, j, c), -1)], 0)

    def deadline(self, t: int, j: int, c: int) -> Row:
        """q[t] − Σ_{τ=t−ℓ+1..t} inflow[τ] ≤ backlog that is not due by the end of t"""
        first = max(0, t - self.data.deadline[c] + 1)
        recent = [(("inflow", s, j, c), -1) for s in range(first, t + 1)]
        return _at_most([(("q", t, j, c), 1), *recent], self.columns.fresh_backlog(t, j, c))

    def aging(self, t: int, j: int, c: int) -> Row:
        """Σ_{τ=t+1..min(t+ℓ,T−2)} expired[τ] − q[t] ≤ 0"""
        last = min(t + self.data.deadline[c], self.data.slots - 2)
        soon = [(("expired", s, j, c), 1) for s in range(t + 1, last + 1)]
        return _at_most([(("q", t, j, c), -1), *soon], 0)

    # --- servers ---

    def off_flow(self, t: int, p: int) -> Row:
        """off[t] + Σ_m start[t,m] − off[t−1] − Σ_m stop[t−1,m] = 0; all are off after an outage"""
        group, models = self._up(t, p), range(self.data.models)
        entries = [(("off", t, p), 1), *((("start", t, p, m), 1) for m in models)]
        if t == group.since[t]:
            return _equal(entries, group.off if t == 0 else group.size)
        stopped = [(("stop", t - 1, p, m), -1) for m in models]
        return _equal([*entries, (("off", t - 1, p), -1), *stopped], 0)

    def ready_flow(self, t: int, p: int, m: int) -> Row:
        """ready[t] + stop[t] + leave[t] − ready[t−1] − start[t−n] − enter[t−n′] = 0"""
        group = self._holding(t, p, m)
        entries = [((name, t, p, m), 1) for name in ("ready", "stop", "leave")]
        if t > group.since[t]:
            entries.append((("ready", t - 1, p, m), -1))
        for name, loading in (("start", group.start[m]), ("enter", group.switch[m])):
            if loading is not None and t - loading.slots >= group.since[t]:
                entries.append(((name, t - loading.slots, p, m), -1))
        arrived = group.ready[m] if t == 0 else 0
        if group.since[t] == 0:
            arrived += sum(each.model == m and each.loading.slots == t for each in group.loading)
        return _equal(entries, arrived)

    def switch_flow(self, t: int, p: int) -> Row:
        """Σ_m leave[t,m] − Σ_m enter[t,m] = 0"""
        self._up(t, p)
        models = range(self.data.models)
        left = [(("leave", t, p, m), 1) for m in models]
        return _equal([*left, *((("enter", t, p, m), -1) for m in models)], 0)

    def spread(self, t: int, p: int) -> Row:
        """Σ_{k≥2} excess[t,k] ≥ size − off[t] − Σ_m stop[t,m] − n_1"""
        group = self._up(t, p)
        by_region = self.columns.on[t][p]
        entries: list[tuple[Column, int]] = [
            (("excess", t, p, k), 1) for k in range(1, len(by_region))
        ]
        entries += [(("off", t, p), 1), *((("stop", t, p, m), 1) for m in range(self.data.models))]
        return Row(entries, group.size - by_region[0][1], None)

    # --- processing ---

    def capacity(self, t: int, p: int, m: int) -> Row:
        """Σ_{c of m} u[c]·z[t,c] ≤ usable time"""
        work = self.data.groups[p].work_ms
        of_model = [c for c in range(self.data.classes) if self.data.model_of[c] == m and work[c]]
        use = [(("z", t, p, c), work[c]) for c in of_model]
        return self._in_time(t, p, m, use, lambda usable_ms: usable_ms)

    def fit(self, t: int, p: int, c: int) -> Row:
        """z[t,c] ≤ whole requests that fit into usable time, server by server"""
        work = self.data.groups[p].work_ms[c]
        if not work:
            raise NoSuchRow
        use = [(("z", t, p, c), 1)]
        return self._in_time(t, p, self.data.model_of[c], use, lambda usable: usable // work)

    def hull(self, t: int, h: int) -> Row:
        """Σ_n α[n]·z[t,c_n] ≤ max { α·z : u·z ≤ usable time, z whole }, server by server"""
        cut = self.cuts[h]
        work = tuple(self.data.groups[cut.group].work_ms[c] for c in cut.classes)
        use = [(("z", t, cut.group, c), a) for c, a in zip(cut.classes, cut.alpha, strict=True)]
        model = self.data.model_of[cut.classes[0]]
        return self._in_time(
            t, cut.group, model, use, lambda usable_ms: most_worth(work, cut.alpha, usable_ms)
        )

    def _in_time(
        self,
        t: int,
        p: int,
        m: int,
        use: list[tuple[Column, int]],
        worth: Callable[[int], int],
    ) -> Row:
        """use ≤ Σ over the servers with m and usable time in slot t of what that time is worth.

        These are: ready and without a command, in the last slot of a loading begun since the last
        outage, or of one that began before slot 0.
        """
        group = self._holding(t, p, m)
        entries = [*use, (("ready", t, p, m), -worth(self.data.slot_ms))]
        for name, loading in (("start", group.start[m]), ("enter", group.switch[m])):
            if loading is not None and t - loading.slots + 1 >= group.since[t]:
                begun = t - loading.slots + 1
                entries.append(((name, begun, p, m), -worth(loading.usable_ms)))
        known = 0
        if group.since[t] == 0:
            for model, loading in group.loading:
                if model == m and loading.slots - 1 == t:
                    known += worth(loading.usable_ms)
        return _at_most(entries, known)

    def hot_served(self, t: int, p: int, c: int) -> Row:
        """hot[t,c] − z[t,c] ≤ 0"""
        return _at_most([(("hot", t, p, c), 1), (("z", t, p, c), -1)], 0)

    def reuse(self, t: int, p: int, c: int) -> Row:
        """d·hot[t,c] − n·z[t−1,c] ≤ 0"""
        if t == 0:
            raise NoSuchRow
        most, of = self.columns.reuse[p][c]
        return _at_most([(("hot", t, p, c), of), (("z", t - 1, p, c), -most)], 0)

    # --- whole servers ---

    def whole(self, t: int, w: int) -> Row:
        """r·W ≤ Σ G(a)·(servers with time for a requests) + Σ_j (q[t,j] + expired[t,j])

        with W = ⌈N/d⌉, r = N − d·(W − 1), G(a) = r·⌊a/d⌋ + min(r, a mod d), N the arrivals of the
        class less what servers can process that load before slot 0; all divided by r.
        """
        c, d = self.roundings[w].class_, self.roundings[w].divisor
        model, able, needed = self.data.model_of[c], [], sum(at[c] for at in self.data.arrivals[t])
        for p, group in enumerate(self.data.groups):
            work = group.work_ms[c]
            if not group.up[t] or group.start[model] is None or not work:
                continue
            able.append((p, group, work))
            if group.since[t] == 0:
                for held, ending in group.loading:
                    if held == model and ending.slots - 1 == t:
                        needed -= ending.usable_ms // work
        if needed <= 0:
            raise NoSuchRow
        times = -(-needed // d)
        rest = needed - d * (times - 1)

        def worth(requests: int) -> int:
            return rest * (requests // d) + min(rest, requests % d)

        entries: list[tuple[Column, int]] = []
        for j in range(self.data.regions):
            entries += [(("q", t, j, c), -1), (("expired", t, j, c), -1)]
        for p, group, work in able:
            entries.append((("ready", t, p, model), -worth(self.data.slot_ms // work)))
            for name, loading in (("start", group.start[model]), ("enter", group.switch[model])):
                if loading is not None and t - loading.slots + 1 >= group.since[t]:
                    begun = t - loading.slots + 1
                    entries.append(((name, begun, p, model), -worth(loading.usable_ms // work)))
        return Row(entries, None, -rest * times, rest)

    # --- re-routing ---

    def reroute(self, t: int, i: int, j: int) -> Row:
        """min(D_t, D_{t−1})·(A_t[i,j] − A_{t−1}[i,j]) − moved[t,i,j] ≤ 0"""
        now, before = self._compared(t, i, j, self.columns.has_moved)
        over, less = max(now, before), min(now, before)
        entries, known = self._shares(t, i, j, less * over // now, less * over // before)
        return Row([*entries, (("moved", t, i, j), -over)], None, known, over)

    def change(self, t: int, i: int, j: int) -> Row:
        """A_t[i,j] − A_{t−1}[i,j] − Σ_k rise[t,i,j,k] + Σ_k fall[t,i,j,k] = 0"""
        now, before = self._compared(t, i, j, self.columns.has_change)
        over = now * before
        entries, known = self._shares(t, i, j, before, now)
        for k in range(len(self.columns.segments)):
            entries += [(("rise", t, i, j, k), -over), (("fall", t, i, j, k), over)]
        return Row(entries, known, known, over)

    def _shares(
        self, t: int, i: int, j: int, now: int, before: int
    ) -> tuple[list[tuple[Column, int]], int]:
        """now·Σ_c x[t,i,j,c] − before·Σ_c x[t−1,i,j,c], and what of it is known, on the right."""
        classes = range(self.data.classes)
        entries = [(("x", t, i, j, c), now) for c in classes]
        if t == 0:
            return entries, before * self.data.routed_before[i][j]
        return [*entries, *((("x", t - 1, i, j, c), -before) for c in classes)], 0

    def _compared(self, t: int, i: int, j: int, is_counted: bool) -> tuple[int, int]:
        """D_t[i], D_{t−1}[i]; both positive, or there is nothing to compare"""
        now, before = self.data.arrivals_of(t, i), self.data.arrivals_of(t - 1, i)
        if not is_counted or not self.data.allowed[i][j] or not now or not before:
            raise NoSuchRow
        return now, before

    # --- existence ---

    def _up(self, t: int, p: int) -> Group:
        group = self.data.groups[p]
        if not group.up[t]:
            raise NoSuchRow
        return group

    def _holding(self, t: int, p: int, m: int) -> Group:
        group = self._up(t, p)
        if group.start[m] is None:
            raise NoSuchRow
        return group


def _equal(entries: list[tuple[Column, int]], side: int) -> Row:
    return Row(entries, side, side)


def _at_most(entries: list[tuple[Column, int]], side: int) -> Row:
    return Row(entries, None, side)


def _check_cut(data: Counted, cut: Cut, field: str) -> None:
    """Different classes of one model that servers of the group can process; weights at least 0."""
    if not 0 <= cut.group < len(data.groups):
        raise InvalidInput(f"group {cut.group} is not known", field)
    if not cut.classes or len(cut.classes) != len(cut.alpha):
        raise InvalidInput("must have as many alpha as classes, and one at least", field)
    if len(set(cut.classes)) < len(cut.classes):
        raise InvalidInput("names a class twice", field)
    if any(alpha < 0 for alpha in cut.alpha):
        raise InvalidInput("alpha must be at least 0", field)
    models = {data.model_of[c] for c in cut.classes}
    group = data.groups[cut.group]
    held = all(group.start[m] is not None for m in models)
    if len(models) > 1 or not held or not all(group.work_ms[c] for c in cut.classes):
        raise InvalidInput("its classes are not of one model that the group can serve", field)
