"""Regions: from a topology, from measured latencies, from both; and how much each asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.real_data import real_data

from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.regions import Regions, build_regions, origin_shares
from torta_opt.io import InvalidInput

LATENCY = "from,LOSAng,NYCMng\nLOSAng,0,31\nNYCMng,33,0\n"


def build(**parameters: object) -> Regions:
    chosen = ImportParameters.of(**parameters)
    return build_regions(chosen, chosen.paper(slots=10), seed=0)


def test_the_default_is_abilene_with_the_latency_of_the_paper() -> None:
    regions = build()
    assert len(regions.topology.nodes) == 12
    between = regions.latency_s[~np.eye(12, dtype=bool)]
    assert between.mean() == pytest.approx(0.025, abs=1e-4)
    assert regions.weights.sum() == pytest.approx(1)


def test_some_regions_keep_the_latencies_of_their_fibre() -> None:
    regions = build(regions=["NYCMng", "LOSAng"])
    assert regions.topology.nodes == ("NYCMng", "LOSAng")
    assert 0.015 < regions.latency_s[0, 1] < 0.04  # some 4 000 to 7 000 km at 200 000 km/s


def test_measured_latencies_on_a_topology(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(LATENCY)
    chosen = {"topology": "abilene", "regions": ["NYCMng", "LOSAng"]}
    regions = build(latency=tmp_path / "l.csv", **chosen)
    assert regions.latency_s.tolist() == [[0, 0.033], [0.031, 0]]


def test_regions_of_a_latency_file_lie_where_they_are_or_amid_the_others(tmp_path: Path) -> None:
    rows = "from,us-east1,us-west1,attic\nus-east1,0,1,1\nus-west1,1,0,1\nattic,1,1,0\n"
    (tmp_path / "l.csv").write_text(rows)
    regions = build(latency=tmp_path / "l.csv")
    assert regions.unplaced == ("attic",)
    longitude = regions.topology.longitude
    assert longitude[2] == pytest.approx(longitude[:2].mean())


def test_the_measured_matrix_makes_regions() -> None:
    names = ["aws:us-east-1", "aws:eu-central-1", "gcp:asia-east1-a"]
    regions = build(latency=real_data("skyplane_profiles/latency.csv"), regions=names)
    assert regions.topology.nodes == tuple(names)
    assert regions.unplaced == ()


def test_shares_of_demand() -> None:
    regions = build(regions=["NYCMng", "LOSAng", "CHINng"])
    assert origin_shares(regions, "uniform").tolist() == [1 / 3] * 3
    assert (origin_shares(regions, None) == regions.weights).all()
    assert origin_shares(regions, {"LOSAng": 3, "NYCMng": 1}).tolist() == [0.25, 0.75, 0]


@pytest.mark.parametrize(
    ("origins", "told"),
    [
        ({"mars": 1}, "origins: 'mars' is not a region"),
        ({"LOSAng": -1}, "origins.LOSAng: must be a number"),
        ({"LOSAng": "1"}, "origins.LOSAng: must be a number"),
        ({"LOSAng": True}, "origins.LOSAng: must be a number"),
        ({"LOSAng": float("nan")}, "origins.LOSAng: must be a number"),
        ({"LOSAng": 0}, "origins: must not be all 0"),
    ],
)
def test_shares_that_are_refused(origins: dict, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        origin_shares(build(), origins)
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"topology": "atlantis"}, "topology: 'atlantis' is neither one of abilene"),
        ({"topology": "none.gml"}, "none.gml"),
        ({"regions": ["mars", "LOSAng"]}, "regions: 'mars' is not in abilene"),
        ({"regions": ["LOSAng"]}, "regions: must name at least 2 regions"),
        ({"regions": ["LOSAng", "LOSAng"]}, "regions: must name at least 2 regions, each once"),
    ],
)
def test_regions_that_are_refused(parameters: dict, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        build(**parameters)
    assert told in str(caught.value)
