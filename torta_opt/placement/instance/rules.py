"""What every placement instance satisfies; checked when one is made."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

import numpy as np

from torta_opt.io import Infeasible, InvalidInput

if TYPE_CHECKING:
    from torta_opt.placement.instance.data import PlacementInstance

MAX_BLOCKS = 10_000
MAX_SERVERS = 5_000
MAX_BYTES = 1 << 50
MAX_MS = 1e9
MAX_REQUESTS = 10**6


def check(instance: PlacementInstance) -> None:
    """Raise InvalidInput at the first rule that is broken."""
    _check_llm(instance)
    _check_sizes(instance)
    servers, clients, links = instance.servers, instance.clients, instance.links
    for name in ("decode_ms", "prefill_ms"):
        _check_delays(getattr(servers, name), f"servers.{name}")
    for name in ("token_ms", "prompt_ms", "rtt_ms", "server_rtt_ms"):
        _check_delays(getattr(links, name), f"links.{name}")
    for name in ("start_ms", "proposed_ms", "petals_ms"):
        _check_delays(np.array(getattr(instance.delays, name)), f"delays.{name}")
    for name in ("forward_rps", "network_rps"):
        speed = getattr(servers, name)
        _refuse(~(np.isfinite(speed) & (speed > 0)), f"servers.{name}", "must be positive")
    _refuse(servers.memory_bytes < 0, "servers.memory_bytes", "must not be negative")
    too_much = servers.memory_bytes > MAX_BYTES
    _refuse(too_much, "servers.memory_bytes", f"must not exceed {MAX_BYTES}")
    _check_kinds(instance)
    _refuse(servers.most_blocks < 0, "servers.most_blocks", "must not be negative")
    _refuse(clients.requests < 0, "clients.requests", "must not be negative")
    bad_rate = ~np.isfinite(clients.rate_per_s) | (clients.rate_per_s < 0)
    _refuse(bad_rate, "clients.rate_per_s", "must not be negative")
    if clients.requests.sum() > MAX_REQUESTS:
        raise InvalidInput(f"are more than {MAX_REQUESTS} in all", field="clients.requests")
    for field in ("input_tokens", "output_tokens"):
        if not 1 <= getattr(instance, field) <= 10**7:
            raise InvalidInput("must lie in 1 to 10000000", field=field)
    if instance.cache_bytes > MAX_BYTES:
        raise InvalidInput(
            f"makes a cache of more than {MAX_BYTES} bytes", field="llm.cache_bytes_per_token"
        )


def check_feasible(instance: PlacementInstance, requests: int = 1) -> None:
    """Raise Infeasible if the servers cannot hold all blocks and caches for ``requests``.

    Sufficient and necessary for one request: Σ_j min(⌊M_j/(s_m + s_c)⌋, limit_j, L) ≥ L. For more
    it is a necessary condition only: (L blocks and their caches fit into all memory together).
    """
    blocks = instance.llm.blocks
    holds = int(instance.use_limit.sum())
    if holds < blocks:
        raise Infeasible(
            f"{instance.name}: servers can hold {holds} of {blocks} blocks with the cache of one "
            f"request each; {blocks - holds} blocks stay uncovered"
        )
    usable = instance.use_limit > 0
    memory = sum(instance.servers.memory_bytes[usable].tolist())
    needed = blocks * (instance.llm.block_bytes + requests * instance.cache_bytes)
    if memory < needed:
        raise Infeasible(
            f"{instance.name}: {requests} requests at once need at least {needed} bytes of memory, "
            f"the servers have {memory}"
        )


def _check_llm(instance: PlacementInstance) -> None:
    llm = instance.llm
    if not 1 <= llm.blocks <= MAX_BLOCKS:
        raise InvalidInput(f"must lie in 1 to {MAX_BLOCKS}", field="llm.blocks")
    for field in ("block_bytes", "cache_bytes_per_token", "width", "kv_groups"):
        if not 1 <= getattr(llm, field) <= MAX_BYTES:
            raise InvalidInput(f"must lie in 1 to {MAX_BYTES}", field=f"llm.{field}")


def _check_kinds(instance: PlacementInstance) -> None:
    """Servers of one type are alike in all but memory and place: the file says it once a type."""
    servers = instance.servers
    outside = (servers.kind < 0) | (servers.kind >= len(servers.kinds))
    _refuse(outside, "servers.kind", "names an unknown type")
    first = np.full(len(servers.kinds), -1)
    for j, kind in reversed(list(enumerate(servers.kind.tolist()))):
        first[kind] = j
    twin = first[servers.kind]
    for name in ("decode_ms", "prefill_ms", "most_blocks", "forward_rps", "network_rps"):
        values = getattr(servers, name)
        _refuse(values != values[twin], f"servers.{name}", "must be the same for a whole type")


def _check_sizes(instance: PlacementInstance) -> None:
    servers, clients, links = instance.servers, instance.clients, instance.links
    count, origins = len(servers), len(clients)
    if not 1 <= count <= MAX_SERVERS:
        raise InvalidInput(f"must name 1 to {MAX_SERVERS} servers", field="servers")
    if origins < 1:
        raise InvalidInput("must name at least one client", field="clients")
    shapes = {
        "links.token_ms": (links.token_ms, (origins, count)),
        "links.prompt_ms": (links.prompt_ms, (origins, count)),
        "links.rtt_ms": (links.rtt_ms, (origins, count)),
        "links.server_rtt_ms": (links.server_rtt_ms, (count, count)),
        "clients.requests": (clients.requests, (origins,)),
        "clients.rate_per_s": (clients.rate_per_s, (origins,)),
    }
    for field in fields(servers):
        value = getattr(servers, field.name)
        if isinstance(value, np.ndarray):
            shapes[f"servers.{field.name}"] = (value, (count,))
    for place, holder in (("servers", servers), ("clients", clients)):
        if len(holder.nodes) != len(holder.names):
            raise InvalidInput("must name one node each", field=f"{place}.nodes")
    for where, (array, shape) in shapes.items():
        if array.shape != shape:
            raise InvalidInput(f"has shape {array.shape}, expected {shape}", field=where)
    named = {"servers": servers.names, "clients": clients.names, "types": servers.kinds}
    for where, names in named.items():
        if len(set(names)) < len(names):
            raise InvalidInput("must have different names", field=where)


def _check_delays(array: np.ndarray, field: str) -> None:
    if not np.isfinite(array).all():
        raise InvalidInput("must be finite: every client must reach every server", field=field)
    _refuse(array < 0, field, "must not be negative")
    _refuse(array > MAX_MS, field, f"must not exceed {MAX_MS:g} ms")


def _refuse(broken: np.ndarray, field: str, rule: str) -> None:
    places = np.argwhere(broken)
    if len(places):
        where = "".join(f"[{position}]" for position in places[0])
        raise InvalidInput(rule, field=f"{field}{where}")
