"""Whether a schedule of the placement family keeps every rule; integers only, no tolerance.

span      0 ≤ first, first + count ≤ L
limit     count within what the server may host
memory    s_m count_j + s_c Σ_r k^r_j ≤ M_j
start     a route begins at a server that hosts block 0
hop       first_j ≤ end_i < end_j for consecutive servers i, j
finish    a route ends at a server that hosts block L − 1
demand    as many routes as requests, client by client
"""

from __future__ import annotations

from collections import Counter

from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.data import PlacementSchedule, Route
from torta_opt.results import Verification, Violation

MOST_DESCRIBED = 20


def verify(instance: PlacementInstance, schedule: PlacementSchedule) -> Verification:
    """Check every rule; a route that breaks one still charges the memory it can be charged for."""
    found: list[Violation] = []
    _check_hosting(instance, schedule, found)
    _check_routes(instance, schedule, found)
    _check_memory(instance, schedule, found)
    _check_demand(instance, schedule, found)
    counts = Counter(violation.rule for violation in found)
    seen: Counter[str] = Counter()
    described = []
    for violation in found:
        seen[violation.rule] += 1
        if seen[violation.rule] <= MOST_DESCRIBED:
            described.append(violation)
    return Verification(tuple(described), dict(counts))


def _check_hosting(
    instance: PlacementInstance, schedule: PlacementSchedule, found: list[Violation]
) -> None:
    blocks, servers = instance.llm.blocks, instance.servers
    for j, name in enumerate(servers.names):
        first, count = int(schedule.placement.first[j]), int(schedule.placement.count[j])
        if count < 0 or first < 0 or first + count > blocks:
            message = f"{name} hosts blocks {first} to {first + count - 1} of 0 to {blocks - 1}"
            found.append(Violation("span", message))
        if count > servers.most_blocks[j]:
            message = f"{name} hosts {count} blocks, at most {servers.most_blocks[j]} are allowed"
            found.append(Violation("limit", message))


def _check_routes(
    instance: PlacementInstance, schedule: PlacementSchedule, found: list[Violation]
) -> None:
    names = instance.servers.names
    for route, requests in Counter(schedule.routes).items():
        chain = " → ".join(names[j] for j in route.servers)
        where = f"{requests} requests of {instance.clients.names[route.client]} via {chain or '-'}"
        for rule, message in _route_problems(instance, schedule, route):
            found.append(Violation(rule, f"{where}: {message}"))


def _route_problems(
    instance: PlacementInstance, schedule: PlacementSchedule, route: Route
) -> list[tuple[str, str]]:
    names, placement = instance.servers.names, schedule.placement
    if not route.servers:
        return [("start", "no server")]
    problems = []
    done = 0
    for position, j in enumerate(route.servers):
        first, end = int(placement.first[j]), int(placement.end[j])
        if not first <= done < end:
            rule = "hop" if position else "start"
            message = f"block {done} comes next, {names[j]} hosts {first} to {end - 1}"
            problems.append((rule, message))
        done = end
    if done != instance.llm.blocks:
        problems.append(("finish", f"ends after block {done - 1} of {instance.llm.blocks - 1}"))
    return problems


def _check_memory(
    instance: PlacementInstance, schedule: PlacementSchedule, found: list[Violation]
) -> None:
    processed = [0] * len(instance.servers)
    for route, requests in Counter(schedule.routes).items():
        for j, blocks in zip(route.servers, schedule.blocks_on(route), strict=True):
            processed[j] += max(blocks, 0) * requests
    for j, name in enumerate(instance.servers.names):
        hosted = int(schedule.placement.count[j]) * instance.llm.block_bytes
        used = hosted + processed[j] * instance.cache_bytes
        memory = int(instance.servers.memory_bytes[j])
        if used > memory:
            found.append(Violation("memory", f"{name} needs {used} bytes and has {memory}"))


def _check_demand(
    instance: PlacementInstance, schedule: PlacementSchedule, found: list[Violation]
) -> None:
    routed = Counter(route.client for route in schedule.routes)
    for c, name in enumerate(instance.clients.names):
        asked = int(instance.clients.requests[c])
        if routed[c] != asked:
            found.append(Violation("demand", f"{name} has {asked} requests, {routed[c]} routed"))
