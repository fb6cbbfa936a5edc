"""The instance file of the placement family: its schema, and the way there and back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from torta_opt.io import InvalidInput, sha256_of
from torta_opt.io.schema import Bulk, Strict, parse
from torta_opt.placement.instance.data import (
    Clients,
    Delays,
    Links,
    Llm,
    PlacementInstance,
    Servers,
)

FORMAT = "torta-opt/placement"
VERSION = 1

Name = Annotated[str, Field(min_length=1, max_length=200)]
Real = Annotated[float, Field(allow_inf_nan=False)]
Bytes = Annotated[int, Field(ge=0, le=1 << 50)]
Count = Annotated[int, Field(ge=0, le=10**9)]
Table = Bulk[Bulk[Real]]


class LlmEntry(Strict):
    """The model that is served."""

    name: Name
    blocks: int = Field(ge=1, le=10**9, description="L")
    block_bytes: Bytes = Field(description="memory one hosted block takes")
    cache_bytes_per_token: Bytes = Field(description="cache of one token on one block")
    width: int = Field(default=1, ge=1, le=10**9, description="length of an embedding")
    kv_groups: int = Field(default=1, ge=1, le=10**9, description="query heads per key and value")


class TypeEntry(Strict):
    """A server type."""

    name: Name
    memory_bytes: Bytes
    decode_ms: Real = Field(description="one block, one token")
    prefill_ms: Real = Field(description="one block, the whole prompt")
    most_blocks: Count | None = Field(
        default=None, description="blocks it may host whatever its memory; left out: no limit"
    )
    forward_rps: Real = Field(default=1000.0, description="PETALS: blocks per second")
    network_rps: Real = Field(default=1000.0, description="PETALS: requests per second")


class ServerEntry(Strict):
    name: Name
    node: Name
    type: Name
    memory_bytes: Bytes | None = Field(default=None, description="left out: as its type")


class ClientEntry(Strict):
    name: Name
    node: Name
    requests: Count = Field(default=1, description="to serve at the same time")
    rate_per_s: Real = 0.0


class LinksEntry(Strict):
    """Delays in milliseconds."""

    token_ms: Table = Field(description="[client][server] round trip of a token with overhead")
    prompt_ms: Table = Field(description="[client][server] the same for the prompt")
    rtt_ms: Table | None = Field(
        default=None, description="[client][server] bare round trip; left out: token_ms"
    )
    server_rtt_ms: Table | None = Field(
        default=None, description="[server][server]; left out: by way of the nearest client"
    )


class DelaysEntry(Strict):
    start_ms: Real = Field(default=0.0, description="set-up of a session")
    proposed_ms: Real = Field(default=0.0, description="delay setting published, own method")
    petals_ms: Real = Field(default=0.0, description="delay setting published, PETALS")


class PlacementDocument(Strict):
    """A block placement and request routing instance of torta-opt."""

    format: Literal["torta-opt/placement"]
    version: Literal[1]
    name: Name
    description: str = ""
    llm: LlmEntry
    input_tokens: Count
    output_tokens: Count
    types: Bulk[TypeEntry]
    servers: Bulk[ServerEntry]
    clients: Bulk[ClientEntry]
    links: LinksEntry
    delays: DelaysEntry = Field(default_factory=DelaysEntry)


def placement_sha256(instance: PlacementInstance) -> str:
    """Hash that names an instance's content."""
    return sha256_of(instance_to_document(instance))


def json_schema() -> dict[str, Any]:
    """JSON Schema of the instance file."""
    schema = PlacementDocument.model_json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def instance_from_document(document: dict[str, Any]) -> PlacementInstance:
    """Names become positions; lists become arrays; every rule is checked."""
    entry: PlacementDocument = parse(PlacementDocument, document)
    return PlacementInstance(
        name=entry.name,
        description=entry.description,
        llm=Llm(**entry.llm.model_dump()),
        servers=_servers(entry),
        clients=Clients(
            names=tuple(client.name for client in entry.clients),
            nodes=tuple(client.node for client in entry.clients),
            requests=np.array([client.requests for client in entry.clients]),
            rate_per_s=np.array([client.rate_per_s for client in entry.clients]),
        ),
        links=_links(entry.links),
        delays=Delays(**entry.delays.model_dump()),
        input_tokens=entry.input_tokens,
        output_tokens=entry.output_tokens,
    )


