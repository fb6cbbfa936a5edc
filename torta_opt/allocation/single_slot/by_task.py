"""The assignment of the paper's Fig. 5 (arXiv 2507.10259): one slot, one binary a task and server.

Sets        n ∈ N tasks · s ∈ S servers · j ∈ R regions
Data        cost[n,s] $; load[n,s] ms of server time; Δ ms of slot; f share of a region (0.8)
Variables   X[n,s] ∈ {0, 1}  task n runs on server s

minimise    Σ cost[n,s]·X[n,s]
subject to  Σ_s X[n,s] = 1                                     (assign)  N rows
            Σ_n load[n,s]·X[n,s] ≤ Δ                           (server)  50 rows
            Σ_{s in j} Σ_n load[n,s]·X[n,s] ≤ f·Σ_{s in j} Δ   (region)  5 rows

With 50 servers in 5 regions these are the N·50 binaries and N + 55 rows of the figure. The cost is
what the evaluator charges: v·(L + σ) + transfer + marginal energy; what the servers cost anyway
(idle power, rent) is added as a constant, ``idle_usd``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.instance.data import Instance, System
from torta_opt.allocation.schedule import Schedule
from torta_opt.io import InvalidInput
from torta_opt.solvers.problem import Problem

REGION_SHARE = 0.8
NEVER = -1  # load of a task that a server cannot take


@dataclass(frozen=True, eq=False)
class Tasks:
    """Single tasks and named servers.

    cost       (N, S) $; what stands where ``load_ms`` is −1 is not looked at
    load_ms    (N, S) server time, −1 where the task cannot run
    region     (S,) region of each server
    slot_ms    Δ
    idle_usd   what is paid whatever is decided
    """

    cost: np.ndarray
    load_ms: np.ndarray
    region: np.ndarray
    slot_ms: int
    idle_usd: float = 0.0

    @property
    def allowed(self) -> np.ndarray:
        """(N, S) bool: a single task fits."""
        return (self.load_ms >= 0) & (self.load_ms <= self.slot_ms)


def region_limits(region: np.ndarray, slot_ms: int, share: float) -> np.ndarray:
    """(R,) ⌊f·Σ Δ⌋ ms that the tasks of a region may take."""
    if not 0 < share <= 1:
        raise InvalidInput("must lie in (0, 1]", field="region_share")
    return np.floor(share * slot_ms * np.bincount(region) + 1e-6)


def build_fig5_program(tasks: Tasks, region_share: float = REGION_SHARE) -> Problem:
    """The program above; columns are the allowed pairs (n, s), task by task."""
    task, server = np.nonzero(tasks.allowed)
    columns = np.arange(len(task))
    load = tasks.load_ms[task, server].astype(float)
    number, servers = tasks.load_ms.shape
    limits = region_limits(tasks.region, tasks.slot_ms, region_share)
    regions = len(limits)
    entries = [
        (task, np.ones(len(task))),  # (assign)
        (number + server, load),  # (server)
        (number + servers + tasks.region[server], load),  # (region)
    ]
    rows = number + servers + regions
    matrix = sparse.csr_array(
        (
            np.concatenate([values for _, values in entries]),
            (np.concatenate([row for row, _ in entries]), np.tile(columns, len(entries))),
        ),
        shape=(rows, len(columns)),
    )
    upper = np.concatenate([np.ones(number), np.full(servers, float(tasks.slot_ms)), limits])
    return Problem(
        matrix=matrix,
        row_lower=np.where(np.arange(rows) < number, 1.0, -np.inf),
        row_upper=upper,
        col_lower=np.zeros(len(columns)),
        col_upper=np.ones(len(columns)),
        cost=tasks.cost[task, server],
        offset=tasks.idle_usd,
        integrality=np.ones(len(columns), bool),
    )


def chosen_servers(tasks: Tasks, x: np.ndarray) -> np.ndarray:
    """(N,) the server of each task in a point of the program."""
    task, server = np.nonzero(tasks.allowed)
    chosen = x > 0.5
    servers = np.full(len(tasks.cost), -1)
    servers[task[chosen]] = server[chosen]
    return servers


# --- instances ----------------------------------------------------------------------------------


def check_single_slot(instance: Instance) -> None:
    """Refuse what the assignment does not cover: it decides about tasks, not about servers."""
    system, start = instance.system, instance.initial
    ready = (start.model >= 0) & (start.loading_ms == 0) & instance.up[0]
    for holds, rule in (
        (instance.slots == 1, "must have one slot"),
        (ready.all(), "must have every server up and ready"),
        (not start.backlog.any(), "must have no backlog"),
        (not start.processing.any() or system.hot_permille == 0, "must have nothing hot"),
        (not start.routing.any(), "must have no earlier routing"),
        (system.weights.frobenius_usd == 0, "must have frobenius_usd 0"),
    ):
        if not holds:
            raise InvalidInput(f"{rule} for the assignment of Fig. 5", field="instance")


def route_usd(system: System) -> np.ndarray:
    """(R, R, C) $ of sending a request of class c from i to j; ∞ where that is forbidden."""
    weights = system.weights
    latency = np.where(system.allowed, system.latency_s, np.inf)
    transfer = weights.transfer_factor * system.transfer_usd
    with np.errstate(invalid="ignore"):  # v may be 0
        time = np.where(system.allowed, weights.time_usd_per_s * latency, np.inf)
    return time[:, :, None] + transfer


def serve_usd(instance: Instance) -> np.ndarray:
    """(R, K, C) $ of serving a request of class c on type k in region j: time and energy."""
    system = instance.system
    weights = system.weights
    time = weights.time_usd_per_s * np.nan_to_num(system.service_s)
    kwh = (system.peak_kw - system.idle_kw)[:, None] * system.server_ms / 3.6e6
    price = weights.energy_factor * instance.price_usd_per_kwh[0]
    return time[None] + price[:, None, None] * kwh[None]


def idle_usd(instance: Instance) -> float:
    """$ of servers that stay on for the slot."""
    system = instance.system
    weights = system.weights
    place, kind = system.server_region, system.server_type
    price = weights.energy_factor * instance.price_usd_per_kwh[0, place]
    rent = weights.rent_factor * system.rent_usd_per_hour[place, kind]
    return float(((price * system.idle_kw[kind] + rent) * system.slot_hours).sum())


def server_load_ms(instance: Instance) -> np.ndarray:
    """(S, C) ms a request takes on each server, −1 where it cannot run."""
    system = instance.system
    load = system.server_ms[system.server_type]
    loaded = system.class_model[None, :] == instance.initial.model[:, None]
    return np.where((load > 0) & loaded, load, NEVER)


def tasks_of(instance: Instance) -> tuple[Tasks, np.ndarray, np.ndarray]:
    """The tasks of a single-slot instance, and origin and class of each (N,), (N,)."""
    check_single_slot(instance)
    system = instance.system
    origins, classes = np.nonzero(instance.arrivals[0])
    counts = instance.arrivals[0][origins, classes]
    origin, kind = np.repeat(origins, counts), np.repeat(classes, counts)
    place = system.server_region
    serve = serve_usd(instance)[place, system.server_type]  # (S, C)
    cost = route_usd(system)[origin[:, None], place[None, :], kind[:, None]] + serve.T[kind]
    load = np.where(np.isfinite(cost), server_load_ms(instance).T[kind], NEVER)
    tasks = Tasks(cost, load, place, system.slot_ms, idle_usd(instance))
    return tasks, origin, kind


def schedule_of(
    instance: Instance, origin: np.ndarray, kind: np.ndarray, servers: np.ndarray, method: str
) -> Schedule:
    """The schedule that runs each task on its server."""
    system = instance.system
    regions, classes = len(system.regions), len(system.classes)
    routing = np.zeros((1, regions, regions, classes), int)
    np.add.at(routing[0], (origin, system.server_region[servers], kind), 1)
    processing = np.zeros((1, len(system.servers), classes), int)
    np.add.at(processing[0], (servers, kind), 1)
    return single_slot_schedule(instance, routing, processing, method)


def single_slot_schedule(
    instance: Instance, routing: np.ndarray, processing: np.ndarray, method: str
) -> Schedule:
    servers = len(instance.system.servers)
    return Schedule(
        routing=routing,
        command=np.zeros((1, servers), int),
        command_model=np.full((1, servers), -1),
        processing=processing,
        method=method,
        instance=instance.name,
    )
