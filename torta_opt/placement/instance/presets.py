"""Placement instances: the published settings, one with measured per-layer times, tiny ones.

Numbers are those of the authors' simulator (BLOOM-176B, 4-bit blocks): A100 80 GB and MIG 1g.10gb.

    clustered       2 A100 and 7 MIG in two clusters, 5 ms within and 100 ms between
    abovenet        servers and a client drawn at random on AboveNet (23 nodes)
    bellcanada      the same on BellCanada (48 nodes)
    gts-ce          the same on the five national GTS networks of the Topology Zoo, joined: a
                    stand-in for GTS-CE (149 nodes), which no package holds; with the file itself,
                    ``scattered(read_network("GtsCe.graph"), …)`` is the published setting
    large           26 servers on BellCanada, the authors' large setting
    mix             random servers with little more memory than all blocks and caches need
    helix-measured  LLaMA-2 70B with measured times per layer on A100, L4 and T4 in three regions
    worst-case      where CG-BPRR is L times as slow as the optimum
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from torta_opt.io import InvalidInput
from torta_opt.io.seeds import check_seed
from torta_opt.placement.instance.data import (
    Clients,
    Delays,
    Links,
    Llm,
    PlacementInstance,
    Servers,
)
from torta_opt.placement.instance.network import (
    Network,
    bundled_network,
    read_network,
    topohub_network,
)
from torta_opt.placement.instance.rules import MAX_REQUESTS

GB = 10**9
BLOOM = Llm("BLOOM-176B", 70, round(2_466_437_120 * 4.25 / 8 * 1.01), 2 * 14336 * 2, 14336)
# 4-bit NormalFloat: 4.25 bits a parameter and 1 % on top


@dataclass(frozen=True)
class ServerKind:
    """One server type; prefill is linear in the prompt's length."""

    name: str
    memory_gb: float
    decode_ms: float
    prefill_ms: float
    prefill_ms_per_token: float
    most_blocks: int | None
    forward_rps: float
    network_rps: float

    def prefill(self, tokens: int) -> float:
        return self.prefill_ms + self.prefill_ms_per_token * tokens


A100 = ServerKind("A100", 86.13, 3.2197, 32.99, 0.0743, None, 20829.4, 3020.4)
MIG = ServerKind("MIG", 9.1, 16.2488, 206.35, 0.1041, 4, 2757.7, 3138.1)
MEMORY_GB = {"test": (79.13, 8.2), "sweeps": (86.13, 9.1), "large": (84.973, 10.2)}
PUBLISHED_DELAYS = Delays(start_ms=70.0, proposed_ms=60_000.0, petals_ms=250_000.0)


def scattered(
    network: Network,
    servers: int | None = None,
    seed: int = 0,
    fast_share: float = 0.2,
    clients: int = 1,
    requests: int = 10,
    rate_per_s: float = 0.1,
    input_tokens: int = 20,
    output_tokens: int = 128,
    memory: str = "sweeps",
    name: str | None = None,
) -> PlacementInstance:
    """Clients at random nodes, servers at random others, round(fast_share · servers) of them A100.

    t = round trip + 100 ms, t^I = round trip + 67 ms + 0.7049 ms per prompt token.
    """
    _check_drawing(network, fast_share, clients, requests, rate_per_s)
    nodes = len(network.nodes)
    count = round(0.4 * nodes) if servers is None else servers
    if not 1 <= count <= nodes - clients:
        raise InvalidInput(f"must lie in 1 to {nodes - clients} on {network.name}", "servers")
    if memory not in MEMORY_GB:
        raise InvalidInput(f"must be one of {', '.join(MEMORY_GB)}", field="memory")
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(nodes)[: clients + count]
    origins, places = drawn[:clients], drawn[clients:]
    kinds = ["A100"] * round(count * fast_share)
    kinds += ["MIG"] * (count - len(kinds))
    kinds = [kinds[i] for i in rng.permutation(count)]
    rtt = network.rtt_ms[np.ix_(origins, places)]
    links = Links(
        token_ms=rtt + 100.0,
        prompt_ms=rtt + 67.0 + 0.7049 * input_tokens,
        rtt_ms=rtt,
        server_rtt_ms=network.rtt_ms[np.ix_(places, places)],
    )
    fast_gb, slow_gb = MEMORY_GB[memory]
    return PlacementInstance(
        name=name or f"{network.name}-{count}-{seed}",
        description=f"{count} servers and {clients} clients drawn on {network.name}, seed {seed}",
        llm=BLOOM,
        servers=_bloom_servers(
            kinds, [network.nodes[i] for i in places], input_tokens, fast_gb, slow_gb
        ),
        clients=_clients([network.nodes[i] for i in origins], requests, rate_per_s),
        links=links,
        delays=PUBLISHED_DELAYS,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )


