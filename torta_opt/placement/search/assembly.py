"""Schedules from sets of servers that requests may visit together.

1. A program picks how many requests visit which set, positions left aside (``_pick``).

   Sets        s visit sets, each of a client c(s) · j ∈ s
   Variables   N[s] ∈ ℤ₊  requests on s · K[s,j] ≥ 0  blocks × requests of s at j
   minimise    Σ visit_cj N[s] + Σ block_j K[s,j]
   subject to  Σ_{s of c} N[s] = R_c;  Σ_j K[s,j] = L N[s];  N[s] ≤ K[s,j] ≤ m_j N[s]
               Σ_s K[s,j] ≤ S_j(m_j)

   with the numbers m_j of hosted blocks that a box of the tree suggests (``Hint``).

2. ``arrange`` finds the ends of the servers: requests that visit the same set go the same way, all
   requests on a server leave it at its end. So servers are laid down by growing end, and what
   remains depends only on how far each group has come. Depth first, longest spans first.

A set of groups that cannot be arranged, or not at that cost, is forbidden and the program asked
again, a few times.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from torta_opt.placement.bounds.combinatorial import cache_room
from torta_opt.placement.bounds.proof import Hint
from torta_opt.placement.formulations.builder import Builder, Term
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route
from torta_opt.placement.schedule.performance import Prices
from torta_opt.solvers import Limits, Status, solve_milp

VisitSet = tuple[int, frozenset[int]]  # client, servers
MOST_SETS = 150  # in a program
VARIETY = 3e-4  # share of the cost, charged for each set used: few groups are easier to arrange
MOST_LAID = 20_000  # servers laid down in one search


@dataclass(frozen=True)
class Group:
    """Requests of one client that visit the same servers."""

    client: int
    servers: frozenset[int]
    requests: int


def schedules(
    instance: PlacementInstance,
    paid: Prices,
    hint: Hint,
    ways: Iterable[tuple[int, np.ndarray]],
    below: Callable[[], float],
    limits: Limits,
    tries: int = 8,
    stop: Callable[[], bool] = lambda: False,
) -> Iterator[PlacementSchedule]:
    """Schedules cheaper than ``below()`` ms of the ways' visit sets and those next to them."""
    sets = visit_sets(instance, paid, hint, ways)
    forbidden: list[tuple[int, ...]] = []
    for _ in range(tries):
        if stop():
            return
        picked = _pick(instance, paid, hint, sets, forbidden, limits)
        if picked is None or picked[0] >= below():
            return
        groups = picked[1]
        schedule = arrange(instance, paid, groups, below())
        if schedule is not None:
            yield schedule
        forbidden.append(tuple(sets.index((group.client, group.servers)) for group in groups))


