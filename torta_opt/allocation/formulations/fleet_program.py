"""The fleet program: how many servers of each type to have on with each model, over epochs.

All regions are taken as one and slots are grouped into epochs e that grow with their distance, L_e
slots each. Demand is random: every epoch has S samples of the requests of one slot. The numbers of
servers are decided before demand is known and are common to all samples (an open-loop plan); only
which requests a sample serves where follows the sample.

Sets        e < E epochs · s < S samples · k type · c class
            g = (k, m) kind: a type and a model it can hold
Variables   n[e,g] ≥ 0        servers ready throughout epoch e
            start, stop, leave, enter [e,g] ≥ 0    servers that change; leave and enter are a switch
            z[e,s,k,c] ≥ 0    requests of a slot served
            short[e,s,c] ≥ 0  requests of a slot not served in it
minimise    Σ_e L_e·on[e,k]·n[e,g] + Σ load[g]·start + Σ max(switch[g], L_e·on[e,k])·enter
            + Σ_{e,s} L_e/S · ( Σ serve[k,c]·z + Σ short_usd[c]·short )
            − worth·n[E−1], or + V(n[E−1])                                          (value)
subject to  n[0,g] = ready[g] − stop[0,g] − leave[0,g]                              (state)
            n[e,g] = n[e−1,g] + start[e−1,g] + enter[e−1,g]
                     − stop[e,g] − leave[e,g]  (+ loading[g] in e = 1)
            Σ_m enter[e,k,m] = Σ_m leave[e,k,m]                                     (switch)
            Σ_m ( n + start + enter )[e,k,m]  (+ loading in e = 0) ≤ servers[k]     (size)
            Σ_k z[e,s,k,c] + short[e,s,c] = D[e,s,c]                                (demand)
            Σ_{c of m} u[k,c]·z[e,s,k,c] ≤ usable_ms·n[e,(k,m)]                     (capacity)

A server that starts or enters in epoch e is ready in epoch e+1. A switch costs at least what the
server would cost on: else servers that are not needed would switch to and fro, off the bill. V is
the value of servers beyond the last epoch (``server_value``). The program serves to decide: it is
neither a relaxation nor a restriction of the problem, and no bound is taken from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.formulations.server_value import Epigraph, ServerValue
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
        k, m = np.nonzero(self.system.holds)
        return k, m

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
        k, c = np.nonzero(able)
        return k, c

    @cached_property
    def serve_kind(self) -> np.ndarray:
        k, c = self.serves
        found: np.ndarray = self.number[k, self.system.class_model[c]]
        return found


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
    serve    (Z,) of a request served
    short    (C,) of a request not served in its slot
    worth    (G,) of a server that is ready at the end, where there is no V
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
    """The answer: dollars, (G,) what a further ready server would change them by, (E, G) servers
    ready, started, stopped, leaving and entering, and (S,) dollars in each sample, whose mean is
    the first."""

    usd: float
    slope: np.ndarray
    ready: np.ndarray
    start: np.ndarray
    stop: np.ndarray
    leave: np.ndarray
    enter: np.ndarray
    by_sample: np.ndarray


class FleetProgram:
    """The program of a system with E epochs and S samples; kept in the solver between slots.

    usable_ms   of a slot of a ready server that plans count on
    value       V of the servers ready at the end; None: they are worth ``FleetCosts.worth`` each
    """

    def __init__(
        self,
        system: System,
        epochs: int,
        samples: int,
        usable_ms: float,
        value: ServerValue | None = None,
    ):
        self.kinds = FleetKinds(system)
        self.system, self.epochs, self.samples = system, epochs, samples
        self.value = value
        self._usable_ms = usable_ms
        kinds, classes = len(self.kinds), len(system.classes)
        serves, types = len(self.kinds.serve_kind), len(system.types)
        self.columns, self._n_columns = _numbered(
            {
                "n": (epochs, kinds),
                **dict.fromkeys(MOVES, (epochs, kinds)),
                "z": (epochs, samples, serves),
                "short": (epochs, samples, classes),
            }
        )
        self.rows, self._n_rows = _numbered(
            {
                "state": (epochs, kinds),
                "switch": (epochs, types),
                "size": (epochs, types),
                "demand": (epochs, samples, classes),
                "capacity": (epochs, samples, kinds),
            }
        )
        self._solver: LinearSolver | None = None
        self._whole: sparse.csr_array | None = None

    @cached_property
    def matrix(self) -> sparse.csr_array:
        """Coefficients of all rows but those of the value."""
        x, r, kinds = self.columns, self.rows, self.kinds
        k, c = kinds.serves
        work = self.system.server_ms[k, c] / self._usable_ms
        of_type = (slice(None), kinds.type)
        entries = [
            *((r["state"], x[name], 1.0) for name in ("n", "stop", "leave")),
            *((r["state"][1:], x[name][:-1], -1.0) for name in ("n", "start", "enter")),
            (r["switch"][of_type], x["enter"], 1.0),
            (r["switch"][of_type], x["leave"], -1.0),
            *((r["size"][of_type], x[name], 1.0) for name in ("n", "start", "enter")),
            (r["demand"][:, :, c], x["z"], 1.0),
            (r["demand"], x["short"], 1.0),
            (r["capacity"][:, :, kinds.serve_kind], x["z"], work),
            (r["capacity"], np.repeat(x["n"][:, None], self.samples, axis=1), -1.0),
        ]
        row = np.concatenate([rows.ravel() for rows, _, _ in entries])
        column = np.concatenate([columns.ravel() for _, columns, _ in entries])
        value = np.concatenate([np.broadcast_to(v, rows.shape).ravel() for rows, _, v in entries])
        return sparse.csr_array((value, (row, column)), shape=(self._n_rows, self._n_columns))

    def costs(self, costs: FleetCosts) -> np.ndarray:
        """(n,) objective, without V."""
        cost, x = np.zeros(self._n_columns), self.columns
        length = costs.slots[:, None]
        cost[x["n"]] = length * costs.on[:, self.kinds.type]
        if self.value is None:
            cost[x["n"][-1]] -= costs.worth
        cost[x["start"]] = costs.start
        cost[x["enter"]] = np.maximum(costs.enter, length * costs.on[:, self.kinds.type])
        share = (costs.slots / self.samples)[:, None, None]
        cost[x["z"]] = share * costs.serve
        cost[x["short"]] = share * costs.short
        return cost

    def sides(self, state: FleetState, demand: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m,) lower and upper sides of the rows; ``demand`` (E, S, C)."""
        lower, upper, r = np.zeros(self._n_rows), np.zeros(self._n_rows), self.rows
        lower[r["state"][0]] = upper[r["state"][0]] = state.ready
        lower[r["state"][1]] = upper[r["state"][1]] = state.loading
        lower[r["size"]] = lower[r["capacity"]] = -np.inf
        upper[r["size"]] = state.servers
        upper[r["size"][0]] -= np.bincount(self.kinds.type, state.loading, len(self.system.types))
        lower[r["demand"]] = upper[r["demand"]] = demand
        return lower, upper

    def solve(
        self,
        state: FleetState,
        costs: FleetCosts,
        demand: np.ndarray,
        features: np.ndarray | None = None,
        first: FleetPlan | None = None,
        limits: Limits | None = None,
    ) -> FleetPlan | None:
        """The plan; None if a limit came first.

        demand    (E, S, C) requests of a slot
        features  of the value, where there is one
        first     a plan whose moves in epoch 0 are taken as they are
        """
        problem = self._problem(state, costs, demand, features, first)
        if self._solver is None:
            self._solver = LinearSolver(problem)
        else:
            self._solver.change_numbers(problem)
        result = self._solver.solve("simplex", limits)
        if result.x is None or result.row_dual is None:
            return None
        x = {name: result.x[number] for name, number in self.columns.items()}
        slope = result.row_dual[self.rows["state"][0]]
        usd = float(problem.cost @ result.x) + problem.offset
        # the solver keeps bounds within a tolerance, and no fewer than no server moves
        start, stop, leave, enter = (np.maximum(x[move], 0.0) for move in MOVES)
        by_sample = self._by_sample(usd, x, costs)
        return FleetPlan(usd, slope, x["n"], start, stop, leave, enter, by_sample)

    def _by_sample(self, usd: float, x: dict[str, np.ndarray], costs: FleetCosts) -> np.ndarray:
        """(S,) dollars of each sample: its requests, and all else, which is common to all."""
        served = x["z"] @ costs.serve + x["short"] @ costs.short
        own = costs.slots @ served
        by_sample: np.ndarray = own + (usd - own.mean())
        return by_sample

    def _problem(
        self,
        state: FleetState,
        costs: FleetCosts,
        demand: np.ndarray,
        features: np.ndarray | None,
        first: FleetPlan | None,
    ) -> Problem:
        cost, (lower, upper) = self.costs(costs), self.sides(state, demand)
        low, high = np.zeros(self._n_columns), np.full(self._n_columns, np.inf)
        if first is not None:
            for move in MOVES:
                low[self.columns[move][0]] = high[self.columns[move][0]] = getattr(first, move)[0]
        if self.value is None:
            return Problem(self.matrix, lower, upper, low, high, cost)
        assert features is not None
        added = self.value.epigraph(features)
        cost[self.columns["n"][-1]] += added.servers_cost
        return Problem(
            self._whole_matrix(added),
            np.append(lower, added.lower),
            np.append(upper, np.full(len(added.lower), np.inf)),
            np.append(low, added.column_lower),
            np.append(high, np.full(len(added.column_cost), np.inf)),
            np.append(cost, added.column_cost),
            offset=added.constant,
        )

    def _whole_matrix(self, added: Epigraph) -> sparse.csr_array:
        """Rows of the value below the others; they are the same for all features."""
        if self._whole is None:
            self._whole = self._with_value(added)
        return self._whole

    def _with_value(self, added: Epigraph) -> sparse.csr_array:
        rows, width = added.on_columns.shape
        block = sparse.lil_array((rows, self._n_columns))
        block[:, self.columns["n"][-1]] = -added.on_servers
        beside = sparse.csr_array((self._n_rows, width))
        stacked = sparse.vstack(
            [
                sparse.hstack([self.matrix, beside]),
                sparse.hstack([block, sparse.csr_array(added.on_columns)]),
            ]
        )
        return sparse.csr_array(stacked)


def _numbered(sizes: dict[str, tuple[int, ...]]) -> tuple[dict[str, np.ndarray], int]:
    """Consecutive numbers for the cells of each family, and how many there are."""
    numbers, first = {}, 0
    for name, shape in sizes.items():
        size = int(np.prod(shape))
        numbers[name] = (first + np.arange(size)).reshape(shape)
        first += size
    return numbers, first
