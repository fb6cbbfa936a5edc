from __future__ import annotations

import numpy as np
import pytest

from torta_opt.allocation.instance.generate import fleet
from torta_opt.allocation.instance.generate.hardware import GPUS, MODELS
from torta_opt.allocation.instance.generate.parameters import PaperParameters


class TestTimes:
    @pytest.mark.parametrize(
        ("gpu", "model", "batch", "measured_s"),
        [
            ("A100", "llama-2-7b", 1, 6.940),
            ("A100", "llama-2-7b", 16, 10.015),
            ("H100", "llama-2-7b", 16, 5.446),
            ("H100", "llama-3-8b", 1, 4.027),
        ],
    )
    def test_gives_back_what_was_measured(
        self, gpu: str, model: str, batch: int, measured_s: float
    ) -> None:
        """512 tokens in and out: b·p·in + d(b)·out is the latency LLM-Inference-Bench states."""
        total_ms = 512 * (batch * fleet.prefill_ms(gpu, model) + fleet.decode_ms(gpu, model, batch))
        assert total_ms / 1000 == pytest.approx(measured_s, rel=1e-3)

    def test_30b_on_an_a100_follows_helix(self) -> None:
        assert fleet.decode_ms("A100", "llama-30b", 16) == pytest.approx(72)
        assert fleet.prefill_ms("A100", "llama-30b") == pytest.approx(0.27)

    def test_close_to_measurements_left_aside(self) -> None:
        """The same source, Llama-2-7B on an A100 at batch 16: 4.405 s at 256, 2.013 s at 128."""
        for tokens, measured_s in ((256, 4.405), (128, 2.013)):
            per_token = 16 * fleet.prefill_ms("A100", "llama-2-7b") + fleet.decode_ms(
                "A100", "llama-2-7b", 16
            )
            assert tokens * per_token / 1000 == pytest.approx(measured_s, rel=0.25)

    def test_faster_gpus_are_faster(self) -> None:
        for model in ("llama-2-7b", "llama-3-8b"):
            times = [fleet.decode_ms(gpu, model, 8) for gpu in ("H100", "A100", "RTX4090", "V100")]
            assert times == sorted(times)
            assert fleet.decode_ms("T4", model, 8) > times[-1]


class TestMemory:
    @pytest.mark.parametrize(
        ("gpu", "model", "tokens", "batch"),
        [
            ("T4", "llama-2-7b", 768, 4),  # 12.55 GiB of weights in 14.75 leaves 1.7: 4 x 0.375
            ("T4", "llama-2-7b", 1792, 1),
            ("T4", "llama-3-8b", 768, 0),
            ("RTX4090", "llama-3-8b", 1792, 8),
            ("RTX4090", "llama-30b", 1, 0),
            ("A100", "llama-30b", 1792, 7),
        ],
    )
    def test_batch_that_fits(self, gpu: str, model: str, tokens: int, batch: int) -> None:
        assert fleet.batch_of(gpu, model, tokens, 8) == batch

    def test_compatibility(self) -> None:
        work = fleet.service_tables(PaperParameters())["server_ms"] > 0
        expected = {
            "A100": [1, 1, 1, 1, 1, 1],
            "H100": [1, 1, 1, 1, 1, 1],
            "RTX4090": [1, 1, 1, 1, 0, 0],
            "V100": [1, 1, 1, 1, 0, 0],
            "T4": [1, 0, 0, 0, 0, 0],  # a long request would take more than a slot
        }
        for row, gpu in zip(work.astype(int).tolist(), PaperParameters().gpu_counts, strict=True):
            assert row == expected[gpu]


