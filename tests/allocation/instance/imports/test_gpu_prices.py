"""Rents: both forms of the file, which regions have a type, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.real_data import real_data

from torta_opt.allocation.instance.generate.paper import paper_topology
from torta_opt.allocation.instance.imports.gpu_prices import read_rents, rent_table
from torta_opt.io import InvalidInput

PLAIN = "region,type,usd_per_hour\nus-west2,A100,5\nus-east1,A100,4\nus-east1,T4,0.5\n"
CLOUD = (
    "machine_type,region,hour_usd,hour_spot_usd,attrs\n"
    "a2-1g,us-east1,6,2,a100-80gb=1;cpu=12\na2-8g,us-east1,40,24,a100-80gb=8;cpu=96\n"
    "old,us-east1,1,,a100=1\nn1,us-west2,0.4,,t4=1\n"
)


def write(tmp_path: Path, text: str, name: str = "g.csv") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_plain(tmp_path: Path) -> None:
    rents = read_rents(write(tmp_path, PLAIN))
    assert rents == {("us-west2", "A100"): 5, ("us-east1", "A100"): 4, ("us-east1", "T4"): 0.5}


def test_google_cloud_takes_the_cheapest_machine_per_gpu(tmp_path: Path) -> None:
    path = write(tmp_path, CLOUD)
    assert read_rents(path) == {("us-east1", "A100"): 5, ("us-west2", "T4"): 0.4}
    assert read_rents(path, spot=True) == {("us-east1", "A100"): 2}


def test_a_price_counts_only_where_the_gpu_can_be_had(tmp_path: Path) -> None:
    places = write(tmp_path, "NAME;ZONE\nnvidia-tesla-t4;us-west2-b\nct3;us-east1-a\n", "p.csv")
    assert read_rents(write(tmp_path, CLOUD), places) == {("us-west2", "T4"): 0.4}


def test_regions_take_the_price_of_the_nearest_that_has_the_type(tmp_path: Path) -> None:
    topology = paper_topology("abilene")
    found = rent_table(
        read_rents(write(tmp_path, PLAIN)), topology, ["A100", "T4", "H100"], "g.csv"
    )
    west, east = topology.nodes.index("LOSAng"), topology.nodes.index("ATLAng")
    assert found.usd_per_hour[west, :2].tolist() == [5, 0.5]
    assert found.usd_per_hour[east, :2].tolist() == [4, 0.5]
    assert np.isnan(found.usd_per_hour[:, 2]).all()
    assert found.is_offered.all()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,b\n", "line 1: lacks the column region; needed: region, type, usd_per_hour"),
        ("region,type,usd_per_hour\n", "holds no price of a known GPU type"),
        ("region,type,usd_per_hour\nx,Z80,1\n", "line 2, type: 'Z80' is not known; known: A100"),
        ("region,type,usd_per_hour\nx,T4,-1\n", "line 2, usd_per_hour: -1 $ does not lie in"),
        ("region,type,usd_per_hour\nx,T4,nan\n", "line 2, usd_per_hour: 'nan' is not a number"),
        ("region,type,usd_per_hour\nx,T4,1\nx,T4,1\n", "line 3: repeats 'x', T4"),
        ("machine_type,region,attrs\nm,x,t4=1\n", "line 1: lacks the column hour_usd"),
        ("machine_type,region,attrs,hour_usd\nm,x,t4=0,1\n", "line 2, attrs: 't4=0' does not say"),
        ("machine_type,region,attrs,hour_usd\nm,x,t4=²,1\n", "line 2, attrs: 't4=²' does not say"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        read_rents(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_regions_of_unknown_place_are_refused(tmp_path: Path) -> None:
    rents = read_rents(write(tmp_path, "region,type,usd_per_hour\nmars,T4,1\n"))
    with pytest.raises(InvalidInput, match="has no price for region"):
        rent_table(rents, paper_topology("abilene"), ["T4"], "g.csv")


def test_the_real_price_list() -> None:
    path = real_data("gpu_prices/gcp_gpu_machine_prices_2026-07-30.csv")
    places = real_data("gpu_prices/gcp_acceleratortyperegion.csv")
    rents, spot = read_rents(path), read_rents(path, spot=True)
    assert rents["us-central1", "A100"] == pytest.approx(5.07, abs=0.01)
    assert rents["us-central1", "H100"] == pytest.approx(11.06, abs=0.01)
    assert all(spot[key] <= usd for key, usd in rents.items() if key in spot)
    assert set(read_rents(path, places)) < set(rents)
