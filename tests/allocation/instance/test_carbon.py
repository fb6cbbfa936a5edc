"""Carbon as data: kept by files and cuts, counted by the evaluator, and priced exactly."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from support.tiny import brute_force_optimum, random_feasible_schedule, random_tiny_instance

from torta_opt.allocation.bounds.lp import lp_bound
from torta_opt.allocation.formulations.carbon import carbon_cap, carbon_kg
from torta_opt.allocation.instance import (
    instance_from_document,
    instance_sha256,
    instance_to_document,
    load_instance,
    save_instance,
)
from torta_opt.allocation.instance.carbon import read_intensity, with_carbon, with_carbon_price
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.instance.imports import load_tables, save_tables
from torta_opt.allocation.schedule import evaluate
from torta_opt.allocation.schedule.evaluate import energy_by_pool
from torta_opt.allocation.schedule.timeline import trace_servers
from torta_opt.io import InvalidInput


def tiny(draw: int, **sizes: int) -> Instance:
    """A tiny instance with an intensity of its own in each slot and region."""
    rng = np.random.default_rng(draw)
    instance = random_tiny_instance(rng, **sizes)
    return with_carbon(instance, rng.uniform(10, 900, instance.price_usd_per_kwh.shape))


def test_without_data_nothing_changes():
    instance = random_tiny_instance(np.random.default_rng(1))
    assert "carbon_g_per_kwh" not in instance_to_document(instance)
    schedule = random_feasible_schedule(instance, np.random.default_rng(2))
    assert "carbon_g" not in evaluate(instance, schedule).metrics


def test_files_tables_and_cuts_keep_it(tmp_path):
    instance = tiny(3, slots=4)
    save_instance(instance, tmp_path / "i.json")
    save_tables(instance, tmp_path / "tables")
    for copy in (load_instance(tmp_path / "i.json"), load_tables(tmp_path / "tables")):
        assert np.array_equal(copy.carbon_g_per_kwh, instance.carbon_g_per_kwh)
        assert instance_sha256(copy) == instance_sha256(instance)
    assert np.array_equal(instance.cut(1, 3).carbon_g_per_kwh, instance.carbon_g_per_kwh[1:3])
    assert instance_sha256(dataclasses.replace(instance, carbon_g_per_kwh=None)) != (
        instance_sha256(instance)
    )


@pytest.mark.parametrize("draw", range(15))
def test_the_price_is_exact_for_every_schedule(draw: int):
    """Cost with the price = cost without + $/t · tonnes emitted, and the metric counts the kWh."""
    instance, rng = tiny(draw), np.random.default_rng(draw)
    priced = with_carbon_price(instance, 2e5)
    schedule = random_feasible_schedule(instance, rng)
    before, after = evaluate(instance, schedule), evaluate(priced, schedule)
    grams = before.metrics["carbon_g"]
    kwh = energy_by_pool(instance, schedule.processing, trace_servers(instance, schedule))
    by_hand = sum(kwh[t, j] * instance.carbon_g_per_kwh[t, j] for t, j in np.ndindex(kwh.shape))
    assert grams == pytest.approx(by_hand)
    assert grams == pytest.approx(1000 * carbon_kg(instance, schedule))
    assert after.cost == pytest.approx(before.cost + 2e5 * grams / 1e6, rel=1e-9, abs=1e-9)
    assert after.metrics["carbon_g"] == grams


@pytest.mark.parametrize("draw", range(4))
def test_bounds_hold_with_the_price(draw: int):
    """The relaxation of the priced instance is below its optimum, found by enumeration."""
    sizes = {"regions": 2, "servers": 2, "slots": 2, "classes": 1, "models": 1}
    priced = with_carbon_price(tiny(draw, **sizes), 1e6)
    cost = float(brute_force_optimum(priced).cost)
    assert lp_bound(priced).value <= cost + 1e-9 * (1 + abs(cost))


def test_a_cap_takes_the_intensity_of_the_instance():
    instance = tiny(5)
    schedule = random_feasible_schedule(instance, np.random.default_rng(0))
    emitted = carbon_kg(instance, schedule)
    assert carbon_cap(emitted + 1).check(instance, schedule) == pytest.approx(-1)
    bare = dataclasses.replace(instance, carbon_g_per_kwh=None)
    with pytest.raises(InvalidInput, match="carbon_g_per_kwh"):
        carbon_kg(bare, schedule)


@pytest.mark.parametrize("price", [-1.0, float("nan"), 1e9])
def test_a_price_out_of_range_is_refused(price: float):
    with pytest.raises(InvalidInput, match="tonne"):
        with_carbon_price(tiny(1), price)


def test_wrong_tables_are_refused_with_their_field():
    instance = tiny(2)
    document = instance_to_document(instance)
    document["carbon_g_per_kwh"][0][0] = -1.0
    with pytest.raises(InvalidInput, match="carbon_g_per_kwh"):
        instance_from_document(document)
    with pytest.raises(InvalidInput, match="carbon_g_per_kwh"):
        with_carbon(instance, np.zeros((1, 99)))


class TestCsv:
    def read(self, rows: str, path) -> np.ndarray:
        instance = tiny(4, regions=2, slots=3)
        for position, name in enumerate(instance.system.regions):
            rows = rows.replace(f"R{position}", name)
        path.write_text(rows)
        return read_intensity(instance, path)

    def test_constant_or_by_slot(self, tmp_path):
        found = self.read("region,g_per_kwh\nR0,30\nR1,500\n", tmp_path / "c.csv")
        assert found.tolist() == [[30, 500]] * 3
        rows = "slot,region,g_per_kwh\n0,R0,30\n0,R1,500\n2,R0,90\n"
        found = self.read(rows, tmp_path / "c.csv")
        assert found.tolist() == [[30, 500], [30, 500], [90, 500]]

    @pytest.mark.parametrize(
        ("rows", "message"),
        [
            ("region,g_per_kwh\nR0,0.03\nR1,0.5\n", "are these kg per kWh?"),
            ("region,g_per_kwh\nR0,30\n", "lacks a value in slot 0"),
            ("region,g_per_kwh\nR0,30\nR0,30\n", "line 3: repeats"),
            ("region,g_per_kwh\nR0,-3\nR1,5\n", "line 2, g_per_kwh: -3 must lie in [0, 1e+09]"),
            ("region,g_per_kwh\nnorth,3\n", "line 2, region: 'north'"),
            ("slot,region,g_per_kwh\n7,R0,3\n", "line 2, slot: 7 must lie in [0, 3)"),
            ("region,carbon\nR0,3\n", "lacks the column g_per_kwh"),
        ],
    )
    def test_bad_rows_are_named(self, rows: str, message: str, tmp_path):
        with pytest.raises(InvalidInput) as caught:
            self.read(rows, tmp_path / "c.csv")
        assert message in str(caught.value)
        assert "c.csv" in str(caught.value)
