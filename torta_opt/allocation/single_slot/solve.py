"""The assignment of Fig. 5 solved: grouped (a proven optimum), naive (the peer), and task by task.

``solve_grouped``   identical tasks and servers counted: formulations/fig5_grouped.py
``solve_naive``     one binary a task and server, as in the figure: formulations/fig5.py
``solve_tasks``     tasks that all differ: a price on the server time of every server and region
                    bounds the cost from below, and its cheapest servers, repaired, from above
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule import Schedule
from torta_opt.allocation.single_slot.by_task import (
    NEVER,
    REGION_SHARE,
    Tasks,
    build_fig5_program,
    chosen_servers,
    region_limits,
    schedule_of,
    tasks_of,
)
from torta_opt.allocation.single_slot.grouped import build_grouped_program, grouped_schedule
from torta_opt.solvers import Limits, Result, Status, solve_lp, solve_milp
from torta_opt.solvers.near_relaxation import solve_near_relaxation

FIRST = 8  # servers of each task in the first relaxation
STEPS = 60  # steps towards rough prices
NODES = 200  # nodes of each attempt to place them
MOVABLE = 60  # whole tasks placed anew along with the split ones
CLOSE = 5e-5  # relative gap of tasks that all differ
PROVEN = 1e-9  # relative gap at which an optimum of these costs counts as proven


@dataclass(frozen=True, eq=False)
class Answer:
    """What the solver says, and the schedule, None without a point."""

    result: Result
    schedule: Schedule | None


def solve_grouped(
    instance: Instance, limits: Limits | None = None, region_share: float = REGION_SHARE
) -> Answer:
    """The optimum of a single-slot instance, whatever the number of its tasks."""
    program = build_grouped_program(instance, region_share)
    result = solve_near_relaxation(program.problem, limits or Limits(gap=PROVEN))
    return Answer(result, None if result.x is None else grouped_schedule(program, result.x))


def solve_naive(
    instance: Instance, limits: Limits | None = None, region_share: float = REGION_SHARE
) -> Answer:
    """The same by the program of the figure."""
    tasks, origin, kind = tasks_of(instance)
    result = solve_milp(build_fig5_program(tasks, region_share), limits or Limits(gap=PROVEN))
    if result.x is None:
        return Answer(result, None)
    servers = chosen_servers(tasks, result.x)
    return Answer(result, schedule_of(instance, origin, kind, servers, "fig5"))


# --- tasks that all differ ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Assigned:
    """servers (N,), or None where none was found; its cost; what no assignment can beat."""

    servers: np.ndarray | None
    cost: float
    bound: float


def solve_tasks(
    tasks: Tasks, limits: Limits | None = None, region_share: float = REGION_SHARE
) -> Assigned:
    """Prices of server time from the linear relaxation, then its point rounded.

    The relaxation starts with the ``FIRST`` cheapest servers of each task, at rough prices, and
    gains those that its own prices make worth it, until there are none. A vertex of it splits no
    more tasks than there are servers and regions; these, and where needed some more, are placed by
    an integer program.
    """
    limits = limits or Limits(gap=CLOSE)
    rough = _rough_prices(tasks, region_share)
    count = FIRST
    offered = _cheapest(tasks, rough, count)
    while True:
        problem = build_fig5_program(_only(tasks, offered), region_share)
        found = solve_lp(problem, "simplex", limits)
        if found.x is None and count < len(tasks.region):
            count *= 2
            offered |= _cheapest(tasks, rough, count)
            continue
        if found.x is None:
            infeasible = found.status == Status.INFEASIBLE
            return Assigned(None, math.inf, math.inf if infeasible else -math.inf)
        prices = _prices(tasks, found)
        wanted = _worth_it(tasks, prices, offered)
        if found.status != Status.OPTIMAL or not wanted.any():
            break
        offered |= wanted
    bound = priced_bound(tasks, *prices, region_share)
    servers = _rounded(tasks, offered, found.x, prices, limits, region_share)
    if servers is None:
        return Assigned(None, math.inf, bound)
    cost = float(tasks.cost[np.arange(len(servers)), servers].sum()) + tasks.idle_usd
    return Assigned(servers, cost, bound)


def priced_bound(
    tasks: Tasks, server: np.ndarray, region: np.ndarray, region_share: float = REGION_SHARE
) -> float:
    """What no assignment can beat: every task where it is cheapest at these prices of server time.

    server (S,), region (R,) $ per ms, at least 0; any such prices give a valid bound
    """
    limit = region_limits(tasks.region, tasks.slot_ms, region_share)
    least = _priced(tasks, server + region[tasks.region]).min(axis=1)
    return float(least.sum() - tasks.slot_ms * server.sum() - limit @ region) + tasks.idle_usd


def is_assignment(tasks: Tasks, servers: np.ndarray, region_share: float = REGION_SHARE) -> bool:
    """Every task on a server that can take it, no server and no region over its limit."""
    number = np.arange(len(servers))
    if (servers < 0).any() or not tasks.allowed[number, servers].all():
        return False
    busy = np.bincount(servers, tasks.load_ms[number, servers], tasks.load_ms.shape[1])
    limits = region_limits(tasks.region, tasks.slot_ms, region_share)
    used = np.bincount(tasks.region, busy, len(limits))
    return bool((busy <= tasks.slot_ms).all() and (used <= limits).all())


def _priced(tasks: Tasks, price: np.ndarray) -> np.ndarray:
    """(N, S) cost with server time at ``price`` (S,) $ per ms; ∞ where a task cannot run."""
    return np.where(tasks.allowed, tasks.cost + price * tasks.load_ms, np.inf)


def _rough_prices(tasks: Tasks, region_share: float) -> np.ndarray:
    """(S,) Prices under which tasks spread over the servers: raised where time is short, by steps
    that shrink (the subgradient method on ``priced_bound``).
    """
    typical = np.median(tasks.cost[tasks.allowed]) / np.median(tasks.load_ms[tasks.allowed])
    limit = region_limits(tasks.region, tasks.slot_ms, region_share)
    number, servers, regions = np.arange(len(tasks.cost)), len(tasks.region), len(limit)
    server, region = np.zeros(servers), np.zeros(regions)
    for k in range(STEPS):
        chosen = _priced(tasks, server + region[tasks.region]).argmin(axis=1)
        busy = np.bincount(chosen, tasks.load_ms[number, chosen], servers)
        step = typical / (1 + k / 5)
        server = np.maximum(server + step * (busy / tasks.slot_ms - 1), 0.0)
        used = np.bincount(tasks.region, busy, regions)
        region = np.maximum(region + step * (used / limit - 1), 0.0)
    return server + region[tasks.region]


def _cheapest(tasks: Tasks, price: np.ndarray, count: int) -> np.ndarray:
    """(N, S) bool: the ``count`` servers of each task that are cheapest at these prices."""
    chosen = np.zeros(tasks.cost.shape, bool)
    order = np.argsort(_priced(tasks, price), axis=1)[:, :count]
    np.put_along_axis(chosen, order, True, axis=1)
    return chosen & tasks.allowed


def _only(tasks: Tasks, offered: np.ndarray) -> Tasks:
    return replace(tasks, load_ms=np.where(offered, tasks.load_ms, NEVER))


def _prices(tasks: Tasks, found: Result) -> tuple[np.ndarray, np.ndarray]:
    """Prices of servers and regions, from the duals of rows ≤."""
    assert found.row_dual is not None  # a solved linear program has duals
    dual = found.row_dual[len(tasks.cost) :]
    price = np.maximum(-dual, 0.0)
    return price[: len(tasks.region)], price[len(tasks.region) :]


def _worth_it(
    tasks: Tasks, prices: tuple[np.ndarray, np.ndarray], offered: np.ndarray
) -> np.ndarray:
    """(N, S) bool: servers not offered that are cheaper than any offered, at these prices."""
    cost = _priced(tasks, prices[0] + prices[1][tasks.region])
    best = np.where(offered, cost, np.inf).min(axis=1, keepdims=True)
    return ~offered & (cost < best - 1e-9 * np.abs(best))


def _rounded(
    tasks: Tasks,
    offered: np.ndarray,
    x: np.ndarray,
    prices: tuple[np.ndarray, np.ndarray],
    limits: Limits,
    region_share: float,
) -> np.ndarray | None:
    """Whole tasks stay; split ones, with more and more of the others, are placed anew."""
    share = np.zeros(tasks.cost.shape)
    share[_only(tasks, offered).allowed] = x
    servers = share.argmax(axis=1)
    split = share.max(axis=1) < 1 - 1e-6
    cost = np.sort(_priced(tasks, prices[0] + prices[1][tasks.region]), axis=1)
    regret = np.where(split, -np.inf, cost[:, 1] - cost[:, 0]) if cost.shape[1] > 1 else -split
    for more in (MOVABLE, 4 * MOVABLE, 16 * MOVABLE):
        free = np.argsort(regret, kind="stable")[: int(split.sum()) + more]
        placed = _placed(tasks, servers, free, limits, region_share)
        if placed is not None:
            return placed
    return None


def _placed(
    tasks: Tasks, servers: np.ndarray, free: np.ndarray, limits: Limits, region_share: float
) -> np.ndarray | None:
    """The tasks ``free`` (F,) placed at least cost where the others leave room; None if nowhere."""
    kept = np.ones(len(servers), bool)
    kept[free] = False
    number = np.flatnonzero(kept)
    busy = np.bincount(servers[kept], tasks.load_ms[number, servers[kept]], len(tasks.region))
    few = replace(tasks, cost=tasks.cost[free], load_ms=tasks.load_ms[free], idle_usd=0.0)
    problem = build_fig5_program(few, region_share)
    used = np.concatenate([busy, np.bincount(tasks.region, busy)])
    room = problem.row_upper.copy()
    room[len(free) :] -= used
    share = np.abs(tasks.cost[np.arange(len(servers)), servers]).sum() / max(
        float(np.abs(few.cost).min(axis=1).sum()), 1e-300
    )
    gap = min(0.1, limits.gap * float(share) / 2)  # share of the cost of all tasks
    work = NODES if limits.work is None else limits.work
    found = solve_milp(replace(problem, row_upper=room), replace(limits, gap=gap, work=work))
    if found.x is None:
        return None
    placed = servers.copy()
    placed[free] = chosen_servers(few, found.x)
    return placed
