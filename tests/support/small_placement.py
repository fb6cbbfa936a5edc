"""Placement instances and strategies that several tests use."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from torta_opt.placement.instance.data import (
    Clients,
    Delays,
    Links,
    Llm,
    PlacementInstance,
    Servers,
)
from torta_opt.placement.schedule.data import Placement


def build(
    blocks: int = 4,
    memory: tuple[int, ...] = (40, 40, 60),
    block_bytes: int = 10,
    cache: int = 1,
    decode: tuple[float, ...] = (1.0, 2.0, 3.0),
    prefill: tuple[float, ...] | None = None,
    token: Any = ((10.0, 20.0, 30.0),),
    prompt: Any = None,
    rtt: Any = None,
    between: Any = None,
    requests: tuple[int, ...] = (1,),
    rates: tuple[float, ...] = (1.0,),
    most_blocks: tuple[int, ...] | None = None,
    tokens: tuple[int, int] = (1, 1),
    delays: Delays | None = None,
    kv_groups: int = 1,
    rps: tuple[float, ...] | None = None,
    name: str = "built",
) -> PlacementInstance:
    """An instance with one type per server; ``cache`` is s_c per input and output token."""
    count = len(memory)
    token = np.array(token, float)
    return PlacementInstance(
        name=name,
        llm=Llm("model", blocks, block_bytes, cache, 4, kv_groups),
        servers=Servers(
            names=tuple(f"s{j}" for j in range(count)),
            nodes=tuple(f"n{j}" for j in range(count)),
            kinds=tuple(f"type {j}" for j in range(count)),
            kind=range(count),
            memory_bytes=memory,
            decode_ms=decode,
            prefill_ms=[2 * ms for ms in decode] if prefill is None else prefill,
            most_blocks=[blocks] * count if most_blocks is None else most_blocks,
            forward_rps=[100.0] * count if rps is None else rps,
            network_rps=[1000.0] * count,
        ),
        clients=Clients(
            names=tuple(f"c{c}" for c in range(len(requests))),
            nodes=tuple(f"m{c}" for c in range(len(requests))),
            requests=requests,
            rate_per_s=rates,
        ),
        links=Links(
            token_ms=token,
            prompt_ms=token + 5 if prompt is None else prompt,
            rtt_ms=token - 1 if rtt is None else rtt,
            server_rtt_ms=np.zeros((count, count)) if between is None else between,
        ),
        delays=delays or Delays(),
        input_tokens=tokens[0],
        output_tokens=tokens[1],
    )


def hosting(*spans: tuple[int, int]) -> Placement:
    """A placement from (first, count) pairs."""
    return Placement([first for first, _ in spans], [count for _, count in spans])


@st.composite
def instances(
    draw: st.DrawFn,
    most_servers: int = 6,
    most_blocks: int = 8,
    most_clients: int = 3,
    roomy: bool = False,
) -> PlacementInstance:
    """Random instances, feasible or not, of integer times so that sums are exact.

    ``roomy`` ones have a server that can do everything alone.
    """
    servers = draw(st.integers(1, most_servers))
    blocks = draw(st.integers(1, most_blocks))
    clients = draw(st.integers(1, most_clients))

    def row(least: int, most: int, length: int) -> tuple[int, ...]:
        return tuple(draw(st.lists(st.integers(least, most), min_size=length, max_size=length)))

    memory = row(0, 14 * blocks + 20, servers)
    if roomy:
        memory = (100 * blocks + memory[0], *memory[1:])
    limited = not roomy and draw(st.booleans())
    return build(
        blocks=blocks,
        memory=memory,
        decode=row(0, 30, servers),
        token=tuple(row(0, 60, servers) for _ in range(clients)),
        rtt=np.zeros((clients, servers)),
        requests=row(0, 3, clients),
        rates=row(0, 3, clients),
        most_blocks=row(0, blocks, servers) if limited else None,
        tokens=(draw(st.integers(1, 3)), draw(st.integers(1, 4))),
    )


@st.composite
def placements(draw: st.DrawFn, instance: PlacementInstance) -> Placement:
    """Any placement of ``instance`` whose spans lie within the model."""
    spans = []
    for _ in range(len(instance.servers)):
        count = draw(st.integers(0, instance.llm.blocks))
        first = draw(st.integers(0, instance.llm.blocks - count)) if count else 0
        spans.append((first, count))
    return hosting(*spans)
