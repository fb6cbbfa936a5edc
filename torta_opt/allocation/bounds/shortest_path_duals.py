"""The best duals of server flows for given duals of all other rows: shortest paths.

With the other duals fixed, every server column has a reduced cost: what it costs, less what the
usable time it brings is worth. What a server of a pool does from slot t on is a path through its
states, and the duals of (off_flow), (ready_flow) and (switch_flow) that prove most are the costs
of the cheapest paths from each state, by backward recursion within every run of slots without an
outage:

    off[t]     = min( c_off + off[t+1],  min_m c_start[m] + ready[t+n,m] )
    ready[t,m] = min( c_ready + ready[t+1,m],  c_stop + off[t+1],  c_leave + enter[t] )
    enter[t]   = min_m c_enter[m] + ready[t+n′,m]

They leave no server column a negative reduced cost. Whatever duals come in, what comes out is a
dual vector like any other; docs/bounds/windows.md says why it proves no less.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.formulations.program import SERVERS, AllocationProgram

FLOWS = ("off_flow", "ready_flow", "switch_flow")


def with_shortest_path_duals(program: AllocationProgram, dual: np.ndarray) -> np.ndarray:
    """The dual vector with those of server flows replaced by the costs of cheapest paths."""
    dual = dual.copy()
    for name in FLOWS:
        dual[program.rows[name].numbers] = 0.0
    off, ready, enter = _cheapest_paths(program, program.cost - program.matrix.T @ dual)
    for name, values in (("off_flow", off), ("ready_flow", ready), ("switch_flow", -enter)):
        family = program.rows[name]
        dual[family.numbers] = values[tuple(family.index.T)]
    return dual


def _cheapest_paths(
    program: AllocationProgram, reduced: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Dollars of the cheapest path from off (T, P), ready with m (T, P, M), entering (T, P)."""
    cost = {name: _dense(program, name, reduced) for name in SERVERS}
    pools, until = program.pools, program.pools.up_until
    slots, count = pools.up.shape
    models = pools.holds.shape[1]
    # One slot more than there are: from there on, and beyond an outage, nothing costs anything.
    off, ready = np.zeros((slots + 1, count)), np.zeros((slots + 1, count, models))
    enter = np.zeros((slots, count))
    each = np.arange(count)[:, None], np.arange(models)

    def loaded(t: int, after: np.ndarray) -> np.ndarray:
        """(P, M) from the end of a loading begun in t; nothing if an outage cuts it."""
        then = np.where(t + after < until[t][:, None], t + after, slots)
        return ready[then, *each]

    for t in range(slots - 1, -1, -1):
        following = np.where(t + 1 < until[t], t + 1, slots)
        off_next = off[following, each[0][:, 0]]
        stay = cost["ready"][t] + ready[following, each[0][:, 0]]
        stop = cost["stop"][t] + off_next[:, None]
        enter[t] = _finite((cost["enter"][t] + loaded(t, pools.switch_slots)).min(axis=1))
        leave = cost["leave"][t] + enter[t][:, None]
        ready[t] = _finite(np.minimum(np.minimum(stay, stop), leave))
        start = (cost["start"][t] + loaded(t, pools.start_slots)).min(axis=1)
        off[t] = _finite(np.minimum(cost["off"][t] + off_next, start))
    return off[:-1], ready[:-1], enter


def _dense(program: AllocationProgram, name: str, values: np.ndarray) -> np.ndarray:
    """Values of a column family over its sets; infinite where there is no column."""
    family = program.columns[name]
    dense = np.full(family.number.shape, np.inf)
    dense[tuple(family.index.T)] = values[family.numbers]
    return dense


def _finite(values: np.ndarray) -> np.ndarray:
    """0 where there is no path: nor is there a row."""
    return np.where(np.isfinite(values), values, 0.0)
