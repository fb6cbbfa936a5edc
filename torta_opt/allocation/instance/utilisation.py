"""How much of its servers' time a system's demand takes at the least."""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.data import Instance, System


def least_load(system: System, requests: np.ndarray, servers: np.ndarray) -> float:
    """The least share ρ of every type's time that serves ``requests``, wherever they arise.

    ``requests`` (C,) per slot, ``servers`` (K,) of each type; with y[k,c] requests of class c
    served by type k,

        minimise ρ   subject to   Σ_k y[k,c] = requests[c],   Σ_c u[k,c]·y[k,c] ≤ ρ·servers[k]·Δ.

    Distances, loading and whole requests are left out, so no schedule takes less. Infinite if
    nothing can serve a class that is asked for.
    """
    from scipy.optimize import linprog

    kinds = np.flatnonzero(servers > 0)
    asked = np.flatnonzero(requests > 0)
    usable = system.usable_by[np.ix_(kinds, asked)]
    if asked.size == 0:
        return 0.0
    if kinds.size == 0 or not usable.any(axis=0).all():
        return float("inf")
    rows, columns = np.nonzero(usable)
    cells = np.arange(rows.size)
    work = np.zeros((kinds.size, rows.size + 1))
    work[rows, cells] = system.server_ms[kinds[rows], asked[columns]] / system.slot_ms
    work[:, -1] = -servers[kinds]
    served = np.zeros((asked.size, rows.size + 1))
    served[columns, cells] = 1
    cost = np.zeros(rows.size + 1)
    cost[-1] = 1
    result = linprog(cost, A_ub=work, b_ub=np.zeros(kinds.size), A_eq=served, b_eq=requests[asked])
    return float(result.fun)


def load_of(instance: Instance) -> float:
    """``least_load`` of an instance's mean demand on the servers that are up on average."""
    system = instance.system
    backlog = instance.initial.backlog.sum(axis=(0, 2))
    requests = (instance.arrivals.sum(axis=(0, 1)) + backlog) / instance.slots
    up = instance.up.mean(axis=0)
    servers = np.bincount(system.server_type, weights=up, minlength=len(system.types))
    return least_load(system, requests, servers)
