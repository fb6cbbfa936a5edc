"""What a block placement and request routing problem is.

An LLM of L blocks is spread over servers far apart. Server j hosts the consecutive blocks
first_j … first_j + count_j − 1; a request passes through servers that together hold all L blocks,
in order, and keeps a cache for every block it is processed on. Times are milliseconds, memory is
whole bytes, so what a rule tests is an integer.

Source: Sun et al., "Optimizing Resource Allocation for Geographically-Distributed Inference by
Large Language Models" (Performance 2025, arXiv 2512.21884), and the authors' public simulator.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

NO_SERVER = -1


def _freeze(holder: Any, **kinds: type) -> None:
    """Turn the named fields into read-only arrays of one kind."""
    for name, kind in kinds.items():
        array: np.ndarray = np.array(getattr(holder, name), dtype=kind)
        array.setflags(write=False)
        object.__setattr__(holder, name, array)


@dataclass(frozen=True)
class Llm:
    """The model that is served.

    blocks                  L
    block_bytes             s_m, memory one hosted block takes
    cache_bytes_per_token   memory one token takes in the cache of one block
    width                   d, length of an embedding
    kv_groups               query heads that share one key and value (1: plain attention)
    """

    name: str
    blocks: int
    block_bytes: int
    cache_bytes_per_token: int
    width: int
    kv_groups: int = 1


@dataclass(frozen=True, eq=False)
class Servers:
    """J servers.

    kind               (J,) position in ``kinds``
    memory_bytes       (J,) M_j
    decode_ms          (J,) τ_j, one block, one token
    prefill_ms         (J,) τ^I_j, one block, the whole prompt
    most_blocks        (J,) blocks it may host at most, whatever its memory
    forward_rps        (J,) blocks per second by computation, as PETALS measures it
    network_rps        (J,) requests per second by network, as PETALS measures it
    """

    names: tuple[str, ...]
    nodes: tuple[str, ...]
    kinds: tuple[str, ...]
    kind: np.ndarray
    memory_bytes: np.ndarray
    decode_ms: np.ndarray
    prefill_ms: np.ndarray
    most_blocks: np.ndarray
    forward_rps: np.ndarray
    network_rps: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self, kind=int, memory_bytes=np.int64, most_blocks=int)
        _freeze(self, decode_ms=float, prefill_ms=float, forward_rps=float, network_rps=float)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Clients:
    """C clients.

    requests     (C,) requests to serve at the same time (the offline problem)
    rate_per_s   (C,) mean arrivals per second (online)
    """

    names: tuple[str, ...]
    nodes: tuple[str, ...]
    requests: np.ndarray
    rate_per_s: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self, requests=int, rate_per_s=float)

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Links:
    """Delays between clients and servers, all in milliseconds.

    token_ms        (C, J) t_cj, round trip of one token with its overhead
    prompt_ms       (C, J) t^I_cj, the same for the prompt
    rtt_ms          (C, J) bare round trip
    server_rtt_ms   (J, J) bare round trip between servers
    """

    token_ms: np.ndarray
    prompt_ms: np.ndarray
    rtt_ms: np.ndarray
    server_rtt_ms: np.ndarray

    def __post_init__(self) -> None:
        _freeze(self, **{field.name: float for field in fields(self)})


@dataclass(frozen=True)
class Delays:
    """What every request waits before its first token.

    start_ms      set-up of a session, in both settings
    proposed_ms   fixed delay that the authors' scripts add to their own method
    petals_ms     the same for PETALS and all that is derived from it

    The last two make the delay setting "published"; "zero" leaves them out.
    """

    start_ms: float = 0.0
    proposed_ms: float = 0.0
    petals_ms: float = 0.0

    def fixed_ms(self, setting: str, like_petals: bool) -> float:
        """Fixed delay of one request in delay setting ``published`` or ``zero``."""
        if setting == "zero":
            return 0.0
        return self.petals_ms if like_petals else self.proposed_ms


DELAY_SETTINGS = ("published", "zero")


@dataclass(frozen=True, eq=False)
class PlacementInstance:
    """One problem; all requests are alike in length (l_in and l_max tokens)."""

    name: str
    llm: Llm
    servers: Servers
    clients: Clients
    links: Links
    delays: Delays
    input_tokens: int
    output_tokens: int
    description: str = ""

    def __post_init__(self) -> None:
        from torta_opt.placement.instance.rules import check

        check(self)

    @property
    def requests(self) -> int:
        """|R|, requests to serve at the same time."""
        return int(self.clients.requests.sum())

    @property
    def cache_bytes(self) -> int:
        """s_c, memory of one request's cache on one block."""
        return self.llm.cache_bytes_per_token * (self.input_tokens + self.output_tokens)

    @cached_property
    def host_limit(self) -> np.ndarray:
        """(J,) blocks each server can host at all, no cache counted."""
        by_memory = self.servers.memory_bytes // self.llm.block_bytes
        return np.minimum(np.minimum(by_memory, self.servers.most_blocks), self.llm.blocks)

    @cached_property
    def use_limit(self) -> np.ndarray:
        """(J,) blocks each server can host and process for one request at least."""
        per_block = self.llm.block_bytes + self.cache_bytes
        by_memory = self.servers.memory_bytes // per_block
        return np.minimum(np.minimum(by_memory, self.servers.most_blocks), self.llm.blocks)

    def with_requests(self, requests: int | np.ndarray) -> PlacementInstance:
        """The same with other offline demand; one number goes to the clients in turn."""
        each = np.asarray(requests)
        if each.ndim == 0:
            share, rest = divmod(int(requests), len(self.clients))
            each = np.array([share + (c < rest) for c in range(len(self.clients))])
        return replace(self, clients=replace(self.clients, requests=each))

    def with_rate(self, rate_per_s: float) -> PlacementInstance:
        """The same with another total arrival rate, evenly over the clients."""
        rates = np.full(len(self.clients), rate_per_s / len(self.clients))
        return replace(self, clients=replace(self.clients, rate_per_s=rates))
