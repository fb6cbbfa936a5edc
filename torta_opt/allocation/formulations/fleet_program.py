"""The fleet program: how many servers of each type to have on with each model, over epochs.

All regions are taken as one and slots are grouped into epochs e that grow with their distance, L_e
slots each. Demand is random: every epoch has S samples of the requests of one slot. The numbers of
servers are decided before demand is known and are common to all samples (an open-loop plan); only
which requests a sample serves where follows the sample.

Sets        e < E epochs · s < S samples · k type · g = (k, m) kind: a type and a model it can hold · c class
Variables   n[e,g] ≥ 0        servers ready throughout epoch e
            start, stop, leave, enter [e,g] ≥ 0    servers that change; leave and enter are a switch
            z[e,s,k,c] ≥ 0    requests of a slot served
            short[e,s,c] ≥ 0  requests of a slot not served in it
minimise    Σ_e L_e·on[e,k]·n[e,g] + Σ load[g]·start + Σ switch[g]·enter
            + Σ_{e,s} L_e/S · ( Σ serve[e,k,c]·z + Σ short_usd[c]·short )  −  worth·n[E−1]
subject to  n[0,g] = ready[g] − stop[0,g] − leave[0,g]                                       (state)
            n[e,g] = n[e−1,g] + start[e−1,g] + enter[e−1,g] − stop[e,g] − leave[e,g] (+ loading, e = 1)
            Σ_m enter[e,k,m] = Σ_m leave[e,k,m]                                              (switch)
            Σ_m ( n + start + enter )[e,k,m] (+ loading, e = 0) ≤ servers[k]                 (size)
            Σ_k z[e,s,k,c] + short[e,s,c] = D[e,s,c]                                         (demand)
            Σ_{c of m} u[k,c]·z[e,s,k,c] ≤ usable_ms·n[e,(k,m)]                              (capacity)

A server that starts or enters in epoch e is ready in epoch e+1. It is a model of the problem for
deciding, neither a relaxation nor a restriction: nothing that is proven hangs on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.instance.data import System
from torta_opt.solvers import Limits, LinearSolver, Problem

MOVES = ("start", "stop", "leave", "enter")


@dataclass(frozen=True, eq=False)
class FleetKinds:
    """Types with a model each, the axis g, and types with a class each, the axis of z.

    type, model    (G,)
    serve_type, serve_class, serve_kind    (Z,) a type, a class it can serve in a slot, its kind g
    """

    system: System

    @cached_property
    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        return np.nonzero(self.system.holds)

    @property
    def type(self) -> np.ndarray:
        return self.pairs[0]

    @property
    def model(self) -> np.ndarray:
        return self.pairs[1]

    def __len__(self) -> int:
        return len(self.type)

    @cached_property
    def number(self) -> np.ndarray:
        """(K, M) g, −1 where the type cannot hold the model."""
        number = np.full(self.system.holds.shape, -1)
        number[self.pairs] = np.arange(len(self))
        return number

    @cached_property
    def serves(self) -> tuple[np.ndarray, np.ndarray]:
        """(Z,) types and classes."""
        able = self.system.usable_by & self.system.holds[:, self.system.class_model]
        return np.nonzero(able)

    @cached_property
    def serve_kind(self) -> np.ndarray:
        k, c = self.serves
        return self.number[k, self.system.class_model[c]]


@dataclass(frozen=True, eq=False)
class FleetState:
    """What the program starts from: (G,) ready and loading servers, (K,) servers that are up."""

    ready: np.ndarray
    loading: np.ndarray
    servers: np.ndarray


@dataclass(frozen=True, eq=False)
class FleetCosts:
    """Dollars.

    slots    (E,) L
    on       (E, K) of a server that is on, for a slot
    start, enter    (G,) of a start, of a switch to g, loading included
    serve    (E, Z) of a request served
    short    (C,) of a request not served in its slot
    worth    (G,) of a server that is ready at the end
    """

    slots: np.ndarray
    on: np.ndarray
    start: np.ndarray
    enter: np.ndarray
    serve: np.ndarray
    short: np.ndarray
    worth: np.ndarray


@dataclass(frozen=True, eq=False)
class FleetPlan:
    """The answer: dollars and (E, G) servers ready, started, stopped, leaving and entering."""

    usd: float
    ready: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    leave: np.ndarray
    enter: np.ndarray


class FleetProgram:
    """The program of a system with E epochs and S samples; kept in the solver between slots."""

    def __init__(self, system: System, epochs: int, samples: int, usable_ms: float):
        self.kinds = FleetKinds(system)
        self.system, self.epochs, self.samples = system, epochs, samples
        self._usable_ms = usable_ms
        self._lay_out()
        self._solver: LinearSolver | None = None

    def _lay_out(self) -> None:
        kinds, e, s = len(self.kinds), self.epochs, self.samples
        sizes = {
            "n": (e, kinds),
            **{move: (e, kinds) for move in MOVES},
            "z": (e, s, len(self.kinds.serve_kind)),
            "short": (e, s, len(self.system.classes)),
        }
        self.columns, total = _numbered(sizes)
        self.n_columns = total
        types = len(self.system.types)
        sizes = {
            "state": (e, kinds),
            "switch": (e, types),
            "size": (e, types),
            "demand": (e, s, len(self.system.classes)),
            "capacity": (e, s, kinds),
        }
        self.rows, self.n_rows = _numbered(sizes)

    @cached_property
    def matrix(self) -> sparse.csr_array:
        x, r, kinds = self.columns, self.rows, self.kinds
        k, c = kinds.serves
        u = self.system.server_ms[k, c].astype(float)
        entries = [
            (r["state"], x["n"], 1.0),
            (r["state"], x["stop"], 1.0),
            (r["state"], x["leave"], 1.0),
            (r["state"][1:], x["n"][:-1], -1.0),
            (r["state"][1:], x["start"][:-1], -1.0),
            (r["state"][1:], x["enter"][:-1], -1.0),
            (r["switch"][:, kinds.type], x["enter"], 1.0),
            (r["switch"][:, kinds.type], x["leave"], -1.0),
            (r["size"][:, kinds.type], x["n"], 1.0),
            (r["size"][:, kinds.type], x["start"], 1.0),
            (r["size"][:, kinds.type], x["enter"], 1.0),
            (r["demand"][:, :, c], x["z"], 1.0),
            (r["demand"], x["short"], 1.0),
            (r["capacity"][:, :, kinds.serve_kind], x["z"], u / self._usable_ms),
            (r["capacity"], np.repeat(x["n"][:, None], self.samples, axis=1), -1.0),
        ]
        row = np.concatenate([part[0].ravel() for part in entries])
        column = np.concatenate([part[1].ravel() for part in entries])
        value = np.concatenate(
            [np.broadcast_to(part[2], part[0].shape).ravel() for part in entries]
        )
        return sparse.csr_array((value, (row, column)), shape=(self.n_rows, self.n_columns))

    def costs(self, costs: FleetCosts) -> np.ndarray:
        """(n,) objective."""
        cost, x = np.zeros(self.n_columns), self.columns
        length = costs.slots[:, None]
        cost[x["n"]] = length * costs.on[:, self.kinds.type]
        cost[x["n"][-1]] -= costs.worth
        cost[x["start"]] = costs.start
        cost[x["enter"]] = costs.enter
        share = (costs.slots / self.samples)[:, None, None]
        cost[x["z"]] = share * costs.serve[:, None]
        cost[x["short"]] = share * costs.short
        return cost

    def sides(self, state: FleetState, demand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m,) lower and upper sides of the rows; ``demand`` (E, S, C)."""
        lower, upper, r = np.zeros(self.n_rows), np.zeros(self.n_rows), self.rows
        lower[r["state"][0]] = upper[r["state"][0]] = state.ready
        lower[r["state"][1]] = upper[r["state"][1]] = state.loading
        lower[r["size"]] = -np.inf
        loading = np.bincount(self.kinds.type, state.loading, len(self.system.types))
        upper[r["size"]] = state.servers
        upper[r["size"][0]] -= loading
        lower[r["demand"]] = upper[r["demand"]] = demand
        lower[r["capacity"]] = -np.inf
        return lower, upper

    def solve(
        self, state: FleetState, costs: FleetCosts, demand: np.ndarray, limits: Limits | None = None
    ) -> FleetPlan | None:
        """The plan; None if a limit came first."""
        cost, (lower, upper) = self.costs(costs), self.sides(state, demand)
        if self._solver is None:
            low = np.zeros(self.n_columns)
            high = np.full(self.n_columns, np.inf)
            problem = Problem(self.matrix.tocsc(), lower, upper, low, high, cost)
            self._solver = LinearSolver(problem)
        else:
            changed = np.flatnonzero(cost != self._solver.problem.cost)
            self._solver.change_costs(changed, cost[changed])
            old = self._solver.problem
            changed = np.flatnonzero((lower != old.row_lower) | (upper != old.row_upper))
            self._solver.change_row_bounds(changed, lower[changed], upper[changed])
        result = self._solver.solve("simplex", limits)
        if result.x is None:
            return None
        x = {name: result.x[number] for name, number in self.columns.items()}
        return FleetPlan(result.objective, x["n"], *(x[move] for move in MOVES))


def _numbered(sizes: dict[str, tuple[int, ...]]) -> tuple[dict[str, np.ndarray], int]:
    """Consecutive numbers for the cells of each family, and how many there are."""
    numbers, first = {}, 0
    for name, shape in sizes.items():
        size = int(np.prod(shape))
        numbers[name] = (first + np.arange(size)).reshape(shape)
        first += size
    return numbers, first