def _check_drawing(
    network: Network, fast_share: float, clients: int, requests: int, rate_per_s: float
) -> None:
    if not 0 <= fast_share <= 1:
        raise InvalidInput("must lie in 0 to 1", field="fast_share")
    if not 1 <= clients < len(network.nodes):
        raise InvalidInput(f"must lie in 1 to {len(network.nodes) - 1}", field="clients")
    if not 0 <= requests <= MAX_REQUESTS:
        raise InvalidInput(f"must lie in 0 to {MAX_REQUESTS}", field="requests")
    if not 0 <= rate_per_s < 1e6:
        raise InvalidInput("must lie in 0 to 1000000", field="rate_per_s")


def clustered(
    client_cluster: int = 0,
    requests: int = 3,
    rate_per_s: float = 0.1,
    output_tokens: int = 128,
    fast: int = 2,
    slow: int = 7,
    memory: str = "sweeps",
) -> PlacementInstance:
    """Cluster 1 holds the A100, cluster 2 the MIG; the client is in 0 (alone), 1 or 2.

    The authors' values of this branch: prompt of 10 tokens, overheads 50 and 55 ms, start 100 ms,
    τ 2.2197 and 16.2488 ms, τ^I = τ + 5 and τ + 35 ms.
    """
    if client_cluster not in (0, 1, 2):
        raise InvalidInput("must be 0, 1 or 2", field="client_cluster")
    if memory not in MEMORY_GB:
        raise InvalidInput(f"must be one of {', '.join(MEMORY_GB)}", field="memory")
    if min(fast, slow) < 0 or not 1 <= fast + slow <= 1000:
        raise InvalidInput("must be 1 to 1000 servers, of which none negative", field="fast, slow")
    cluster = np.array([2] * slow + [1] * fast)
    rtt = np.where(cluster == client_cluster, 5.0, 100.0)[None, :]
    between = np.where(cluster[:, None] == cluster[None, :], 5.0, 100.0)
    np.fill_diagonal(between, 0.0)
    fast_gb, slow_gb = MEMORY_GB[memory]
    kinds = ["MIG"] * slow + ["A100"] * fast
    base = _bloom_servers(kinds, [f"cluster {k}" for k in cluster], 10, fast_gb, slow_gb)
    is_fast = cluster == 1
    servers = Servers(
        **{
            **base.__dict__,
            "decode_ms": np.where(is_fast, 2.2197, 16.2488),
            "prefill_ms": np.where(is_fast, 2.2197 + 5, 16.2488 + 35),
        }
    )
    return PlacementInstance(
        name=f"clustered-{client_cluster}",
        description="2 A100 and 7 MIG in two clusters (the authors' clustered setting)",
        llm=BLOOM,
        servers=servers,
        clients=_clients([f"cluster {client_cluster}"], requests, rate_per_s),
        links=Links(rtt + 50.0, rtt + 55.0, rtt, between),
        delays=Delays(100.0, PUBLISHED_DELAYS.proposed_ms, PUBLISHED_DELAYS.petals_ms),
        input_tokens=10,
        output_tokens=output_tokens,
    )


def abovenet(seed: int = 0, **changes: Any) -> PlacementInstance:
    """9 servers on AboveNet."""
    return scattered(bundled_network("abovenet"), seed=seed, **changes)


def bellcanada(seed: int = 0, **changes: Any) -> PlacementInstance:
    """19 servers on BellCanada."""
    return scattered(bundled_network("bellcanada"), seed=seed, **changes)


def gts_ce(seed: int = 0, **changes: Any) -> PlacementInstance:
    """40 % of the nodes of a stand-in for GTS-CE."""
    countries = ("CzechRepublic", "Hungary", "Poland", "Romania", "Slovakia")
    keys = [f"topozoo/Gts{country}" for country in countries]
    return scattered(topohub_network(*keys, name="gts-ce"), seed=seed, **changes)


def large(seed: int = 0, **changes: Any) -> PlacementInstance:
    """26 servers on BellCanada, 350 s of fixed delay for PETALS in setting ``published``."""
    options = {"servers": 26, "memory": "large", "name": f"large-{seed}", **changes}
    instance = bellcanada(seed, **options)
    return replace(instance, delays=Delays(70.0, 60_000.0, 350_000.0))


