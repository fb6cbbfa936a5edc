"""Imported instances: what the trace asks for, on a fleet that can serve it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from support.real_data import real_data
from support.traces import (
    azure_rows,
    mooncake_entry,
    write_azure,
    write_burstgpt,
    write_mooncake,
    write_servegen_chunks,
    write_servegen_tables,
)

from torta_opt.allocation.instance import Instance, save_instance
from torta_opt.allocation.instance.imports import ImportReport, import_trace
from torta_opt.allocation.instance.utilisation import load_of
from torta_opt.allocation.instance.warnings import warnings_of
from torta_opt.io import InvalidInput

REAL = {
    "azure": "azure_llm_2023/AzureLLMInferenceTrace_code.csv",
    "mooncake": "mooncake_fast25/conversation_trace.jsonl",
    "servegen": "servegen",
}


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_azure(tmp_path_factory.mktemp("azure") / "t.csv", azure_rows(600))


def trace_of(kind: str, folder: Path) -> Path:
    if kind == "azure":
        return write_azure(folder / "t.csv", azure_rows(300))
    if kind == "burstgpt":
        rows = [
            f"{i},{'GPT-4' if i % 5 == 0 else 'ChatGPT'},{300 + i},60,0,log" for i in range(300)
        ]
        return write_burstgpt(folder / "t.csv", rows)
    if kind == "mooncake":
        entries = [mooncake_entry(2000 * i, 500 + 10 * i, 50, (i % 7, i)) for i in range(300)]
        return write_mooncake(folder / "t.jsonl", entries)
    return write_servegen_tables(folder / "tables")


def check_sensible(instance: Instance, report: ImportReport, load: float = 0.3) -> None:
    """What holds for every import."""
    system = instance.system
    assert instance.slots == report.slots
    assert instance.requests == report.requests > 0
    assert not instance.arrivals[-report.drain_slots :].any()
    assert report.drain_slots == system.deadline_slots.max()
    assert system.usable_by.any(axis=0).all()
    assert load_of(instance) == pytest.approx(report.load)
    assert report.load == pytest.approx(load, rel=0.08)
    assert warnings_of(instance) == []
    assert sum(report.gpu_counts.values()) == len(system.servers) == report.servers
    assert report.requests == pytest.approx(report.requests_used * report.demand_factor, rel=0.05)


@pytest.mark.parametrize("kind", ["azure", "burstgpt", "mooncake", "servegen"])
def test_defaults_make_a_sensible_instance_and_the_same_each_time(
    kind: str, tmp_path: Path
) -> None:
    path = trace_of(kind, tmp_path)
    instance, report = import_trace(kind, path)
    check_sensible(instance, report)
    again, _ = import_trace(kind, path)
    for name, made in (("a", instance), ("b", again)):
        save_instance(made, tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    other, _ = import_trace(kind, path, seed=1)
    assert other.arrivals.shape[1:] == instance.arrivals.shape[1:]
    assert other.arrivals.tolist() != instance.arrivals.tolist()


def test_the_published_layout_of_servegen(tmp_path: Path) -> None:
    instance, report = import_trace("servegen", write_servegen_chunks(tmp_path / "chunks"))
    check_sensible(instance, report)


@pytest.mark.parametrize("kind", list(REAL))
def test_real_traces(kind: str) -> None:
    instance, report = import_trace(kind, real_data(REAL[kind]), slots=40)
    check_sensible(instance, report)
    assert report.bad_rows == 0
    assert report.slots == 46


def test_real_latencies_prices_and_rents() -> None:
    regions = ["gcp:us-central1-a", "gcp:europe-west4-a", "gcp:asia-southeast1-a"]
    instance, report = import_trace(
        "azure",
        real_data(REAL["azure"]),
        latency=real_data("skyplane_profiles/latency.csv"),
        regions=regions,
        prices=real_data("sustaincluster/electricity_prices_2024_hourly_usd_per_mwh.csv"),
        gpu_prices=real_data("gpu_prices/gcp_gpu_machine_prices_2026-07-30.csv"),
        gpu_places=real_data("gpu_prices/gcp_acceleratortyperegion.csv"),
    )
    check_sensible(instance, report)
    assert instance.system.regions == tuple(regions)
    assert any("2024-11-16 18:17:03 UTC" in note for note in report.notes)
    a100 = instance.system.types.index("A100")
    assert instance.system.rent_usd_per_hour[0, a100] == pytest.approx(5.07, abs=0.01)
    assert len(np.unique(instance.price_usd_per_kwh[0])) == 3


class TestDemand:
    def test_without_scaling_every_request_of_the_trace_arrives_once(self, azure: Path) -> None:
        instance, report = import_trace("azure", azure, demand_factor=1)
        assert instance.requests == report.requests_in_trace == 600
        assert sum(kind.requests for kind in report.classes) == 600

    def test_the_work_of_the_trace_is_kept_in_the_means(self, azure: Path) -> None:
        _, coarse = import_trace("azure", azure, input_edges=[], output_edges=[])
        _, fine = import_trace("azure", azure, input_edges=[100, 1000], output_edges=[50])
        assert len(coarse.classes) == 1
        assert len(fine.classes) == 6
        for side in ("input_tokens", "output_tokens"):
            totals = [
                sum(getattr(kind, side) * kind.requests for kind in report.classes)
                for report in (coarse, fine)
            ]
            assert totals[0] == pytest.approx(totals[1])

    @pytest.mark.parametrize("load", [0.1, 0.6, 0.9])
    def test_a_load_is_met(self, azure: Path, load: float) -> None:
        check_sensible(*import_trace("azure", azure, load=load), load=load)

    def test_origins(self, azure: Path) -> None:
        weights = {"LOSAng": 1, "NYCMng": 3}
        instance, _ = import_trace("azure", azure, origins=weights)
        by_region = instance.arrivals.sum(axis=(0, 2))
        names = instance.system.regions
        assert {names[i] for i in np.flatnonzero(by_region)} == set(weights)
        assert by_region[names.index("NYCMng")] / by_region.sum() == pytest.approx(0.75, abs=0.05)
        with pytest.raises(InvalidInput, match="origins: cannot be client: the trace names no"):
            import_trace("azure", azure, origins="client")

    def test_a_client_asks_from_one_region(self, tmp_path: Path) -> None:
        """Three clients reach at most three regions."""
        folder = write_servegen_tables(tmp_path / "tables")
        instance, report = import_trace("servegen", folder)
        assert 1 <= (instance.arrivals.sum(axis=(0, 2)) > 0).sum() <= 3
        assert report.origins == "each client asks from one region"
        spread, _ = import_trace("servegen", folder, origins="uniform")
        assert (spread.arrivals.sum(axis=(0, 2)) > 0).all()


class TestFleet:
    def test_a_fleet_of_ones_own(self, azure: Path) -> None:
        instance, report = import_trace("azure", azure, gpu_counts={"A100": 3, "T4": 2}, load=0.4)
        check_sensible(instance, report, load=0.4)
        assert report.gpu_counts == {"A100": 3, "T4": 2}

    def test_prices_decide_which_types_there_are(self, azure: Path, tmp_path: Path) -> None:
        (tmp_path / "g.csv").write_text("region,type,usd_per_hour\nus-east1,A100,4\n")
        instance, report = import_trace("azure", azure, gpu_prices=tmp_path / "g.csv")
        assert set(report.gpu_counts) == {"A100"}
        assert (instance.system.rent_usd_per_hour == 4).all()
        kept = {"A100": 2, "H100": 2}
        _, mixed = import_trace("azure", azure, gpu_prices=tmp_path / "g.csv", gpu_counts=kept)
        assert any("g.csv has no price of H100" in note for note in mixed.notes)

    def test_models_of_the_trace_are_mapped(self, tmp_path: Path) -> None:
        _, report = import_trace("burstgpt", trace_of("burstgpt", tmp_path))
        by_model = {kind.model: 0 for kind in report.classes}
        for kind in report.classes:
            by_model[kind.model] += kind.requests
        assert by_model == {"llama-3-8b": 240, "llama-30b": 60}

    def test_a_class_that_nothing_serves_is_refused(self, tmp_path: Path) -> None:
        rows = ["2023-11-16 18:17:03,100,9000000"] * 3
        path = write_azure(tmp_path / "t.csv", rows)
        with pytest.raises(InvalidInput, match=r"model_shares or model_map: requests of class .*"):
            import_trace("azure", path)


class TestTheAccount:
    def test_bad_rows_are_told(self, tmp_path: Path) -> None:
        rows = azure_rows(100)
        rows[10], rows[50] = "never,1,1", "2023-11-16 18:17:03,-5,1"
        _, report = import_trace("azure", write_azure(tmp_path / "t.csv", rows))
        assert (report.rows, report.bad_rows, report.requests_in_trace) == (100, 2, 98)
        lines = report.lines()
        assert lines[0].startswith("t.csv: 100 rows read, 2 bad, 0 failed, 0 out of order")
        assert lines[1] == "  line 12: TIMESTAMP 'never' is not an ISO 8601 date and time"
        assert lines[2] == "  line 52: ContextTokens '-5' is negative"

    def test_what_differs_from_the_defaults_stands_in_the_description(self, azure: Path) -> None:
        instance, _ = import_trace("azure", azure, load=0.5, name="mine")
        assert instance.name == "mine"
        assert "load=0.5" in instance.description
        assert "seed 0" in instance.description

    def test_progress_is_told(self, azure: Path) -> None:
        seen: list[tuple[int, int]] = []
        import_trace("azure", azure, progress=lambda done, total: seen.append((done, total)))
        assert seen[-1][0] == seen[-1][1] == azure.stat().st_size

    def test_a_trace_from_another_time_of_day_has_other_prices(self, tmp_path: Path) -> None:
        prices = []
        for hour in ("02", "14"):
            rows = [row.replace("18:", f"{hour}:") for row in azure_rows(50, 60)]
            instance, _ = import_trace("azure", write_azure(tmp_path / "t.csv", rows))
            prices.append(instance.price_usd_per_kwh[0])
        assert not np.allclose(*prices)


def test_a_wrong_seed_kind_or_name(azure: Path) -> None:
    for arguments, told in (
        ({"seed": -1}, "seed"),
        ({"seed": 1.5}, "seed"),
        ({"name": 3}, "name: must be"),
    ):
        with pytest.raises(InvalidInput, match=told):
            import_trace("azure", azure, **arguments)
    with pytest.raises(InvalidInput, match="kind: 'x' is not known"):
        import_trace("x", azure)


def test_the_report_is_a_json_object(azure: Path) -> None:
    _, report = import_trace("azure", azure)
    document = report.to_document()
    assert set(document) == {entry.name for entry in dataclasses.fields(report)}
    assert document["classes"][0]["name"] == report.classes[0].name
