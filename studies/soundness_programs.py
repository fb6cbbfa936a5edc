"""Soundness of programs that are built in a second way, and of transport over many slots.

Steps of ``soundness_steps``, whose table names them.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import scipy.sparse as sparse
from pyscipopt import Model, quicksum
from soundness_answers import Disagreement, agreed, at_most, close
from support.programs import same_to_the_bit
from support.tiny import random_neighbour, random_tiny_instance

from torta_opt.allocation.formulations.fleet_program import (
    MOVES,
    FleetCosts,
    FleetProgram,
    FleetState,
)
from torta_opt.allocation.formulations.knapsack import with_knapsack_rows
from torta_opt.allocation.formulations.matrix import build_allocation_program
from torta_opt.allocation.formulations.rolling import RollingProgram
from torta_opt.allocation.instance.data import System
from torta_opt.solvers import Problem
from torta_opt.transport.many_slots import solve_multi_slot

WINDOWS = 5  # that a rolling program is advanced over
STATES = 3  # that a fleet program is solved from, the later ones warm


def rolling(rng: np.random.Generator, n: int) -> dict[str, int]:
    """A program advanced from window to window is the one built anew, to the bit."""
    instance = random_tiny_instance(rng)
    options = {"named": bool(rng.integers(2)), "integer": bool(rng.integers(2))}
    has_rows = bool(rng.integers(2))
    program = RollingProgram(knapsack=has_rows, **options)
    for _ in range(WINDOWS):
        built = build_allocation_program(instance, **options)
        built = with_knapsack_rows(built) if has_rows else built
        if not same_to_the_bit(program.advance(instance), built):
            raise Disagreement("the advanced program is not the one built", built.problem())
        instance = random_neighbour(instance, rng)
    return {"programs": WINDOWS}


# --- the fleet program --------------------------------------------------------------------------


def fleet(rng: np.random.Generator, n: int) -> dict[str, int]:
    """The fleet program, warm from one state to the next, and its text once more in SCIP."""
    system = random_tiny_instance(rng).system
    epochs, samples = int(rng.integers(2, 4)), int(rng.integers(1, 4))
    usable_ms = float(system.slot_ms * rng.choice([0.8, 1.0]))
    program = FleetProgram(system, epochs, samples, usable_ms)
    for _ in range(STATES):
        state, costs = _random_state(rng, program), _random_costs(rng, program)
        demand = rng.integers(0, 9, (epochs, samples, len(system.classes))).astype(float)
        plan = program.solve(state, costs, demand)
        theirs = _by_names(system, usable_ms, state, costs, demand)
        if plan is None or not close(plan.usd, theirs):
            ours = None if plan is None else plan.usd
            raise Disagreement(f"fleet: HiGHS {ours!r}, SCIP {theirs!r}")
        lowest = min(float(getattr(plan, move).min(initial=0.0)) for move in MOVES)
        if lowest < 0:
            raise Disagreement(f"fleet: a move of {lowest!r} servers")
    return {"programs": STATES}


def _random_state(rng: np.random.Generator, program: FleetProgram) -> FleetState:
    kinds = program.kinds
    ready = rng.integers(0, 4, len(kinds)) * rng.choice([1.0, 0.5])
    loading = rng.integers(0, 3, len(kinds)) * (rng.random(len(kinds)) < 0.4)
    on = np.bincount(kinds.type, ready + loading, len(program.system.types))
    return FleetState(ready, loading.astype(float), on + rng.integers(0, 4, len(on)))


def _random_costs(rng: np.random.Generator, program: FleetProgram) -> FleetCosts:
    system, kinds = program.system, len(program.kinds)
    return FleetCosts(
        slots=rng.integers(1, 9, program.epochs).astype(float),
        on=rng.uniform(-0.1, 1, (program.epochs, len(system.types))),
        start=rng.uniform(0, 4, kinds),
        enter=rng.uniform(0, 2, kinds),
        serve=rng.uniform(0, 0.5, len(program.kinds.serve_kind)),
        short=rng.uniform(0, 20, len(system.classes)),
        worth=rng.uniform(0, 3, kinds),
    )


def _by_names(
    system: System, usable_ms: float, state: FleetState, costs: FleetCosts, demand: np.ndarray
) -> float:
    """The optimum of the program as the head of ``fleet_program`` has it, row by row."""
    scip = Model()
    scip.hideOutput()
    epochs, samples, classes = demand.shape
    held = [(int(k), int(m)) for k, m in np.argwhere(system.holds)]
    serves = [
        (int(k), int(c))
        for k, c in np.argwhere(system.usable_by & system.holds[:, system.class_model])
    ]
    usd, types = [], range(len(system.types))
    n, start, stop, leave, enter = (
        {(e, g): scip.addVar(lb=0) for e in range(epochs) for g in held} for _ in range(5)
    )
    for e, s in np.ndindex(epochs, samples):
        share, used = costs.slots[e] / samples, defaultdict(list)
        z = {kc: scip.addVar(lb=0) for kc in serves}
        usd += [share * costs.serve[at] * z[kc] for at, kc in enumerate(serves)]
        for c in range(classes):
            short = scip.addVar(lb=0)
            usd.append(share * costs.short[c] * short)
            served = [z[kc] for kc in serves if kc[1] == c]
            scip.addCons(quicksum([short, *served]) == demand[e, s, c])
        for k, c in serves:
            used[k, int(system.class_model[c])].append(float(system.server_ms[k, c]) * z[k, c])
        for g, work in used.items():
            scip.addCons(quicksum(work) <= usable_ms * n[e, g])
    for e in range(epochs):
        for at, g in enumerate(held):
            idle = float(costs.slots[e] * costs.on[e, g[0]])
            worth = float(costs.worth[at]) if e == epochs - 1 else 0.0
            usd += [(idle - worth) * n[e, g], float(costs.start[at]) * start[e, g]]
            usd.append(max(float(costs.enter[at]), idle) * enter[e, g])
            before = float(state.ready[at])
            if e > 0:
                before = n[e - 1, g] + start[e - 1, g] + enter[e - 1, g]
                before += float(state.loading[at]) if e == 1 else 0.0
            scip.addCons(n[e, g] == before - stop[e, g] - leave[e, g])
        for k in types:
            mine = [at for at, g in enumerate(held) if g[0] == k]
            if not mine:
                continue
            on = [each[e, held[at]] for at in mine for each in (n, start, enter)]
            loading = float(state.loading[mine].sum()) if e == 0 else 0.0
            scip.addCons(quicksum(on) + loading <= float(state.servers[k]))
            entering, leaving = ([each[e, held[at]] for at in mine] for each in (enter, leave))
            scip.addCons(quicksum(entering) == quicksum(leaving))
    scip.setObjective(quicksum(usd))
    scip.optimize()
    if scip.getStatus() != "optimal":
        raise Disagreement(f"fleet: SCIP {scip.getStatus()}")
    return float(scip.getObjVal())


# --- transport over many slots ------------------------------------------------------------------


def many_slots(rng: np.random.Generator, n: int) -> dict[str, int]:
    """Transport with a price on changes of shares: plan and bound on both sides of the optimum."""
    slots, rows, columns = (int(size) for size in rng.integers(1, 5, 3))
    cost = np.round(rng.uniform(0, 5, (slots, rows, columns)), 2)
    supply, demand = rng.dirichlet(np.ones(rows), slots), rng.dirichlet(np.ones(columns), slots)
    weight = float(rng.choice([0.01, 0.1, 1.0, 10.0]))
    found = solve_multi_slot(cost, supply, demand, 0.05, weight, "l1", tolerance=1e-6)
    problem = _with_changes(cost, supply, demand, weight)
    best = agreed(problem, "many slots", relaxed=True)
    at_most(found.linear_bound, best, "the bound of many slots", problem)
    at_most(best, found.linear, "the optimum above a plan", problem)
    if not found.dual <= found.objective + 1e-9 * (1 + abs(found.objective)):
        raise Disagreement(f"many slots: dual {found.dual!r}, objective {found.objective!r}")
    return {"programs": 1}


def _with_changes(
    cost: np.ndarray, supply: np.ndarray, demand: np.ndarray, weight: float
) -> Problem:
    """Transport of all slots as one linear program; a column for the size of each change."""
    slots, rows, columns = cost.shape
    size, cells = cost.size, rows * columns
    by_row = np.kron(np.eye(rows), np.ones(columns))
    sums = np.vstack([by_row, np.kron(np.ones(rows), np.eye(columns))])
    marginals = np.kron(np.eye(slots), sums)
    side = np.hstack([supply, demand])
    side[:, -1] = supply.sum(axis=1) - demand[:, :-1].sum(axis=1)  # or rounding leaves nothing
    shares = np.diag(1 / np.repeat(supply.ravel(), columns))
    change = shares[cells:] - shares[:-cells] if slots > 1 else np.zeros((0, size))
    sized = np.eye(size - cells)
    matrix = np.block(
        [
            [marginals, np.zeros((len(marginals), size - cells))],
            [change, -sized],
            [-change, -sized],
        ]
    )
    below = np.full(2 * (size - cells), -np.inf)
    return Problem(
        sparse.csr_array(matrix),
        np.concatenate([side.ravel(), below]),
        np.concatenate([side.ravel(), np.zeros(2 * (size - cells))]),
        np.zeros(2 * size - cells),
        np.full(2 * size - cells, np.inf),
        np.concatenate([cost.ravel(), np.full(size - cells, weight / 2)]),
    )