# Milliseconds of one LLaMA-2 70B layer: decoding a batch of 2, and a prompt of 250 tokens; memory.
# Measured; from the tables of the Helix simulator (Mei et al., ASPLOS 2025; Apache-2.0).
HELIX_LAYER_MS = {"A100": (1.4, 2.0, 40), "L4": (6.9, 12.0, 24), "T4": (7.1, 18.0, 16)}
LLAMA = Llm(
    name="LLaMA-2-70B",
    blocks=80,
    # query and output 8192², key and value 8192 × 1024, three 8192 × 28672, two norms; half floats
    block_bytes=2 * (2 * 8192**2 + 2 * 8192 * 1024 + 3 * 8192 * 28672 + 2 * 8192),
    cache_bytes_per_token=2 * 1024 * 2,
    width=8192,
    kv_groups=8,
)


def mix(seed: int = 0, slack: float = 1.35, output_tokens: int = 512) -> PlacementInstance:
    """2 fast and 6 to 9 slow servers that hold ``slack`` times all blocks and caches.

    Memory is drawn, so a request cannot have what it would take alone: memory binds.
    """
    if not 0 < slack <= 1000:
        raise InvalidInput("must lie in (0, 1000]", field="slack")
    rng = np.random.default_rng(seed)
    slow, requests = int(rng.integers(6, 10)), int(rng.integers(3, 7))
    base = scattered(
        bundled_network("bellcanada"),
        servers=2 + slow,
        seed=seed,
        fast_share=2 / (2 + slow),
        requests=requests,
        output_tokens=output_tokens,
        name=f"mix-{seed}",
    )
    servers = base.servers
    fast = servers.decode_ms == servers.decode_ms.min()
    weight = np.where(fast, rng.uniform(30, 60, len(fast)), rng.uniform(8, 20, len(fast)))
    need = base.llm.blocks * (base.llm.block_bytes + requests * base.cache_bytes)
    memory = (weight / weight.sum() * need * slack).astype(np.int64)
    unlimited = np.full(len(fast), base.llm.blocks)
    return replace(
        base,
        description=f"random servers with {slack:g} times the memory that is needed, seed {seed}",
        servers=replace(servers, memory_bytes=memory, most_blocks=unlimited),
    )


def helix_measured(seed: int = 0, requests: int = 10, rate_per_s: float = 0.5) -> PlacementInstance:
    """4 A100 | 2 L4 and 8 T4 | 6 L4 and 4 T4 in three regions, the client with the A100.

    50 ms and 100 Mb/s between regions, 1 ms and 10 Gb/s within; 250 tokens in, 128 out. The seed
    does not matter: nothing is drawn.
    """
    kinds = ["A100"] * 4 + ["L4"] * 2 + ["T4"] * 8 + ["L4"] * 6 + ["T4"] * 4
    region = np.array([0] * 4 + [1] * 10 + [2] * 10)
    tokens_in = 250
    far = region != 0
    rtt = np.where(far, 100.0, 2.0)[None, :]
    between = np.where(region[:, None] == region[None, :], 2.0, 100.0)
    np.fill_diagonal(between, 0.0)
    embedding_bits = LLAMA.width * 2 * 8
    send_ms = 2 * embedding_bits / np.where(far, 100e6, 10e9)[None, :] * 1000  # there and back
    names = list(HELIX_LAYER_MS)
    kind = [names.index(k) for k in kinds]
    memory = [HELIX_LAYER_MS[k][2] * GB for k in kinds]
    decode = [HELIX_LAYER_MS[k][0] for k in kinds]
    prefill = [HELIX_LAYER_MS[k][1] for k in kinds]
    rps = [1000.0 / ms for ms in decode]
    servers = Servers(
        names=tuple(f"{k.lower()}-{j}" for j, k in enumerate(kinds)),
        nodes=tuple(f"region {r}" for r in region),
        kinds=tuple(names),
        kind=np.array(kind),
        memory_bytes=np.array(memory),
        decode_ms=np.array(decode),
        prefill_ms=np.array(prefill),
        most_blocks=np.array([LLAMA.blocks] * len(kinds)),
        forward_rps=np.array(rps),
        network_rps=np.array([1000.0] * len(kinds)),
    )
    return PlacementInstance(
        name="helix-measured",
        description="LLaMA-2 70B in half precision; per-layer times measured (Helix, ASPLOS 2025)",
        llm=LLAMA,
        servers=servers,
        clients=_clients(["region 0"], requests, rate_per_s),
        links=Links(rtt + send_ms, rtt + tokens_in * send_ms, rtt, between),
        delays=Delays(start_ms=70.0),
        input_tokens=tokens_in,
        output_tokens=128,
    )


