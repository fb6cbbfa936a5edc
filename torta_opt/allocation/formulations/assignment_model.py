"""Requests of one region handed to its servers, a few slots ahead: the assignment program.

Sets (by number)
    t < H slots of the window · s ∈ S servers · k ∈ K(s) options of a server · m ∈ M models
    · g ∈ G groups of identical requests, m(g) the model of a group

Data
    D arrivals by slot; W, those that wait already, by age · ℓ[g] deadline in slots
    · u[s,g] server time of a request, U[t,s,k,m] time that an option leaves for a model, in ms
    · come[t,g] requests that came by the end of t; due[t,g] those of them whose deadline passed
    · h hot share, quota[s,g] = ⌊h·z[−1,s,g]⌋ of the slot before
    · n[s] servers that s stands for: 1, or more where servers alike are counted

    An option is a way to spend the window: keep the model that is loaded, or start or switch to
    another at some slot. Only models that fit the server's memory make options. U is 0 while a
    server loads, and what is left of the slot in which loading ends. Its price holds the loading,
    less what the loaded server is worth beyond the window.

Variables                                                              all ≥ 0 and boxed
    pick[s,k]       servers s that take option k                       integer
    z[t,s,g]        requests served                                    integer in the first slots
    hot[t,s,g]      of these, hot ones                                 integer where 0 < t is whole
    q[t,g]          requests that wait at the end of the slot, at most come[t,g] − due[t,g]
    expired[t,g]    requests that expire

minimise  Σ option·pick + Σ serve·z − Σ saved·hot + Σ wait·q[t,g] + Σ left·q[H−1,g]
          + Σ π·expired                                                (objective)

subject to
    Σ_k pick[s,k] = n[s]                                               (choose)
    q[t,g] = q[t−1,g] + D[t,g] − Σ_s z[t,s,g] − expired[t,g]           (queue)
    Σ_{τ≤t} expired[τ,g] ≤ due[t,g]                                    (expire)
    Σ_{g: m(g)=m} u[s,g]·z[t,s,g] ≤ Σ_k U[t,s,k,m]·pick[s,k]           (capacity)
    z[t,s,g] ≤ Σ_k ⌊U[t,s,k,m(g)]/u[s,g]⌋·pick[s,k]                    (fit)
    α·z[t,s,g₁] + α′·z[t,s,g₂] ≤ Σ_k β(U[t,s,k,m])·pick[s,k]           (hull)
    hot[t,s,g] ≤ z[t,s,g]                                              (hot_served)
    hot[t,s,g] ≤ h·z[t−1,s,g]                         0 < t            (reuse)

q[−1] is what waits; hot[0,s,g] is at most quota[s,g]. (hull) holds the facets of the whole points
of two groups in each time that an option may leave, as in ``knapsack``; it cuts off no whole point,
and in slots that are not whole it stands for their wholeness. The program is exact for one slot;
over several it lets early ones expire that first in, first out would serve: a relaxation, at the
price of the referee where nothing expires (docs/formulations/assignment.md).

With one slot, one option, groups of one request and π = ∞ this is the generalized assignment
problem. Source: Ross and Soland, A branch and bound algorithm for the generalized assignment
problem, Mathematical Programming 8, 1975; rows of time, memory and queue are this project's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyomo.environ as pyo

from torta_opt.allocation.formulations.assignment import Assignment, column_bounds, hull_facets


def build_assignment_model(data: Assignment) -> pyo.ConcreteModel:
    """The assignment program of ``data``."""
    model = pyo.ConcreteModel(name="assignment")
    add_variables(model, data)
    add_options(model, data)
    add_queues(model, data)
    add_capacity(model, data)
    add_hull(model, data)
    add_hot(model, data)
    add_objective(model, data)
    return model


def add_variables(model: pyo.ConcreteModel, data: Assignment) -> None:
    """pick, z, hot, q, expired, each with its bounds; cells without use have no variable."""
    upper = column_bounds(data)
    whole = data.whole_slots
    domains: dict[str, Any] = {
        "pick": lambda cell: pyo.NonNegativeIntegers,
        "z": lambda cell: pyo.NonNegativeIntegers if cell[0] < whole else pyo.NonNegativeReals,
        "hot": lambda cell: (
            pyo.NonNegativeIntegers if 0 < cell[0] < whole else pyo.NonNegativeReals
        ),
        "q": lambda cell: pyo.NonNegativeReals,
        "expired": lambda cell: pyo.NonNegativeReals,
    }
    for name, domain in domains.items():
        cells = [tuple(cell) for cell in np.argwhere(upper[name] >= 0).tolist()]
        column = pyo.Var(cells, domain=pyo.NonNegativeReals)
        model.add_component(name, column)
        for cell in cells:
            column[cell].domain = domain(cell)
            column[cell].setub(float(upper[name][cell]))


def _options(model: pyo.ConcreteModel, data: Assignment, s: int) -> list[int]:
    return [k for k in range(data.option_usd.shape[1]) if (s, k) in model.pick]


def add_options(model: pyo.ConcreteModel, data: Assignment) -> None:
    """(choose) Every server spends the window in one way."""

    def choose(model: Any, s: int) -> Any:
        return sum(model.pick[s, k] for k in _options(model, data, s)) == int(data.count[s])

    model.choose = pyo.Constraint(range(data.sizes[1]), rule=choose)


def add_queues(model: pyo.ConcreteModel, data: Assignment) -> None:
    """(queue) what waits; (expire) only what is due expires."""
    slots, servers, groups = data.sizes
    cells = [(t, g) for t in range(slots) for g in range(groups) if data.come[t, g] > 0]

    def at(column: Any, *cell: int) -> Any:
        return column[cell] if cell in column else 0

    def queue(model: Any, t: int, g: int) -> Any:
        before = at(model.q, t - 1, g) if t else float(data.waiting[g].sum())
        served = sum(at(model.z, t, s, g) for s in range(servers))
        left = before + float(data.arrivals[t, g]) - served - at(model.expired, t, g)
        return at(model.q, t, g) - left == 0

    def expire(model: Any, t: int, g: int) -> Any:
        total = sum(at(model.expired, tau, g) for tau in range(t + 1))
        return total <= float(data.due[t, g])

    model.queue = pyo.Constraint(cells, rule=queue)
    model.expire = pyo.Constraint(list(model.expired), rule=expire)


def add_capacity(model: pyo.ConcreteModel, data: Assignment) -> None:
    """(capacity) the time of a server; (fit) whole requests of one group in it."""
    cells = sorted({(t, s, int(data.group_model[g])) for t, s, g in model.z})

    def capacity(model: Any, t: int, s: int, m: int) -> Any:
        work = sum(
            int(data.work_ms[s, g]) * model.z[t, s, g]
            for g in np.flatnonzero(data.group_model == m).tolist()
            if (t, s, g) in model.z
        )
        usable = (
            int(data.usable_ms[s, k, t, m]) * model.pick[s, k] for k in _options(model, data, s)
        )
        return work <= sum(usable)

    def fit(model: Any, t: int, s: int, g: int) -> Any:
        m, work = int(data.group_model[g]), int(data.work_ms[s, g])
        room = (
            int(data.usable_ms[s, k, t, m]) // work * model.pick[s, k]
            for k in _options(model, data, s)
        )
        return model.z[t, s, g] <= sum(room)

    model.capacity = pyo.Constraint(cells, rule=capacity)
    model.fit = pyo.Constraint(list(model.z), rule=fit)


def add_hull(model: pyo.ConcreteModel, data: Assignment) -> None:
    """(hull) facets of the whole requests of two groups."""
    facets = hull_facets(data)
    cells = [
        (t, s, m, f)
        for t in range(data.sizes[0])
        for (s, m), each in facets.items()
        for f, facet in enumerate(each)
        if all((t, s, g) in model.z for g in facet.classes)
    ]

    def hull(model: Any, t: int, s: int, m: int, f: int) -> Any:
        facet = facets[s, m][f]
        pair = zip(facet.classes, facet.alpha, strict=True)
        most = (
            facet.beta(int(data.usable_ms[s, k, t, m])) * model.pick[s, k]
            for k in _options(model, data, s)
        )
        return sum(alpha * model.z[t, s, g] for g, alpha in pair) <= sum(most)

    model.hull = pyo.Constraint(cells, rule=hull)


def add_hot(model: pyo.ConcreteModel, data: Assignment) -> None:
    """(hot_served) hot requests are served; (reuse) by what served their like in the last slot."""
    share = data.hot_permille / 1000
    later = [cell for cell in model.hot if cell[0] > 0]
    model.hot_served = pyo.Constraint(
        list(model.hot), rule=lambda model, t, s, g: model.hot[t, s, g] <= model.z[t, s, g]
    )
    model.reuse = pyo.Constraint(
        later, rule=lambda model, t, s, g: model.hot[t, s, g] <= share * model.z[t - 1, s, g]
    )


def add_objective(model: pyo.ConcreteModel, data: Assignment) -> None:
    """(objective) options, service, hot requests, waiting, what is left, expiry."""
    end = data.sizes[0] - 1
    usd: Any = sum(float(data.option_usd[cell]) * model.pick[cell] for cell in model.pick)
    usd += sum(float(data.serve_usd[cell]) * model.z[cell] for cell in model.z)
    usd -= sum(float(data.hot_usd[cell[1:]]) * model.hot[cell] for cell in model.hot)
    for t, g in model.q:
        left = float(data.left_usd[g]) if t == end else 0.0
        usd += (data.wait_usd + left) * model.q[t, g]
    usd += sum(float(data.expiry_usd[g]) * model.expired[t, g] for t, g in model.expired)
    model.objective = pyo.Objective(expr=usd)
