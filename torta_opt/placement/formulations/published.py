"""The authors' program for block placement and request routing, as published.

Sets        i, j servers, S and D the client's two ends · r requests · (i, j) links
Variables   a_j, m_j ∈ {1 … L}   first block and number of blocks of server j       [blocks, from 1]
            f[r,i,j] ∈ {0, 1}    request r goes from i to j
            α = a_j f, β = a_i f, γ = m_j f, δ = m_i f   for every r and link         [blocks]
minimise    Σ_r Σ_{(i,j), j a server} [ visit_rj f + block_j (α − β + γ − δ) ]         (objective)
subject to  s_m m_j + s_c Σ_r Σ_i (α + γ − β − δ)[r,i,j] ≤ M_j                        (13b)
            one unit of flow from S to D for every r                                  (13c)
            a_j + m_j ≤ L + 1                                                         (13d)
            α[r,i,j] ≤ a_i + m_i                                                      (13e)
            β[r,i,j] + δ[r,i,j] ≤ a_j + m_j − 1                                       (13f)
            α ≤ (L+1) f, α ≤ a_j, α ≥ a_j − (L+1)(1 − f)                               (9)
            β ≤ L f, β ≤ a_i, β ≥ a_i − L(1 − f)                                      (10)
            γ and δ likewise with m_j and m_i and L                             (11), (12)

S is a server with a = 0 and m = 1, D one with a = L + 1 and m = 1; the last hop costs nothing.
Theirs is the objective ``decode`` (l tokens, no prompt); ``response`` is what ``evaluate`` prices.

Departures: a server that cannot hold a block at all has no columns (m_j ≥ 1 would be infeasible),
m_j obeys the limit of its type, and memory is counted in block sizes rather than in GB.

Source: Sun et al. (Performance 2025, arXiv 2512.21884), ``BPRR_MILP_general.m`` of their simulator.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from torta_opt.placement.formulations.builder import Builder, Term
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route
from torta_opt.placement.schedule.performance import prices
from torta_opt.solvers.problem import Problem

START, FINISH = -1, -2

Affine = tuple[list[Term], float]  # Σ coefficient · column + constant


@dataclass(frozen=True, eq=False)
class PublishedProgram:
    """The program (ms) and the way back.

    origin   client of every request
    first    column of a_j, count of m_j, hop of f[r, i, j]
    """

    instance: PlacementInstance
    problem: Problem
    origin: tuple[int, ...]
    first: dict[int, int]
    count: dict[int, int]
    hop: dict[tuple[int, int, int], int]

    def schedule(self, x: np.ndarray) -> PlacementSchedule:
        """The schedule that a feasible point stands for; unused servers host nothing."""
        x = np.round(x).astype(int)
        after = {(r, i): j for (r, i, j), column in self.hop.items() if x[column]}
        routes = []
        for r, client in enumerate(self.origin):
            chain, here = [], after[r, START]
            while here != FINISH:
                chain.append(here)
                here = after[r, here]
            routes.append(Route(client, tuple(chain)))
        used = {j for route in routes for j in route.servers}
        servers = range(len(self.instance.servers))
        placement = Placement(
            np.array([x[self.first[j]] - 1 if j in used else 0 for j in servers]),
            np.array([x[self.count[j]] if j in used else 0 for j in servers]),
        )
        return PlacementSchedule("published_milp", placement, tuple(routes))


def published_program(instance: PlacementInstance, objective: str = "decode") -> PublishedProgram:
    """The program of ``instance``; costs are milliseconds."""
    builder = Builder()
    blocks = instance.llm.blocks
    hosts = [j for j, limit in enumerate(instance.host_limit.tolist()) if limit]
    first = {j: builder.column(f"a[{j}]", 1, blocks) for j in hosts}
    count = {j: builder.column(f"m[{j}]", 1, int(instance.host_limit[j])) for j in hosts}
    for j in hosts:
        builder.row(f"13d[{j}]", [(first[j], 1), (count[j], 1)], upper=blocks + 1)
    starts: dict[int, Affine] = {START: ([], 0), FINISH: ([], blocks + 1)}
    starts |= {j: ([(first[j], 1.0)], 0.0) for j in hosts}
    sizes: dict[int, Affine] = {START: ([], 1), FINISH: ([], 1)}
    sizes |= {j: ([(count[j], 1.0)], 0.0) for j in hosts}
    links = [(START, j) for j in hosts] + [(j, FINISH) for j in hosts]
    links += [(i, j) for i in hosts for j in hosts if i != j]
    requests = instance.clients.requests.tolist()
    origin = tuple(c for c, demand in enumerate(requests) for _ in range(demand))
    paid = prices(instance, objective)
    share = instance.cache_bytes / instance.llm.block_bytes
    memory: dict[int, list[Term]] = {j: [(count[j], 1.0)] for j in hosts}
    hop = {}
    for r, client in enumerate(origin):
        flow: dict[int, list[Term]] = {i: [] for i in (START, *hosts, FINISH)}
        for i, j in links:
            visit = paid.visit[client, j] if j != FINISH else 0.0
            block = float(paid.block[j]) if j != FINISH else 0.0
            f = hop[r, i, j] = builder.column(f"f[{r},{i},{j}]", 0, 1, visit)
            flow[i].append((f, 1.0))
            flow[j].append((f, -1.0))
            alpha = _product(builder, "9", f"[{r},{i},{j}]", f, starts[j], blocks + 1, block)
            beta = _product(builder, "10", f"[{r},{i},{j}]", f, starts[i], blocks, -block)
            gamma = _product(builder, "11", f"[{r},{i},{j}]", f, sizes[j], blocks, block)
            delta = _product(builder, "12", f"[{r},{i},{j}]", f, sizes[i], blocks, -block)
            end, last = _sum(starts[i], sizes[i]), _sum(starts[j], sizes[j])
            _at_most(builder, f"13e[{r},{i},{j}]", [(alpha, 1)], end)
            _at_most(builder, f"13f[{r},{i},{j}]", [(beta, 1), (delta, 1)], (last[0], last[1] - 1))
            if j != FINISH:
                kept = ((alpha, share), (gamma, share), (beta, -share), (delta, -share))
                memory[j] += kept
        for node, terms in flow.items():
            balance = {START: 1, FINISH: -1}.get(node, 0)
            builder.row(f"13c[{r},{node}]", terms, balance, balance)
    for j, terms in memory.items():
        room = int(instance.servers.memory_bytes[j]) / instance.llm.block_bytes
        builder.row(f"13b[{j}]", terms, upper=room)
    return PublishedProgram(instance, builder.problem(), origin, first, count, hop)


def _product(
    builder: Builder, tag: str, where: str, f: int, factor: Affine, most: int, cost: float
) -> int:
    """A column that equals ``factor`` where f = 1 and 0 where f = 0: (9) to (12)."""
    name = {"9": "alpha", "10": "beta", "11": "gamma", "12": "delta"}[tag]
    product = builder.column(f"{name}{where}", 0, most, cost, whole=False)
    terms, constant = factor
    less = [(column, -value) for column, value in terms]
    builder.row(f"{tag}a{where}", [(product, 1), (f, -most)], upper=0)
    builder.row(f"{tag}b{where}", [(product, 1), *less], upper=constant)
    builder.row(f"{tag}c{where}", [(product, 1), *less, (f, -most)], lower=constant - most)
    return product


def _at_most(builder: Builder, name: str, terms: list[Term], side: Affine) -> None:
    less = [(column, -value) for column, value in side[0]]
    builder.row(name, [*terms, *less], upper=side[1])


def _sum(one: Affine, other: Affine) -> Affine:
    return one[0] + other[0], one[1] + other[1]
