from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from support.tiny import tiny_instances

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.expiry_price import highest_serving_cost_usd
from torta_opt.allocation.instance.generate import generate


def by_hand(instance: Instance, price: np.ndarray) -> list[float]:
    """The same maximum in plain loops."""
    system, weights = instance.system, instance.system.weights
    dearest = [0.0] * len(system.classes)
    for c in range(len(system.classes)):
        for i in range(len(system.regions)):
            for s in range(len(system.servers)):
                j, k = int(system.server_region[s]), int(system.server_type[s])
                u = int(system.server_ms[k, c])
                if np.isnan(system.latency_s[i, j]) or not 0 < u <= system.slot_ms:
                    continue
                wait_s = int(system.deadline_slots[c]) * system.slot_ms / 1000
                seconds = system.latency_s[i, j] + wait_s + system.service_s[k, c]
                kwh = (system.peak_kw[k] - system.idle_kw[k]) * u / 3.6e6
                usd = (
                    weights.time_usd_per_s * seconds
                    + weights.transfer_factor * system.transfer_usd[i, j, c]
                    + weights.energy_factor * max(price[j], 0.0) * kwh
                )
                dearest[c] = max(dearest[c], float(usd))
    return dearest


@given(tiny_instances())
def test_agrees_with_plain_loops(instance: Instance) -> None:
    price = instance.price_usd_per_kwh.max(axis=0)
    np.testing.assert_allclose(
        highest_serving_cost_usd(instance.system, price), by_hand(instance, price)
    )


def test_out_of_reach_costs_nothing() -> None:
    system = generate("small/residency").system
    east_only = dataclasses.replace(
        system,
        latency_s=[[0.001, np.nan], [np.nan, 0.001]],
        server_region=[0, 0],
    )
    usd = highest_serving_cost_usd(east_only, np.zeros(2))
    assert usd[0] == pytest.approx(0.001 * (0.001 + 45 + 14))
