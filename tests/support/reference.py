"""Independent referee: prices and checks a schedule request by request, in exact arithmetic.

Plain loops over slots, servers and single requests; every number is a ``Fraction`` of the floats
of the instance, so the costs carry no rounding at all. Written from the rules of the allocation
problem alone; shares no code with ``torta_opt.allocation.schedule``. Slow, and meant to be read.

``simulate``       a legal schedule → costs by component and slot, counts, metrics
``broken_rules``   any schedule → the set of rule codes it breaks
``server_in_slot`` one server, one slot: outage, command, loading (shared with ``tiny.py``)

A command that breaks several rules yields all of them; a processed cell yields the first (the
order is that of ``processing_fault``), and only cells without a fault count towards capacity.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule

COMPONENTS = (
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
NONE, START, STOP, SWITCH = 0, 1, 2, 3
OFF = -1


class Tables:
    """The instance as nested lists: integers as int, reals as Fraction, NaN as None."""

    def __init__(self, instance: Instance):
        system, initial, weights = instance.system, instance.initial, instance.system.weights
        self.slots, self.regions = instance.slots, len(system.regions)
        self.models, self.classes = len(system.models), len(system.classes)
        self.servers = len(system.servers)
        self.slot_ms, self.hot_permille = int(system.slot_ms), int(system.hot_permille)
        for name in (
            "class_model",
            "deadline_slots",
            "server_region",
            "server_type",
            "server_ms",
            "start_ms",
            "switch_ms",
        ):
            setattr(self, name, getattr(system, name).tolist())
        for name in (
            "latency_s",
            "transfer_usd",
            "service_s",
            "hot_service_s",
            "rent_usd_per_hour",
            "idle_kw",
            "peak_kw",
            "start_usd",
            "switch_usd",
        ):
            setattr(self, name, exact(getattr(system, name).tolist()))
        self.slo_s: list[float] = system.slo_s.tolist()
        self.arrivals: list[Any] = instance.arrivals.tolist()
        self.price: list[Any] = exact(instance.price_usd_per_kwh.tolist())
        carbon = instance.carbon_g_per_kwh
        self.carbon: list[Any] | None = None if carbon is None else exact(carbon.tolist())
        self.up: list[list[bool]] = instance.up.tolist()
        self.initial_model: list[int] = initial.model.tolist()
        self.initial_loading_ms: list[int] = initial.loading_ms.tolist()
        self.backlog: list[Any] = initial.backlog.tolist()
        self.initial_processing: list[Any] = initial.processing.tolist()
        self.initial_routing: list[list[int]] = initial.routing.tolist()
        self.time_usd = Fraction(weights.time_usd_per_s)
        self.reroute_usd = Fraction(weights.reroute_usd)
        self.frobenius_usd = Fraction(weights.frobenius_usd)
        self.expiry_usd = exact(weights.expiry_usd.tolist())
        self.energy_factor = Fraction(weights.energy_factor)
        self.rent_factor = Fraction(weights.rent_factor)
        self.transfer_factor = Fraction(weights.transfer_factor)
        self.loading_factor = Fraction(weights.loading_factor)

    def holds(self, server: int, model: int) -> bool:
        return self.start_ms[self.server_type[server]][model] >= 0

    def initial_servers(self) -> list[Server]:
        pairs = zip(self.initial_model, self.initial_loading_ms, strict=True)
        return [Server(model, loading) for model, loading in pairs]


def exact(value: Any) -> Any:
    """Nested lists of floats as Fractions; NaN as None."""
    if isinstance(value, list):
        return [exact(entry) for entry in value]
    return None if math.isnan(value) else Fraction(value)


# --- one server, one slot -----------------------------------------------------------------------


@dataclass(frozen=True)
class Server:
    """``model`` −1 is off; with loading time left it is loading, without it is ready."""

    model: int
    loading_ms: int

    @property
    def state(self) -> str:
        if self.model == OFF:
            return "off"
        return "loading" if self.loading_ms > 0 else "ready"


@dataclass(frozen=True)
class ServerSlot:
    """What a server is during one slot and what it is at the end of it."""

    model: int
    on: bool
    usable_ms: int
    after: Server


def command_faults(
    tables: Tables, s: int, server: Server, up: bool, command: int, target: int
) -> set[str]:
    """All rules that a command breaks; of an unknown command there is no more to say.

    ``server`` is its state before the slot, the outage not yet applied.
    """
    if command not in (NONE, START, STOP, SWITCH):
        return {"command-unknown"}
    faults = set()
    loads = command in (START, SWITCH)
    named = 0 <= target < tables.models
    if (loads and not named) or (not loads and target != OFF):
        faults.add("model-missing")
    if loads and named and not tables.holds(s, target):
        faults.add("model-unheld")
    if command == NONE:
        return faults
    if not up:
        return faults | {"command-down"}
    if command == START and server.state != "off":
        faults.add("start-not-off")
    if command == STOP and server.state != "ready":
        faults.add("stop-not-ready")
    if command == SWITCH and server.state != "ready":
        faults.add("switch-not-ready")
    if command == SWITCH and server.state == "ready" and server.model == target:
        faults.add("switch-same-model")
    return faults


def server_in_slot(
    tables: Tables, s: int, server: Server, up: bool, command: int, target: int
) -> ServerSlot:
    """Outage first, then the (legal) command, then loading uses up the slot from its start."""
    if not up:
        return ServerSlot(OFF, False, 0, Server(OFF, 0))
    kind = tables.server_type[s]
    if command == START:
        server = Server(target, tables.start_ms[kind][target])
    elif command == STOP:
        server = Server(OFF, 0)
    elif command == SWITCH:
        server = Server(target, tables.switch_ms[kind][target])
    if server.model == OFF:
        return ServerSlot(OFF, False, 0, server)
    lost = min(server.loading_ms, tables.slot_ms)
    after = Server(server.model, server.loading_ms - lost)
    return ServerSlot(server.model, True, tables.slot_ms - lost, after)


# --- a legal schedule: what it costs ------------------------------------------------------------


@dataclass
class Request:
    arrival_slot: int
    origin: int | None  # None: was waiting before slot 0
    region: int
    kind: int
    network_s: Fraction
    network_float: float
    served_slot: int | None = None
    service_s: Fraction | None = None
    service_float: float = 0.0
    expired: bool = False


@dataclass
class Outcome:
    """What a schedule does and costs; money is exact."""

    costs_by_slot: dict[str, list[Fraction]]
    served: list[list[list[int]]]  # [slot][region][class]
    expired: list[list[list[int]]]
    waiting: list[list[list[int]]]  # after service and expiry
    hot: list[list[list[int]]]  # [slot][server][class]
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def costs(self) -> dict[str, Fraction]:
        return {name: sum(self.costs_by_slot[name], Fraction(0)) for name in COMPONENTS}

    @property
    def cost(self) -> Fraction:
        return sum(self.costs.values(), Fraction(0))


def simulate(instance: Instance, schedule: Schedule) -> Outcome:
    """Price a schedule that breaks no rule."""
    return _Simulation(instance, schedule).run()


class _Simulation:
    def __init__(self, instance: Instance, schedule: Schedule):
        self.tables = tables = Tables(instance)
        self.instance = instance
        self.routing = schedule.routing.tolist()
        self.command = schedule.command.tolist()
        self.command_model = schedule.command_model.tolist()
        self.processing = schedule.processing.tolist()
        self.forecast = None if schedule.forecast is None else exact(schedule.forecast.tolist())
        self.costs = {name: [Fraction(0)] * tables.slots for name in COMPONENTS}
        self.queue: list[list[list[Request]]] = [
            [[] for _ in range(tables.classes)] for _ in range(tables.regions)
        ]
        self.requests: list[Request] = []
        self.servers = tables.initial_servers()
        self.served, self.expired, self.waiting, self.hot = [], [], [], []
        self.balances: list[float] = []
        self.sums = dict.fromkeys(
            (
                "energy_kwh",
                "energy_usd",
                "carbon_g",
                "rent_usd",
                "transfer_usd",
                "overhead_usd",
                "rerouted",
                "frobenius",
            ),
            Fraction(0),
        )
        self.loading_ms = self.starts = self.switches = 0

    def run(self) -> Outcome:
        self.place_backlog()
        for t in range(self.tables.slots):
            self.route(t)
            fleet = self.run_servers(t)
            self.serve(t)
            self.power(t, fleet)
            self.expire(t)
            self.wait(t)
        return Outcome(
            self.costs, self.served, self.expired, self.waiting, self.hot, self.metrics()
        )

    def counts(self) -> list[list[int]]:
        return [[0] * self.tables.classes for _ in range(self.tables.regions)]

    def place_backlog(self) -> None:
        """Oldest first; what waits at age a (index a−1) arrived in slot −a."""
        for j in range(self.tables.regions):
            for c in range(self.tables.classes):
                ages = self.tables.backlog[j][c]
                for age in range(len(ages), 0, -1):
                    for _ in range(ages[age - 1]):
                        self.admit(Request(-age, None, j, c, Fraction(0), 0.0))

    def admit(self, request: Request) -> None:
        self.queue[request.region][request.kind].append(request)
        self.requests.append(request)

    def route(self, t: int) -> None:
        tables = self.tables
        for i in range(tables.regions):
            for j in range(tables.regions):
                for c in range(tables.classes):
                    for _ in range(self.routing[t][i][j][c]):
                        latency = tables.latency_s[i][j]
                        self.admit(Request(t, i, j, c, latency, float(latency)))
                        transfer = tables.transfer_usd[i][j][c]
                        self.costs["network"][t] += tables.time_usd * latency
                        self.costs["transfer"][t] += tables.transfer_factor * transfer
                        self.sums["transfer_usd"] += transfer
            self.change_of_routing(t, i)

    def routed(self, t: int, i: int) -> list[int]:
        """Requests of origin i by region; slot −1 is the initial routing."""
        if t < 0:
            return self.tables.initial_routing[i]
        return [sum(self.routing[t][i][j]) for j in range(self.tables.regions)]

    def change_of_routing(self, t: int, i: int) -> None:
        """κ·min(D_t, D_{t−1})·½‖ΔA‖₁ and α‖ΔA‖²; nothing where either slot has no arrivals."""
        now, before = self.routed(t, i), self.routed(t - 1, i)
        total, total_before = sum(now), sum(before)
        if total == 0 or total_before == 0:
            return
        changes = [
            Fraction(n, total) - Fraction(b, total_before) for n, b in zip(now, before, strict=True)
        ]
        rerouted = min(total, total_before) * sum(map(abs, changes)) / 2
        squares = sum(change * change for change in changes)
        self.sums["rerouted"] += rerouted
        self.sums["frobenius"] += squares
        self.costs["rerouting"][t] += self.tables.reroute_usd * rerouted
        self.costs["frobenius"][t] += self.tables.frobenius_usd * squares

    def run_servers(self, t: int) -> list[ServerSlot]:
        tables, fleet = self.tables, []
        for s in range(tables.servers):
            command, target = self.command[t][s], self.command_model[t][s]
            kind = tables.server_type[s]
            if command == START:
                self.starts += 1
                self.load(t, "starts", tables.start_ms[kind], tables.start_usd[kind], target)
            if command == SWITCH:
                self.switches += 1
                self.load(t, "switches", tables.switch_ms[kind], tables.switch_usd[kind], target)
            slot = server_in_slot(tables, s, self.servers[s], tables.up[t][s], command, target)
            self.servers[s] = slot.after
            fleet.append(slot)
        return fleet

    def load(self, t: int, component: str, ms: list[int], usd: list[Fraction], m: int) -> None:
        self.loading_ms += ms[m]
        self.sums["overhead_usd"] += usd[m]
        self.costs[component][t] += self.tables.loading_factor * usd[m]

    def serve(self, t: int) -> None:
        """The n-th request to leave a queue takes the n-th unit: servers by position, hot first."""
        tables, served = self.tables, self.counts()
        hot_of_slot = [[0] * tables.classes for _ in range(tables.servers)]
        before = self.processing[t - 1] if t > 0 else tables.initial_processing
        for s in range(tables.servers):
            j, k = tables.server_region[s], tables.server_type[s]
            for c in range(tables.classes):
                units = self.processing[t][s][c]
                hot = min(units, tables.hot_permille * before[s][c] // 1000)
                hot_of_slot[s][c] = hot
                for unit in range(units):
                    table = tables.hot_service_s if unit < hot else tables.service_s
                    request = self.queue[j][c].pop(0)
                    request.served_slot = t
                    request.service_s = table[k][c]
                    request.service_float = float(table[k][c])
                    served[j][c] += 1
                    self.costs["service"][t] += tables.time_usd * table[k][c]
        self.hot.append(hot_of_slot)
        self.served.append(served)

    def power(self, t: int, fleet: Sequence[ServerSlot]) -> None:
        """Idle power and rent while on, the rest of the power while busy; balance of the slot."""
        tables = self.tables
        hours = Fraction(tables.slot_ms, 3_600_000)
        utilisation, total_busy = [], 0
        for s, slot in enumerate(fleet):
            j, k = tables.server_region[s], tables.server_type[s]
            busy_ms = sum(
                self.processing[t][s][c] * tables.server_ms[k][c] for c in range(tables.classes)
            )
            if not slot.on:
                assert busy_ms == 0, "a server that is off processed requests"
                continue
            kwh = tables.idle_kw[k] * hours
            kwh += (tables.peak_kw[k] - tables.idle_kw[k]) * Fraction(busy_ms, 3_600_000)
            usd, rent = tables.price[t][j] * kwh, tables.rent_usd_per_hour[j][k] * hours
            self.sums["energy_kwh"] += kwh
            self.sums["energy_usd"] += usd
            if tables.carbon is not None:
                self.sums["carbon_g"] += tables.carbon[t][j] * kwh
            self.sums["rent_usd"] += rent
            self.costs["energy"][t] += tables.energy_factor * usd
            self.costs["rent"][t] += tables.rent_factor * rent
            utilisation.append(Fraction(busy_ms, tables.slot_ms))
            total_busy += busy_ms
        if total_busy > 0:
            mean = sum(utilisation) / len(utilisation)
            variance = sum((u - mean) ** 2 for u in utilisation) / len(utilisation)
            self.balances.append(1 / (1 + math.sqrt(variance / mean**2)))

    def expire(self, t: int) -> None:
        """At the end of slot t0+ℓ[c]; of the last slot, everything."""
        tables, expired = self.tables, self.counts()
        for j in range(tables.regions):
            for c in range(tables.classes):
                stay = []
                for request in self.queue[j][c]:
                    due = request.arrival_slot + tables.deadline_slots[c] <= t
                    if due or t == tables.slots - 1:
                        request.expired = True
                        expired[j][c] += 1
                        self.costs["expiry"][t] += tables.expiry_usd[c]
                    else:
                        stay.append(request)
                self.queue[j][c] = stay
        self.expired.append(expired)

    def wait(self, t: int) -> None:
        tables, waiting = self.tables, self.counts()
        for j in range(tables.regions):
            for c in range(tables.classes):
                for _ in self.queue[j][c]:
                    waiting[j][c] += 1
                    self.costs["waiting"][t] += tables.time_usd * Fraction(tables.slot_ms, 1000)
        self.waiting.append(waiting)

    # --- metrics --------------------------------------------------------------------------------

    def metrics(self) -> dict[str, Any]:
        served = [request for request in self.requests if request.served_slot is not None]
        expired = sum(request.expired for request in self.requests)
        total = len(self.requests)
        assert len(served) + expired == total, "every request is served or expires"
        responses = sorted(self.response(request) for request in served)
        within = sum(
            self.response(request) <= self.tables.slo_s[request.kind] for request in served
        )
        slots = [request.served_slot - request.arrival_slot for request in served]
        waits = [Fraction(slot * self.tables.slot_ms, 1000) for slot in slots]
        network = [request.network_s for request in served]
        inference = [request.service_s for request in served]
        return {
            "response_mean_s": mean(
                [sum(part) for part in zip(network, waits, inference, strict=True)]
            ),
            "response_p50_s": percentile(responses, 50),
            "response_p95_s": percentile(responses, 95),
            "response_p99_s": percentile(responses, 99),
            "wait_mean_s": mean(waits),
            "inference_mean_s": mean(inference),
            "network_mean_s": mean(network),
            "slo_share": Fraction(within, total) if total else None,
            "expired_share": Fraction(expired, total) if total else None,
            "load_balance": sum(self.balances) / len(self.balances) if self.balances else None,
            "energy_kwh": self.sums["energy_kwh"],
            "energy_usd": self.sums["energy_usd"],
            **({} if self.tables.carbon is None else {"carbon_g": self.sums["carbon_g"]}),
            "rent_usd": self.sums["rent_usd"],
            "transfer_usd": self.sums["transfer_usd"],
            "starts": self.starts,
            "switches": self.switches,
            "loading_s": Fraction(self.loading_ms, 1000),
            "overhead_usd": self.sums["overhead_usd"],
            "rerouted_requests": self.sums["rerouted"],
            "frobenius": self.sums["frobenius"],
            "prediction_accuracy": self.prediction_accuracy(),
            "requests": total,
            "served": len(served),
            "expired": expired,
        }

    def response(self, request: Request) -> float:
        """In floats and in this order, so that a comparison with a target has one answer."""
        wait = (request.served_slot - request.arrival_slot) * self.tables.slot_ms / 1000
        return (request.network_float + wait) + request.service_float

    def prediction_accuracy(self) -> float | None:
        """exp(−mean |F−D|/(D+1)) over slots from 1 on and regions."""
        if self.forecast is None or self.tables.slots == 1:
            return None
        errors = []
        for t in range(1, self.tables.slots):
            for i in range(self.tables.regions):
                arrived = sum(self.tables.arrivals[t][i])
                errors.append(abs(self.forecast[t][i] - arrived) / (arrived + 1))
        return math.exp(-mean(errors))


def mean(values: Sequence[Fraction]) -> Fraction | None:
    return Fraction(sum(values)) / len(values) if values else None


def percentile(ordered: Sequence[float], share: int) -> float | None:
    """Smallest value with at least ``share`` per cent of the values at or below it."""
    for count, value in enumerate(ordered, start=1):
        if 100 * count >= share * len(ordered):
            return value
    return None


# --- any schedule: which rules it breaks --------------------------------------------------------


def broken_rules(instance: Instance, schedule: Schedule) -> set[str]:
    """Codes of all rules that the schedule breaks; empty for a feasible schedule.

    A wrong shape, and then a negative count, is all that is reported of a schedule that has one.
    After any other fault the slot goes on as follows: a faulty command is ignored, what a server
    processes against a rule still leaves the queue, and a queue that gave more than it held is
    empty.
    """
    tables = Tables(instance)
    if not _shapes_agree(tables, schedule):
        return {"shape"}
    negative = {
        f"{name}-negative"
        for name in ("routing", "processing")
        if any(count < 0 for count in getattr(schedule, name).ravel().tolist())
    }
    return negative or _Check(tables, schedule).run()


def _shapes_agree(tables: Tables, schedule: Schedule) -> bool:
    t, r, s, c = tables.slots, tables.regions, tables.servers, tables.classes
    return (
        schedule.routing.shape == (t, r, r, c)
        and schedule.command.shape == (t, s)
        and schedule.command_model.shape == (t, s)
        and schedule.processing.shape == (t, s, c)
        and (schedule.forecast is None or schedule.forecast.shape == (t, r))
    )


class _Check:
    def __init__(self, tables: Tables, schedule: Schedule):
        self.tables = tables
        self.routing = schedule.routing.tolist()
        self.command = schedule.command.tolist()
        self.command_model = schedule.command_model.tolist()
        self.processing = schedule.processing.tolist()
        self.codes: set[str] = set()
        self.servers = tables.initial_servers()
        self.waiting: dict[tuple[int, int], list[int]] = {}  # arrival slots, oldest first

    def run(self) -> set[str]:
        tables = self.tables
        for j in range(tables.regions):
            for c in range(tables.classes):
                ages = tables.backlog[j][c]
                self.waiting[j, c] = [
                    -age for age in range(len(ages), 0, -1) for _ in range(ages[age - 1])
                ]
        for t in range(tables.slots):
            self.check_routing(t)
            for s in range(tables.servers):
                self.check_server(t, s)
            self.check_queues(t)
        return self.codes

    def check_routing(self, t: int) -> None:
        tables = self.tables
        for i in range(tables.regions):
            for c in range(tables.classes):
                sent = [self.routing[t][i][j][c] for j in range(tables.regions)]
                if sum(sent) != tables.arrivals[t][i][c]:
                    self.codes.add("routing-balance")
                for j, requests in enumerate(sent):
                    if requests > 0 and tables.latency_s[i][j] is None:
                        self.codes.add("routing-forbidden")
                    self.waiting[j, c].extend([t] * requests)

    def check_server(self, t: int, s: int) -> None:
        tables = self.tables
        up, command, target = tables.up[t][s], self.command[t][s], self.command_model[t][s]
        faults = command_faults(tables, s, self.servers[s], up, command, target)
        if faults:
            self.codes |= faults
            command, target = NONE, OFF
        slot = server_in_slot(tables, s, self.servers[s], up, command, target)
        self.servers[s] = slot.after
        busy_ms = 0
        for c in range(tables.classes):
            requests = self.processing[t][s][c]
            fault = processing_fault(tables, s, slot, c, requests)
            if fault is None:
                busy_ms += requests * tables.server_ms[tables.server_type[s]][c]
            else:
                self.codes.add(fault)
        if busy_ms > slot.usable_ms:
            self.codes.add("processing-capacity")

    def check_queues(self, t: int) -> None:
        tables = self.tables
        for (j, c), waiting in self.waiting.items():
            served = sum(
                self.processing[t][s][c]
                for s in range(tables.servers)
                if tables.server_region[s] == j
            )
            if served > len(waiting):
                self.codes.add("queue-empty")
            left = waiting[served:]
            self.waiting[j, c] = [
                arrival for arrival in left if arrival + tables.deadline_slots[c] > t
            ]


def processing_fault(tables: Tables, s: int, slot: ServerSlot, c: int, requests: int) -> str | None:
    """The rule that one processed cell breaks on its own; capacity is checked per server."""
    if requests == 0:
        return None
    if not slot.on:
        return "processing-off"
    if slot.usable_ms == 0:
        return "processing-loading"
    if tables.class_model[c] != slot.model:
        return "processing-model"
    if tables.server_ms[tables.server_type[s]][c] == 0:
        return "processing-incompatible"
    return None
