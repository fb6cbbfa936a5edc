"""The generalized assignment problem to a proven optimum.

1. Prices λ by a subgradient search from the duals of the linear relaxation (``lagrangian``): the
   bound L, an assignment repaired and improved from the points on the way, and what L rises by if a
   job is put to an agent, or kept from it.
2. *Core*: pairs whose price rises by no more than δ. Branch and bound over the core alone finds its
   optimum z. What the core leaves out costs at least L + δ (whole numbers: rounded up), so
   z ≤ ⌈L + δ⌉ proves z optimal; else δ grows to what z asks for, and with the assignment known
   no pair beyond can be better.

The proof rests on L, exact in whole numbers, and on the bound of branch and bound over the core.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.assignment.generalized import Generalized
from torta_opt.allocation.assignment.lagrangian import SCALE, Knapsacks, Priced, best_prices
from torta_opt.allocation.assignment.local_search import improved, repaired
from torta_opt.solvers import Limits, Problem, Status, solve_lp, solve_milp

STEPS = 200  # of the subgradient search, and half of them again
REACH = 0.005  # how far above the bound the search aims, as a share of it
TRIED = 12  # points of a search that assignments are made from
CELLS = 3e7  # of the knapsack tables: beyond, branch and bound does it alone
FIRST_SHARE = 2e-4  # of the bound, by which the first core may raise it
NEAR = 0.9  # of one unit of cost: closer bounds prove the optimum


@dataclass(frozen=True, eq=False)
class Proven:
    """An answer: ``agent`` (n,) or None, its value, and the bound, both in the problem's sense.

    status   done (the bound meets the value, or there is no assignment), limit or interrupted
    """

    agent: np.ndarray | None
    value: int | None
    bound: float
    seconds: float
    status: str

    @property
    def is_infeasible(self) -> bool:
        return self.agent is None and self.status == "done"


@dataclass(eq=False)
class _Best:
    """The cheapest assignment so far, and the bound, of the minimisation."""

    problem: Generalized
    agent: np.ndarray | None = None
    cost: float = math.inf
    bound: float = -math.inf

    def offer(self, agent: np.ndarray | None) -> None:
        if agent is None or not self.problem.is_assignment(agent):
            return
        cost = int(self.problem.price[agent, np.arange(len(agent))].sum())
        if cost < self.cost:
            self.agent, self.cost = agent, cost

    @property
    def is_proven(self) -> bool:
        return self.bound >= self.cost


def prove(problem: Generalized, limits: Limits | None = None) -> Proven:
    """The optimum with its proof, or within ``limits`` the best assignment and bound."""
    limits, began = limits or Limits(), time.perf_counter()
    best, status = _Best(problem), "done"
    try:
        feasible = _search(problem, best, limits, began + limits.seconds)
        if feasible and not best.is_proven:
            status = "limit"
    except KeyboardInterrupt:
        status = "interrupted"
    sign = -1 if problem.maximise else 1
    value = None if best.agent is None else problem.value(best.agent)
    bound = sign * min(best.bound, best.cost)
    return Proven(best.agent, value, bound, time.perf_counter() - began, status)


def _search(problem: Generalized, best: _Best, limits: Limits, ends: float) -> bool:
    """Fill in ``best``; False if there is no assignment."""
    fits = problem.need <= problem.capacity[:, None]
    of_lp = replace(_left(limits, ends), work=None)  # work counts nodes, not iterations
    relaxed = solve_lp(_program(problem, fits), "simplex", of_lp).raise_if_interrupted()
    if relaxed.status is Status.INFEASIBLE:
        best.bound = math.inf
        return False
    if relaxed.bound > -math.inf:
        best.bound = _rounded_up(relaxed.bound)
    size = problem.cost.size * (int(problem.capacity.max()) + 1)
    if size > CELLS or relaxed.row_dual is None:
        within = _branch(problem, fits, np.zeros_like(fits), best, limits, ends)
        best.bound = max(best.bound, min(within, best.cost))
        return best.agent is not None or within < math.inf
    knapsacks = Knapsacks(problem.price, problem.need, problem.capacity)
    start = np.rint(relaxed.row_dual[: problem.cost.shape[1]] * SCALE)
    priced = _price(problem, knapsacks, start, best, ends)
    if best.is_proven or time.perf_counter() > ends:
        return True
    inside, outside = knapsacks.penalties(priced.price)
    return _by_cores(problem, priced, inside, outside, best, limits, ends)


def _price(
    problem: Generalized, knapsacks: Knapsacks, start: np.ndarray, best: _Best, ends: float
) -> Priced:
    """The best prices; assignments near the points on the way are offered to ``best``."""
    found = knapsacks.priced(start.astype(np.int64))
    for steps in (STEPS, STEPS // 2):
        reach = found.bound + max(SCALE, REACH * abs(found.bound))
        upper = min(reach, best.cost * SCALE)
        found, passed = best_prices(knapsacks, found.price, upper, steps)
        best.bound = max(best.bound, found.whole_bound)
        tried = sorted(passed, key=lambda point: -point.bound)[:: max(1, len(passed) // TRIED)]
        for point in tried:
            agent = repaired(problem, point.chosen, problem.price * SCALE - point.price)
            if agent is not None and not best.is_proven:
                best.offer(improved(problem, agent))
        if best.is_proven or time.perf_counter() > ends:
            break
    return found


def _by_cores(
    problem: Generalized,
    priced: Priced,
    inside: np.ndarray,
    outside: np.ndarray,
    best: _Best,
    limits: Limits,
    ends: float,
) -> bool:
    """Cores that grow until nothing outside them can be better; False if nothing is feasible."""
    delta = max(float(SCALE), FIRST_SHARE * abs(priced.bound))
    while True:
        needed = (best.cost - 1) * SCALE - priced.bound  # a better one rises by no more
        delta = min(delta, needed)
        core, forced = inside <= delta, outside > delta
        is_all = bool(core.all() and not forced.any())
        beyond = math.inf if is_all else best.cost
        if not is_all and delta < needed:
            beyond = -(-(priced.bound + math.floor(delta) + 1) // SCALE)
        within = _branch(problem, core, forced & core, best, limits, ends)
        best.bound = max(best.bound, min(within, beyond))
        if is_all and within == math.inf and best.agent is None:
            return False
        if best.is_proven or time.perf_counter() > ends or is_all or delta >= needed:
            return True
        delta = 2 * delta + SCALE


def _branch(
    problem: Generalized,
    core: np.ndarray,
    forced: np.ndarray,
    best: _Best,
    limits: Limits,
    ends: float,
) -> float:
    """Branch and bound over the pairs of ``core``, those ``forced`` taken, for an assignment that
    is better than ``best``. What none of the core costs less than; ∞ if it has none, or none that
    is better."""
    program = _program(problem, core, forced, best.bound, best.cost - 1)
    agent_of, job = np.nonzero(core)
    size = max(1.0, abs(best.cost) if best.agent is not None else abs(best.bound))
    gap = max(1e-9, NEAR / size)
    result = solve_milp(program, replace(_left(limits, ends), gap=gap))
    if result.x is not None:
        chosen = result.x > 0.5
        agent = np.full(problem.cost.shape[1], -1)
        agent[job[chosen]] = agent_of[chosen]
        best.offer(agent)
    result.raise_if_interrupted()
    if result.status is Status.INFEASIBLE:
        return math.inf
    return _rounded_up(result.bound)


def _rounded_up(bound: float) -> float:
    """What no whole cost is below; a little is taken off for the tolerance of the solver."""
    if not math.isfinite(bound):
        return bound
    return math.ceil(bound - 1e-6 * max(1.0, abs(bound)))


def _left(limits: Limits, ends: float) -> Limits:
    return replace(limits, seconds=max(0.0, ends - time.perf_counter()))


def _program(
    problem: Generalized,
    core: np.ndarray,
    forced: np.ndarray | None = None,
    least: float = -math.inf,
    most: float = math.inf,
) -> Problem:
    """(assign), (capacity) over the pairs of ``core``, and least ≤ Σ cost ≤ most where known.

    Columns go agent by agent.
    """
    agents, jobs = core.shape
    agent, job = np.nonzero(core)
    number = np.arange(len(agent))
    price = problem.price[agent, job].astype(float)
    rows = [job, jobs + agent]
    values = [np.ones(len(agent)), problem.need[agent, job].astype(float)]
    lower = np.append(np.ones(jobs), np.full(agents, -np.inf))
    upper = np.append(np.ones(jobs), problem.capacity.astype(float))
    if math.isfinite(least) or math.isfinite(most):
        rows.append(np.full(len(agent), jobs + agents))
        values.append(price)
        lower, upper = np.append(lower, least), np.append(upper, most)
    entries = (np.concatenate(values), (np.concatenate(rows), np.tile(number, len(rows))))
    low = np.zeros(len(agent)) if forced is None else forced[agent, job].astype(float)
    return Problem(
        matrix=sparse.csr_array(entries, shape=(len(lower), len(agent))),
        row_lower=lower,
        row_upper=upper,
        col_lower=low,
        col_upper=np.ones(len(agent)),
        cost=price,
        integrality=np.ones(len(agent), bool),
    )
