"""Importers of profiles: small files by hand, real files against values read by hand, bad files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from support.real_data import real_data

from torta_opt.allocation.profiles.data import Profile
from torta_opt.allocation.profiles.document import load_profiles, save_profiles
from torta_opt.allocation.profiles.readers import READERS, read_profiles, reader, summaries
from torta_opt.allocation.profiles.reading import Settings
from torta_opt.io import InvalidInput

H100 = {"gpu": "H100", "gpus": 4}
VLLM: dict[str, Any] = {
    "model_id": "m",
    "backend": "vllm",
    "num_prompts": 100,
    "completed": 100,
    "failed": 0,
    "max_concurrency": 32,
    "request_rate": "inf",
    "total_input_tokens": 100_000,
    "total_output_tokens": 25_000,
    "request_throughput": 4.0,
    "mean_ttft_ms": 300.0,
    "mean_tpot_ms": 20.0,
    "mean_e2el_ms": 5280.0,
}


def read(kind: str, path: Path, **settings: Any) -> list[Profile]:
    return read_profiles(kind, [path], Settings.of(**settings))


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_every_kind_has_a_summary_and_fields() -> None:
    assert tuple(summaries()) == READERS
    for kind in READERS:
        assert reader(kind).fields
        assert all(len(field) == 3 for field in reader(kind).fields)


def test_an_unknown_kind_is_refused_with_those_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="kind: 'vlm' is not known; known: aiconfigurator, vllm"):
        read("vlm", tmp_path)


def test_a_profile_file_reads_back_the_same(tmp_path: Path) -> None:
    found = read("vllm", write(tmp_path / "a.json", VLLM), **H100)
    save_profiles(found, tmp_path / "p.json.gz")
    assert load_profiles(tmp_path / "p.json.gz") == tuple(found)


class TestVllm:
    def test_fields(self, tmp_path: Path) -> None:
        (found,) = read("vllm", write(tmp_path / "a.json", VLLM), **H100)
        assert (found.model, found.label, found.basis) == ("m", "4xH100", "measured")
        (point,) = found.points
        assert (point.input_tokens, point.output_tokens) == (1000, 250)
        assert (point.requests_per_s, point.latency_s) == (4.0, 5.28)
        assert (point.ttft_s, point.tpot_s) == (0.3, 0.02)

    def test_without_an_end_to_end_latency_it_is_put_together(self, tmp_path: Path) -> None:
        parts = {key: value for key, value in VLLM.items() if key != "mean_e2el_ms"}
        (found,) = read("vllm", write(tmp_path / "a.json", parts), **H100)
        assert found.points[0].latency_s == pytest.approx(0.3 + 0.02 * 249)
        assert any("end-to-end" in note for note in found.notes)

    def test_names_without_ms_are_seconds(self, tmp_path: Path) -> None:
        seconds = {key: value for key, value in VLLM.items() if not key.endswith("_ms")}
        seconds |= {"median_ttft": 0.3, "median_tpot": 0.02, "median_e2el": 5.28}
        (found,) = read("vllm", write(tmp_path / "a.json", seconds), **H100)
        assert found.points[0].latency_s == 5.28
        assert any("medians" in note for note in found.notes)

    def test_replicas_share_the_rate(self, tmp_path: Path) -> None:
        (found,) = read("vllm", write(tmp_path / "a.json", VLLM), **H100, replicas=2)
        assert found.points[0].requests_per_s == 2.0

    def test_a_sweep_is_a_list(self, tmp_path: Path) -> None:
        slower = {**VLLM, "max_concurrency": 64, "request_throughput": 5.0, "mean_e2el_ms": 12000.0}
        (found,) = read("vllm", write(tmp_path / "a.json", [VLLM, slower]), **H100)
        assert [point.requests_per_s for point in found.points] == [4.0, 5.0]

    def test_appended_results_are_lines(self, tmp_path: Path) -> None:
        lines = "".join(json.dumps({**VLLM, "request_throughput": r}) + "\n" for r in (4.0, 3.0))
        (found,) = read("vllm", write(tmp_path / "a.json", lines), **H100)
        assert [point.requests_per_s for point in found.points] == [4.0, 3.0]

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"failed": 50}, "failed: 50 of 150 requests failed"),
            ({"completed": 0}, "holds no usable load point"),
            ({"max_concurrency": 4}, "several replicas or clients; set replicas"),
            ({"mean_ttft_ms": "fast"}, "mean_ttft_ms: 'fast' is not a number"),
            ({"mean_e2el_ms": 100.0}, "is in another unit"),
            ({"request_throughput": 0}, "requests_per_s: must be positive"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, tmp_path: Path, change: dict[str, Any], complaint: str
    ) -> None:
        path = write(tmp_path / "a.json", {**VLLM, **change})
        with pytest.raises(InvalidInput) as refused:
            read("vllm", path, **H100)
        assert complaint in str(refused.value)
        assert "a.json" in str(refused.value)

    def test_milliseconds_under_a_name_for_seconds_are_found_out(self, tmp_path: Path) -> None:
        wrong = {key: value for key, value in VLLM.items() if not key.endswith("_ms")}
        wrong |= {"mean_ttft": 300.0, "mean_tpot": 20.0, "mean_e2el": 5280.0}
        with pytest.raises(InvalidInput, match="probably the times are ms, not s"):
            read("vllm", write(tmp_path / "a.json", wrong), **H100)

    def test_the_gpu_must_be_told(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="gpu: is not in a file of kind vllm; add --set gpu"):
            read("vllm", write(tmp_path / "a.json", VLLM), gpus=4)

    def test_real_two_replicas(self) -> None:
        folder = real_data("vllm_bench_serve/gpt-oss-120b_H100_2xtp4_itl10000_otl500")
        (found,) = read("vllm", folder / "conc32_rr1.json", **H100, replicas=2)
        (point,) = found.points
        assert found.model == "openai/gpt-oss-120b"
        assert (point.input_tokens, point.output_tokens) == (10000, 500)
        assert point.requests_per_s == 0.9558448109962735 / 2
        assert point.ttft_s == pytest.approx(0.2594303988)
        assert point.latency_s == pytest.approx(0.2594303988 + 0.00585130870 * 499)

    def test_real_merged_parts_are_of_two_replicas(self) -> None:
        folder = real_data("vllm_bench_serve/gpt-oss-120b_horizontal_rayoss251-x2")
        with pytest.raises(InvalidInput, match="set replicas"):
            read("vllm", folder, **H100)
        (found,) = read("vllm", folder, **H100, replicas=2)
        assert len(found.points) == 7
        assert any("fewer requests completed" in note for note in found.notes)

    def test_real_run_in_which_all_failed(self) -> None:
        path = real_data("vllm_bench_serve/structure_fixtures")
        failed = path / "bench_serve_all_requests_failed_v0.25.1.json"
        with pytest.raises(InvalidInput, match="no request was completed"):
            read("vllm", failed, gpu="H100", gpus=1)

    def test_real_seconds(self) -> None:
        folder = real_data("inferencex/token_position_decode_slo/glm-5")
        path = folder / "glm5_fp8_vllm_tp8_isl10240_osl128_conc16.json"
        (found,) = read("vllm", path, gpu="H200", gpus=8)
        assert found.points[0].latency_s == 21.44794770143926
        assert found.points[0].requests_per_s == 0.745437321653035


AGG = (
    "model,isl,osl,concurrency,ttft,tpot,request_latency,seq/s,seq/s/gpu,num_total_gpus,"
    "backend,system\nm,4000,500,56,327.317,28.635,14616.2,3.831,0.958,4,vllm,h100_sxm\n"
)


class TestAiconfigurator:
    def test_fields(self, tmp_path: Path) -> None:
        (found,) = read("aiconfigurator", write(tmp_path / "a.csv", AGG))
        assert (found.label, found.basis, found.engine) == ("4xH100", "modelled", "vllm agg")
        assert found.points[0].latency_s == pytest.approx(14.6162)
        assert found.points[0].requests_per_s == 3.831

    @pytest.mark.parametrize(
        ("old", "new", "complaint"),
        [
            ("14616.2", "14.6162", "are all three in ms"),
            ("3.831,0.958", "0.958,0.958", "must be that of the whole replica"),
            (",tpot,", ",speed,", "lacks the column tpot"),
            ("3.831", "", "seq/s: is missing"),
        ],
    )
    def test_wrong_units_are_named(
        self, tmp_path: Path, old: str, new: str, complaint: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            read("aiconfigurator", write(tmp_path / "a.csv", AGG.replace(old, new)))
        assert complaint in str(refused.value)

    def test_real_agg(self) -> None:
        folder = real_data("aiconfigurator/qwen3-32b_h100_sxm_vllm_isl4000_osl500_ttft1000_tpot30")
        found = read("aiconfigurator", folder / "agg" / "best_config_topn.csv")
        assert [profile.gpus for profile in found] == [4, 8, 2, 1]
        first = found[0].points[0]
        assert found[0].model == "Qwen/Qwen3-32B"
        assert (first.input_tokens, first.output_tokens, first.concurrency) == (4000, 500, 56)
        assert (first.requests_per_s, first.latency_s) == (3.831, pytest.approx(14.616008))
        assert (first.ttft_s, first.tpot_s) == (pytest.approx(0.327317), pytest.approx(0.028635))

    def test_real_disagg(self) -> None:
        folder = real_data("aiconfigurator/qwen3-32b_h100_sxm_vllm_isl4000_osl500_ttft1000_tpot30")
        found = read("aiconfigurator", folder / "disagg" / "best_config_topn.csv")
        assert (found[0].gpus, found[0].engine) == (8, "vllm disagg")
        assert found[0].points[0].requests_per_s == 8.582
        assert found[0].points[0].latency_s == pytest.approx(10.732937)


class TestGuidellm:
    def report(self, **change: Any) -> dict[str, Any]:
        values = {
            "requests_per_second": 5.0,
            "request_latency": 2.0,
            "time_to_first_token_ms": 200.0,
            "inter_token_latency_ms": 18.0,
            "prompt_token_count": 512.0,
            "output_token_count": 101.0,
            "request_concurrency": 10.0,
        } | change
        metrics: dict[str, Any] = {
            name: {"successful": {"mean": value}} for name, value in values.items()
        }
        metrics["request_totals"] = {"successful": 100}
        strategy = {"type_": "constant", "rate": 5.0}
        config = {"strategy": strategy, "backend": {"model": "m"}}
        return {"metadata": {"version": 2}, "benchmarks": [{"config": config, "metrics": metrics}]}

    def test_latency_is_seconds_and_the_rest_milliseconds(self, tmp_path: Path) -> None:
        (found,) = read("guidellm", write(tmp_path / "a.json", self.report()), **H100)
        (point,) = found.points
        assert (point.latency_s, point.ttft_s, point.tpot_s) == (2.0, 0.2, 0.018)
        assert found.basis == "measured"

    def test_a_load_that_is_no_load_is_not_told(self, tmp_path: Path) -> None:
        report = self.report()
        report["benchmarks"][0]["config"]["strategy"]["rate"] = 10**400
        (found,) = read("guidellm", write(tmp_path / "a.json", report), **H100)
        assert [point.source.endswith("(constant)") for point in found.points] == [True]

    def test_a_latency_in_milliseconds_is_found_out(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", self.report(request_latency=2000.0))
        with pytest.raises(InvalidInput, match="the latency is in ms, not in s"):
            read("guidellm", path, **H100)

    def test_a_rate_per_minute_is_found_out(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", self.report(requests_per_second=300.0))
        with pytest.raises(InvalidInput, match="per minute"):
            read("guidellm", path, **H100)

    def test_another_version_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", {**self.report(), "metadata": {"version": 1}})
        with pytest.raises(InvalidInput, match=r"metadata.version: must be 2, found 1"):
            read("guidellm", path, **H100)

    def test_real_mock_is_told_apart(self) -> None:
        path = real_data("guidellm/mock_server_concurrent_1_4_16.json")
        (found,) = read("guidellm", path, **H100)
        assert found.basis == "mock"
        assert len(found.points) == 3
        assert found.points[2].requests_per_s == 29.84734676123453
        assert found.points[2].latency_s == 0.45039571821689606
        assert found.points[2].ttft_s == pytest.approx(0.11893410981)
        assert found.points[2].input_tokens == 49.4375


class TestInferencePerf:
    def stage(self) -> dict[str, Any]:
        return {
            "load_summary": {"requested_rate": 10.0},
            "successes": {
                "count": 600,
                "latency": {
                    "request_latency": {"mean": 1.5},
                    "time_to_first_token": {"mean": 0.1},
                    "time_per_output_token": {"mean": 0.014},
                },
                "throughput": {"requests_per_sec": 8.0},
                "prompt_len": {"mean": 200.0},
                "output_len": {"mean": 101.0},
            },
            "failures": {"count": 3},
        }

    def test_fields(self, tmp_path: Path) -> None:
        write(tmp_path / "stage_0_lifecycle_metrics.json", self.stage())
        write(tmp_path / "config.yaml", "server:\n  model_name: my/model\n")
        (found,) = read("inference_perf", tmp_path, **H100)
        assert found.model == "my/model"
        assert (found.points[0].requests_per_s, found.points[0].latency_s) == (8.0, 1.5)
        assert len(found.notes) == 2  # failures, and fewer served than asked for

    def test_the_summary_is_refused(self, tmp_path: Path) -> None:
        path = write(tmp_path / "summary_lifecycle_metrics.json", self.stage())
        with pytest.raises(InvalidInput, match="mixes all stages"):
            read("inference_perf", path, **H100, model="m")

    def test_real_stages(self) -> None:
        (found,) = read("inference_perf", real_data("inference_perf/vllm"), gpu="H100", gpus=1)
        assert found.model == "meta-llama/Meta-Llama-3-8B-Instruct"
        assert len(found.points) == 7
        third = found.points[3]
        assert third.requests_per_s == 91.35730480202015
        assert third.latency_s == 1.0212724370473967
        assert third.ttft_s == 0.050548625055568695
        assert third.input_tokens == 204.10178991140842


class TestAibrix:
    FILE: ClassVar[dict[str, Any]] = {
        "gpu": "simulator-m",
        "cost": 1.0,
        "tputs": [[8.0, 4.0], [5.0, 0.0]],
        "indexes": [[16, 64], [128, 512]],
        "e2e": [[0.2, 0.4], [0.7, 9.0]],
        "slos": {"percentile": 99, "e2e": 5.0},
    }

    def test_indexes_are_output_first_and_zeros_left_out(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", self.FILE)
        (found,) = read("aibrix", path, model="m", gpu="A100", gpus=1)
        rows = [(p.input_tokens, p.output_tokens, p.requests_per_s) for p in found.points]
        assert rows == [(128, 16, 8.0), (512, 16, 4.0), (128, 64, 5.0)]
        assert found.basis == "modelled"

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"e2e": None}, "e2e: is missing: an older profile without latencies"),
            ({"indexes": [[128, 512, 1024], [16, 64]]}, "must have 3 rows"),
            ({"indexes": [1]}, "must be [[output tokens], [input tokens]]"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, tmp_path: Path, change: dict[str, Any], complaint: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            read("aibrix", write(tmp_path / "a.json", {**self.FILE, **change}), model="m", gpus=1)
        assert complaint in str(refused.value)

    def test_real(self) -> None:
        path = real_data("aibrix_profiles/simulator-llama2-7b-a100.json")
        (found,) = read("aibrix", path, model="llama2-7b", gpu="A100", gpus=1)
        assert len(found.points) == 34  # 40 cells, 6 of them 0
        point = next(p for p in found.points if (p.input_tokens, p.output_tokens) == (512, 64))
        assert (point.requests_per_s, point.latency_s) == (8.084202765314256, 1.041013903748244)


class TestPlanner:
    ENTRY: ClassVar[dict[str, Any]] = {
        "model_hf_repo": "m",
        "hardware": "H100",
        "hardware_count": 2,
        "framework": "vllm",
        "prompt_tokens": 512,
        "output_tokens": 256,
        "ttft_mean": 20.0,
        "itl_mean": 10.0,
        "e2e_mean": 2570.0,
        "requests_per_second": 3.0,
        "responses_per_second": 2.9,
    }

    def test_served_rate_and_milliseconds(self, tmp_path: Path) -> None:
        path = write(tmp_path / "a.json", {"benchmarks": [self.ENTRY]})
        (found,) = read("llmd_planner", path)
        assert (found.label, found.basis) == ("2xH100", "modelled")
        assert (found.points[0].requests_per_s, found.points[0].latency_s) == (2.9, 2.57)

    def test_settings_choose_among_the_entries(self, tmp_path: Path) -> None:
        other = {**self.ENTRY, "hardware": "A100"}
        path = write(tmp_path / "a.json", {"benchmarks": [self.ENTRY, other]})
        (found,) = read("llmd_planner", path, gpu="A100")
        assert found.label == "2xA100"
        with pytest.raises(InvalidInput, match="no entry has the model, GPU and count asked for"):
            read("llmd_planner", path, gpu="L4")

    def test_real(self) -> None:
        found = read("llmd_planner", real_data("llmd_planner/benchmarks_BLIS.every4th.json"))
        point = found[0].points[0]
        assert (found[0].model, found[0].gpus) == ("ibm-granite/granite-3.1-8b-instruct", 1)
        assert (point.requests_per_s, point.latency_s) == (0.991, pytest.approx(2.720175))
        assert any("BLIS simulator" in note for note in found[0].notes)


class TestInferno:
    LENGTHS: ClassVar[dict[str, int]] = {"input_tokens": 128, "output_tokens": 1024}

    def model(self, **parameters: Any) -> dict[str, Any]:
        entry = {"name": "m", "acc": "2xL4", "accCount": 2, "maxBatchSize": 16, "atTokens": 512}
        return {"models": [{**entry, **parameters}]}

    def test_prefill_and_decode_generation(self, tmp_path: Path) -> None:
        parts = {"decodeParms": {"alpha": 20.0, "beta": 0.5}}
        parts["prefillParms"] = {"gamma": 100.0, "delta": 0.01}
        path = write(tmp_path / "model-data.json", self.model(**parts))
        (found,) = read("inferno", path, **self.LENGTHS)
        assert found.label == "4xL4"  # two cards each, two of them
        assert [p.concurrency for p in found.points] == [1, 2, 4, 8]  # 16 · 512 / 1024
        last = found.points[-1]
        latency = (100 + 0.01 * 128 * 8 + 1023 * (20 + 0.5 * 8)) / 1000
        assert last.latency_s == pytest.approx(latency)
        assert last.requests_per_s == pytest.approx(8 / latency)

    def test_flat_generation_has_no_prefill(self, tmp_path: Path) -> None:
        path = write(tmp_path / "model-data.json", self.model(alpha=20.0, beta=0.5))
        (found,) = read("inferno", path, **self.LENGTHS)
        assert found.points[0].latency_s == pytest.approx(1023 * 20.5 / 1000)
        assert found.points[0].ttft_s is None

    def test_lengths_must_be_told(self, tmp_path: Path) -> None:
        path = write(tmp_path / "model-data.json", self.model(alpha=20.0, beta=0.5))
        with pytest.raises(InvalidInput, match="input_tokens: is not in a file of kind inferno"):
            read("inferno", path)

    def test_real_third_generation_agrees_with_the_published_allocation(self) -> None:
        """2 requests/s on each of 2 MI300X replicas: 23.957 ms a token, as its solution says."""
        folder = real_data("inferno/large")
        chosen = {"model": "granite_13b", "gpu": "MI300X", "gpus": 1}
        (found,) = read("inferno", folder / "model-data.json", **self.LENGTHS, **chosen)
        assert found.points[-1].concurrency == 76
        between = [p for p in found.points if p.concurrency in (32, 64)]
        assert between[0].tpot_s < 0.02395688 < between[1].tpot_s
        assert between[0].requests_per_s < 2 < between[1].requests_per_s

    def test_real_system_file_holds_all_parts(self) -> None:
        folder = real_data("inferno/older_decode_prefill")
        whole = read("inferno", folder / "system-data.small.json", **self.LENGTHS)
        parts = read("inferno", folder / "model-data.small.json", **self.LENGTHS)
        assert [p.label for p in whole] == [p.label for p in parts]
        assert len(whole) == 26


class TestInferencex:
    ROW: ClassVar[dict[str, Any]] = {
        "hardware": "h200",
        "framework": "trt",
        "model": "dsr1",
        "precision": "fp8",
        "disagg": False,
        "decode_tp": 8,
        "num_prefill_gpu": 64,
        "num_decode_gpu": 64,
        "isl": 1000,
        "osl": 1000,
        "conc": 8,
        "metrics": {
            "mean_e2el": 10.0,
            "mean_ttft": 0.2,
            "mean_tpot": 0.0098,
            "tput_per_gpu": 200.0,
            "output_tput_per_gpu": 100.0,
        },
    }

    def test_sharing_gpus_are_counted_once(self, tmp_path: Path) -> None:
        (found,) = read("inferencex", write(tmp_path / "a.json", [self.ROW]))
        assert (found.label, found.basis) == ("8xH200", "measured")
        assert found.points[0].requests_per_s == pytest.approx(0.8)

    def test_a_few_odd_rows_are_left_out_and_many_are_refused(self, tmp_path: Path) -> None:
        odd = {**self.ROW, "metrics": {**self.ROW["metrics"], "mean_e2el": 10_000.0}}
        path = write(tmp_path / "a.json", [self.ROW] * 19 + [odd])
        (found,) = read("inferencex", path)
        assert len(found.points) == 19
        assert any("1 of 20 entries left out" in note for note in found.notes)
        with pytest.raises(InvalidInput, match="the latency is in ms, not in s"):
            read("inferencex", write(path, [self.ROW, odd]))

    def test_prefill_and_decode_apart_are_added(self, tmp_path: Path) -> None:
        apart = {**self.ROW, "disagg": True, "num_prefill_gpu": 4, "num_decode_gpu": 8}
        (found,) = read("inferencex", write(tmp_path / "a.json", [apart]))
        assert found.gpus == 12
        assert found.points[0].requests_per_s == pytest.approx(0.8)

    def test_real(self) -> None:
        path = real_data("inferencex/benchmarks_dsr1_h100_h200_b200_mi300x_mi325x.json")
        found = read("inferencex", path)
        assert sum(len(profile.points) for profile in found) == 205
        first = found[0].points[0]
        assert (found[0].label, first.latency_s) == ("8xB200", 9.635389923816547)
        assert first.requests_per_s == pytest.approx(46.19633068417931 * 8 / 1024)
        assert {profile.gpus for profile in read("inferencex", path, gpu="H100")} == {32, 48, 64}


@pytest.mark.parametrize("kind", [kind for kind in READERS if kind != "aiconfigurator"])
@pytest.mark.parametrize("content", ["", "not JSON", "[1, 2]", "{}", '{"benchmarks": []}', "null"])
def test_files_of_another_kind_give_one_plain_line(tmp_path: Path, kind: str, content: str) -> None:
    path = write(tmp_path / "stage_0_lifecycle_metrics.json", content)
    lengths = {"input_tokens": 128, "output_tokens": 128}
    with pytest.raises(InvalidInput) as refused:
        read(kind, path, **H100, model="m", **lengths)
    assert "\n" not in str(refused.value)
    assert path.name in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"gpuz": 1}, "gpuz: is not a setting of a profile; did you mean gpu or gpus?"),
        ({"gpus": 0}, "gpus: must be a whole number in"),
        ({"basis": "true"}, "basis: must be one of measured"),
        ({"target_s": -1}, "target_s: must be a positive number"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Settings.of(**settings)
    assert complaint in str(refused.value)