def instance_to_document(instance: PlacementInstance) -> dict[str, Any]:
    """The file's content; ``instance_from_document`` gives the instance back."""
    servers, clients, links, llm = (
        instance.servers,
        instance.clients,
        instance.links,
        instance.llm,
    )
    first_of = [int(np.argmax(servers.kind == k)) for k in range(len(servers.kinds))]
    return {
        "format": FORMAT,
        "version": VERSION,
        "name": instance.name,
        "description": instance.description,
        "llm": {field: getattr(llm, field) for field in LlmEntry.model_fields},
        "input_tokens": instance.input_tokens,
        "output_tokens": instance.output_tokens,
        "types": [
            _type_document(instance, kind, j)
            for kind, j in zip(servers.kinds, first_of, strict=True)
        ],
        "servers": [
            {
                "name": servers.names[j],
                "node": servers.nodes[j],
                "type": servers.kinds[servers.kind[j]],
                "memory_bytes": int(servers.memory_bytes[j]),
            }
            for j in range(len(servers))
        ],
        "clients": [
            {
                "name": clients.names[c],
                "node": clients.nodes[c],
                "requests": int(clients.requests[c]),
                "rate_per_s": float(clients.rate_per_s[c]),
            }
            for c in range(len(clients))
        ],
        "links": {name: getattr(links, name).tolist() for name in LinksEntry.model_fields},
        "delays": {
            name: float(getattr(instance.delays, name)) for name in DelaysEntry.model_fields
        },
    }


def _servers(entry: PlacementDocument) -> Servers:
    positions: dict[str, int] = {}
    for k, kind in enumerate(entry.types):
        if kind.name in positions:
            raise InvalidInput(f"repeats {kind.name!r}", field=f"types[{k}].name")
        positions[kind.name] = k
    chosen = []
    for j, server in enumerate(entry.servers):
        if server.type not in positions:
            raise InvalidInput(f"names an unknown type, {server.type!r}", f"servers[{j}].type")
        chosen.append(entry.types[positions[server.type]])
    unused = [name for name in positions if name not in {server.type for server in entry.servers}]
    if unused:
        raise InvalidInput(f"holds {unused[0]!r}, which no server has", field="types")
    memory = [
        kind.memory_bytes if server.memory_bytes is None else server.memory_bytes
        for server, kind in zip(entry.servers, chosen, strict=True)
    ]
    most = [entry.llm.blocks if k.most_blocks is None else k.most_blocks for k in chosen]
    return Servers(
        names=tuple(server.name for server in entry.servers),
        nodes=tuple(server.node for server in entry.servers),
        kinds=tuple(positions),
        kind=np.array([positions[server.type] for server in entry.servers]),
        memory_bytes=np.array(memory),
        most_blocks=np.array(most),
        decode_ms=np.array([kind.decode_ms for kind in chosen]),
        prefill_ms=np.array([kind.prefill_ms for kind in chosen]),
        forward_rps=np.array([kind.forward_rps for kind in chosen]),
        network_rps=np.array([kind.network_rps for kind in chosen]),
    )


def _links(entry: LinksEntry) -> Links:
    token = _table(entry.token_ms, "links.token_ms")
    rtt = token if entry.rtt_ms is None else _table(entry.rtt_ms, "links.rtt_ms")
    if entry.server_rtt_ms is not None:
        between = _table(entry.server_rtt_ms, "links.server_rtt_ms")
    else:
        between = by_way_of_clients(rtt)
    return Links(token, _table(entry.prompt_ms, "links.prompt_ms"), rtt, between)


def by_way_of_clients(rtt_ms: np.ndarray) -> np.ndarray:
    """(J, J) round trips between servers by way of whichever client is nearest to both."""
    if rtt_ms.ndim != 2 or not rtt_ms.size:
        return np.zeros((0, 0))
    between = (rtt_ms[:, :, None] + rtt_ms[:, None, :]).min(axis=0)
    np.fill_diagonal(between, 0.0)
    return between


def _type_document(instance: PlacementInstance, name: str, j: int) -> dict[str, Any]:
    servers = instance.servers
    return {
        "name": name,
        "memory_bytes": int(servers.memory_bytes[j]),
        "decode_ms": float(servers.decode_ms[j]),
        "prefill_ms": float(servers.prefill_ms[j]),
        "most_blocks": int(servers.most_blocks[j]),
        "forward_rps": float(servers.forward_rps[j]),
        "network_rps": float(servers.network_rps[j]),
    }


def _table(rows: Table, field: str) -> np.ndarray:
    for position, row in enumerate(rows):
        if len(row) != len(rows[0]):
            rule = f"has {len(row)} entries, expected {len(rows[0])}"
            raise InvalidInput(rule, field=f"{field}[{position}]")
    return np.array(rows, float)
