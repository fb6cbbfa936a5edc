from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.instance.generate import demand
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.io.topology import Topology, paper_topology

PLAIN = {"burst_sigma": 0.0, "mix_spread": 0.0, "mix_drift": 0.0}


@pytest.fixture(scope="module")
def abilene() -> Topology:
    return paper_topology("abilene")


def test_node_weights_follow_traffic(abilene: Topology) -> None:
    weights = demand.node_weights(abilene, PaperParameters(), seed=0)
    assert abilene.traffic is not None
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_array_equal(np.argsort(weights), np.argsort(abilene.traffic))
    even = demand.node_weights(abilene, PaperParameters(weight_exponent=0.0), seed=0)
    np.testing.assert_allclose(even, 1 / 12)


def test_node_weights_are_drawn_where_there_is_no_traffic() -> None:
    gabriel = paper_topology("gabriel")
    first, second = (demand.node_weights(gabriel, PaperParameters(), seed) for seed in (0, 1))
    assert first.sum() == pytest.approx(1)
    assert not np.allclose(first, second)


def test_local_hours_run_from_east_to_west(abilene: Topology) -> None:
    hours = demand.local_hours(abilene, PaperParameters(start_hour=8.0), np.array([0.0, 1.0]))
    assert hours[0].mean() == pytest.approx(8.0)
    np.testing.assert_allclose(hours[1] - hours[0], 1.0)
    new_york, seattle = 8, 10
    assert hours[0, new_york] - hours[0, seattle] == pytest.approx(48.33 / 15, abs=0.01)


def test_daily_wave_peaks_at_the_peak_hour(abilene: Topology) -> None:
    parameters = PaperParameters(slots=1924, daily_wave=0.5, peak_hour=14.0, **PLAIN)
    shape = demand.demand_shape(abilene, parameters, seed=0).sum(axis=2)[:1920]  # a day
    hours = demand.local_hours(abilene, parameters, (np.arange(1920) + 0.5) / 80)
    for region in range(12):
        assert hours[shape[:, region].argmax(), region] == pytest.approx(14.0, abs=0.02)
    np.testing.assert_allclose(shape.max(axis=0) / shape.min(axis=0), 3.0, rtol=1e-3)


def test_no_arrivals_while_draining(abilene: Topology) -> None:
    shape = demand.demand_shape(abilene, PaperParameters(), seed=0)
    assert not shape[-4:].any()
    assert (shape[:-4] > 0).all()


def test_bursts_have_mean_one_and_the_memory_asked_for() -> None:
    parameters = PaperParameters(burst_sigma=0.3, burst_memory=0.9, burst_common=0.0)
    bursts = demand.bursts(4000, 30, parameters, seed=0)
    assert bursts.mean() == pytest.approx(1, abs=0.02)
    level = np.log(bursts)
    assert level.std() == pytest.approx(0.3, rel=0.05)
    assert np.corrcoef(level[1:].ravel(), level[:-1].ravel())[0, 1] == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("common", [0.0, 0.5, 1.0])
def test_bursts_are_common_to_regions_as_far_as_asked(common: float) -> None:
    parameters = PaperParameters(burst_sigma=0.3, burst_memory=0.5, burst_common=common)
    level = np.log(demand.bursts(20_000, 4, parameters, seed=0))
    assert level.std() == pytest.approx(0.3, rel=0.03)
    correlation = np.corrcoef(level.T)[np.triu_indices(4, 1)]
    np.testing.assert_allclose(correlation, common, atol=0.03)


class TestClassMix:
    MEAN = (0.3, 0.2, 0.18, 0.12, 0.12, 0.08)

    def test_exact_without_spread_and_drift(self) -> None:
        mix = demand.class_mix(3, 5, PaperParameters(**PLAIN), seed=0)
        np.testing.assert_allclose(mix, np.broadcast_to(self.MEAN, (3, 5, 6)))

    def test_spreads_over_regions(self) -> None:
        parameters = PaperParameters(mix_spread=0.2, mix_drift=0.0)
        mix = demand.class_mix(3, 2000, parameters, seed=0)
        np.testing.assert_allclose(mix.sum(axis=2), 1)
        np.testing.assert_allclose(mix[0].mean(axis=0), self.MEAN, atol=0.01)
        assert mix[0].std(axis=0).min() > 0.005
        np.testing.assert_array_equal(mix[0], mix[2])

    def test_models_drift_everywhere_alike(self) -> None:
        parameters = PaperParameters(mix_spread=0.0, mix_drift=0.3, mix_memory=0.9)
        mix = demand.class_mix(5000, 2, parameters, seed=0)
        np.testing.assert_allclose(mix[:, 0], mix[:, 1])
        np.testing.assert_allclose(mix[:, :, 0] / mix[:, :, 1], 0.3 / 0.2)
        odds = np.log(mix[:, 0, 0] / mix[:, 0, 2])
        assert odds.std() == pytest.approx(0.3 * np.sqrt(2), rel=0.1)
        assert np.corrcoef(odds[1:], odds[:-1])[0, 1] == pytest.approx(0.9, abs=0.02)


def test_arrivals_are_poisson() -> None:
    counts = demand.arrivals(np.full((200, 20, 5), 7.0), seed=0)
    assert counts.mean() == pytest.approx(7, rel=0.02)
    assert counts.var() == pytest.approx(7, rel=0.05)


class TestSurges:
    def test_none_by_default(self, abilene: Topology) -> None:
        assert (demand.surge_factors(abilene, PaperParameters(), seed=0) == 1).all()

    def test_shape_of_one(self, abilene: Topology) -> None:
        parameters = PaperParameters(surges=1, surge_factor=3.0, surge_slots=20, surge_reach=0.25)
        factor = demand.surge_factors(abilene, parameters, seed=0)
        hit = (factor > 1).any(axis=0)
        assert hit.sum() == 3
        course = factor[:, hit][:, 0]
        during = course[course > 1]
        np.testing.assert_allclose(during[:5], [1.5, 2.0, 2.5, 3.0, 3.0])
        np.testing.assert_allclose(during, during[::-1])
        assert during.size == 20
        assert (factor[-4:] == 1).all()

    def test_hits_a_neighbourhood(self, abilene: Topology) -> None:
        factor = demand.surge_factors(abilene, PaperParameters(surges=1, surge_reach=0.25), seed=3)
        hit = np.flatnonzero((factor > 1).any(axis=0))
        km = abilene.distance_km
        assert any(set(np.argsort(km[centre])[:3]) == set(hit) for centre in hit)

    def test_longer_than_the_horizon(self, abilene: Topology) -> None:
        parameters = PaperParameters(slots=10, surges=1, surge_slots=50)
        factor = demand.surge_factors(abilene, parameters, seed=0)
        assert factor.max() == 3.0


class TestOutages:
    def test_none_by_default(self, abilene: Topology) -> None:
        assert demand.outage_map(abilene, np.arange(12), PaperParameters(), seed=0).all()

    def test_regions_differ_and_empty_ones_are_spared(self, abilene: Topology) -> None:
        servers = np.repeat([0, 3, 7], 5)
        up = demand.outage_map(abilene, servers, PaperParameters(outages=9), seed=0)
        assert ((~up).sum(axis=0) == 40).all()

    def test_begins_in_the_middle_half(self, abilene: Topology) -> None:
        parameters = PaperParameters(outages=1)
        for seed in range(20):
            up = demand.outage_map(abilene, np.arange(12), parameters, seed)
            down = np.flatnonzero(~up.all(axis=1))
            assert 120 <= down[0] < 360
            assert down.size == 40
