"""Whole requests sent to places: every request once, none beyond the room, by the rule stated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from torta_opt.allocation.policies.routing import apportion, deal_evenly, sample, send_cheapest

SEEDS = st.integers(0, 2**32 - 1)


def random_case(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Requests by origin, room by place, $ with forbidden pairs."""
    rng = np.random.default_rng(seed)
    origins, places = rng.integers(1, 5, 2)
    usd = rng.random((origins, places))
    usd[rng.random(usd.shape) < 0.2] = np.inf
    return rng.integers(0, 9, origins), rng.integers(0, 9, places), usd


class TestSendCheapest:
    @given(SEEDS)
    def test_sends_what_it_can(self, seed: int):
        requests, room, usd = random_case(seed)
        flow = send_cheapest(requests, room, usd)
        assert (flow >= 0).all()
        assert not flow[np.isinf(usd)].any()
        assert (flow.sum(axis=0) <= room).all()
        assert (flow.sum(axis=1) <= requests).all()
        waits = flow.sum(axis=1) < requests
        open_places = flow.sum(axis=0) < room
        assert np.isinf(usd[np.ix_(waits, open_places)]).all()

    @given(SEEDS)
    def test_an_origin_alone_pays_least(self, seed: int):
        requests, room, usd = random_case(seed)
        flow = send_cheapest(requests[:1], room, usd[:1])
        seats = np.repeat(np.where(np.isinf(usd[0]), 1e6, usd[0]), room)
        cheapest = np.sort(seats[seats < 1e6])[: requests[0]]
        paid = (flow[0] * np.where(np.isinf(usd[0]), 0, usd[0])).sum()
        assert paid == pytest.approx(cheapest.sum())

    def test_who_pays_least_goes_first(self):
        usd = np.array([[1.0, 5.0], [2.0, 3.0]])
        flow = send_cheapest(np.array([2, 2]), np.array([3, 9]), usd)
        assert flow.tolist() == [[2, 0], [1, 1]]

    @given(SEEDS)
    def test_is_never_below_the_cheapest_of_all(self, seed: int):
        """It is greedy; the optimum of the assignment problem may be cheaper, never dearer."""
        requests, room, usd = random_case(seed)
        usd, room = np.where(np.isinf(usd), 0.5, usd), room + requests.sum()
        flow = send_cheapest(requests, room, usd)
        places = np.repeat(np.arange(len(room)), room)
        seats = np.repeat(usd, requests, axis=0)[:, places]
        best = seats[linear_sum_assignment(seats)].sum()
        assert (flow * usd).sum() >= best - 1e-9

    def test_does_not_touch_its_arguments(self):
        requests, room, usd = random_case(1)
        copies = requests.copy(), room.copy(), usd.copy()
        send_cheapest(requests, room, usd)
        for now, before in zip((requests, room, usd), copies, strict=True):
            assert np.array_equal(now, before)


class TestDealEvenly:
    @given(SEEDS, st.integers(0, 9))
    def test_sends_what_it_can(self, seed: int, start: int):
        requests, room, usd = random_case(seed)
        open_to = np.isfinite(usd)
        flow = deal_evenly(requests, room, open_to, start)
        assert (flow >= 0).all()
        assert not flow[~open_to].any()
        assert (flow.sum(axis=0) <= room).all()
        waits = flow.sum(axis=1) < requests
        open_places = flow.sum(axis=0) < room
        assert not open_to[np.ix_(waits, open_places)].any()

    def test_odd_ones_go_by_turn(self):
        open_to, room = np.ones((1, 3), bool), np.full(3, 99)
        dealt = [deal_evenly(np.array([4]), room, open_to, t)[0].tolist() for t in range(4)]
        assert dealt == [[2, 1, 1], [1, 2, 1], [1, 1, 2], [2, 1, 1]]

    def test_skips_what_is_full(self):
        flow = deal_evenly(np.array([9]), np.array([1, 99, 2]), np.ones((1, 3), bool), 0)
        assert flow.tolist() == [[1, 6, 2]]


class TestApportion:
    @given(SEEDS)
    def test_is_within_one_of_the_share(self, seed: int):
        rng = np.random.default_rng(seed)
        share = rng.dirichlet(np.ones(4), 3)
        share[:, 0] = 0
        share /= share.sum(axis=1, keepdims=True)
        requests = rng.integers(0, 50, 3)
        flow = apportion(requests, share)
        assert flow.sum(axis=1).tolist() == requests.tolist()
        assert (np.abs(flow - requests[:, None] * share) < 1 + 1e-9).all()
        assert not flow[:, 0].any()

    def test_largest_remainder_wins(self):
        flow = apportion(np.array([10]), np.array([[0.55, 0.28, 0.17]]))
        assert flow.tolist() == [[5, 3, 2]]

    def test_same_share_same_flow(self):
        share = np.full((2, 4), 0.25)
        flows = [apportion(np.array([6, 7]), share).tolist() for _ in range(3)]
        assert flows[0] == flows[1] == flows[2]


class TestSample:
    def test_every_request_goes_somewhere(self):
        share = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0]])
        flow = sample(np.array([1000, 7]), share, np.random.default_rng(0))
        assert flow.sum(axis=1).tolist() == [1000, 7]
        assert flow[1].tolist() == [0, 0, 7]
        assert flow[0, 2] == 0
        assert abs(flow[0, 0] - 500) < 80  # five standard deviations

    def test_same_seed_same_flow(self):
        share = np.full((3, 3), 1 / 3)
        one, two = (
            sample(np.array([9, 9, 9]), share, np.random.default_rng(4)).tolist() for _ in "12"
        )
        assert one == two
