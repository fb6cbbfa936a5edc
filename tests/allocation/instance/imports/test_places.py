"""Places of cloud regions."""

from __future__ import annotations

import numpy as np
import pytest
from support.real_data import real_data

from torta_opt.allocation.instance.imports.latency import read_latency
from torta_opt.allocation.instance.imports.places import PLACES, bare_name, nearest, place_of


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("gcp:us-east4-a", "us-east4"),
        ("AWS:eu-north-1", "eu-north-1"),
        (" westeurope ", "westeurope"),
        ("us-central1", "us-central1"),
        ("my-site-a", "my-site-a"),
    ],
)
def test_names_lose_cloud_and_zone_only_where_that_makes_them_known(name: str, bare: str) -> None:
    assert bare_name(name) == bare


def test_places_lie_on_the_globe_and_names_are_bare() -> None:
    for name, (longitude, latitude) in PLACES.items():
        assert -180 <= longitude <= 180
        assert -60 <= latitude <= 70
        assert bare_name(name) == name


def test_the_nearest_place() -> None:
    rome, sydney = (12.5, 41.9), (151.2, -33.9)
    places = [PLACES["eu-south-1"], PLACES["ap-southeast-2"]]
    assert nearest(
        np.array([rome[0], sydney[0]]), np.array([rome[1], sydney[1]]), places
    ).tolist() == [0, 1]


def test_every_region_of_the_measured_matrix_has_a_place() -> None:
    names, _ = read_latency(real_data("skyplane_profiles/latency.csv"))
    assert [name for name in names if place_of(name) is None] == []
