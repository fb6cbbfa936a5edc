"""From a schedule into the allocation program: the map on which the relaxation proof rests.

A legal schedule, its servers counted by pool, satisfies every row of the program at the schedule's
own cost (at no higher cost where squares are bounded below by tangents).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import AllocationProgram
from torta_opt.allocation.formulations.segments import TANGENTS, segments
from torta_opt.allocation.instance.data import OFF, Instance
from torta_opt.allocation.schedule.data import Command, Schedule
from torta_opt.allocation.schedule.evaluate import evaluate
from torta_opt.allocation.schedule.timeline import hot_requests, trace_queues, trace_servers
from torta_opt.results import ROUNDING, LiftCheck


def check_lift(
    program: AllocationProgram, schedule: Schedule, cost: float | None = None
) -> LiftCheck:
    """Does a legal schedule satisfy every row of a program of its instance, at no higher cost?

    ``cost`` is that of the schedule where it is known already.
    """
    instance = program.instance
    values = lift(instance, schedule, pools=program.pools, tangents=program.tangents)
    return check_values(program, values, instance, schedule, cost)


def check_values(
    program: AllocationProgram,
    values: dict[str, np.ndarray],
    instance: Instance,
    schedule: Schedule,
    cost: float | None = None,
) -> LiftCheck:
    """The same for values of all columns that stand for a schedule of ``instance``."""
    vector = program.vector(values)
    excess = [_excess(0.0, vector, program.upper) / (1 + np.abs(vector))]
    size = abs(program.matrix) @ np.abs(vector)
    row = program.matrix @ vector
    excess.append(_excess(program.row_lower, row, program.row_upper) / (1 + size))
    found = np.concatenate(excess)
    worst = int(np.argmax(found)) if len(found) else 0
    counted = [name for name in values if name not in _DERIVED]
    kept = program.values(vector)
    objective = program.objective(vector)
    cost = evaluate(instance, schedule).cost if cost is None else cost
    paid = float(np.abs(program.cost) @ np.abs(vector)) + abs(program.constant)
    if objective - cost > ROUNDING * paid:  # prices that cancel out leave their rounding
        paid += sum(map(abs, evaluate(instance, schedule).costs.values()))
    return LiftCheck(
        violation=float(found[worst]) if len(found) else 0.0,
        where=[*program.column_names, *program.row_names][worst] if found.any() else "",
        objective=objective,
        cost=cost,
        lost=float(sum(np.abs(values[name] - kept[name]).sum() for name in counted)),
        paid=paid,
    )


# Columns that exist only where their price does: without one, nothing is lost.
_DERIVED = ("hot", "moved", "rise", "fall", "excess")


def _excess(lower: np.ndarray | float, value: np.ndarray, upper: np.ndarray) -> np.ndarray:
    excess: np.ndarray = np.maximum(np.maximum(lower - value, value - upper), 0.0)
    return excess


def lift(
    instance: Instance,
    schedule: Schedule,
    *,
    pools: Pools | None = None,
    tangents: Sequence[float] = TANGENTS,
) -> dict[str, np.ndarray]:
    """Values of all columns by family, dense over their sets (T slots, R regions, P pools …).

    The keys and axes are those of the variables in ``pyomo_model.py``; cells without a column hold
    0 for every legal schedule.
    """
    pools = Pools.of(instance) if pools is None else pools
    queues = trace_queues(instance, schedule)
    hot = hot_requests(instance, schedule.processing)
    return {
        "x": schedule.routing,
        "inflow": queues.inflow,
        "q": queues.queued,
        "expired": queues.expired,
        "z": _by_pool(schedule.processing, pools),
        "hot": _by_pool(hot, pools),
        **_lift_servers(instance, schedule, pools),
        **_lift_changes(instance, schedule, tangents),
    }


def _by_pool(values: np.ndarray, pools: Pools) -> np.ndarray:
    """(T, S, …) summed over the servers of each pool: (T, P, …)."""
    order = np.argsort(pools.of_server, kind="stable")
    first = np.flatnonzero(np.diff(pools.of_server[order], prepend=-1))
    return np.add.reduceat(values[:, order], first, axis=1)


def _lift_servers(instance: Instance, schedule: Schedule, pools: Pools) -> dict[str, np.ndarray]:
    """What the servers of each pool do in each slot, counted."""
    servers, command = trace_servers(instance, schedule), schedule.command
    idle = instance.up & (command == Command.NONE)

    def count(which: np.ndarray, model: np.ndarray) -> np.ndarray:
        """(T, P, M) servers of ``which`` by the model that ``model`` names."""
        named = [which & (model == m) for m in range(len(instance.system.models))]
        return _by_pool(np.stack(named, axis=2).astype(np.int64), pools)

    before, target = servers.model_before, schedule.command_model
    is_ready = (before != OFF) & (servers.loading_before == 0)
    return {
        "off": _by_pool((idle & (before == OFF)).astype(np.int64), pools),
        "ready": count(idle & is_ready, before),
        "start": count(command == Command.START, target),
        "stop": count(command == Command.STOP, before),
        "leave": count(command == Command.SWITCH, before),
        "enter": count(command == Command.SWITCH, target),
    }


def _lift_changes(
    instance: Instance, schedule: Schedule, tangents: Sequence[float]
) -> dict[str, np.ndarray]:
    """Re-routed requests (T, R, R) and the pieces (T, R, R, K) of every change of a share."""
    flow = np.concatenate([instance.initial.routing[None], schedule.routing.sum(axis=3)])
    total = flow.sum(axis=2, keepdims=True)
    fewer = np.minimum(total[1:], total[:-1])
    share = flow / np.maximum(total, 1)
    change = np.where(fewer > 0, np.diff(share, axis=0), 0.0)
    return {
        "moved": np.maximum(fewer * change, 0.0),
        "rise": _pieces(np.maximum(change, 0.0), tangents),
        "fall": _pieces(np.maximum(-change, 0.0), tangents),
    }


def _pieces(change: np.ndarray, tangents: Sequence[float]) -> np.ndarray:
    """A change 0 ≤ d ≤ 1 filled into the segments, the cheapest first."""
    length = np.array([length for _, length in segments(tangents)])
    start = np.concatenate([[0.0], length.cumsum()[:-1]])
    filled: np.ndarray = np.clip(change[..., None] - start, 0.0, length)
    return filled
