"""The schedule file of the placement family: a placement, and a route for every request.

Only servers are named along a route; how many blocks each processes follows from the placement
(a server is run to the end of what it hosts).
"""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from torta_opt.io import InvalidInput
from torta_opt.io.schema import Bulk, Strict, parse
from torta_opt.placement.instance.data import PlacementInstance
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route

FORMAT = "torta-opt/placement-schedule"
VERSION = 1

Name = Annotated[str, Field(min_length=1, max_length=200)]
Count = Annotated[int, Field(ge=0, le=10**9)]


class HostEntry(Strict):
    """What one server hosts; servers left out host nothing."""

    server: Name
    first: Count = Field(description="the first hosted block, counted from 0")
    count: int = Field(ge=1, le=10**9, description="hosted blocks")


class RouteEntry(Strict):
    client: Name
    servers: Bulk[Name] = Field(description="passed one after the other, each run to its end")
    requests: int = Field(default=1, ge=1, le=10**7, description="that take this route")


class ScheduleDocument(Strict):
    """A schedule of a block placement instance."""

    format: Literal["torta-opt/placement-schedule"]
    version: Literal[1]
    instance: Name
    method: Name
    seed: int | None = None
    hosts: Bulk[HostEntry]
    routes: Bulk[RouteEntry]


def json_schema() -> dict[str, Any]:
    schema = ScheduleDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schedule_from_document(
    document: dict[str, Any], instance: PlacementInstance
) -> PlacementSchedule:
    """Names become positions; a schedule of another instance is refused."""
    entry: ScheduleDocument = parse(ScheduleDocument, document)
    if entry.instance != instance.name:
        raise InvalidInput(f"is {entry.instance!r}, expected {instance.name!r}", field="instance")
    server = {name: j for j, name in enumerate(instance.servers.names)}
    client = {name: c for c, name in enumerate(instance.clients.names)}
    first, count = [0] * len(server), [0] * len(server)
    for position, host in enumerate(entry.hosts):
        j = _known(server, host.server, f"hosts[{position}].server")
        if count[j]:
            raise InvalidInput(f"names {host.server!r} twice", field=f"hosts[{position}].server")
        first[j], count[j] = host.first, host.count
    routes: list[Route] = []
    for position, route in enumerate(entry.routes):
        field = f"routes[{position}]"
        if len(routes) + route.requests > 10**7:
            raise InvalidInput("are more than 10000000 requests", field="routes")
        chain = tuple(_known(server, name, f"{field}.servers") for name in route.servers)
        origin = _known(client, route.client, f"{field}.client")
        routes += [Route(origin, chain)] * route.requests
    placement = Placement(np.array(first), np.array(count))
    return PlacementSchedule(entry.method, placement, tuple(routes), entry.seed)


def schedule_to_document(
    schedule: PlacementSchedule, instance: PlacementInstance
) -> dict[str, Any]:
    names, placement = instance.servers.names, schedule.placement
    hosts = [
        {"server": names[j], "first": int(placement.first[j]), "count": int(placement.count[j])}
        for j in range(len(names))
        if placement.count[j]
    ]
    routes = [
        {
            "client": instance.clients.names[route.client],
            "servers": [names[j] for j in route.servers],
            "requests": requests,
        }
        for route, requests in Counter(schedule.routes).items()
    ]
    return {
        "format": FORMAT,
        "version": VERSION,
        "instance": instance.name,
        "method": schedule.method,
        "seed": schedule.seed,
        "hosts": hosts,
        "routes": routes,
    }


def _known(positions: dict[str, int], name: str, field: str) -> int:
    if name not in positions:
        raise InvalidInput(f"names an unknown one, {name!r}", field=field)
    return positions[name]