def visit_sets(
    instance: PlacementInstance,
    paid: Prices,
    hint: Hint,
    ways: Iterable[tuple[int, np.ndarray]],
) -> list[VisitSet]:
    """The sets that the ways visit and those next to them, for each client the cheapest ones."""
    limit, blocks = hint.hosted, instance.llm.blocks
    able = np.flatnonzero(limit).tolist()
    found = {frozenset(np.flatnonzero(counts).tolist()) for _, counts in ways}
    for servers in list(found):
        for j in able:
            found |= {servers | {j}, servers - {j}}
            found |= {servers - {i} | {j} for i in servers if j not in servers}
    room = limit.tolist()
    fitting = [s for s in found if sum(room[j] for j in s) >= blocks >= len(s)]
    clients = np.flatnonzero(instance.clients.requests).tolist()
    sets = []
    for c in clients:
        dear = paid.block + hint.block_price
        priced = ((_least(paid.visit[c], dear, limit, s, blocks), sorted(s), s) for s in fitting)
        best = heapq.nsmallest(max(MOST_SETS // len(clients), 4), priced)
        sets += [(c, s) for _, _, s in best]
    return sets


def _least(
    visit: np.ndarray, block: np.ndarray, limit: np.ndarray, servers: frozenset[int], left: int
) -> float:
    """Cost of a request that visits all of ``servers`` alone."""
    cost = sum(float(visit[j] + block[j]) for j in servers)
    left -= len(servers)
    for j in sorted(servers, key=lambda j: float(block[j])):
        more = min(int(limit[j]) - 1, left)
        cost += more * float(block[j])
        left -= more
    return cost


def _pick(
    instance: PlacementInstance,
    paid: Prices,
    hint: Hint,
    sets: list[VisitSet],
    forbidden: list[tuple[int, ...]],
    limits: Limits,
) -> tuple[float, list[Group]] | None:
    """The cost, ends left aside, and the groups of the cheapest combination of sets found."""
    builder = Builder()
    demand, blocks = instance.clients.requests, instance.llm.blocks
    variety = VARIETY * hint.bound
    number: list[int] = []
    used: list[int] = []
    load: dict[int, list[Term]] = {}
    for s, (c, servers) in enumerate(sets):
        requests = float(demand[c])
        visits = float(sum(paid.visit[c, j] for j in servers))
        n = builder.column(f"N[{s}]", 0, requests, visits)
        number.append(n)
        w = builder.column(f"W[{s}]", 0, 1, variety)
        builder.row(f"used[{s}]", [(n, 1.0), (w, -requests)], upper=0)
        used.append(w)
        whole: list[Term] = [(n, -float(blocks))]
        for j in servers:
            most = float(hint.hosted[j])
            k = builder.column(f"K[{s},{j}]", 0, requests * most, float(paid.block[j]), whole=False)
            builder.row(f"most[{s},{j}]", [(k, 1.0), (n, -most)], upper=0)
            builder.row(f"visit[{s},{j}]", [(k, 1.0), (n, -1.0)], lower=0)
            whole.append((k, 1.0))
            load.setdefault(j, []).append((k, 1.0))
        builder.row(f"blocks[{s}]", whole, 0, 0)
    for c in np.flatnonzero(demand).tolist():
        terms = [(n, 1.0) for n, (owner, _) in zip(number, sets, strict=True) if owner == c]
        builder.row(f"demand[{c}]", terms, float(demand[c]), float(demand[c]))
    for j, terms in load.items():
        room = float(cache_room(instance, j, hint.hosted[j : j + 1])[0])
        if room < float(instance.requests * hint.hosted[j]):
            builder.row(f"memory[{j}]", terms, upper=room)
    for row, places in enumerate(forbidden):
        builder.row(f"forbidden[{row}]", [(used[s], 1.0) for s in places], upper=len(places) - 1)
    found = solve_milp(builder.problem(), limits)
    if found.status == Status.INTERRUPTED:
        raise KeyboardInterrupt
    if found.x is None:
        return None
    groups = [
        Group(c, servers, round(found.x[n]))
        for n, (c, servers) in zip(number, sets, strict=True)
        if found.x[n] > 0.5
    ]
    cost = found.objective - variety * len(groups)
    return cost, groups


def arrange(
    instance: PlacementInstance, paid: Prices, groups: list[Group], below: float
) -> PlacementSchedule | None:
    """The cheapest schedule found for these groups, if cheaper than ``below`` ms."""
    search = _Arrangement(instance, paid, groups, below)
    search.run()
    if search.best is None:
        return None
    first, count = np.zeros(len(instance.servers), int), np.zeros(len(instance.servers), int)
    chains: list[list[int]] = [[] for _ in groups]
    for j, start, end in search.best:
        first[j], count[j] = start, end - start
        for chain, group in zip(chains, groups, strict=True):
            if j in group.servers:
                chain.append(j)
    routes = [
        Route(group.client, tuple(chain))
        for chain, group in zip(chains, groups, strict=True)
        for _ in range(group.requests)
    ]
    return PlacementSchedule("exact", Placement(first, count), tuple(routes))


class _Arrangement:
    """Depth-first search for ends; a step is (server, first block, end)."""

    def __init__(
        self, instance: PlacementInstance, paid: Prices, groups: list[Group], below: float
    ) -> None:
        self.blocks = instance.llm.blocks
        self.block_bytes, self.cache_bytes = instance.llm.block_bytes, instance.cache_bytes
        self.memory = instance.servers.memory_bytes.tolist()
        self.limit = instance.use_limit.tolist()
        self.price = paid.block.tolist()
        self.groups = groups
        self.users = {
            j: [g for g, group in enumerate(groups) if j in group.servers]
            for j in sorted(set().union(*(group.servers for group in groups)))
        }
        self.number = [group.requests for group in groups]
        self.ceiling = below
        self.visits = sum(
            group.requests * float(paid.visit[group.client, j])
            for group in groups
            for j in group.servers
        )
        self.best: tuple[tuple[int, int, int], ...] | None = None
        self.laid = 0
        self.seen: dict[tuple[frozenset[int], tuple[int, ...]], float] = {}

    def run(self) -> None:
        servers = frozenset(self.users)
        self._go(servers, (0,) * len(self.groups), self.visits, ())

    def _go(
        self,
        left: frozenset[int],
        at: tuple[int, ...],
        cost: float,
        steps: tuple[tuple[int, int, int], ...],
    ) -> None:
        if not left:
            if cost < self.ceiling:
                self.ceiling, self.best = cost, steps
            return
        if self.laid >= MOST_LAID or self.seen.get((left, at), np.inf) <= cost:
            return
        self.seen[left, at] = cost
        if cost + self._least(left, at) >= self.ceiling:
            return
        behind = max(at)
        order = sorted(left, key=lambda j: (min(at[g] for g in self.users[j]), self.price[j], j))
        for j in order:
            users = self.users[j]
            last = [not (self.groups[g].servers & left) - {j} for g in users]
            for end in self._ends(j, users, at, behind, any(last)):
                if (end == self.blocks) != all(last):
                    continue
                self.laid += 1
                start = min(at[g] for g in users)
                load = sum(self.number[g] * (end - at[g]) for g in users)
                moved = tuple(end if g in users else here for g, here in enumerate(at))
                self._go(left - {j}, moved, cost + load * self.price[j], (*steps, (j, start, end)))

    def _ends(
        self, j: int, users: list[int], at: tuple[int, ...], behind: int, is_last: bool
    ) -> Iterator[int]:
        """Ends of j by falling value, none before another server's."""
        start, ahead = min(at[g] for g in users), max(at[g] for g in users)
        number, passed = (
            sum(self.number[g] for g in users),
            sum(self.number[g] * at[g] for g in users),
        )
        bytes_left = self.memory[j] + self.block_bytes * start + self.cache_bytes * passed
        top = bytes_left // (self.block_bytes + self.cache_bytes * number)
        top = min(top, start + self.limit[j], self.blocks)
        if is_last:
            return iter((self.blocks,) if top == self.blocks else ())
        return iter(range(top, max(behind, ahead + 1) - 1, -1))

    def _least(self, left: frozenset[int], at: tuple[int, ...]) -> float:
        """What the groups pay at least for the blocks before them; infinite if they cannot end."""
        total = 0.0
        for group, here in zip(self.groups, at, strict=True):
            servers = sorted(group.servers & left, key=self.price.__getitem__)
            ahead = self.blocks - here - len(servers)
            cost = sum(self.price[j] for j in servers)
            if ahead < 0:
                return np.inf
            for j in servers:
                more = min(self.limit[j] - 1, ahead)
                cost += more * self.price[j]
                ahead -= more
            if ahead > 0:
                return np.inf
            total += group.requests * cost
        return total
