"""The event-driven simulator: by hand, against plain queues, and what never happens in it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_placement import build, hosting

from torta_opt.io import InvalidInput
from torta_opt.placement.instance.data import Delays
from torta_opt.placement.instance.presets import placement_preset
from torta_opt.placement.online import routers
from torta_opt.placement.online.contenders import CONTENDERS, Contender, contender
from torta_opt.placement.online.events import read_arrivals, simulate
from torta_opt.placement.online.in_turn import Arrivals, poisson_arrivals, retry_gap_ms, run_in_turn

INSTANCE = build(
    memory=(48, 48, 48), tokens=(1, 3), token=((10.0, 20.0, 30.0),), delays=Delays(5.0)
)
ONE_SERVER = Contender(
    "one", hosting((0, 4), (0, 0), (0, 0)), np.array([16, 0, 0]), routers.shortest_path
)
TWO_SERVERS = Contender(
    "two", hosting((0, 4), (0, 4), (0, 0)), np.array([16, 16, 0]), routers.ws_rr
)


def _arrivals(*at_ms):
    count = len(at_ms)
    return Arrivals(np.array(at_ms, float), np.zeros(count, int), np.full(count, 3))


def test_who_fails_tries_again_and_takes_nothing_meanwhile():
    """Served at once, after 1 s, after 1 + 2 s; one who comes at 1.5 s is served before him."""
    result = simulate(INSTANCE, ONE_SERVER, _arrivals(0, 0, 0, 1500))
    assert result.wait_ms.tolist() == [0, 1000, 3000, 0]
    assert result.response_ms.tolist() == [56, 1056, 3056, 56]
    assert result.first_token_ms.tolist() == [28, 1028, 3028, 28]
    assert result.most_at_once == 3


def test_a_second_way_is_taken_when_the_first_is_full():
    result = simulate(INSTANCE, TWO_SERVERS, _arrivals(0, 0))
    assert result.wait_ms.tolist() == [0, 0]
    assert result.response_ms[0] < result.response_ms[1]


def test_the_fixed_delay_comes_before_the_first_token_and_holds_the_cache():
    result = simulate(INSTANCE, ONE_SERVER, _arrivals(0, 0), fixed_ms=2500)
    assert result.first_token_ms.tolist() == [2528, 2528 + 3000]
    assert result.wait_ms.tolist() == [0, 3000]


def test_patience_ends():
    result = simulate(INSTANCE, ONE_SERVER, _arrivals(0, 0, 0), give_up_s=2)
    assert np.isnan(result.response_ms).tolist() == [False, False, True]
    assert result.completed == 2


def test_a_request_that_can_never_be_served_is_given_up():
    nobody = Contender("none", hosting((0, 2), (0, 0), (0, 0)), np.array([9, 0, 0]), routers.ws_rr)
    assert simulate(INSTANCE, nobody, _arrivals(0, 5)).completed == 0

    def stubborn(swarm, client, tokens, cache, now):
        return (0,)

    too_small = Contender("small", hosting((0, 4), (0, 0), (0, 0)), np.array([9, 0, 0]), stubborn)
    assert simulate(INSTANCE, too_small, _arrivals(0)).completed == 0


def test_jitter_repeats_with_its_seed_and_stays_within_its_share():
    arrivals = _arrivals(*[0.0] * 6)
    runs = [simulate(INSTANCE, ONE_SERVER, arrivals, jitter=0.2, seed=s) for s in (1, 1, 2)]
    assert (runs[0].response_ms == runs[1].response_ms).all()
    assert (runs[0].response_ms != runs[2].response_ms).any()
    first_retry = np.sort(runs[0].wait_ms)[1]
    assert 800 <= first_retry <= 1200


@given(
    st.lists(st.integers(0, 4000), min_size=1, max_size=25),
    st.integers(1, 3),
    st.sampled_from([routers.ws_rr, routers.shortest_path, routers.min_latency]),
)
def test_cache_is_never_promised_twice_and_nobody_is_lost(at_ms, room, router):
    """Plain check of the outcome: sessions overlap no more than there is room for."""
    instance = INSTANCE
    pool = np.array([16 * room, 0, 0])
    one = Contender("one", hosting((0, 4), (0, 0), (0, 0)), pool, router)
    arrivals = _arrivals(*sorted(at_ms))
    result = simulate(instance, one, arrivals)
    assert result.completed == len(at_ms)
    begin = arrivals.at_ms + result.wait_ms
    end = arrivals.at_ms + result.response_ms
    for now in begin:
        assert ((begin <= now) & (now < end)).sum() <= room
    gaps = {0.0, *np.cumsum([retry_gap_ms(tries) for tries in range(12)]).tolist()}
    assert set(result.wait_ms.tolist()) <= gaps


@pytest.mark.parametrize("name", CONTENDERS)
def test_same_seed_same_result(name):
    instance = placement_preset("abovenet", 2).with_rate(2.0)
    chosen = contender(instance, name, seed=2, requests=8)
    arrivals = poisson_arrivals(instance, 150, seed=2)
    one, two = (simulate(instance, chosen, arrivals) for _ in range(2))
    assert (one.response_ms == two.response_ms).all()
    assert one.completed == 150


@pytest.mark.parametrize("name", CONTENDERS)
def test_without_queueing_both_simulators_agree(name):
    instance = placement_preset("bellcanada", 3).with_rate(0.001)
    chosen = contender(instance, name, seed=3, requests=4)
    arrivals = poisson_arrivals(instance, 20, seed=3)
    one = simulate(instance, chosen, arrivals)
    two = run_in_turn(instance, chosen, arrivals)
    assert one.wait_ms.max() == two.wait_ms.max() == 0
    assert np.allclose(one.response_ms, two.response_ms)
    assert np.allclose(one.first_token_ms, two.first_token_ms)


def test_many_clients_each_pay_their_own_way():
    instance = build(
        memory=(480,) * 3,
        tokens=(1, 3),
        token=((10.0, 90, 90), (90, 20.0, 90)),
        requests=(1, 1),
        rates=(1.0, 1.0),
    )
    two = Contender(
        "two", hosting((0, 4), (0, 4), (0, 0)), np.array([64, 64, 0]), routers.shortest_path
    )
    arrivals = Arrivals(np.array([0.0, 1.0]), np.array([0, 1]), np.array([3, 2]))
    result = simulate(instance, two, arrivals)
    assert result.response_ms.tolist() == [
        15 + 4 * 2 + 2 * (10 + 4 * 1),
        25 + 4 * 4 + 1 * (20 + 4 * 2),
    ]


def test_a_trace_is_read_and_sorted(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("arrival_s,client,tokens\n2.5,c0,7\n1,,\n")
    arrivals = read_arrivals(path, INSTANCE)
    assert arrivals.at_ms.tolist() == [1000, 2500]
    assert arrivals.tokens.tolist() == [3, 7]
    assert arrivals.client.tolist() == [0, 0]
    path.write_text("arrival_s\n")
    assert len(read_arrivals(path, INSTANCE)) == 0


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("arrival_s\n-1\n", "line 2: arrival_s must be 0 or more"),
        ("arrival_s\nnan\n", "line 2: arrival_s must be 0 or more"),
        ("when\n1\n", "line 2: arrival_s must be 0 or more"),
        ("arrival_s\nsoon\n", "line 2: must hold numbers"),
        ("arrival_s,tokens\n1,0\n", "line 2: tokens"),
        ("arrival_s,tokens\n1,x\n", "line 2: must hold numbers"),
        ("arrival_s,client\n1,c0\n2,nobody\n", "line 3: names an unknown client, 'nobody'"),
    ],
)
def test_a_broken_trace_names_its_line(text, rule, tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text(text)
    with pytest.raises(InvalidInput) as error:
        read_arrivals(path, INSTANCE)
    assert rule in str(error.value)
    assert "trace.csv" in str(error.value)


def test_a_trace_that_is_not_there(tmp_path):
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_arrivals(tmp_path / "none.csv", INSTANCE)
    path = tmp_path / "trace.csv"
    path.write_bytes(b"arrival_s\n\xff\xfe\n")
    with pytest.raises(InvalidInput, match=r"trace\.csv: is not a CSV file"):
        read_arrivals(path, INSTANCE)
