"""Tables: an instance comes back from its folder the same to the bit."""

from __future__ import annotations

import csv
import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.plain import make_instance
from support.sizes import examples
from support.tiny import tiny_instances

from torta_opt.allocation.instance import Instance, save_instance
from torta_opt.allocation.instance.carbon import with_carbon
from torta_opt.allocation.instance.generate import generate
from torta_opt.allocation.instance.imports import load_tables, save_tables
from torta_opt.allocation.instance.imports.tables import TITLES
from torta_opt.io import InvalidInput

SMALL = ["drain", "expiry", "hot", "loading", "negative-price", "outage", "residency", "switch"]


def assert_comes_back(instance: Instance, folder: Path) -> None:
    """Through the tables, the same bytes of an instance file."""
    save_tables(instance, folder / "tables")
    for name, made in (("before", instance), ("after", load_tables(folder / "tables"))):
        save_instance(made, folder / f"{name}.json")
    assert (folder / "after.json").read_bytes() == (folder / "before.json").read_bytes()


@pytest.mark.parametrize("name", SMALL)
def test_tiny_presets_come_back(name: str, tmp_path: Path) -> None:
    assert_comes_back(generate(f"small/{name}"), tmp_path)


def test_a_preset_of_the_paper_with_an_outage_comes_back(tmp_path: Path) -> None:
    assert_comes_back(generate("paper/polska+outage", slots=60), tmp_path)


@given(instance=tiny_instances())
@settings(max_examples=examples(60))
def test_instances_with_every_feature_come_back(
    instance: Instance, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Backlog, servers that load, outages, forbidden pairs, weights other than 1, and so on."""
    assert_comes_back(instance, tmp_path_factory.mktemp("tables"))


_FLOAT = st.floats(0, 1e6, allow_subnormal=False)


@settings(max_examples=examples(40))
@given(
    price=st.lists(st.floats(-1e3, 1e3, allow_subnormal=False), min_size=6, max_size=6),
    figures=st.lists(_FLOAT, min_size=4, max_size=4),
    description=st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"])),
)
def test_any_number_and_text_comes_back(
    price: list[float],
    figures: list[float],
    description: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    instance = make_instance(
        [[[1, 0], [0, 2]]] * 3,
        price=np.array(price).reshape(3, 2) + 0.0,
        models=1,
        service_s=figures[0],
        rent_usd_per_hour=figures[1],
        transfer_usd=figures[2],
        idle_kw=figures[3],
    )
    instance = dataclasses.replace(instance, description=f'"{description}", ...')
    assert_comes_back(instance, tmp_path_factory.mktemp("tables"))


def test_every_table_is_written_with_its_titles(tmp_path: Path) -> None:
    instance = with_carbon(generate("small/outage"), np.array([100.0, 300.0]))
    files = save_tables(instance, tmp_path / "new" / "folder")
    assert [Path(file).stem for file in files] == list(TITLES)
    for file in files:
        with open(file, newline="") as stream:
            assert tuple(next(csv.reader(stream))) == TITLES[Path(file).stem]


def test_a_price_is_written_when_it_changes(tmp_path: Path) -> None:
    instance = make_instance([[[1]]] * 5, price=[[0.1], [0.1], [0.2], [0.2], [0.1]])
    save_tables(instance, tmp_path)
    rows = (tmp_path / "prices.csv").read_text().splitlines()
    assert rows == ["slot,region,usd_per_kwh", "0,east,0.1", "2,east,0.2", "4,east,0.1"]


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="file: cannot be made: "):
        save_tables(generate("small/hot"), tmp_path / "file")
