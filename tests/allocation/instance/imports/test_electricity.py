"""Electricity prices: which hour and zone each slot and region takes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.real_data import real_data

from torta_opt.allocation.instance.generate.paper import paper_topology
from torta_opt.allocation.instance.imports.electricity import (
    PriceTable,
    begin_of,
    read_prices,
    slot_prices,
    zones_of,
)
from torta_opt.io import InvalidInput

HOUR_MS = 3_600_000
TEXT = "utc,east,west\n2024-01-01 01:00,-20,1000\n2024-01-01 00:00,100,\n2024-01-01 02:00,,3000\n"


def ms(text: str) -> int:
    return int(np.datetime64(text, "ms").astype(np.int64))


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "p.csv").write_text(text.replace(":00,", ":00:00,"))
    return tmp_path / "p.csv"


@pytest.fixture
def table(tmp_path: Path) -> PriceTable:
    return read_prices(write(tmp_path, TEXT))


def test_prices_in_any_order_hold_until_the_next(table: PriceTable) -> None:
    assert table.first_ms == ms("2024-01-01T01:00")
    begin = table.first_ms
    usd = slot_prices(table, ["east", "west", "east"], begin, 3, HOUR_MS // 2)
    assert np.allclose(usd, [[-0.02, 1.0, -0.02], [-0.02, 1.0, -0.02], [-0.02, 3.0, -0.02]])


def test_a_part_that_the_table_does_not_reach_is_refused(table: PriceTable) -> None:
    for begin in (ms("2023-12-31T00:00"), ms("2024-01-02T00:59")):
        with pytest.raises(InvalidInput, match="holds prices from 2024-01-01 01:00 to 2024-01-02"):
            slot_prices(table, ["east"], begin, 3, HOUR_MS)


@pytest.mark.parametrize(
    ("start", "clock", "begin", "why"),
    [
        ("2024-05-01 06:00:00", None, "2024-05-01T06:00", "asked for"),
        (None, None, "2024-01-01T00:00", "no date"),
        (None, "2024-03-01T07:30", "2024-03-01T07:30", "own time"),
        (None, "2023-11-16T18:17", "2024-11-16T18:17", "table's year"),
        (None, "2024-12-31T12:00", "2024-12-31T12:00", "own time"),
    ],
)
def test_where_slot_0_begins(
    tmp_path: Path, start: str | None, clock: str | None, begin: str, why: str
) -> None:
    path = write(tmp_path, "utc,z\n2024-01-01 00:00,1\n2025-01-01 00:00,2\n")
    found, reason = begin_of(read_prices(path), start, None if clock is None else ms(clock))
    assert found == ms(begin)
    assert why in reason


def test_zones_by_choice_name_or_nearness(tmp_path: Path) -> None:
    topology = paper_topology("abilene")
    first, *_ = topology.nodes
    path = write(tmp_path, f"utc,US-CAL-CISO,US-NY-NYIS,{first}\n2024-01-01 00:00,1,2,3\n")
    table = read_prices(path)
    zones = dict(zip(topology.nodes, zones_of(table, topology, {}), strict=True))
    assert zones[first] == first
    assert zones["LOSAng"] == "US-CAL-CISO"
    assert zones["NYCMng"] == "US-NY-NYIS"
    given = zones_of(table, topology, {"LOSAng": "US-NY-NYIS"})
    assert given[topology.nodes.index("LOSAng")] == "US-NY-NYIS"
    for wrong, told in (
        ({"mars": first}, "'mars' is not a region"),
        ({first: "x"}, "not a column"),
    ):
        with pytest.raises(InvalidInput, match=told):
            zones_of(table, topology, wrong)


def test_a_region_without_zone_is_refused(table: PriceTable) -> None:
    with pytest.raises(InvalidInput, match=r"has no column for region .*; zones says which"):
        zones_of(table, paper_topology("abilene"), None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("utc,z\n", "must hold a column of times and one of prices"),
        ("utc\n2024-01-01 00:00:00\n", "must hold a column of times and one of prices"),
        ("utc,z\nyesterday,1\n", "line 2, utc: 'yesterday' is not an ISO 8601 date and time"),
        ("utc,z\n2024-01-01 00:00,cheap\n", "line 2, z: 'cheap' is not a number"),
        ("utc,z\n2024-01-01 00:00,1e9\n", "line 2, z: 1e+09 $/MWh does not lie in"),
        ("utc,z\n2024-01-01 00:00,\n", "z: holds no price"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        read_prices(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_the_real_prices_of_2024() -> None:
    """22 zones; negative prices and spikes are taken as they are."""
    table = read_prices(real_data("sustaincluster/electricity_prices_2024_hourly_usd_per_mwh.csv"))
    assert len(table.zones) == 22
    every = np.concatenate([usd for _, usd in table.zones.values()])
    assert every.min() < 0
    assert every.max() == pytest.approx(15.637, abs=0.001)
