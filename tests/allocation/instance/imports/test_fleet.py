"""The fleet: service times by mean tokens, which GPUs serve, how many, and where they stand."""

from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.instance.data import INCOMPATIBLE
from torta_opt.allocation.instance.generate import fleet as generator
from torta_opt.allocation.instance.generate.parameters import PaperParameters
from torta_opt.allocation.instance.imports.demand import TokenClass
from torta_opt.allocation.instance.imports.fleet import (
    MAX_SERVERS,
    choose_size,
    place_servers,
    server_names,
    service_tables,
    target_seconds,
    usable_gpus,
)
from torta_opt.allocation.instance.imports.parameters import DEFAULT_LOAD, ImportParameters
from torta_opt.io import InvalidInput

SHORT = TokenClass("short", "llama-3-8b", 512.0, 256.0, 10)
BASE = {"A100": 50, "T4": 50}


def test_times_are_those_of_the_generator_for_the_same_tokens() -> None:
    paper = PaperParameters()
    tables = service_tables([SHORT], ["A100"], paper)
    batch = generator.batch_of("A100", "llama-3-8b", 768, paper.batch)
    output = generator.decode_ms("A100", "llama-3-8b", batch) * 256 / 1000
    prompt = batch * generator.prefill_ms("A100", "llama-3-8b") * 512 / 1000
    assert tables["hot_service_s"][0, 0] == pytest.approx(output, abs=1e-3)
    assert tables["service_s"][0, 0] == pytest.approx(output + prompt, abs=1e-3)
    assert tables["server_ms"][0, 0] == np.ceil((output + prompt) * 1000 / batch)


def test_what_takes_longer_than_a_slot_or_does_not_fit_is_incompatible() -> None:
    endless = TokenClass("endless", "llama-3-8b", 100.0, 100_000.0, 1)
    heavy = TokenClass("heavy", "llama-30b", 100.0, 100.0, 1)
    work = service_tables([endless, heavy, SHORT], ["A100", "T4"], PaperParameters(slot_ms=15_000))
    assert work["server_ms"][0, 0] == INCOMPATIBLE
    assert work["server_ms"][1, 1] == INCOMPATIBLE
    assert np.isnan(work["service_s"][1, 1])
    assert work["server_ms"][0, 2] != INCOMPATIBLE


def test_gpus_that_serve_nothing_are_left_out_of_the_default_fleet_only() -> None:
    heavy = TokenClass("heavy", "llama-30b", 100.0, 100.0, 1)
    chosen = ImportParameters()
    paper = chosen.paper(slots=10)
    assert "T4" not in usable_gpus([heavy], chosen, paper)
    own = ImportParameters(gpu_counts={"A100": 1, "T4": 1})
    assert usable_gpus([heavy], own, own.paper(slots=10)) == ["A100", "T4"]


def test_a_class_that_no_gpu_serves_is_refused_with_a_way_out() -> None:
    own = ImportParameters(gpu_counts={"T4": 3})
    heavy = TokenClass("heavy", "llama-30b", 100.0, 100.0, 1)
    with pytest.raises(InvalidInput, match=r"requests of class heavy .* choose another model, GPU"):
        usable_gpus([heavy], own, own.paper(slots=10))


class TestSize:
    """Two of fleet, demand factor and load fix the third; load is demand / servers here."""

    @staticmethod
    def size(work: float = 30.0, **parameters: object) -> tuple[int, float]:
        chosen = ImportParameters.of(**parameters)
        base = dict(chosen.gpu_counts or BASE)
        found = choose_size(chosen, base, lambda fleet: work / sum(fleet.values()), regions=12)
        return sum(found.gpu_counts.values()), found.demand_factor

    def test_by_default_the_fleet_follows(self) -> None:
        assert self.size() == (30 / DEFAULT_LOAD, 1.0)
        assert self.size(load=0.5) == (60, 1.0)

    def test_between_two_servers_a_region_and_the_fleet_of_the_generator(self) -> None:
        assert self.size(work=1.0) == (24, pytest.approx(DEFAULT_LOAD * 24))
        assert self.size(work=1e6) == (250, pytest.approx(DEFAULT_LOAD * 250 / 1e6))

    def test_a_fleet_fixes_the_demand(self) -> None:
        assert self.size(gpu_counts={"A100": 10}, load=0.6) == (10, pytest.approx(0.2))
        assert self.size(gpu_counts={"A100": 10}, demand_factor=2) == (10, 2.0)

    def test_a_demand_fixes_the_fleet(self) -> None:
        assert self.size(demand_factor=0.1, load=0.5) == (6, 0.1)
        with pytest.raises(InvalidInput, match=f"more than {MAX_SERVERS}"):
            self.size(demand_factor=1e6)


def test_servers_stand_only_where_their_type_is_offered() -> None:
    offered = np.array([[True, False], [True, True], [False, True]])
    region, kind = place_servers([40, 60], np.array([0.2, 0.3, 0.5]), offered, seed=3)
    assert np.bincount(kind).tolist() == [40, 60]
    assert offered[region, kind].all()
    assert (np.diff(region) >= 0).all()
    with pytest.raises(InvalidInput, match="without any region"):
        place_servers([1, 1], np.ones(3), offered & [True, False], seed=3)


def test_names_tell_region_and_type_and_are_distinct() -> None:
    names = server_names(["a", "b"], ["T4"], np.array([0, 0, 1]), np.array([0, 0, 0]))
    assert names == ("a-T4-1", "a-T4-2", "b-T4-1")


def test_targets_are_means_over_the_servers_that_can_serve() -> None:
    service = np.array([[1.0, np.nan], [4.0, 10.0]])
    assert target_seconds(service, np.array([0, 0, 1]), 1.5).tolist() == [3.0, 15.0]
