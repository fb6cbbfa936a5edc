"""LCP moves only as far as the two envelopes make it."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.plain import make_instance

from torta_opt.allocation.policies.lcp import Envelopes
from torta_opt.allocation.policies.registry import create
from torta_opt.allocation.policies.runner import run
from torta_opt.allocation.schedule.data import Command
from torta_opt.io import InvalidInput


def last_of_best(usd: np.ndarray, before: int, up_usd: float, down_usd: float) -> list[int]:
    """Where optimal schedules of all slots so far may end, by trying every schedule."""
    slots, sizes = usd.shape
    cost = {}
    for path in product(range(sizes), repeat=slots):
        change = np.diff([before, *path])
        paid = up_usd * np.maximum(change, 0).sum() + down_usd * np.maximum(-change, 0).sum()
        total = paid + sum(usd[t, x] for t, x in enumerate(path))
        cost[path[-1]] = min(cost.get(path[-1], np.inf), total)
    least = min(cost.values())
    return [x for x, total in cost.items() if total <= least + 1e-9]


@given(st.integers(0, 2**32 - 1))
def test_envelopes_are_the_ends_of_optimal_schedules_so_far(seed: int):
    """Whole dollars, so that ties are ties."""
    rng = np.random.default_rng(seed)
    beta, before = int(rng.integers(0, 6)), int(rng.integers(0, 4))
    wanted, on, short = rng.integers(0, 4, 4), rng.integers(0, 3), rng.integers(0, 9)
    servers = np.arange(4)
    usd = on * servers + short * np.maximum(wanted[:, None] - servers, 0).astype(float)
    envelopes = Envelopes(np.array([before]), np.array([3]))
    for t in range(4):
        low, high = envelopes.update(usd[t : t + 1], np.array([float(beta)]))
        assert low[0] == min(last_of_best(usd[: t + 1], before, beta, 0))
        assert high[0] == max(last_of_best(usd[: t + 1], before, 0, beta))


def test_sizes_differ():
    envelopes = Envelopes(np.array([0, 0]), np.array([1, 3]))
    usd = 5.0 * np.maximum(3 - np.arange(4), 0)
    low, high = envelopes.update(np.stack([usd, usd]), np.array([1.0, 1.0]))
    assert low.tolist() == high.tolist() == [1, 3]


def one_server(requests: list[int], **changes):
    """1 $ a slot for a server, 3.5 $ to start it, 10 $ a slot for a request that waits."""
    values = {
        "rent_usd_per_hour": 80.0,
        "start_usd": 3.5,
        "deadline_slots": 9,
        "weights": {"time_usd_per_s": 10 / 45, "expiry_usd": 500.0},
    }
    instance = make_instance(np.array(requests)[:, None, None], **{**values, **changes})
    return run(create("lcp:smoothing=1:safety=0"), instance).schedule


def test_stops_when_standing_idle_has_cost_a_start():
    schedule = one_server([5] + [0] * 9)
    assert schedule.command[0, 0] == Command.START
    stops = np.flatnonzero(schedule.command[:, 0] == Command.STOP)
    assert stops.tolist() == [4]  # the fourth idle slot would make it 4 $


def test_short_pauses_are_sat_out():
    schedule = one_server([5, 0, 0, 5, 0, 0, 5, 0, 0, 5])
    assert np.count_nonzero(schedule.command) == 1


def test_starts_when_waiting_has_cost_as_much():
    """A request waits for 1 $ a slot beyond the server's own: 3.5 $ take four slots."""
    weights = {"time_usd_per_s": 2 / 45, "expiry_usd": 500.0}
    schedule = one_server([1] + [0] * 9, weights=weights)
    assert np.flatnonzero(schedule.command[:, 0] == Command.START).tolist() == [3]


def test_its_own_rule_is_the_only_one():
    with pytest.raises(InvalidInput, match="rule: must be demand: this policy has its own rule"):
        create("lcp:rule=all")
