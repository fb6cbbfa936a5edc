"""Routers: by hand, and against the best of all chains."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from support.small_placement import build, hosting, instances, placements

from torta_opt.placement.online import routers
from torta_opt.placement.online.swarm import Swarm, own_pool
from torta_opt.placement.schedule.chains import INFINITE

NEAR_AND_FAR = build(memory=(48, 48, 48), tokens=(1, 1), token=((10.0, 20.0, 30.0),))
EACH_ALL = hosting((0, 4), (0, 4), (0, 0))


def _swarm():
    return Swarm(NEAR_AND_FAR, EACH_ALL, np.array([8, 8, 0]))


def test_while_there_is_room_all_take_the_nearest():
    for router in (routers.ws_rr, routers.shortest_path, routers.opt_rr, routers.min_latency):
        assert router(_swarm(), 0, 1, 2, 0.0) == (0,)


def test_a_short_wait_is_worth_it_and_a_long_one_is_not():
    for end, expected in ((5.0, (0,)), (500.0, (1,))):
        swarm = _swarm()
        swarm.hold((0,), [4], 2, end)
        assert routers.ws_rr(swarm, 0, 1, 2, 0.0) == expected
        assert routers.opt_rr(swarm, 0, 1, 2, 0.0) == expected
        assert routers.shortest_path(swarm, 0, 1, 2, 0.0) == (0,)


def test_petals_avoids_a_full_server_by_ten_seconds():
    swarm = _swarm()
    swarm.hold((0,), [4], 2, 5.0)
    assert routers.min_latency(swarm, 0, 1, 2, 0.0) == (1,)


def test_what_can_never_fit_is_no_way():
    assert routers.ws_rr(_swarm(), 0, 1, 3, 0.0) == ()
    assert routers.shortest_path(_swarm(), 0, 1, 3, 0.0) == ()
    assert routers.opt_rr(_swarm(), 0, 1, 3, 0.0) == ()


def test_max_throughput_has_its_own_stream():
    chains = [routers.max_throughput(3)(_swarm(), 0, 1, 2, 0.0) for _ in range(4)]
    assert len(set(chains)) == 1
    router = routers.max_throughput(3)
    assert {router(_swarm(), 0, 1, 2, 0.0) for _ in range(40)} == {(0,), (1,)}


@given(st.data())
def test_each_is_the_best_of_all_chains_by_its_own_measure(data):
    instance = data.draw(instances(most_servers=5, most_blocks=5, most_clients=1, roomy=True))
    placement = data.draw(placements(instance))
    swarm = Swarm(instance, placement, np.maximum(own_pool(instance, placement), 0))
    chains = list(swarm.chains.all_chains())
    cache = instance.cache_bytes
    for _ in range(data.draw(st.integers(0, 4))):
        if chains:
            chain = data.draw(st.sampled_from(chains))
            end = float(data.draw(st.integers(1, 300)))
            swarm.hold(chain, swarm.blocks_along(chain), cache, end)
    price = swarm.response_ms(0, instance.output_tokens)

    def time_and_waits(chain):
        links, blocks = swarm.links_along(chain), swarm.blocks_along(chain)
        waits = [swarm.wait(j, k * cache, 0.0) for j, k in zip(chain, blocks, strict=True)]
        return sum(price[e] for e in links), waits

    judged = {chain: time_and_waits(chain) for chain in chains}
    measures = {
        routers.ws_rr: lambda time, waits: time + sum(waits),
        routers.opt_rr: lambda time, waits: time + max(waits),
    }
    for router, measure in measures.items():
        best = min((measure(*judged[chain]) for chain in chains), default=INFINITE)
        found = router(swarm, 0, instance.output_tokens, cache, 0.0)
        if found:
            assert math.isclose(measure(*judged[found]), best)
        else:
            assert best == INFINITE
