"""Multi-timeslot allocation of inference requests to regions, servers counted by pool.

Sets (by name; slots by number)
    t ∈ T slots · i origin, j serving region · p ∈ P pools (``pools.py``) · m ∈ M models held by p
    · c ∈ C classes, m(c) the model of class c

Data
    D arrivals · ℓ[c] deadline in slots · Δ slot length, u[p,c] server time of a request, in ms
    · n, n′ slots that a start, a switch takes; a, a′ ms that the last of them leaves usable
    · h[p,c] share of the processing of a slot that makes requests of the next one hot

Variables                                                                      all ≥ 0 and boxed
    x[t,i,j,c]         requests of class c routed from i to j
    inflow[t,j,c]      requests routed to j
    q[t,j,c]           requests that wait at the end of the slot
    expired[t,j,c]     requests that expire at the end of the slot
    z[t,p,c]           requests processed by the servers of a pool
    hot[t,p,c]         requests of these that are hot
    off[t,p]           servers off that stay off                               integer
    ready[t,p,m]       servers ready with m that take no command               integer
    start[t,p,m]       servers off that start m                                integer
    stop[t,p,m]        servers ready with m that stop                          integer
    leave[t,p,m]       servers ready with m that switch to another model       integer
    enter[t,p,m]       servers that switch to m                                integer
    moved[t,i,j]       requests of origin i re-routed to j
    rise, fall[t,i,j,k]  gain and loss of j in the shares of origin i, by segment k

minimise  network + transfer + service + waiting + energy + rent + starts + switches
          + rerouting + frobenius + expiry                                     (objective)

subject to
    Σ_j x[t,i,j,c] = D[t,i,c]                                                  (route)
    inflow[t,j,c] = Σ_i x[t,i,j,c]                                             (gather)
    q[t,j,c] = q[t−1,j,c] + inflow[t,j,c] − Σ_{p in j} z[t,p,c] − expired[t,j,c]   (queue)
    q[t,j,c] ≤ Σ_{τ=t−ℓ+1..t} inflow[τ,j,c]                                    (deadline)
    Σ_{τ=t+1..t+ℓ} expired[τ,j,c] ≤ q[t,j,c]               τ < T−1             (aging)
    off[t,p] + Σ_m start[t,p,m] = off[t−1,p] + Σ_m stop[t−1,p,m]               (off_flow)
    ready[t,p,m] + stop[t,p,m] + leave[t,p,m]
        = ready[t−1,p,m] + start[t−n,p,m] + enter[t−n′,p,m]                    (ready_flow)
    Σ_m leave[t,p,m] = Σ_m enter[t,p,m]                                        (switch_flow)
    Σ_{c: m(c)=m} u[p,c]·z[t,p,c]
        ≤ Δ·ready[t,p,m] + a·start[t−n+1,p,m] + a′·enter[t−n′+1,p,m]           (capacity)
    z[t,p,c] ≤ ⌊Δ/u⌋·ready[t,p,m] + ⌊a/u⌋·start[t−n+1,p,m] + ⌊a′/u⌋·enter[t−n′+1,p,m]   (fit)
    hot[t,p,c] ≤ z[t,p,c]                                                      (hot_served)
    hot[t,p,c] ≤ h[p,c]·z[t−1,p,c]                                             (reuse)
    moved[t,i,j] ≥ min(D_t, D_{t−1})·(A_t[i,j] − A_{t−1}[i,j])                 (reroute)
    Σ_k rise[t,i,j,k] − fall[t,i,j,k] = A_t[i,j] − A_{t−1}[i,j]                (change)

with A_t[i,j] = Σ_c x[t,i,j,c]/D_t[i], compared where D_t[i] and D_{t−1}[i] are positive. Slot −1
is the initial state: before slot 0 stand the backlog, servers off, ready and loading, and the last
routing. A slot in which a pool is down has none of its columns; in the next one all are off.

A relaxation of the scheduling problem, whose servers are named, whose counts are integers and
whose queues are first in, first out: docs/formulations/allocation.md proves it row by row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from typing import Any

import pyomo.environ as pyo

from torta_opt.allocation.formulations.pyomo_data import PyomoData
from torta_opt.allocation.formulations.segments import TANGENTS, segments
from torta_opt.allocation.instance.data import Instance

COSTS = (
    "network",
    "transfer",
    "service",
    "waiting",
    "energy",
    "rent",
    "starts",
    "switches",
    "rerouting",
    "frobenius",
    "expiry",
)


def build_allocation_model(
    instance: Instance,
    *,
    integer: bool = False,
    named: bool = False,
    tangents: Sequence[float] = TANGENTS,
) -> pyo.ConcreteModel:
    """The allocation program of an instance.

    integer    request counts are integers too, not only server counts
    named      every server is a pool of its own
    tangents   points at which d² is bounded below by tangents, see ``segments``
    """
    model = pyo.ConcreteModel(name=instance.name)
    data = PyomoData.of(instance, named=named)
    add_requests(model, data, integer)
    add_servers(model, data)
    add_routing(model, data)  # (route), (gather)
    add_queues(model, data)  # (queue)
    add_deadlines(model, data)  # (deadline), (aging)
    add_server_states(model, data)  # (off_flow), (ready_flow), (switch_flow)
    add_capacity(model, data)  # (capacity), (fit)
    add_hot_requests(model, data)  # (hot_served), (reuse)
    add_rerouting(model, data)  # (reroute)
    add_frobenius(model, data, tangents)  # (change)
    add_costs(model, data)  # (objective)
    return model


# --- variables ----------------------------------------------------------------------------------


def add_requests(model: pyo.ConcreteModel, data: PyomoData, integer: bool) -> None:
    """Columns x, inflow, q, expired, z and hot, wherever a request can be."""
    domain = pyo.NonNegativeIntegers if integer else pyo.NonNegativeReals
    slots, regions, classes = data.slots, data.regions, data.classes
    routable = {
        (t, i, j, c): most for (t, i, c), most in data.arrivals.items() for j in data.reach[i]
    }
    column_bounds = data.column_bounds
    model.x = _boxed(routable, domain)
    model.inflow = _boxed(data.cells(column_bounds.inflow, slots, regions, classes), domain)
    model.q = _boxed(data.cells(column_bounds.waiting, slots, regions, classes), domain)
    model.expired = _boxed(data.cells(column_bounds.expired, slots, regions, classes), domain)
    model.z = _boxed(data.cells(column_bounds.processing, slots, data.pools.names, classes), domain)
    model.hot = _boxed(data.cells(column_bounds.hot, slots, data.pools.names, classes), domain)


def add_servers(model: pyo.ConcreteModel, data: PyomoData) -> None:
    """Columns off, ready, start, stop, leave and enter, wherever a pool is up."""
    held = {(t, p, m): data.servers[p] for t, p in data.up for m in data.held[p]}
    switching = {key: most for key, most in held.items() if len(data.held[key[1]]) > 1}
    model.off = _boxed({(t, p): data.servers[p] for t, p in data.up}, pyo.NonNegativeIntegers)
    model.ready = _boxed(held, pyo.NonNegativeIntegers)
    model.start = _boxed(held, pyo.NonNegativeIntegers)
    model.stop = _boxed(held, pyo.NonNegativeIntegers)
    model.leave = _boxed(switching, pyo.NonNegativeIntegers)
    model.enter = _boxed(switching, pyo.NonNegativeIntegers)


# --- requests -----------------------------------------------------------------------------------


def add_routing(model: pyo.ConcreteModel, data: PyomoData) -> None:
    """(route) Every request is sent somewhere in the slot in which it arrives.

    (gather) What is sent to a region arrives there.
    """
    senders: dict[tuple[int, str, str], list[str]] = {}
    for t, i, j, c in model.x:
        senders.setdefault((t, j, c), []).append(i)

    def route(model: pyo.ConcreteModel, t: int, i: str, c: str) -> Any:
        return sum(model.x[t, i, j, c] for j in data.reach[i]) == data.arrivals[t, i, c]

    def gather(model: pyo.ConcreteModel, t: int, j: str, c: str) -> Any:
        return model.inflow[t, j, c] == sum(model.x[t, i, j, c] for i in senders[t, j, c])

    model.route = _rows(data.arrivals, route)
    model.gather = _rows(model.inflow, gather)


def add_queues(model: pyo.ConcreteModel, data: PyomoData) -> None:
    """(queue) What waits: what waited and came, less what is processed or expires."""

    def is_present(t: int, j: str, c: str) -> bool:
        waited = (t - 1, j, c) in model.q if t > 0 else data.backlog[j, c] > 0
        return waited or (t, j, c) in model.inflow

    def queue(model: pyo.ConcreteModel, t: int, j: str, c: str) -> Any:
        served = _total(model.z, ((t, p, c) for p in data.pools_in[j]))
        before = _at(model.q, t - 1, j, c) if t > 0 else data.backlog[j, c]
        there = before + _at(model.inflow, t, j, c)
        return _at(model.q, t, j, c) == there - served - _at(model.expired, t, j, c)

    everywhere = product(data.slots, data.regions, data.classes)
    model.queue = _rows([key for key in everywhere if is_present(*key)], queue)


def add_deadlines(model: pyo.ConcreteModel, data: PyomoData) -> None:
    """(deadline) What waits after slot t arrived in the last ℓ slots; the rest has expired.

    (aging) What expires before slot T−1, in which everything left does, has waited ℓ slots.
    """

    def window(var: pyo.Var, first: int, last: int, j: str, c: str) -> list[Any]:
        return [var[t, j, c] for t in range(first, last + 1) if (t, j, c) in var]

    def deadline(model: pyo.ConcreteModel, t: int, j: str, c: str) -> Any:
        arrived = window(model.inflow, t - data.deadline[c] + 1, t, j, c)
        if not arrived:
            return pyo.Constraint.Skip  # only backlog waits: the bound of q says it
        return model.q[t, j, c] <= sum(arrived) + data.fresh_backlog[t, j, c]

    def aging(model: pyo.ConcreteModel, t: int, j: str, c: str) -> Any:
        until = min(t + data.deadline[c], data.last - 1)
        expiring = window(model.expired, t + 1, until, j, c)
        return sum(expiring) <= model.q[t, j, c] if expiring else pyo.Constraint.Skip

    model.deadline = _rows(model.q, deadline)
    model.aging = _rows(model.q, aging)


# --- servers ------------------------------------------------------------------------------------


def add_server_states(model: pyo.ConcreteModel, data: PyomoData) -> None:
    """(off_flow), (ready_flow), (switch_flow) Server counts flow through a time-expanded network.

    Its nodes are the states at the start of a slot in which commands are possible: off, and ready
    with a model. Its arcs are what a server does from there: stay off, stay ready, stop (one slot
    each), start or switch (as many slots as the loading takes). An outage cuts every arc.
    """

    def off(model: pyo.ConcreteModel, t: int, p: str) -> Any:
        starts = sum(model.start[t, p, m] for m in data.held[p])
        return model.off[t, p] + starts == _off_before(model, data, t, p)

    def ready(model: pyo.ConcreteModel, t: int, p: str, m: str) -> Any:
        leaves = _at(model.leave, t, p, m)
        away = model.ready[t, p, m] + model.stop[t, p, m] + leaves
        return away == _ready_before(model, data, t, p, m)

    def switch(model: pyo.ConcreteModel, t: int, p: str) -> Any:
        leaves = sum(model.leave[t, p, m] for m in data.held[p])
        return leaves == sum(model.enter[t, p, m] for m in data.held[p])

    model.off_flow = _rows(data.up, off)
    model.ready_flow = _rows(model.ready, ready)
    model.switch_flow = _rows([(t, p) for t, p in data.up if len(data.held[p]) > 1], switch)


def _off_before(model: pyo.ConcreteModel, data: PyomoData, t: int, p: str) -> Any:
    """Servers off at the start of slot t; all of them after an outage."""
    if t > data.up_since[t, p]:
        stops = sum(model.stop[t - 1, p, m] for m in data.held[p])
        return model.off[t - 1, p] + stops
    return data.off_before[p] if t == 0 else data.servers[p]


def _ready_before(model: pyo.ConcreteModel, data: PyomoData, t: int, p: str, m: str) -> Any:
    """Servers ready with m at the start of slot t, the outage applied; none after an outage."""
    since = data.up_since[t, p]
    if t == since:
        return data.ready_before[p, m] if t == 0 else 0
    loaded = [
        *_loading(model.start, since, t - data.start_slots[p, m], p, m),
        *_loading(model.enter, since, t - data.switch_slots[p, m], p, m),
        *(entry.servers for entry in data.loading_before[p, m] if since == 0 and entry.slots == t),
    ]
    return model.ready[t - 1, p, m] + sum(loaded)


def _loading(var: pyo.Var, since: int, t: int, p: str, m: str) -> list[Any]:
    """[var[t,p,m]], or [] where there is no such column or an outage has cut its loading."""
    return [var[t, p, m]] if t >= since and (t, p, m) in var else []


def add_capacity(model: pyo.ConcreteModel, data: PyomoData) -> None:
    """(capacity) The work of a pool's servers with model m fits into their usable time.

    (fit) So does the number of requests of each class, rounded down server by server: left out
    where nothing is rounded; where c is the only class of its model it replaces (capacity).
    """
    active: dict[tuple[int, str, str], list[str]] = {}
    for t, p, c in model.z:
        active.setdefault((t, p, data.model_of[c]), []).append(c)
    usable = {key: _usable(model, data, *key) for key in active}

    def rounds(t: int, p: str, c: str) -> bool:
        return any(ms % data.work_ms[p, c] for ms, _ in usable[t, p, data.model_of[c]])

    def capacity(model: pyo.ConcreteModel, t: int, p: str, m: str) -> Any:
        work = sum(data.work_ms[p, c] * model.z[t, p, c] for c in active[t, p, m])
        return work <= sum(ms * servers for ms, servers in usable[t, p, m])

    def fit(model: pyo.ConcreteModel, t: int, p: str, c: str) -> Any:
        most = [
            (ms // data.work_ms[p, c], servers) for ms, servers in usable[t, p, data.model_of[c]]
        ]
        return model.z[t, p, c] <= sum(requests * servers for requests, servers in most)

    shared = [key for key, classes in active.items() if len(classes) > 1]
    exact = [(t, p, data.model_of[c]) for t, p, c in model.z if not rounds(t, p, c)]
    model.capacity = _rows([key for key in active if key in {*shared, *exact}], capacity)
    model.fit = _rows([key for key in model.z if rounds(*key)], fit)


def _usable(
    model: pyo.ConcreteModel, data: PyomoData, t: int, p: str, m: str
) -> list[tuple[int, Any]]:
    """Usable ms of a server in slot t, and how many servers with model m have as much."""
    since, start, switch = data.up_since[t, p], data.start_slots[p, m], data.switch_slots[p, m]
    started = _loading(model.start, since, t - start + 1, p, m)
    entered = _loading(model.enter, since, t - switch + 1, p, m)
    return [
        (data.instance.system.slot_ms, model.ready[t, p, m]),
        *((data.start_usable_ms[p, m], servers) for servers in started),
        *((data.switch_usable_ms[p, m], servers) for servers in entered),
        *(
            (entry.usable_ms, entry.servers)
            for entry in data.loading_before[p, m]
            if since == 0 and entry.slots == t + 1
        ),
    ]


def add_hot_requests(model: pyo.ConcreteModel, data: PyomoData) -> None:
    """(hot_served) Only what is processed is hot.

    (reuse) Of it, no more than a share of what was processed the slot before. In slot 0 that is
    known, server by server: the bound of the column says it.
    """

    def hot(model: pyo.ConcreteModel, t: int, p: str, c: str) -> Any:
        return model.hot[t, p, c] <= model.z[t, p, c]

    def reuse(model: pyo.ConcreteModel, t: int, p: str, c: str) -> Any:
        most, of = data.reuse[p, c]
        return of * model.hot[t, p, c] <= most * model.z[t - 1, p, c]

    model.hot_served = _rows(model.hot, hot)
    model.reuse = _rows([key for key in model.hot if key[0] > 0], reuse)


# --- changes of routing -------------------------------------------------------------------------


def add_rerouting(model: pyo.ConcreteModel, data: PyomoData) -> None:
    """(reroute) What region j gains in the shares of origin i, times requests, is re-routed.

    Shares add up to 1 in both slots, so gains alone are ½‖A_t[i,:] − A_{t−1}[i,:]‖₁.
    """
    compared = _compared(data) if data.weights.reroute_usd > 0 else []
    fewer = {
        (t, i, j): min(data.arrivals_of[t, i], data.arrivals_of[t - 1, i]) for t, i, j in compared
    }

    def reroute(model: pyo.ConcreteModel, t: int, i: str, j: str) -> Any:
        now = fewer[t, i, j] / data.arrivals_of[t, i] * _routed(model, data, t, i, j)
        before = fewer[t, i, j] / data.arrivals_of[t - 1, i] * _routed(model, data, t - 1, i, j)
        return now - before <= model.moved[t, i, j]

    model.moved = _boxed(fewer, pyo.NonNegativeReals)
    model.reroute = _rows(model.moved, reroute)


def add_frobenius(model: pyo.ConcreteModel, data: PyomoData, tangents: Sequence[float]) -> None:
    """(change) The change of every share, in pieces that are priced like its square, from below."""
    compared = _compared(data) if data.weights.frobenius_usd > 0 else []
    pieces = segments(tangents)
    boxes = {(*key, k): length for key in compared for k, (_, length) in enumerate(pieces)}
    model.rise = _boxed(boxes, pyo.NonNegativeReals)
    model.fall = _boxed(boxes, pyo.NonNegativeReals)

    def change(model: pyo.ConcreteModel, t: int, i: str, j: str) -> Any:
        rise = sum(model.rise[t, i, j, k] for k in range(len(pieces)))
        fall = sum(model.fall[t, i, j, k] for k in range(len(pieces)))
        now = 1 / data.arrivals_of[t, i] * _routed(model, data, t, i, j)
        before = 1 / data.arrivals_of[t - 1, i] * _routed(model, data, t - 1, i, j)
        return now - before == rise - fall

    model.change = _rows(compared, change)
    slope = [usd for usd, _ in pieces]
    model.frobenius = pyo.Expression(
        expr=sum(
            slope[k] * (model.rise[t, i, j, k] + model.fall[t, i, j, k]) for t, i, j, k in boxes
        )
    )


def _compared(data: PyomoData) -> list[tuple[int, str, str]]:
    """(t, i, j) whose share A_t[i,j] is compared with the slot before, and is not always 1."""
    return [
        (t, i, j)
        for t, i in product(data.slots, data.regions)
        if data.arrivals_of[t, i] > 0 and data.arrivals_of[t - 1, i] > 0 and len(data.reach[i]) > 1
        for j in data.reach[i]
    ]


def _routed(model: pyo.ConcreteModel, data: PyomoData, t: int, i: str, j: str) -> Any:
    """Requests of all classes routed from i to j; known in slot −1."""
    if t < 0:
        return data.routing_before[i, j]
    return _total(model.x, ((t, i, j, c) for c in data.classes))


# --- objective ----------------------------------------------------------------------------------


def add_costs(model: pyo.ConcreteModel, data: PyomoData) -> None:
    """(objective) Every component of the cost as ``evaluate`` prices it, in dollars.

    ``on[t,p]`` servers that are on, ``energy_kwh[t,j]`` and ``costs[name]`` are expressions, there
    to be used in further constraints.
    """
    weights, system = data.weights, data.instance.system
    v, slot_h = weights.time_usd_per_s, system.slot_hours
    price, kind = data.price_usd_per_kwh, weights
    model.on = pyo.Expression(data.up, rule=lambda model, t, p: _on(model, data, t, p))
    model.energy_kwh = pyo.Expression(
        data.slots, data.regions, rule=lambda model, t, j: _energy_kwh(model, data, t, j)
    )
    costs = {
        "network": sum(v * data.latency_s[i, j] * x for (t, i, j, c), x in model.x.items()),
        "transfer": sum(
            kind.transfer_factor * data.transfer_usd[i, j, c] * x
            for (t, i, j, c), x in model.x.items()
        ),
        "service": sum(v * data.service_s[p, c] * z for (t, p, c), z in model.z.items())
        - sum(
            v * (data.service_s[p, c] - data.hot_service_s[p, c]) * hot
            for (t, p, c), hot in model.hot.items()
        ),
        "waiting": sum(v * system.slot_s * q for q in model.q.values()),
        "energy": sum(
            weights.energy_factor * price[key] * kwh for key, kwh in model.energy_kwh.items()
        ),
        "rent": sum(
            weights.rent_factor * slot_h * data.rent_usd_per_hour[p] * on
            for (t, p), on in model.on.items()
        ),
        "starts": sum(
            weights.loading_factor * data.start_usd[p, m] * servers
            for (t, p, m), servers in model.start.items()
        ),
        "switches": sum(
            weights.loading_factor * data.switch_usd[p, m] * servers
            for (t, p, m), servers in model.enter.items()
        ),
        "rerouting": sum(weights.reroute_usd * moved for moved in model.moved.values()),
        "frobenius": weights.frobenius_usd * model.frobenius,
        "expiry": sum(data.expiry_usd[c] * n for (t, j, c), n in model.expired.items()),
    }
    model.costs = pyo.Expression(COSTS, rule=lambda model, name: costs[name])
    model.objective = pyo.Objective(expr=sum(model.costs[name] for name in COSTS))


def _on(model: pyo.ConcreteModel, data: PyomoData, t: int, p: str) -> Any:
    """Servers ready or loading in slot t."""
    since = data.up_since[t, p]
    servers: list[Any] = []
    for m in data.held[p]:
        servers.append(model.ready[t, p, m])
        for var, slots in ((model.start, data.start_slots), (model.enter, data.switch_slots)):
            for begun in range(t - slots[p, m] + 1, t + 1):
                servers += _loading(var, since, begun, p, m)
        servers += [e.servers for e in data.loading_before[p, m] if since == 0 and t < e.slots]
    return sum(servers)


def _energy_kwh(model: pyo.ConcreteModel, data: PyomoData, t: int, j: str) -> Any:
    """Idle power of servers that are on, and the rest of it while they process."""
    idle, span, work = data.idle_kw, data.span_kw, data.work_ms
    slot_h = data.instance.system.slot_hours
    up = [p for p in data.pools_in[j] if (t, p) in model.on]
    ready = sum(idle[p] * slot_h * model.on[t, p] for p in up)
    busy = sum(
        span[p] * work[p, c] / 3.6e6 * model.z[t, p, c]
        for p, c in product(up, data.classes)
        if (t, p, c) in model.z
    )
    return ready + busy


# --- small helpers ------------------------------------------------------------------------------


def _boxed(most: dict[Any, float], domain: Any) -> pyo.Var:
    """Columns between 0 and ``most``, one for every key of it."""
    return pyo.Var(list(most), domain=domain, bounds=lambda _, *key: (0, most[key]))


def _rows(keys: Iterable[Any], rule: Callable[..., Any]) -> pyo.Constraint:
    return pyo.Constraint(list(keys), rule=rule)


def _at(var: pyo.Var, *key: Any) -> Any:
    """The column, or 0 where there is none."""
    return var[key] if key in var else 0  # noqa: SIM401, a Var has no get


def _total(var: pyo.Var, keys: Iterator[Any]) -> Any:
    """Sum of the columns that exist."""
    return sum(var[key] for key in keys if key in var)