def worst_case(
    blocks: int = 6, token_ms: float = 100.0, decode_ms: float = 1.0
) -> PlacementInstance:
    """Where the ratio of CG-BPRR to the optimum has no bound: L² servers, L² requests.

    Each server can hold L + 1 blocks' worth of memory, a cache takes as much as a block divided by
    L, so hosting all L blocks leaves room for one request, and there are as many servers as
    requests: the optimum hosts everything everywhere, t + τL a token. CG-BPRR wants every server
    fit for all L² requests, hosts one block on each, and pays L(t + τ).
    """
    if not 1 <= blocks <= 40:
        raise InvalidInput("must lie in 1 to 40", field="blocks")
    tokens = 2
    count = blocks * blocks
    cache_per_token = 1000
    cache = cache_per_token * tokens
    block = cache * blocks
    llm = Llm("worst-case", blocks, block, cache_per_token, 1)
    even = np.full((1, count), token_ms)
    between = np.full((count, count), token_ms)
    np.fill_diagonal(between, 0.0)
    servers = Servers(
        names=tuple(f"s{j}" for j in range(count)),
        nodes=("node",) * count,
        kinds=("server",),
        kind=np.array([0] * count),
        memory_bytes=np.array([block * blocks + cache * blocks] * count),
        decode_ms=np.array([decode_ms] * count),
        prefill_ms=np.array([decode_ms] * count),
        most_blocks=np.array([blocks] * count),
        forward_rps=np.array([1000.0] * count),
        network_rps=np.array([1000.0] * count),
    )
    return PlacementInstance(
        name=f"worst-case-{blocks}",
        description="the unbounded worst case of CG-BPRR",
        llm=llm,
        servers=servers,
        clients=_clients(["node"], count, 0.0),
        links=Links(even, even, even, between),
        delays=Delays(),
        input_tokens=1,
        output_tokens=1,
    )


def tiny(
    seed: int = 0, servers: int = 3, blocks: int = 4, clients: int = 1, requests: int = 2
) -> PlacementInstance:
    """A random instance small enough to enumerate; memory usually binds."""
    for field, value, most in (
        ("servers", servers, 100),
        ("blocks", blocks, 100),
        ("clients", clients, 100),
        ("requests", requests, 10**6),
    ):
        if not 1 <= value <= most:
            raise InvalidInput(f"must lie in 1 to {most}", field=field)
    rng = np.random.default_rng(seed)
    llm = Llm("tiny", blocks, 10, 1, 1)
    room = rng.integers(12, 10 * blocks + 12, servers)
    rtt = rng.integers(1, 40, (clients, servers)).astype(float)
    between = rng.integers(1, 40, (servers, servers)).astype(float)
    between = np.triu(between, 1) + np.triu(between, 1).T
    decode = rng.integers(1, 15, servers).astype(float)
    return PlacementInstance(
        name=f"tiny-{seed}",
        llm=llm,
        servers=Servers(
            names=tuple(f"s{j}" for j in range(servers)),
            nodes=tuple(f"n{j}" for j in range(servers)),
            kinds=tuple(f"type {j}" for j in range(servers)),
            kind=np.arange(servers),
            memory_bytes=room,
            decode_ms=decode,
            prefill_ms=decode * 2,
            most_blocks=np.array([blocks] * servers),
            forward_rps=1000 / decode,
            network_rps=np.array([50.0] * servers),
        ),
        clients=_clients([f"c{c}" for c in range(clients)], requests, 1.0),
        links=Links(rtt + 10, rtt + 15, rtt, between),
        delays=Delays(5.0, 60.0, 250.0),
        input_tokens=1,
        output_tokens=3,
    )


@dataclass(frozen=True)
class Preset:
    """A way to an instance, in a line and as a function; ``small`` ones are kept as plain text."""

    summary: str
    build: Callable[..., PlacementInstance]
    small: bool = False


def _with_seed(build: Callable[..., PlacementInstance]) -> Callable[..., PlacementInstance]:
    """``build``, which draws nothing, taking a seed all the same."""

    def built(seed: int = 0, **changes: Any) -> PlacementInstance:
        return build(**changes)

    built.__wrapped__ = build  # type: ignore[attr-defined]  # whose parameters count
    return built


