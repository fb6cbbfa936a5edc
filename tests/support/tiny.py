"""Tiny instances with every rule in play, random legal schedules of them, and their exact optimum.

``random_tiny_instance(rng, limits)``          one instance from a seeded generator
``random_neighbour(instance, rng)``            the same servers and outages, all else drawn anew
``tiny_instances(limits)``                     the same as a hypothesis strategy: the sizes are
                                               drawn (and shrink), the contents come from a seed
``random_feasible_schedule(instance, rng)``    legal decisions, biased to useful ones
``feasible_cases(limits)``                     strategy of (instance, schedule)
``brute_force_optimum(instance, max_states)``  the cheapest of ALL schedules, exact
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from hypothesis import strategies as st
from support.reference import NONE, OFF, START, STOP, SWITCH, Server, Tables, server_in_slot

from torta_opt.allocation.instance.data import Initial, Instance, System, Weights
from torta_opt.allocation.schedule.data import Schedule

# --- random instances ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Limits:
    """Largest sizes, and the share of instances that have each feature (0 never, 1 always)."""

    regions: int = 3
    models: int = 3
    types: int = 3
    servers: int = 4
    classes: int = 3
    slots: int = 5
    requests: int = 4  # per origin, class and slot
    deadline_slots: int = 3
    slot_ms: tuple[int, ...] = (7, 10, 20, 40)
    server_ms: int = 12  # may exceed the slot: such a type cannot serve the class in practice
    loading_ms: int = 35
    outages: float = 0.4
    forbidden_pairs: float = 0.3
    negative_prices: float = 0.4
    backlog: float = 0.5
    warm_servers: float = 0.7  # some servers on at the start, ready or loading
    initial_routing: float = 0.7
    hot: float = 0.8
    frobenius: float = 0.4
    factors: float = 0.3  # weights of money other than 1
    transfer: float = 0.5
    rent: float = 0.5
    no_arrivals: float = 0.05


TINY = Limits()
# Small enough for brute_force_optimum in milliseconds to a few seconds.
TINIEST = Limits(
    regions=2,
    models=2,
    types=2,
    servers=2,
    classes=2,
    slots=3,
    requests=2,
    deadline_slots=2,
    slot_ms=(10,),
    loading_ms=25,
)


def random_tiny_instance(rng: np.random.Generator, limits: Limits = TINY, **sizes: int) -> Instance:
    """A valid instance; ``sizes`` (regions, models, types, servers, classes, slots) fix a size."""
    sizes = {
        name: sizes.get(name) or int(rng.integers(1, getattr(limits, name) + 1))
        for name in ("regions", "models", "types", "servers", "classes", "slots")
    }
    system = _random_system(rng, limits, sizes)
    r, s, c, slots = sizes["regions"], sizes["servers"], sizes["classes"], sizes["slots"]
    arrivals = rng.integers(0, limits.requests + 1, (slots, r, c))
    arrivals *= rng.random((slots, r, c)) < rng.choice([0.4, 0.8, 1.0])
    if rng.random() < limits.no_arrivals:
        arrivals[:] = 0
    price = _some(rng, (0.05, 0.3), (slots, r))
    if rng.random() < limits.negative_prices:
        price = np.where(rng.random((slots, r)) < 0.3, -price, price)
    up = np.ones((slots, s), bool)
    if rng.random() < limits.outages:
        up = rng.random((slots, s)) < 0.75
    return Instance(
        name="tiny",
        system=system,
        initial=_random_initial(rng, limits, system),
        arrivals=arrivals,
        price_usd_per_kwh=price,
        up=up,
    )


def random_neighbour(
    instance: Instance, rng: np.random.Generator, limits: Limits = TINY
) -> Instance:
    """The same system and outages; arrivals, prices and initial state drawn anew."""
    arrivals = rng.integers(0, limits.requests + 1, instance.arrivals.shape)
    arrivals *= rng.random(arrivals.shape) < rng.choice([0.0, 0.4, 1.0])
    return dataclasses.replace(
        instance,
        initial=_random_initial(rng, limits, instance.system),
        arrivals=arrivals,
        price_usd_per_kwh=_some(rng, (-0.05, 0.3), instance.price_usd_per_kwh.shape),
    )


def _some(
    rng: np.random.Generator, span: tuple[float, float], shape: int | tuple[int, ...]
) -> np.ndarray:
    """Uniform reals of three decimals: most have no finite binary expansion."""
    return np.round(rng.uniform(*span, shape), 3)


def _random_system(rng: np.random.Generator, limits: Limits, sizes: dict[str, int]) -> System:
    r, m, k = sizes["regions"], sizes["models"], sizes["types"]
    s, c = sizes["servers"], sizes["classes"]
    slot_ms = int(rng.choice(limits.slot_ms))
    class_model = rng.integers(0, m, c)
    server_type = rng.integers(0, k, s)
    holds = rng.random((k, m)) < 0.8
    server_ms = rng.integers(1, limits.server_ms + 1, (2, k, c)).min(axis=0)  # more often short
    server_ms *= rng.random((k, c)) < 0.75
    for position in range(c):  # some server can serve the class
        kind = server_type[rng.integers(s)]
        holds[kind, class_model[position]] = True
        server_ms[kind, position] = rng.integers(1, min(limits.server_ms, slot_ms) + 1)
    server_ms *= holds[:, class_model]
    known = server_ms > 0
    service = np.where(known, _some(rng, (0.001, 0.05), (k, c)), np.nan)
    idle = _some(rng, (0, 30_000), k) * (rng.random(k) < 0.9)
    rent = _some(rng, (0, 10_000), (r, k)) * (rng.random((r, k)) < 0.7)
    transfer = _some(rng, (0, 0.02), (r, r, c)) * (rng.random() < limits.transfer)
    loading = {
        name: np.where(holds, rng.integers(0, limits.loading_ms + 1, (k, m)), -1)
        * np.where(holds & (rng.random((k, m)) < 0.15), 0, 1)
        for name in ("start_ms", "switch_ms")
    }
    return System(
        slot_ms=slot_ms,
        hot_permille=_random_hot_share(rng, limits),
        regions=_names("region", r),
        models=_names("model", m),
        types=_names("type", k),
        classes=_names("class", c),
        servers=_names("server", s),
        class_model=class_model,
        deadline_slots=rng.integers(0, limits.deadline_slots + 1, c),
        slo_s=np.round(rng.uniform(0.005, 0.06, c), 3),
        server_region=rng.integers(0, r, s),
        server_type=server_type,
        latency_s=_random_latency(rng, limits, r),
        transfer_usd=transfer,
        service_s=service,
        hot_service_s=service * np.round(rng.uniform(0.3, 1, (k, c)), 1),
        server_ms=server_ms,
        rent_usd_per_hour=rent * (rng.random() < limits.rent),
        idle_kw=idle,
        peak_kw=idle + _some(rng, (0, 60_000), k) * (rng.random(k) < 0.9),
        start_usd=_some(rng, (0, 0.2), (k, m)),
        switch_usd=_some(rng, (0, 0.1), (k, m)),
        weights=_random_weights(rng, limits, c),
        **loading,
    )


def _names(noun: str, count: int) -> tuple[str, ...]:
    return tuple(f"{noun} {position}" for position in range(count))


def _random_hot_share(rng: np.random.Generator, limits: Limits) -> int:
    if rng.random() >= limits.hot:
        return 0
    return int(rng.choice([1000, 999, 500, 334, 333, rng.integers(1, 1001)]))


def _random_latency(rng: np.random.Generator, limits: Limits, regions: int) -> np.ndarray:
    """Every origin may send somewhere, not always to itself."""
    latency = _some(rng, (0, 0.03), (regions, regions))
    if rng.random() < limits.forbidden_pairs:
        forbidden = rng.random((regions, regions)) < 0.35
        forbidden[np.arange(regions), rng.integers(0, regions, regions)] = False
        latency[forbidden] = np.nan
    return latency


def _random_weights(rng: np.random.Generator, limits: Limits, classes: int) -> Weights:
    factors = {}
    if rng.random() < limits.factors:
        names = ("energy_factor", "rent_factor", "transfer_factor", "loading_factor")
        factors = {name: float(_some(rng, (0, 3), 1)[0]) for name in names}
    return Weights(
        time_usd_per_s=float(_some(rng, (0.5, 10), 1)[0]),
        reroute_usd=float(_some(rng, (0, 0.1), 1)[0]),
        expiry_usd=_some(rng, (0, 1), classes),
        frobenius_usd=float(_some(rng, (0, 0.2), 1)[0]) * (rng.random() < limits.frobenius),
        **factors,
    )


def _random_initial(rng: np.random.Generator, limits: Limits, system: System) -> Initial:
    regions, classes, servers = len(system.regions), len(system.classes), len(system.servers)
    model, loading = np.full(servers, OFF), np.zeros(servers, int)
    processing = np.zeros((servers, classes), int)
    if rng.random() < limits.warm_servers:
        for s in range(servers):
            held = np.flatnonzero(system.holds[system.server_type[s]])
            if held.size == 0 or rng.random() < 0.3:
                continue
            model[s] = rng.choice(held)
            if rng.random() < 0.3:
                loading[s] = rng.integers(1, limits.loading_ms + 1)
            else:
                processing[s] = _fill(rng, system, s, model[s], system.slot_ms, None)
    routing = np.zeros((regions, regions), int)
    if rng.random() < limits.initial_routing:
        routing = rng.integers(0, 5, (regions, regions)) * system.allowed
        routing *= (rng.random(regions) < 0.85)[:, None]
    return Initial(
        model=model,
        loading_ms=loading,
        backlog=_random_backlog(rng, limits, system),
        processing=processing,
        routing=routing,
    )


def _random_backlog(rng: np.random.Generator, limits: Limits, system: System) -> np.ndarray:
    """Requests no older than their deadline; the last ages may hold nothing."""
    regions, classes = len(system.regions), len(system.classes)
    if rng.random() >= limits.backlog:
        return np.zeros((regions, classes, 0), int)
    ages = int(system.deadline_slots.max()) + int(rng.random() < 0.1)
    backlog = rng.integers(0, limits.requests + 1, (regions, classes, ages))
    backlog *= np.arange(1, ages + 1) <= system.deadline_slots[:, None]
    return backlog * (rng.random(backlog.shape) < 0.6)


def _fill(
    rng: np.random.Generator,
    system: System,
    s: int,
    model: int,
    usable_ms: int,
    waiting: list[int] | None,
) -> list[int]:
    """Requests by class that fit the usable time (and, if given, what waits; taken from it)."""
    k = system.server_type[s]
    filled = [0] * len(system.classes)
    for c in rng.permutation(len(system.classes)).tolist():
        work = int(system.server_ms[k, c])
        if system.class_model[c] != model or work == 0:
            continue
        most = usable_ms // work if waiting is None else min(usable_ms // work, waiting[c])
        filled[c] = most if rng.random() < 0.6 else int(rng.integers(0, most + 1))
        usable_ms -= filled[c] * work
        if waiting is not None:
            waiting[c] -= filled[c]
    return filled


def tiny_instances(limits: Limits = TINY) -> st.SearchStrategy[Instance]:
    """Instances whose sizes are drawn one by one (a failure shrinks to the fewest of each)."""
    sizes = {
        name: st.integers(1, getattr(limits, name))
        for name in ("regions", "models", "types", "servers", "classes", "slots")
    }

    def build(seed: int, sizes: dict[str, int]) -> Instance:
        return random_tiny_instance(np.random.default_rng(seed), limits, **sizes)

    return st.builds(build, st.integers(0, 2**32 - 1), st.fixed_dictionaries(sizes))


# --- random legal schedules ---------------------------------------------------------------------


def feasible_cases(limits: Limits = TINY) -> st.SearchStrategy[tuple[Instance, Schedule]]:
    """An instance and a random feasible schedule of it."""

    def build(instance: Instance, seed: int) -> tuple[Instance, Schedule]:
        return instance, random_feasible_schedule(instance, np.random.default_rng(seed))

    return st.builds(build, tiny_instances(limits), st.integers(0, 2**32 - 1))


def random_feasible_schedule(
    instance: Instance, rng: np.random.Generator, forecast: bool | None = None
) -> Schedule:
    """Routes to allowed regions, legal commands, processing up to usable time and queue.

    How eagerly servers start, stop and switch and how the routes scatter is drawn once, so that
    calm and restless schedules both occur. ``forecast``: None means sometimes.
    """
    system, tables = instance.system, Tables(instance)
    t, r, s, c = instance.slots, tables.regions, tables.servers, tables.classes
    routing = np.zeros((t, r, r, c), int)
    command, command_model = np.zeros((t, s), int), np.full((t, s), OFF)
    processing = np.zeros((t, s, c), int)
    restless = rng.choice([0.05, 0.3])
    scatter = rng.random()
    servers = tables.initial_servers()
    queues = _Queues(tables)
    for slot in range(t):
        _route(rng, instance, slot, routing[slot], scatter)
        queues.arrive(routing[slot].sum(axis=0))
        for server in rng.permutation(s).tolist():
            up = tables.up[slot][server]
            told, target = _random_command(rng, tables, server, servers[server], up, restless)
            command[slot, server], command_model[slot, server] = told, target
            now = server_in_slot(tables, server, servers[server], up, told, target)
            servers[server] = now.after
            if now.usable_ms == 0 or rng.random() < 0.05:
                continue
            waiting = queues.waiting(tables.server_region[server])
            filled = _fill(rng, system, server, now.model, now.usable_ms, waiting)
            processing[slot, server] = filled
            queues.serve(tables.server_region[server], filled)
        queues.end_slot()
    if forecast is None:
        forecast = bool(rng.random() < 0.5)
    return Schedule(
        routing=routing,
        command=command,
        command_model=command_model,
        processing=processing,
        forecast=np.round(rng.uniform(0, 10, (t, r)), 2) if forecast else None,
        method="random",
    )


class _Queues:
    """Waiting requests by region and class: counts by age, oldest last."""

    def __init__(self, tables: Tables):
        self.deadline = tables.deadline_slots
        self.ages = [
            [[0, *tables.backlog[j][c]][: self.deadline[c] + 1] for c in range(tables.classes)]
            for j in range(tables.regions)
        ]
        for row in self.ages:
            for c, ages in enumerate(row):
                ages.extend([0] * (self.deadline[c] + 1 - len(ages)))

    def arrive(self, inflow: np.ndarray) -> None:
        for row, requests in zip(self.ages, inflow.tolist(), strict=True):
            for ages, count in zip(row, requests, strict=True):
                ages[0] += count

    def waiting(self, j: int) -> list[int]:
        return [sum(ages) for ages in self.ages[j]]

    def serve(self, j: int, requests: list[int]) -> None:
        for ages, left in zip(self.ages[j], requests, strict=True):
            for age in range(len(ages) - 1, -1, -1):
                taken = min(ages[age], left)
                ages[age] -= taken
                left -= taken

    def end_slot(self) -> None:
        self.ages = [[[0, *ages[:-1]] for ages in row] for row in self.ages]


def _route(
    rng: np.random.Generator, instance: Instance, t: int, routing: np.ndarray, scatter: float
) -> None:
    """Each origin has a favourite region, mostly one with servers; ``scatter`` go anywhere."""
    for i in range(routing.shape[0]):
        allowed = np.flatnonzero(instance.system.allowed[i])
        staffed = np.intersect1d(allowed, instance.system.server_region)
        favourites = staffed if staffed.size and rng.random() < 0.8 else allowed
        shares = np.full(len(allowed), scatter / len(allowed))
        shares[np.searchsorted(allowed, rng.choice(favourites))] += 1 - scatter
        for c, requests in enumerate(instance.arrivals[t, i].tolist()):
            routing[i, allowed, c] = rng.multinomial(requests, shares)


def _random_command(
    rng: np.random.Generator,
    tables: Tables,
    s: int,
    server: Server,
    up: bool,
    restless: float,
) -> tuple[int, int]:
    if not up or server.state == "loading":
        return NONE, OFF
    held = [m for m in range(tables.models) if tables.holds(s, m)]
    wanted = [m for m in held if m in tables.class_model] if rng.random() < 0.8 else held
    if server.state == "off":
        return (START, int(rng.choice(wanted))) if wanted and rng.random() < 0.8 else (NONE, OFF)
    if rng.random() < restless:
        others = [m for m in held if m != server.model]
        if others and rng.random() < 0.6:
            return SWITCH, int(rng.choice(others))
        return STOP, OFF
    return NONE, OFF


# --- the optimum over all schedules -------------------------------------------------------------


class TooLarge(Exception):
    """The instance has more states than the brute force was allowed to visit."""


@dataclass(frozen=True)
class Optimum:
    cost: Fraction
    schedule: Schedule
    states: int


Key = tuple[Any, ...]


@dataclass(frozen=True)
class _Path:
    """A chain of decisions, last first; shared between the paths that continue it."""

    step: Key
    before: _Path | None


Layer = dict[Key, tuple[int, _Path | None]]


def brute_force_optimum(instance: Instance, max_states: int = 300_000) -> Optimum:
    """The least cost of all schedules, exact, and a schedule that attains it.

    Dynamic programming forward in time. A slot is a sequence of small decisions: the routes of one
    origin and class, for each; then one server's command and processing, for each; then expiry and
    waiting. Every legal value of every decision is tried; nothing is pruned by a bound. After each
    decision, histories that leave the same state are merged and the cheapest is kept. The state is
    all that later costs and rules depend on: the queues by age, each server's model, loading time
    and how many of its requests may be hot in the next slot, and the last routing of each origin
    (only while a re-routing or Frobenius cost can follow). Costs are integers: all reals of the
    instance are fractions, brought to a common denominator.

    Raises TooLarge after visiting ``max_states`` states.
    """
    return _BruteForce(instance, max_states).run()


class _BruteForce:
    def __init__(self, instance: Instance, max_states: int):
        self.tables = tables = Tables(instance)
        self.allowed = [
            [j for j in range(tables.regions) if tables.latency_s[i][j] is not None]
            for i in range(tables.regions)
        ]
        self.max_states, self.states = max_states, 0
        self.prices = _Prices(tables)

    def run(self) -> Optimum:
        tables = self.tables
        layer: Layer = {self.first_state(): (0, None)}
        for t in range(tables.slots):
            for i in range(tables.regions):
                for c in range(tables.classes):
                    if tables.arrivals[t][i][c]:
                        layer = self.expand(layer, t, self.routes, (i, c))
                layer = self.expand(layer, t, self.close_origin, (i,))
            for s in range(tables.servers):
                layer = self.expand(layer, t, self.server_decisions, (s,))
            layer = self.expand(layer, t, self.end_slot, ())
        cost, path = min(layer.values(), key=lambda entry: entry[0])
        exact_cost = Fraction(cost, self.prices.denominator)
        return Optimum(exact_cost, self.schedule(path), self.states)

    def first_state(self) -> Key:
        tables = self.tables
        queues = tuple(
            tuple(
                _padded(tables.backlog[j][c], tables.deadline_slots[c])
                for c in range(tables.classes)
            )
            for j in range(tables.regions)
        )
        servers = tuple(
            (server.model, server.loading_ms, self.hot_next(processing))
            for server, processing in zip(
                tables.initial_servers(), tables.initial_processing, strict=True
            )
        )
        routed = tuple(
            self.routed_before(0, i, row) for i, row in enumerate(tables.initial_routing)
        )
        return queues, servers, routed, (0,) * tables.regions

    def routed_before(self, t: int, i: int, row: list[int] | tuple[int, ...]) -> Key | None:
        """Last slot's routing of origin i, if slot t has a cost that depends on it."""
        priced = self.tables.reroute_usd or self.tables.frobenius_usd
        if t >= self.tables.slots or not sum(self.tables.arrivals[t][i]) or not priced:
            return None
        return tuple(row) if sum(row) else None

    def hot_next(self, processing: list[int] | tuple[int, ...]) -> tuple[int, ...]:
        return tuple(self.tables.hot_permille * z // 1000 for z in processing)

    def expand(self, layer: Layer, t: int, decisions: Any, which: tuple[int, ...]) -> Layer:
        """Every state × every decision; the cheapest way to each next state stays."""
        following: Layer = {}
        for state, (cost, path) in layer.items():
            for added, state_after, step in decisions(state, t, *which):
                known = following.get(state_after)
                if known is None or cost + added < known[0]:
                    chain = path if step is None else _Path(step, path)
                    following[state_after] = cost + added, chain
            if self.states + len(following) > self.max_states:
                raise TooLarge(f"more than {self.max_states} states")
        self.states += len(following)
        return following

    def routes(self, state: Key, t: int, i: int, c: int) -> Iterator[tuple[int, Key, Key]]:
        """All ways to split the requests of origin i and class c over the allowed regions."""
        queues, servers, routed, current = state
        allowed, usd = self.allowed[i], self.prices.route
        for split in _compositions(self.tables.arrivals[t][i][c], len(allowed)):
            after, totals, cost = list(queues), list(current), 0
            for j, requests in zip(allowed, split, strict=True):
                row = after[j]
                ages = (row[c][0] + requests, *row[c][1:])
                after[j] = (*row[:c], ages, *row[c + 1 :])
                totals[j] += requests
                cost += requests * usd[i][j][c]
            step = ("route", t, i, c, tuple(zip(allowed, split, strict=True)))
            yield cost, (tuple(after), servers, routed, tuple(totals)), step

    def close_origin(self, state: Key, t: int, i: int) -> Iterator[tuple[int, Key, None]]:
        """Price the change of origin i's routing; keep its totals if the next slot needs them."""
        queues, servers, routed, current = state
        before = routed[i]
        cost = 0 if before is None else self.prices.change(before, current)
        kept = (*routed[:i], self.routed_before(t + 1, i, current), *routed[i + 1 :])
        yield cost, (queues, servers, kept, (0,) * len(current)), None

    def server_decisions(self, state: Key, t: int, s: int) -> Iterator[tuple[int, Key, Key]]:
        queues, servers, routed, current = state
        tables = self.tables
        model, loading_ms, hot = servers[s]
        up, j = tables.up[t][s], tables.server_region[s]
        server = Server(model, loading_ms)
        for command, target in self.commands(server, up, s):
            now = server_in_slot(tables, s, server, up, command, target)
            base = self.prices.command(s, command, target) + (now.on and self.prices.on[t][s])
            for batch, row, work in self.batches(queues[j], s, now.model, now.usable_ms):
                cost = base + work * self.prices.busy_ms[t][s]
                for c, requests in enumerate(batch):
                    cost += self.prices.service(s, c, requests, hot[c])
                entry = (now.after.model, now.after.loading_ms, self.hot_next(batch))
                after = (*queues[:j], row, *queues[j + 1 :])
                others = (*servers[:s], entry, *servers[s + 1 :])
                step = ("server", t, s, command, target, batch)
                yield cost, (after, others, routed, current), step

    def commands(self, server: Server, up: bool, s: int) -> Iterator[tuple[int, int]]:
        yield NONE, OFF
        if not up or server.state == "loading":
            return
        if server.state == "ready":
            yield STOP, OFF
        told = START if server.state == "off" else SWITCH
        for model in range(self.tables.models):
            if self.tables.holds(s, model) and model != server.model:
                yield told, model

    def batches(
        self, queues: Key, s: int, model: int, usable_ms: int, c: int = 0
    ) -> Iterator[tuple[tuple[int, ...], Key, int]]:
        """All (requests by class, queues after, busy ms) that fit, from class c on."""
        if c == self.tables.classes:
            yield (), (), 0
            return
        work = self.tables.server_ms[self.tables.server_type[s]][c]
        most = 0
        if work and self.tables.class_model[c] == model:
            most = min(usable_ms // work, sum(queues[c]))
        for requests in range(most + 1):
            left = _served(queues[c], requests)
            used = requests * work
            for batch, row, busy in self.batches(queues, s, model, usable_ms - used, c + 1):
                yield (requests, *batch), (left, *row), used + busy

    def end_slot(self, state: Key, t: int) -> Iterator[tuple[int, Key, None]]:
        queues, servers, routed, current = state
        last = t == self.tables.slots - 1
        cost, after = 0, []
        for row in queues:
            shifted = []
            for c, ages in enumerate(row):
                expired = sum(ages) if last else ages[-1]
                waiting = sum(ages) - expired
                cost += expired * self.prices.expiry[c] + waiting * self.prices.wait
                shifted.append((0,) * len(ages) if last else (0, *ages[:-1]))
            after.append(tuple(shifted))
        yield cost, (tuple(after), servers, routed, current), None

    def schedule(self, path: _Path | None) -> Schedule:
        tables = self.tables
        t, r, s, c = tables.slots, tables.regions, tables.servers, tables.classes
        routing = np.zeros((t, r, r, c), int)
        command, command_model = np.zeros((t, s), int), np.full((t, s), OFF)
        processing = np.zeros((t, s, c), int)
        while path is not None:
            kind, slot, *step = path.step
            if kind == "route":
                i, of_class, split = step
                for j, requests in split:
                    routing[slot, i, j, of_class] = requests
            else:
                server, told, target, batch = step
                command[slot, server], command_model[slot, server] = told, target
                processing[slot, server] = batch
            path = path.before
        return Schedule(routing, command, command_model, processing, method="brute force")


class _Prices:
    """Every unit price of the instance as an integer multiple of 1/denominator dollars."""

    def __init__(self, tables: Tables):
        self.tables = tables
        v, servers = tables.time_usd, range(tables.servers)
        region, kind = tables.server_region, tables.server_type
        hour = Fraction(1, 3_600_000)
        route = [
            [
                [
                    None if latency is None else v * latency + tables.transfer_factor * transfer
                    for transfer in tables.transfer_usd[i][j]
                ]
                for j, latency in enumerate(row)
            ]
            for i, row in enumerate(tables.latency_s)
        ]
        price = [
            [tables.energy_factor * tables.price[t][region[s]] for s in servers]
            for t in range(tables.slots)
        ]
        on = [
            [
                tables.slot_ms
                * hour
                * (
                    usd * tables.idle_kw[kind[s]]
                    + tables.rent_factor * tables.rent_usd_per_hour[region[s]][kind[s]]
                )
                for s, usd in enumerate(row)
            ]
            for row in price
        ]
        busy = [
            [
                usd * hour * (tables.peak_kw[kind[s]] - tables.idle_kw[kind[s]])
                for s, usd in enumerate(row)
            ]
            for row in price
        ]
        cold = _times(v, tables.service_s)
        hot = _times(v, tables.hot_service_s)
        start = _times(tables.loading_factor, tables.start_usd)
        switch = _times(tables.loading_factor, tables.switch_usd)
        wait = v * Fraction(tables.slot_ms, 1000)
        groups = [route, on, busy, cold, hot, start, switch, tables.expiry_usd, wait]
        rows = _row_sums(tables)
        self.denominator = math.lcm(
            *_denominators(groups),
            2 * tables.reroute_usd.denominator * rows,
            tables.frobenius_usd.denominator * rows**2,
        )
        whole = [self.whole(group) for group in groups]
        self.route, self.on, self.busy_ms, self.cold, self.hot = whole[:5]
        self.start, self.switch, self.expiry, self.wait = whole[5:]

    def whole(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.whole(entry) for entry in value]
        if value is None:
            return None
        scaled = value * self.denominator
        assert scaled.denominator == 1
        return scaled.numerator

    def command(self, s: int, command: int, target: int) -> int:
        kind = self.tables.server_type[s]
        if command == START:
            return self.start[kind][target]
        return self.switch[kind][target] if command == SWITCH else 0

    def service(self, s: int, c: int, requests: int, hot_most: int) -> int:
        if requests == 0:
            return 0
        kind, hot = self.tables.server_type[s], min(requests, hot_most)
        return hot * self.hot[kind][c] + (requests - hot) * self.cold[kind][c]

    def change(self, before: tuple[int, ...], now: tuple[int, ...]) -> int:
        """κ·min(D, D′)·½‖ΔA‖₁ + α‖ΔA‖²; both rows have arrivals."""
        total_before, total = sum(before), sum(now)
        changes = [
            Fraction(n, total) - Fraction(b, total_before) for n, b in zip(now, before, strict=True)
        ]
        rerouted = min(total, total_before) * sum(map(abs, changes)) / 2
        squares = sum(change * change for change in changes)
        usd = self.tables.reroute_usd * rerouted + self.tables.frobenius_usd * squares
        return self.whole(usd)


def _times(factor: Fraction, table: list[list[Fraction | None]]) -> list[list[Fraction | None]]:
    return [[None if value is None else factor * value for value in row] for row in table]


def _denominators(value: Any) -> Iterator[int]:
    if isinstance(value, list):
        for entry in value:
            yield from _denominators(entry)
    elif value is not None:
        yield value.denominator


def _row_sums(tables: Tables) -> int:
    """A common multiple of D_t·D_{t−1} of every origin and slot."""
    multiple = 1
    for i in range(tables.regions):
        before = sum(tables.initial_routing[i])
        for t in range(tables.slots):
            now = sum(tables.arrivals[t][i])
            multiple = math.lcm(multiple, max(now, 1) * max(before, 1))
            before = now
    return multiple


def _padded(backlog: list[int], deadline: int) -> tuple[int, ...]:
    """Counts by age 0..ℓ: what waits at age a before slot 0 has age a in slot 0."""
    ages = [0, *backlog][: deadline + 1]
    return tuple(ages + [0] * (deadline + 1 - len(ages)))


def _served(ages: tuple[int, ...], requests: int) -> tuple[int, ...]:
    """Oldest first."""
    if requests == 0:
        return ages
    left = list(ages)
    for age in range(len(ages) - 1, -1, -1):
        taken = min(left[age], requests)
        left[age] -= taken
        requests -= taken
    return tuple(left)


def _compositions(total: int, parts: int) -> Iterator[tuple[int, ...]]:
    """All ways to write ``total`` as an ordered sum of ``parts`` counts."""
    if parts == 1:
        yield (total,)
        return
    for first in range(total + 1):
        for rest in _compositions(total - first, parts - 1):
            yield (first, *rest)
