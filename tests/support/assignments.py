"""Random tiny assignment tasks, and their optimum by trying everything.

``random_assignment(rng, …)``   a task with every rule in play
``brute_force(data)``           cost of the cheapest of all whole plans, options included
``random_problem(seed)``        a tiny generalized assignment problem, which may be infeasible
``best_of_all(problem)``        its optimum by trying every assignment
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np

from torta_opt.allocation.assignment.generalized import Generalized
from torta_opt.allocation.formulations.assignment import Assignment


def random_assignment(
    rng: np.random.Generator,
    *,
    slots: int | None = None,
    servers: int = 2,
    groups: int = 2,
    options: int = 2,
    requests: int = 2,
    whole_slots: int | None = None,
    must_serve: float = 0.0,
) -> Assignment:
    """Times of a few ms, prices of a few dollars; slots are whole unless told otherwise."""
    slots = slots or int(rng.integers(1, 3))
    servers, groups = int(rng.integers(1, servers + 1)), int(rng.integers(1, groups + 1))
    options, models = int(rng.integers(1, options + 1)), int(rng.integers(1, 3))
    group_model = rng.integers(0, models, groups)
    usable = rng.choice([0, 0, 5, 9, 10], (servers, options, slots, 1))
    loaded = np.arange(models) == rng.integers(0, models, (servers, options, slots, 1))
    option_usd = np.round(rng.normal(0, 1, (servers, options)), 2)
    option_usd[:, 1:][rng.random((servers, options - 1)) < 0.2] = math.inf
    work = np.where(rng.random((servers, groups)) < 0.15, 0, rng.integers(2, 8, (servers, groups)))
    if rng.random() < 0.5:  # servers alike
        work[:] = work[0]
        usable[:], loaded[:] = usable[0], loaded[0]
    expiry = np.round(rng.uniform(0, 6, groups), 2)
    expiry[rng.random(groups) < must_serve] = math.inf
    return Assignment(
        group_model=group_model,
        arrivals=rng.integers(0, requests + 1, (slots, groups)).astype(float),
        waiting=rng.integers(0, requests, (groups, int(rng.integers(0, 3)))),
        deadline_slots=rng.integers(0, 3, groups),
        work_ms=work,
        serve_usd=np.round(rng.uniform(0, 3, (slots, servers, groups)), 2),
        hot_usd=np.round(np.maximum(rng.normal(0.2, 0.5, (servers, groups)), 0), 2),
        hot_permille=int(rng.choice([0, 400, 500, 1000])),
        quota=rng.integers(0, 3, (servers, groups)),
        count=np.ones(servers, int),
        usable_ms=usable * loaded,
        option_usd=option_usd,
        wait_usd=float(np.round(rng.uniform(0, 1), 2)),
        expiry_usd=expiry,
        left_usd=np.round(rng.uniform(0, 4, groups), 2),
        whole_slots=whole_slots or slots,
    )


def brute_force(data: Assignment) -> float:
    """Least cost over all options, whole requests served and requests expired; ∞ if none is legal.

    Slot by slot, in plain loops; requests are whole in all slots.
    """
    slots, servers, groups = data.sizes
    best = math.inf
    ways = [[k for k in range(data.option_usd.shape[1]) if data.option[s, k]] for s in range(servers)]
    for option in product(*ways):
        usable = data.usable_ms[np.arange(servers), option]  # (S, H, M)
        price = sum(float(data.option_usd[s, k]) for s, k in enumerate(option))
        start = tuple(int(n) for n in data.waiting.sum(axis=1))
        quota = tuple(map(tuple, data.quota.tolist()))
        best = min(best, price + _least(data, usable, 0, start, (0,) * groups, quota, {}))
    return best


def _least(
    data: Assignment,
    usable: np.ndarray,
    t: int,
    queue: tuple[int, ...],
    gone: tuple[int, ...],
    quota: tuple[tuple[int, ...], ...],
    known: dict[Any, float],
) -> float:
    """Least cost from slot t on, where ``gone`` requests of each group have expired already."""
    slots, servers, groups = data.sizes
    if t == slots:
        return float(sum(data.left_usd[g] * queue[g] for g in range(groups)))
    key = t, queue, gone, quota
    if key in known:
        return known[key]
    there = [queue[g] + int(data.arrivals[t, g]) for g in range(groups)]
    best = math.inf
    for plan in product(*(_loads(data, usable[s, t], s, there) for s in range(servers))):
        warm = tuple(tuple(data.hot_permille * n // 1000 for n in row) for row in plan)
        served = [sum(row[g] for row in plan) for g in range(groups)]
        if any(served[g] > there[g] for g in range(groups)):
            continue
        usd = 0.0
        for s in range(servers):
            for g in range(groups):
                hot = min(plan[s][g], quota[s][g])
                usd += plan[s][g] * data.serve_usd[t, s, g] - hot * data.hot_usd[s, g]
        for away in product(*(range(there[g] - served[g] + 1) for g in range(groups))):
            left = tuple(there[g] - served[g] - away[g] for g in range(groups))
            total = tuple(gone[g] + away[g] for g in range(groups))
            fresh = [data.come[t, g] - data.due[t, g] for g in range(groups)]
            if any(left[g] > fresh[g] or total[g] > data.due[t, g] for g in range(groups)):
                continue
            lost = sum(data.expiry_usd[g] * away[g] for g in range(groups) if away[g])
            wait = data.wait_usd * sum(left)
            best = min(best, usd + lost + wait + _least(data, usable, t + 1, left, total, warm, known))
    known[key] = best
    return best


def _loads(
    data: Assignment, usable: np.ndarray, s: int, there: list[int]
) -> list[tuple[int, ...]]:
    """All that one server can serve in one slot."""
    most = []
    for g, number in enumerate(there):
        work, room = int(data.work_ms[s, g]), int(usable[data.group_model[g]])
        most.append(min(number, room // work) if work else 0)
    return [load for load in product(*(range(n + 1) for n in most)) if _fits(data, usable, s, load)]


def _fits(data: Assignment, usable: np.ndarray, s: int, load: tuple[int, ...]) -> bool:
    busy = np.zeros(len(usable), int)
    for g, number in enumerate(load):
        busy[data.group_model[g]] += number * data.work_ms[s, g]
    return bool((busy <= usable).all())


def random_problem(seed: int, maximise: bool = False) -> Generalized:
    rng = np.random.default_rng(seed)
    agents, jobs = int(rng.integers(1, 4)), int(rng.integers(1, 7))
    need = rng.integers(0, 9, (agents, jobs))
    capacity = np.maximum(0, need.mean(axis=1) * jobs / agents * rng.uniform(0.7, 1.4)).astype(int)
    return Generalized("tiny", rng.integers(-5, 20, (agents, jobs)), need, capacity, maximise)


def best_of_all(problem: Generalized) -> float:
    """The optimum by trying every assignment; ∞ of the minimisation where there is none."""
    agents, jobs = problem.cost.shape
    sign, best = -1 if problem.maximise else 1, math.inf
    for each in product(range(agents), repeat=jobs):
        agent = np.array(each)
        if problem.is_assignment(agent):
            best = min(best, sign * problem.value(agent))
    return sign * best
