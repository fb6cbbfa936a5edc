"""PETALS as its code does it: how many blocks, which ones, when to move, and which way to go.

blocks   ⌊(memory − 2 GiB·d/14336) / (block + cache of 4096 tokens)⌋ (16384 if key and value heads
         are shared), never more than the model has; its cache pool is that many caches.
start    servers join one by one; each takes the window whose sorted throughputs per block are
         lexicographically least. Throughput = min(forward_rps / ((m + 1)/2), network_rps).
moving   an option: a server looks now and then whether the swarm's smallest throughput would grow
         by more than a third if it, and then all others in turn, chose anew; if so it moves.
routing  ``min_latency``: cheapest path with half a round trip + 18 ms per hop, τ per block, half a
         round trip back, 10 s for a server whose cache may not suffice.
         ``max_throughput``: at random among servers that hold the next block, by length of span.

Source: bigscience-workshop/petals (server.py, block_selection.py, sequence_manager.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torta_opt.io import Infeasible
from torta_opt.placement.instance.data import NO_SERVER, PlacementInstance
from torta_opt.placement.policies.cg_bp import block_counts, cg_bp, least_window
from torta_opt.placement.policies.routing import routes_in_turn
from torta_opt.placement.schedule.chains import Chains, chains_of, cheapest_chain
from torta_opt.placement.schedule.data import Placement, PlacementSchedule, Route
from torta_opt.placement.schedule.performance import cache_slots, prices

GIB = 1 << 30
RESERVED_WIDTH = 14336  # 2 GiB are kept for gradients at this width, more or less at others
CACHE_TOKENS, SHARED_CACHE_TOKENS = 4096, 16384
HOP_MS = 18.0  # serialisation of one hop
FULL_CACHE_MS = 10_000.0
BALANCE_QUALITY = 0.75
EPSILON = 1e-3


def pool_bytes_per_block(instance: PlacementInstance) -> int:
    """Cache PETALS keeps for every block it hosts."""
    tokens = SHARED_CACHE_TOKENS if instance.llm.kv_groups > 1 else CACHE_TOKENS
    return tokens * instance.llm.cache_bytes_per_token


def petals_counts(instance: PlacementInstance) -> np.ndarray:
    """(J,) blocks every server chooses to host."""
    llm, servers = instance.llm, instance.servers
    reserved = 2 * GIB * llm.width / RESERVED_WIDTH
    per_block = llm.block_bytes + pool_bytes_per_block(instance)
    counts = np.floor((servers.memory_bytes - reserved) / per_block).astype(int)
    counts = np.clip(counts, 0, llm.blocks)
    return np.minimum(counts, servers.most_blocks)


def throughputs(instance: PlacementInstance, counts: np.ndarray) -> np.ndarray:
    """(J,) requests per second that PETALS credits every server with."""
    mean_used = (counts + 1) / 2
    return np.minimum(instance.servers.forward_rps / mean_used, instance.servers.network_rps)


def join(
    instance: PlacementInstance, counts: np.ndarray, order: Sequence[int] | np.ndarray
) -> Placement:
    """Servers join in ``order``, each where the swarm is weakest."""
    if counts.sum() < instance.llm.blocks:
        raise Infeasible(
            f"{instance.name}: PETALS places {int(counts.sum())} of {instance.llm.blocks} blocks"
        )
    credit = throughputs(instance, counts)
    swarm = np.zeros(instance.llm.blocks)
    first = np.zeros(len(counts), int)
    for j in order:
        if counts[j]:
            first[j] = least_window(swarm, int(counts[j]))
            swarm[first[j] : first[j] + counts[j]] += credit[j]
    return Placement(first, counts)


def petals_placement(
    instance: PlacementInstance, seed: int = 0, rebalanced: bool = False
) -> Placement:
    """Servers join in random order; if ``rebalanced``, they then move until a round has no move."""
    rng = np.random.default_rng(seed)
    placement = join(instance, petals_counts(instance), rng.permutation(len(instance.servers)))
    return rebalance(instance, placement, rng) if rebalanced else placement


def opt_order_placement(instance: PlacementInstance, requests: int) -> Placement:
    """PETALS, but the servers join in CG-BP's order."""
    found = cg_bp(instance, requests)
    rest = [j for j in range(len(instance.servers)) if j not in set(found.order)]
    return join(instance, petals_counts(instance), [*found.order, *rest])


def opt_number_placement(instance: PlacementInstance, requests: int, seed: int = 0) -> Placement:
    """PETALS, but with CG-BP's number of blocks on every server."""
    order = np.random.default_rng(seed).permutation(len(instance.servers))
    return join(instance, block_counts(instance, requests), order)


def petals_schedule(
    instance: PlacementInstance, seed: int = 0, rebalanced: bool = False
) -> PlacementSchedule:
    """The offline problem: PETALS's placement, requests in turn on the way it prefers."""
    placement = petals_placement(instance, seed, rebalanced)
    name = "petals_rebalanced" if rebalanced else "petals"
    return PlacementSchedule(name, placement, latency_routes(instance, placement), seed)


def opt_order_schedule(instance: PlacementInstance) -> PlacementSchedule:
    placement = opt_order_placement(instance, instance.requests)
    return PlacementSchedule("opt_order", placement, latency_routes(instance, placement))


