from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.instance.generate import prices
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.io.topology import Topology, paper_topology

STILL = {"price_noise": 0.0, "tariff_spread": 0.0, "delivery_usd_per_kwh": 0.0}


@pytest.fixture(scope="module")
def abilene() -> Topology:
    return paper_topology("abilene")


def test_nearest_zones(abilene: Topology) -> None:
    names = [list(prices.ZONES)[z] for z in prices.nearest_zones(abilene)]
    by_node = dict(zip(abilene.nodes, names, strict=True))
    assert by_node["LOSAng"] == by_node["SNVAng"] == "US-CAL-CISO"
    assert by_node["HSTNng"] == "US-TEX-ERCO"
    assert by_node["NYCMng"] == "US-NY-NYIS"
    assert by_node["WASHng"] == "US-MIDA-PJM"
    assert set(names) == {"US-CAL-CISO", "US-TEX-ERCO", "US-NY-NYIS", "US-MIDA-PJM"}


def test_change_every_hour(abilene: Topology) -> None:
    price = prices.electricity_prices(abilene, PaperParameters(), seed=0)
    assert price.shape == (480, 12)
    changes = np.flatnonzero((np.diff(price, axis=0) != 0).any(axis=1)) + 1
    assert changes.tolist() == [80, 160, 240, 320, 400]


def test_mean_over_a_day_is_that_of_the_zone(abilene: Topology) -> None:
    price = prices.electricity_prices(abilene, PaperParameters(slots=1920, **STILL), seed=0)
    mean = np.array([zone.usd_per_mwh for zone in prices.ZONES.values()]) / 1000
    np.testing.assert_allclose(price.mean(axis=0), mean[prices.nearest_zones(abilene)], rtol=0.01)


def test_delivery_and_spread(abilene: Topology) -> None:
    flat = {**STILL, "price_wave": 0.0, "delivery_usd_per_kwh": 0.05}
    price = prices.electricity_prices(abilene, PaperParameters(**flat), seed=0)
    assert (price == price[0]).all()
    assert price.min() == pytest.approx(0.077)  # ERCOT 27.0 $/MWh and delivery
    apart = prices.electricity_prices(
        abilene, PaperParameters(**{**flat, "tariff_spread": 0.1}), seed=0
    )
    assert np.unique(apart[0]).size == 12


def test_never_below_the_lowest(abilene: Topology) -> None:
    wild = PaperParameters(price_wave=1.0, price_noise=2.0, delivery_usd_per_kwh=0.0, slots=5000)
    price = prices.electricity_prices(abilene, wild, seed=0)
    assert price.min() == prices.LOWEST_USD_PER_KWH


def test_transfer() -> None:
    usd = prices.transfer_prices(3, PaperParameters())
    assert usd.shape == (3, 3, 6)
    assert not usd[np.arange(3), np.arange(3)].any()
    short_gb = (4 * 512 + 250 * 256) / 1e9
    assert usd[0, 1, 0] == pytest.approx(0.02 * short_gb, abs=1e-9)
    assert usd[0, 1, 1] > usd[0, 1, 0]