class TestTables:
    def test_service(self) -> None:
        tables = fleet.service_tables(PaperParameters())
        able = tables["server_ms"] > 0
        service, hot = tables["service_s"][able], tables["hot_service_s"][able]
        assert (hot < service).all()
        assert (hot > 0.85 * service).all()  # the prompt is a small part
        at_once = service * 1000 / tables["server_ms"][able]
        assert ((at_once > 0.999) & (at_once < 8.001)).all()
        assert (tables["server_ms"][able] <= 45_000).all()
        np.testing.assert_array_equal(np.isnan(tables["service_s"]), ~able)

    def test_larger_batches_serve_more_and_slower(self) -> None:
        small, large = (fleet.service_tables(PaperParameters(batch=b)) for b in (1, 8))
        able = small["server_ms"] > 0
        assert (large["server_ms"][able] <= small["server_ms"][able]).all()
        assert (large["service_s"][able] >= small["service_s"][able]).all()

    def test_loading(self) -> None:
        tables = fleet.loading_tables(PaperParameters(provision_s=0.0))
        v100 = list(PaperParameters().gpu_counts).index("V100")
        load_s = 6.8 * 13.476 / 15.44
        assert tables["switch_ms"][v100, 0] == round(1000 * (5.6 + load_s + 17.6))
        assert tables["start_ms"][v100, 0] == round(1000 * (load_s + 17.6 + 5.1))
        np.testing.assert_array_equal(tables["start_ms"] < 0, tables["switch_ms"] < 0)
        assert tables["start_usd"][v100, 0] == pytest.approx(0.09 * 13.476, abs=1e-4)
        assert (tables["start_usd"][tables["start_ms"] < 0] == 0).all()

    def test_loading_of_a_cluster(self) -> None:
        """The same on every GPU: what is measured is download and engine, not the bus."""
        tables = fleet.loading_tables(PaperParameters(loading="cluster-2026"))
        weights_gb = 13.476
        expected = round(1000 * (60 + 1.5 * weights_gb + 50 + 0.35 * weights_gb))
        held = tables["start_ms"][:, 0] >= 0
        assert (tables["start_ms"][held, 0] == expected).all()
        assert (tables["switch_ms"][held, 0] == expected - 60_000).all()

    def test_every_class_served_has_its_model_held(self) -> None:
        parameters = PaperParameters()
        held = np.repeat(fleet.loading_tables(parameters)["start_ms"] >= 0, 2, axis=1)
        assert held[fleet.service_tables(parameters)["server_ms"] > 0].all()

    def test_power(self) -> None:
        tables = fleet.power_tables(PaperParameters(pue=1.0, host_kw=0.0, batch=16))
        np.testing.assert_allclose(tables["peak_kw"][:2], [0.293, 0.495])
        assert (tables["idle_kw"] <= tables["peak_kw"]).all()
        doubled = fleet.power_tables(PaperParameters(pue=2.0, host_kw=0.0, batch=16))
        np.testing.assert_allclose(doubled["peak_kw"], 2 * tables["peak_kw"])

    def test_rent(self) -> None:
        even = fleet.rent_table(3, PaperParameters(rent_spread=0.0, rent_share=1.0), seed=0)
        np.testing.assert_allclose(even, [[gpu.on_demand_usd for gpu in GPUS.values()]] * 3)
        spread = fleet.rent_table(3000, PaperParameters(rent_share=1.0), seed=0)
        assert np.log(spread[:, 0]).std() == pytest.approx(0.12, rel=0.05)
        assert not fleet.rent_table(3, PaperParameters(rent_share=0.0), seed=0).any()


class TestServers:
    def test_counts_and_order(self) -> None:
        weights = np.array([0.5, 0.3, 0.2])
        region, kind = fleet.place_servers(weights, PaperParameters(), seed=0)
        assert np.bincount(kind).tolist() == [50, 30, 50, 70, 50]
        assert sorted(zip(region, kind, strict=True)) == list(zip(region, kind, strict=True))
        assert np.bincount(region).argmax() == 0

    def test_initial_models_follow_demand(self) -> None:
        kind = np.repeat([0, 1], [10, 4])
        work = np.array([[3.0, 1.0], [0.0, 1.0]])
        model = fleet.initial_models(kind, work, PaperParameters(initial_on=0.5), seed=0)
        assert np.bincount(model[:10] + 1, minlength=3).tolist() == [5, 4, 1]
        assert np.bincount(model[10:] + 1, minlength=3).tolist() == [2, 0, 2]

    def test_nothing_on(self) -> None:
        model = fleet.initial_models(
            np.zeros(5, int), np.ones((1, 2)), PaperParameters(initial_on=0.0), seed=0
        )
        assert (model == -1).all()


@pytest.mark.parametrize(
    ("share", "total", "whole"),
    [([1, 1, 1], 4, [2, 1, 1]), ([3, 1], 4, [3, 1]), ([0, 1], 3, [0, 3]), ([0.2, 0.8], 1, [0, 1])],
)
def test_largest_remainder(share: list[float], total: int, whole: list[int]) -> None:
    assert fleet.largest_remainder(np.array(share, float), total).tolist() == whole


def test_weights_in_two_bytes() -> None:
    assert MODELS["llama-2-7b"].weights_gb == pytest.approx(13.476)
    assert MODELS["llama-2-7b"].weights_gib == pytest.approx(12.55, abs=0.01)
