"""Latency files: three forms, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.real_data import real_data

from torta_opt.allocation.instance.imports.latency import read_latency
from torta_opt.io import InvalidInput

SQUARE = "from,a,b,c\na,0,10,20\nb,30,1,\nc,40,50,0\n"
PAIRS = "origin,region,latency_ms\na,b,10\na,c,20\nb,a,30\nb,b,1\nb,c,\nc,a,40\nc,b,50\n"
SKYPLANE = (
    "src_region,src_tier,dst_region,dst_tier,avg_rtt\n"
    "a,PREMIUM,b,PREMIUM,20\na,STANDARD,b,PREMIUM,999\na,PREMIUM,b,PREMIUM,40\nb,PREMIUM,a,PREMIUM,60\n"
)


def write(tmp_path: Path, text: str) -> Path:
    (tmp_path / "l.csv").write_text(text)
    return tmp_path / "l.csv"


@pytest.mark.parametrize("text", [SQUARE, PAIRS])
def test_milliseconds_one_way_and_an_empty_cell_forbids(tmp_path: Path, text: str) -> None:
    names, seconds = read_latency(write(tmp_path, text))
    assert names == ("a", "b", "c")
    wanted = [[0, 0.01, 0.02], [0.03, 0.001, np.nan], [0.04, 0.05, 0]]
    assert np.allclose(seconds, wanted, equal_nan=True)


def test_skyplane_round_trips_are_halved_averaged_and_premium_only(tmp_path: Path) -> None:
    names, seconds = read_latency(write(tmp_path, SKYPLANE))
    assert names == ("a", "b")
    assert np.allclose(seconds, [[0, 0.015], [0.03, 0]])


def test_regions_are_chosen_in_the_order_asked_for(tmp_path: Path) -> None:
    names, seconds = read_latency(write(tmp_path, SQUARE), ["c", "a"])
    assert names == ("c", "a")
    assert np.allclose(seconds, [[0, 0.04], [0.02, 0]])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "is empty"),
        ("from,a,b\n", "lacks a row for 'a'"),
        ("from,a,b\na,0,1\n", "lacks a row for 'b'; a square table has one row and"),
        ("from,a,b\na,0,1\nz,1,0\n", "line 3, from: 'z' is not the title of a column"),
        ("from,a,b\na,0,1\na,1,0\n", "line 3, from: 'a' is not the title of a column, or comes"),
        ("from,a,b\na,0,-1\nb,1,0\n", "line 2, b: -1 ms does not lie in [0, 1e6]"),
        ("from,a,b\na,0,fast\nb,1,0\n", "line 2, b: 'fast' is not a number"),
        ("from,a,b\na,0,nan\nb,1,0\n", "line 2, b: 'nan' is not a number"),
        ("from,a\na,0\n", "must hold at least 2 regions, found 1"),
        ("from\n", "holds no region"),
        ("origin,region,latency_ms\na,b,1\n", "lacks the pair 'b', 'a'"),
        ("origin,region,latency_ms\na,b,1\na,b,1\n", "line 3: repeats the pair 'a', 'b'"),
        ("src_region,dst_region,avg_rtt\na,b,\n", "line 2, avg_rtt: is missing"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, told: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InvalidInput) as caught:
        read_latency(path)
    assert str(caught.value).startswith(f"{path}: {told}")


def test_an_unknown_region_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"regions: 'z' is not in .*, which has a, b, c"):
        read_latency(write(tmp_path, SQUARE), ["a", "z"])


def test_the_measured_matrix() -> None:
    """69 cloud regions, every pair; half of Frankfurt - Virginia is some 45 ms."""
    path = real_data("skyplane_profiles/latency.csv")
    names, seconds = read_latency(path)
    assert len(names) == 69
    assert not np.isnan(seconds).any()
    assert (seconds[~np.eye(69, dtype=bool)] > 0).all()
    _, pair = read_latency(path, ["aws:eu-central-1", "aws:us-east-1"])
    assert pair[0, 1] == pytest.approx(0.045, abs=0.006)
    bare, same = read_latency(path, ["eu-central-1", "us-east-1"])
    assert bare == ("aws:eu-central-1", "aws:us-east-1")
    assert (same == pair).all()