PRESETS: dict[str, Preset] = {
    "clustered": Preset(
        "2 A100 and 7 MIG in two clusters, BLOOM-176B", _with_seed(clustered), small=True
    ),
    "abovenet": Preset("9 servers drawn on AboveNet, BLOOM-176B", abovenet),
    "bellcanada": Preset("19 servers drawn on BellCanada, BLOOM-176B", bellcanada),
    "gts-ce": Preset("41 servers drawn on a stand-in for GTS-CE, BLOOM-176B", gts_ce),
    "large": Preset("26 servers drawn on BellCanada, BLOOM-176B", large),
    "mix": Preset("8 to 11 servers with scarce memory, BLOOM-176B", mix, small=True),
    "helix-measured": Preset(
        "LLaMA-2 70B, measured layers on 24 cards", _with_seed(helix_measured)
    ),
    "worst-case": Preset(
        "a case where CG-BPRR is L times as slow as the optimum", _with_seed(worst_case)
    ),
    "tiny": Preset("a random instance small enough to enumerate", tiny, small=True),
}


def placement_preset(name: str, /, seed: int = 0, **changes: Any) -> PlacementInstance:
    """The preset of that name, with other parameters. Raises InvalidInput."""
    if name not in PRESETS:
        raise InvalidInput(f"{name!r:.60} is not one of {', '.join(PRESETS)}", field="preset")
    check_seed(seed)
    build = PRESETS[name].build
    check_parameters(build, changes)
    return build(seed=seed, **changes)


def network_instance(network: str, seed: int = 0, **changes: Any) -> PlacementInstance:
    """Servers and clients drawn on a network: a .graph, GML or GraphML file, or topohub's name."""
    check_seed(seed)
    check_parameters(scattered, changes)
    known = str(network)
    is_file = known.lower().endswith((".graph", ".gml", ".graphml"))
    drawn = read_network(known) if is_file else topohub_network(known)
    return scattered(drawn, seed=seed, **changes)


def check_parameters(build: Callable[..., Any], changes: dict[str, Any]) -> None:
    """Refuse names ``build`` does not take, and values of another kind than its defaults."""
    known = _parameters(build)
    for name, value in changes.items():
        if name not in known:
            listed = ", ".join(known) or "none"
            raise InvalidInput(f"is not a parameter; known: {listed}", field=name)
        wanted = float if known[name] == "float" else str if "str" in known[name] else int
        right = isinstance(value, (int, float) if wanted is float else wanted)
        if isinstance(value, bool) or not right:
            raise InvalidInput(f"must be of type {wanted.__name__}, is {value!r:.40}", field=name)
        if wanted is not str and not -1e9 < value < 1e9:
            raise InvalidInput("is too large", field=name)


def _parameters(build: Callable[..., Any]) -> dict[str, str]:
    """Names and annotations of what can be changed; drawn ones pass theirs to ``scattered``."""
    own = inspect.signature(inspect.unwrap(build)).parameters
    if "changes" in own:
        own = inspect.signature(scattered).parameters
    skipped = ("network", "seed", "name")
    return {name: str(each.annotation) for name, each in own.items() if name not in skipped}


def _bloom_servers(
    kinds: list[str], nodes: list[str], input_tokens: int, fast_gb: float, slow_gb: float
) -> Servers:
    table = {"A100": (A100, fast_gb), "MIG": (MIG, slow_gb)}
    present = tuple(name for name in table if name in kinds)
    rows = [table[k] for k in kinds]
    return Servers(
        names=tuple(f"{k.lower()}-{j}" for j, k in enumerate(kinds)),
        nodes=tuple(nodes),
        kinds=present,
        kind=np.array([present.index(k) for k in kinds]),
        memory_bytes=np.array([round(gb * GB) for _, gb in rows]),
        decode_ms=np.array([kind.decode_ms for kind, _ in rows]),
        prefill_ms=np.array([kind.prefill(input_tokens) for kind, _ in rows]),
        most_blocks=np.array([kind.most_blocks or BLOOM.blocks for kind, _ in rows]),
        forward_rps=np.array([kind.forward_rps for kind, _ in rows]),
        network_rps=np.array([kind.network_rps for kind, _ in rows]),
    )


def _clients(nodes: list[str], requests: int, rate_per_s: float) -> Clients:
    if requests < 0 or not 0 <= rate_per_s < 1e6:
        raise InvalidInput("must not be negative", field="requests, rate_per_s")
    count = len(nodes)
    share, rest = divmod(requests, count)
    return Clients(
        names=tuple(f"client-{c}" for c in range(count)),
        nodes=tuple(nodes),
        requests=np.array([share + (c < rest) for c in range(count)]),
        rate_per_s=np.array([rate_per_s / count] * count),
    )
