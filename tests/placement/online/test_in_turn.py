"""The authors' online simulation: retry instants, arrivals, and a small case by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_placement import build, hosting

from torta_opt.io import Infeasible, InvalidInput
from torta_opt.placement.instance.data import Delays
from torta_opt.placement.instance.presets import placement_preset
from torta_opt.placement.online import routers
from torta_opt.placement.online.contenders import Contender, contender
from torta_opt.placement.online.in_turn import (
    Arrivals,
    OnlineResult,
    poisson_arrivals,
    retry_gap_ms,
    retry_instant,
    run_in_turn,
)


def test_gaps_double_up_to_a_minute():
    gaps = [retry_gap_ms(tries) / 1000 for tries in range(8)]
    assert gaps == [1, 2, 4, 8, 16, 32, 60, 60]
    assert retry_gap_ms(10**9) == 60_000


@pytest.mark.parametrize(
    ("wait_s", "instant_s"),
    [(0, 0), (-1, 0), (0.5, 1), (1, 1), (1.5, 3), (3, 3), (7.1, 15), (63.5, 123), (130, 183)],
)
def test_retry_instants(wait_s, instant_s):
    assert retry_instant(wait_s * 1000) == instant_s * 1000


@given(st.floats(0, 1e7))
def test_a_retry_is_no_earlier_than_the_wait_and_not_much_later(wait_ms):
    instant = retry_instant(wait_ms)
    assert wait_ms <= instant <= 2 * wait_ms + 60_000


def test_arrivals_are_poisson_and_repeat():
    instance = build(
        token=((1.0, 1, 1), (1, 1, 1)), requests=(0, 0), rates=(3.0, 1.0), tokens=(1, 9)
    )
    arrivals = poisson_arrivals(instance, 20_000, seed=1)
    assert arrivals.at_ms[0] == 0
    assert np.diff(arrivals.at_ms).min() >= 0
    assert np.diff(arrivals.at_ms).mean() == pytest.approx(250, rel=0.03)
    assert np.diff(arrivals.at_ms).std() == pytest.approx(250, rel=0.03)
    assert (arrivals.client == 0).mean() == pytest.approx(0.75, abs=0.02)
    assert set(arrivals.tokens) == {9}
    assert (poisson_arrivals(instance, 20_000, seed=1).at_ms == arrivals.at_ms).all()
    assert len(poisson_arrivals(instance, 0, seed=1)) == 0


def test_nobody_arrives_at_rate_zero():
    with pytest.raises(InvalidInput, match=r"clients\.rate_per_s"):
        poisson_arrivals(build(rates=(0.0,)), 5, seed=0)


INSTANCE = build(
    memory=(48, 48, 48), tokens=(1, 3), token=((10.0, 20.0, 30.0),), delays=Delays(5.0)
)
ONE_SERVER = Contender(
    "one", hosting((0, 4), (0, 0), (0, 0)), np.array([16, 0, 0]), routers.shortest_path
)
ALONE_MS = 5 + (15 + 4 * 2) + 2 * (10 + 4 * 1)


def test_two_at_once_on_a_server_with_room_for_one():
    """The second waits 56 ms, tries again after 1 s, and is promised the cache all that time."""
    arrivals = Arrivals(np.array([0.0, 0.0, 2000.0]), np.zeros(3, int), np.full(3, 3))
    result = run_in_turn(INSTANCE, ONE_SERVER, arrivals)
    assert ALONE_MS == 56
    assert result.wait_ms.tolist() == [0, 1000, 0]
    assert result.response_ms.tolist() == [56, 1056, 56]
    assert result.first_token_ms.tolist() == [28, 1028, 28]
    assert result.most_at_once == 2
    assert result.completed == 3
    assert result.token_mean_s == pytest.approx((56 + 1056 + 56) / 9 / 1000)
    assert result.mean_s("wait_ms") == pytest.approx(1 / 3)


def test_the_fixed_delay_holds_the_cache_too():
    arrivals = Arrivals(np.array([0.0, 100.0]), np.zeros(2, int), np.full(2, 3))
    free = run_in_turn(INSTANCE, ONE_SERVER, arrivals)
    held = run_in_turn(INSTANCE, ONE_SERVER, arrivals, fixed_ms=60_000)
    assert free.wait_ms.tolist() == [0, 0]
    assert held.wait_ms.tolist() == [0, 63_000]
    assert held.response_ms[0] == 60_056


def test_no_chain_is_infeasible():
    nobody = Contender("none", hosting((0, 2), (0, 0), (0, 0)), np.array([16, 0, 0]), routers.ws_rr)
    arrivals = Arrivals(np.array([0.0]), np.array([0]), np.array([3]))
    with pytest.raises(Infeasible, match="none: no chain"):
        run_in_turn(INSTANCE, nobody, arrivals)


def test_given_up_requests_do_not_count():
    result = OnlineResult(
        np.array([1000.0, np.nan]), np.array([1.0, np.nan]), np.zeros(2), np.array([2, 7]), 1
    )
    assert result.token_mean_s == 0.5
    assert result.completed == 1


@pytest.mark.parametrize("name", ["petals", "proposed", "opt_rr"])
def test_it_repeats(name):
    instance = placement_preset("abovenet", 1)
    chosen = contender(instance, name, seed=1)
    arrivals = poisson_arrivals(instance, 40, seed=1)
    one, two = (run_in_turn(instance, chosen, arrivals, 1e4) for _ in range(2))
    assert (one.response_ms == two.response_ms).all()
