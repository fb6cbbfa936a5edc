from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.instance.expiry_price import highest_serving_cost_usd
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.generate.weights import significant


def test_value_of_a_second_lies_between_what_faster_tiers_charge() -> None:
    """A quarter more for 101 instead of 65 tokens a second: on Claude 3.5 Haiku at 0.8 / 4 $ per
    million tokens, and on a small open model at 0.2 $."""
    for prompt, output in (PaperParameters().tokens_short, PaperParameters().tokens_long):
        saved_s = output * (1 / 65 - 1 / 101)
        haiku = 0.25 * (0.8 * prompt + 4.0 * output) / 1e6 / saved_s
        small = 0.25 * 0.2 * (prompt + output) / 1e6 / saved_s
        assert 2.2e-4 < haiku < 2.7e-4
        assert 2e-5 < small < 3e-5
        assert small < PaperParameters().time_usd_per_s < haiku


def test_expiring_never_pays() -> None:
    instance = generate("paper/cost2")
    dearest = highest_serving_cost_usd(instance.system, instance.price_usd_per_kwh.max(axis=0))
    ratio = instance.system.weights.expiry_usd / dearest
    np.testing.assert_allclose(ratio, 1.25, rtol=0.005)


def test_rerouting_costs_a_prompt() -> None:
    """κ = mean over servers and classes of (σ − σʰ)·(v + rent per second and request at once)."""
    instance = generate("paper/abilene", rent_share=0.0, mix_spread=0.0, mix_drift=0.0)
    system = instance.system
    servers = np.bincount(system.server_type)
    mix = np.array([0.3, 0.2, 0.18, 0.12, 0.12, 0.08])
    total = weight = 0.0
    for k in range(5):
        for c in range(6):
            if system.compatible[k, c]:
                share = servers[k] * mix[c]
                saved_s = system.service_s[k, c] - system.hot_service_s[k, c]
                total, weight = total + share * saved_s, weight + share
    assert system.weights.reroute_usd == pytest.approx(total / weight * 1e-4, rel=0.05)
    paid = generate("paper/abilene", rent_share=1.0).system.weights.reroute_usd
    assert paid > system.weights.reroute_usd


def test_margin_is_a_parameter() -> None:
    low, high = (
        generate("paper/polska", slots=8, expiry_margin=margin).system.weights.expiry_usd
        for margin in (1.0, 2.0)
    )
    np.testing.assert_allclose(high, 2 * low, rtol=0.01)


@pytest.mark.parametrize(
    ("value", "digits", "rounded"), [(0.0345678, 3, 0.0346), (1234567, 4, 1235000), (0, 2, 0)]
)
def test_significant(value: float, digits: int, rounded: float) -> None:
    assert significant(value, digits) == rounded
