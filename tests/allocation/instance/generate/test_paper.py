from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.generate.paper import MEAN_LATENCY_MS
from torta_opt.allocation.instance.utilisation import load_of


@pytest.fixture(scope="module", params=list(MEAN_LATENCY_MS))
def paper(request: pytest.FixtureRequest) -> Instance:
    return generate(f"paper/{request.param}")


def test_horizon_of_the_paper(paper: Instance) -> None:
    assert paper.slots == 480
    assert paper.system.slot_ms == 45_000


def test_regions_of_the_paper(paper: Instance) -> None:
    nodes = {"abilene": 12, "polska": 12, "gabriel": 25, "cost2": 32}
    assert len(paper.system.regions) == nodes[paper.name.split("/")[1]]


def test_mean_latency_of_the_paper(paper: Instance) -> None:
    apart = ~np.eye(len(paper.system.regions), dtype=bool)
    mean_ms = paper.system.latency_s[apart].mean() * 1000
    assert mean_ms == pytest.approx(MEAN_LATENCY_MS[paper.name.split("/")[1]], rel=1e-6)
    assert (np.diag(paper.system.latency_s) == 0).all()


def test_gpu_mix_of_the_paper(paper: Instance) -> None:
    count = np.bincount(paper.system.server_type)
    ranges = {"A100": (40, 60), "H100": (20, 40), "RTX4090": (40, 60), "V100": (60, 80)}
    ranges["T4"] = (40, 60)
    for name, servers in zip(paper.system.types, count, strict=True):
        assert servers == sum(ranges[name]) / 2


def test_last_slots_drain(paper: Instance) -> None:
    drain = int(paper.system.deadline_slots.max())
    assert drain == 4
    assert not paper.arrivals[-drain:].any()
    assert paper.arrivals[-drain - 1].any()


def test_size_and_load(paper: Instance) -> None:
    assert 0.9e6 < paper.requests < 1.2e6
    # 0.45 over the slots with arrivals, a little less over all
    assert load_of(paper) == pytest.approx(0.45 * 476 / 480, rel=0.02)


def test_service_is_like_the_paper(paper: Instance) -> None:
    """The paper shows mean inference times of 15.6 to 19.3 s; here over the fleet and classes."""
    system = paper.system
    servers = np.bincount(system.server_type)[:, None]
    weight = np.where(system.compatible, servers * paper.arrivals.sum(axis=(0, 1)), 0)
    mean_s = (np.nan_to_num(system.service_s) * weight).sum() / weight.sum()
    assert 10 < mean_s < 20


def test_prices_are_positive(paper: Instance) -> None:
    assert paper.price_usd_per_kwh.min() > 0.02
    assert paper.price_usd_per_kwh.max() < 0.5
    assert paper.system.rent_usd_per_hour.min() > 0


def test_loading_takes_what_the_paper_says(paper: Instance) -> None:
    """A cold start takes 1-3 minutes (Fig. 2), a switch to a 7B model on a V100 30 s (Fig. 3)."""
    system = paper.system
    held = system.holds
    assert 60_000 <= system.start_ms[held].min() <= system.start_ms[held].max() <= 180_000
    v100 = system.types.index("V100")
    assert 28_000 <= system.switch_ms[v100, 0] <= 31_000


def test_some_servers_are_ready_with_models_in_demand(paper: Instance) -> None:
    model = paper.initial.model
    assert (model >= 0).mean() == pytest.approx(0.6, abs=0.02)
    assert set(range(3)) <= set(model.tolist())
    assert not paper.initial.loading_ms.any()


def test_tells_how_it_came_about() -> None:
    cost2 = generate("paper/cost2", seed=5, slots=8, load=0.3)
    assert "cost266" in cost2.description
    assert "in place of Cost2" in cost2.description
    assert "seed 5" in cost2.description
    assert "load=0.3" in cost2.description
    assert "in place of Gabriel" in generate("paper/gabriel", slots=8).description


@pytest.mark.parametrize("load", [0.1, 0.9])
def test_load_scales_the_demand(load: float) -> None:
    instance = generate("paper/polska", slots=100, load=load)
    assert load_of(instance) == pytest.approx(load * 96 / 100, rel=0.05)


def test_fleet_is_a_parameter() -> None:
    instance = generate("paper/polska", slots=8, gpu_counts={"H100": 3, "T4": 5})
    assert instance.system.types == ("H100", "T4")
    assert np.bincount(instance.system.server_type).tolist() == [3, 5]


def test_server_names_tell_region_and_type() -> None:
    system = generate("paper/polska", slots=8).system
    for name, region, kind in zip(
        system.servers, system.server_region, system.server_type, strict=True
    ):
        assert name.startswith(f"{system.regions[region]}-{system.types[kind]}-")
