"""The exact program by positions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.placement.bounds.combinatorial import cache_room
from torta_opt.placement.formulations.builder import Builder, Term
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route
from torta_opt.placement.schedule.performance import Prices
from torta_opt.solvers import Problem


@dataclass(frozen=True, eq=False)
class PositionProgram:
    """The exact program, costs in ms, and the ways there and back.

    hosted     (j, p, e) → column of H;  passed  (c, j, p, e) → column of X
    """

    instance: PlacementInstance
    problem: Problem
    hosted: dict[tuple[int, int, int], int]
    passed: dict[tuple[int, int, int, int], int]

    def point(self, schedule: PlacementSchedule) -> np.ndarray:
        """A schedule as a point; what it hosts in vain is left out."""
        x = np.zeros(self.problem.columns)
        placement = schedule.placement
        enters: dict[int, int] = {}
        for route in schedule.routes:
            before = 0
            for j in route.servers:
                end = int(placement.end[j])
                enters[j] = min(enters.get(j, before), before)
                for p in range(before, end):
                    x[self.passed[route.client, j, p, end]] += 1
                before = end
        for j, first in enters.items():
            end = int(placement.end[j])
            for p in range(first, end):
                x[self.hosted[j, p, end]] = 1
        return x

    def schedule(self, x: np.ndarray) -> PlacementSchedule:
        """The schedule that a feasible point stands for."""
        x = np.round(x).astype(int)
        first = np.zeros(len(self.instance.servers), int)
        count = np.zeros(len(self.instance.servers), int)
        for (j, p, e), column in self.hosted.items():
            if x[column] and e - p > count[j]:
                first[j], count[j] = p, e - p
        moves = self._moves(x)
        routes = []
        for c, requests in enumerate(self.instance.clients.requests.tolist()):
            for _ in range(requests):
                chain, here = [], 0
                while here < self.instance.llm.blocks:
                    options = moves[c][here]
                    j, end = next(iter(options))
                    options[j, end] -= 1
                    if not options[j, end]:
                        del options[j, end]
                    chain.append(j)
                    here = end
                routes.append(Route(c, tuple(chain)))
        used = {j for route in routes for j in route.servers}
        idle = [j for j in range(len(count)) if j not in used]
        first[idle] = count[idle] = 0
        return PlacementSchedule("exact", Placement(first, count), tuple(routes))

    def _moves(self, x: np.ndarray) -> list[list[dict[tuple[int, int], int]]]:
        """[client][entered at] → {(server, end): requests}."""
        clients, blocks = len(self.instance.clients), self.instance.llm.blocks
        moves: list[list[dict[tuple[int, int], int]]] = [
            [{} for _ in range(blocks)] for _ in range(clients)
        ]
        for (c, j, p, e), column in self.passed.items():
            earlier = self.passed.get((c, j, p - 1, e))
            entered = x[column] - (0 if earlier is None else x[earlier])
            if entered > 0:
                moves[c][p][j, e] = int(entered)
        return moves


def position_program(instance: PlacementInstance, paid: Prices) -> PositionProgram:
    builder = Builder()
    blocks, limit = instance.llm.blocks, instance.use_limit.tolist()
    spans = [
        (j, p, e)
        for j, most in enumerate(limit)
        for e in range(1, blocks + 1)
        for p in range(max(0, e - most), e)
        if most
    ]
    hosted = {span: builder.column(f"H[{span}]", 0, 1) for span in spans}
    for j, p, e in spans:
        if (j, p - 1, e) in hosted:
            terms = [(hosted[j, p, e], -1.0), (hosted[j, p - 1, e], 1.0)]
            builder.row(f"grow_h[{j},{p},{e}]", terms, upper=0)
    for j, most in enumerate(limit):
        if most:
            ends = [(hosted[j, e - 1, e], 1.0) for e in range(1, blocks + 1)]
            builder.row(f"one[{j}]", ends, upper=1)
    passed: dict[tuple[int, int, int, int], int] = {}
    demand = {c: int(n) for c, n in enumerate(instance.clients.requests) if n}
    for c, requests in demand.items():
        flow: list[list[Term]] = [[] for _ in range(blocks + 1)]
        for j, p, e in spans:
            whole = p == e - 1
            cost = float(paid.block[j]) + (float(paid.visit[c, j]) if whole else 0.0)
            column = builder.column(f"X[{c},{j},{p},{e}]", 0, requests, cost)
            passed[c, j, p, e] = column
            terms = [(column, 1.0), (hosted[j, p, e], -float(requests))]
            builder.row(f"enter[{c},{j},{p},{e}]", terms, upper=0)
            flow[p].append((column, 1.0))
            if whole:
                flow[e].append((column, -1.0))
            earlier = passed.get((c, j, p - 1, e))
            if earlier is not None:
                builder.row(f"grow_x[{c},{j},{p},{e}]", [(earlier, 1), (column, -1)], upper=0)
                flow[p].append((earlier, -1.0))
        for b, terms in enumerate(flow):
            balance = {0: requests, blocks: -requests}.get(b, 0)
            builder.row(f"flow[{c},{b}]", terms, balance, balance)
    _add_memory(builder, instance, hosted, passed, list(demand))
    return PositionProgram(instance, builder.problem(), hosted, passed)


def _add_memory(
    builder: Builder,
    instance: PlacementInstance,
    hosted: dict[tuple[int, int, int], int],
    passed: dict[tuple[int, int, int, int], int],
    clients: list[int],
) -> None:
    for j, most in enumerate(instance.use_limit.tolist()):
        room = cache_room(instance, j, np.arange(most + 1))
        for e in range(1, instance.llm.blocks + 1) if most else ():
            terms: list[Term] = []
            for p in range(max(0, e - most), e):
                terms += [(passed[c, j, p, e], 1.0) for c in clients]
                shorter = room[e - p - 1] if p < e - 1 else 0
                terms.append((hosted[j, p, e], -float(room[e - p] - shorter)))
            builder.row(f"memory[{j},{e}]", terms, upper=0)