def opt_number_schedule(instance: PlacementInstance, seed: int = 0) -> PlacementSchedule:
    placement = opt_number_placement(instance, instance.requests, seed)
    return PlacementSchedule("opt_number", placement, latency_routes(instance, placement), seed)


def latency_routes(instance: PlacementInstance, placement: Placement) -> tuple[Route, ...]:
    """Requests in turn, each on the way PETALS prefers among those with memory left."""
    chains = chains_of(placement, instance.llm.blocks)
    left = cache_slots(instance, placement)
    routes = []
    for c, requests in enumerate(instance.clients.requests.tolist()):
        base, finish = latency_costs(instance, chains, c)
        for _ in range(requests):
            cost = np.where(chains.blocks <= left[chains.head], base, np.inf)
            chain = cheapest_by_latency(chains, cost, finish)
            if not chain:
                return routes_in_turn(instance, placement, prices(instance))
            done = 0
            for j in chain:
                left[j] -= placement.end[j] - done
                done = placement.end[j]
            routes.append(Route(c, chain))
    return tuple(routes)


def latency_costs(
    instance: PlacementInstance, chains: Chains, client: int
) -> tuple[np.ndarray, np.ndarray]:
    """((E,) costs of links, (J,) cost of the way back) of ``min_latency`` routing."""
    links = instance.links
    from_client = chains.tail == NO_SERVER
    hop = np.where(
        from_client,
        links.rtt_ms[client, chains.head],
        links.server_rtt_ms[np.where(from_client, 0, chains.tail), chains.head],
    )
    cost = hop / 2 + HOP_MS + instance.servers.decode_ms[chains.head] * chains.blocks
    return cost, links.rtt_ms[client] / 2


def cheapest_by_latency(chains: Chains, cost: np.ndarray, finish: np.ndarray) -> tuple[int, ...]:
    return cheapest_chain(chains.links, chains.is_last, cost.tolist(), finish.tolist())[1]


def random_by_span(chains: Chains, rng: np.random.Generator) -> tuple[int, ...]:
    """``max_throughput`` routing; empty if a block is hosted by none."""
    placement = chains.placement
    chain, done = [], 0
    while done < chains.blocks_total:
        holds = (placement.first <= done) & (done < placement.end)
        candidates = np.flatnonzero(holds)
        if not len(candidates):
            return ()
        weight = placement.count[candidates].astype(float)
        chain.append(int(rng.choice(candidates, p=weight / weight.sum())))
        done = int(placement.end[chain[-1]])
    return tuple(chain)


def rebalance(
    instance: PlacementInstance,
    placement: Placement,
    rng: np.random.Generator,
    quality: float = BALANCE_QUALITY,
    most_moves: int = 100,
) -> Placement:
    """Servers look in random order whether to move, until a whole round passes without a move."""
    credit = throughputs(instance, placement.count)
    first = placement.first.copy()
    blocks = instance.llm.blocks
    hosts = np.flatnonzero(placement.count > 0)
    for _ in range(most_moves):
        for j in rng.permutation(hosts):
            if _wants_to_move(first, placement.count, credit, int(j), blocks, quality, rng):
                swarm = _swarm(first, placement.count, credit, blocks)
                swarm[first[j] : first[j] + placement.count[j]] -= credit[j]
                first[j] = least_window(swarm, int(placement.count[j]))
                break
        else:
            break
    return Placement(first, placement.count)


def _swarm(first: np.ndarray, count: np.ndarray, credit: np.ndarray, blocks: int) -> np.ndarray:
    """(L,) throughput of every block."""
    swarm = np.zeros(blocks)
    for j in np.flatnonzero(count > 0):
        swarm[first[j] : first[j] + count[j]] += credit[j]
    return swarm


def _wants_to_move(
    first: np.ndarray,
    count: np.ndarray,
    credit: np.ndarray,
    mover: int,
    blocks: int,
    quality: float,
    rng: np.random.Generator,
) -> bool:
    """Whether the least throughput now is less than ``quality`` of what moves would lead to."""
    first = first.copy()
    swarm = _swarm(first, count, credit, blocks)
    before = swarm.min()
    own = slice(first[mover], first[mover] + count[mover])
    swarm[own] -= credit[mover] * (1 + EPSILON)
    if before > EPSILON and swarm.min() <= 0:
        return False  # the swarm would fall apart while it moves
    start = least_window(swarm, int(count[mover]))
    if start == first[mover]:
        return False
    first[mover] = start
    swarm = _settled(first, count, credit, blocks, rng)
    after = swarm.min()
    return after >= max(before, EPSILON) and before / after < quality - EPSILON


def _settled(
    first: np.ndarray,
    count: np.ndarray,
    credit: np.ndarray,
    blocks: int,
    rng: np.random.Generator,
    most_rounds: int = 50,
) -> np.ndarray:
    """Throughputs after all servers have chosen anew in turn until none moves; moves ``first``."""
    swarm = _swarm(first, count, credit, blocks)
    hosts = np.flatnonzero(count > 0)
    for _ in range(most_rounds):
        moved = False
        for j in rng.permutation(hosts):
            own = slice(first[j], first[j] + count[j])
            swarm[own] -= credit[j] * (1 + EPSILON)
            start = least_window(swarm, int(count[j]))
            swarm[own] += credit[j] * EPSILON
            moved |= start != first[j]
            first[j] = start
            swarm[start : start + count[j]] += credit[j]
        if not moved:
            break
    return swarm
