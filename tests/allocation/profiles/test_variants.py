"""Other versions and shorter forms of the files that profile readers know: the same figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.real_data import real_data

from torta_opt.allocation.profiles.data import Profile
from torta_opt.allocation.profiles.readers import read_profiles
from torta_opt.allocation.profiles.reading import Settings
from torta_opt.io import InvalidInput

H100 = {"gpu": "H100", "gpus": 4}


def read(kind: str, path: Path, **settings: Any) -> list[Profile]:
    return read_profiles(kind, [path], Settings.of(**settings))


def changed(value: Any, drop: tuple[str, ...] = (), **new: Any) -> Any:
    """``value`` without the keys ``drop``, and with others instead."""
    return {name: held for name, held in (value | new).items() if name not in drop}


def put(folder: Path, content: Any, name: str = "a.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


class TestVllm:
    RUN = {  # noqa: RUF012
        "model_id": "m",
        "completed": 100,
        "max_concurrency": None,
        "request_rate": 1e9,
        "total_input_tokens": 100_000,
        "total_output_tokens": 25_000,
        "request_throughput": 4.0,
        "mean_ttft_ms": 300.0,
        "mean_tpot_ms": 20.0,
        "mean_e2el_ms": 5280.0,
    }

    def test_end_to_end_alone_is_enough(self, tmp_path: Path) -> None:
        """As ``--percentile-metrics e2el`` leaves it."""
        run = changed(self.RUN, drop=("mean_ttft_ms", "mean_tpot_ms"))
        (point,) = read("vllm", put(tmp_path, run), **H100)[0].points
        assert (point.latency_s, point.ttft_s, point.tpot_s) == (5.28, None, None)

    def test_neither_is_refused(self, tmp_path: Path) -> None:
        run = changed(self.RUN, drop=("mean_e2el_ms", "mean_tpot_ms"))
        with pytest.raises(InvalidInput, match="mean_tpot_ms: is missing, and mean_e2el_ms with"):
            read("vllm", put(tmp_path, run), **H100)

    def test_medians_stand_in_and_are_noted(self, tmp_path: Path) -> None:
        run = changed(self.RUN, drop=("mean_e2el_ms",), median_e2el_ms=5000.0)
        (found,) = read("vllm", put(tmp_path, run), **H100)
        assert found.points[0].latency_s == 5.0
        assert "medians are taken, as there are no means" in found.notes

    def test_sglang(self, tmp_path: Path) -> None:
        """Lines of bench_serving: another name of the latency, no model, output of one token."""
        run = changed(
            self.RUN,
            drop=("mean_e2el_ms", "model_id"),
            mean_e2e_latency_ms=400.0,
            mean_tpot_ms=0.0,
            total_output_tokens=100,
        )
        path = put(tmp_path, f"{json.dumps(run)}\n{json.dumps(run)}\n", "a.jsonl")
        (found,) = read("vllm", path, **H100, model="m")
        assert [p.latency_s for p in found.points] == [0.4, 0.4]
        assert found.points[0].tpot_s is None  # one token has no next


class TestAiconfigurator:
    AGG = (
        "model_path,isl,osl,ttft,tpot,seq/s,num_total_gpus,system\nm,4000,500,327.3,28.6,3.8,4.0,"
        "h200_sxm\n"
    )

    def test_an_older_table(self, tmp_path: Path) -> None:
        """No request_latency, concurrency, rate per GPU or back end; GPUs written as 4.0."""
        (found,) = read("aiconfigurator", put(tmp_path, self.AGG, "a.csv"))
        assert (found.model, found.label, found.engine) == ("m", "4xH200", "agg")
        (point,) = found.points
        assert point.latency_s == pytest.approx((327.3 + 28.6 * 499) / 1000)
        assert point.concurrency is None

    def test_parts_of_gpus_are_refused(self, tmp_path: Path) -> None:
        path = put(tmp_path, self.AGG.replace("4.0", "4.5"), "a.csv")
        with pytest.raises(InvalidInput, match=r"num_total_gpus: 4.5 is not a number of GPUs"):
            read("aiconfigurator", path)

    def test_the_model_may_be_told(self, tmp_path: Path) -> None:
        path = put(tmp_path, self.AGG.replace("model_path", "name"), "a.csv")
        with pytest.raises(InvalidInput, match="--set model="):
            read("aiconfigurator", path)
        assert read("aiconfigurator", path, model="x")[0].model == "x"

    def test_real_folder_of_a_run(self) -> None:
        """The folder that the tool writes has one for each way of serving."""
        folder = real_data("aiconfigurator/qwen3-32b_h100_sxm_vllm_isl4000_osl500_ttft1000_tpot30")
        assert {p.engine for p in read("aiconfigurator", folder)} == {"vllm agg", "vllm disagg"}


class TestGuidellm:
    def report(self, metrics: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
        means = {
            "requests_per_second": 5.0,
            "request_latency": 2.0,
            "prompt_token_count": 512.0,
            "output_token_count": 101.0,
        }
        made = {name: {"successful": {"mean": mean, "count": 9}} for name, mean in means.items()}
        made["request_totals"] = {"successful": 100, "errored": 0}
        return {
            "metadata": {"version": 2},
            "benchmarks": [{"config": config, "metrics": {**made, **metrics}}],
        }

    @pytest.mark.parametrize(
        "metric",
        [{"successful": {"mean": 0.0, "count": 0}}, {"successful": {"mean": None}}, None, {}],
    )
    def test_a_server_that_does_not_stream_has_no_time_to_the_first_token(
        self, tmp_path: Path, metric: Any
    ) -> None:
        report = self.report({"time_to_first_token_ms": metric}, {"backend": {"model": "m"}})
        (point,) = read("guidellm", put(tmp_path, report), **H100)[0].points
        assert (point.ttft_s, point.tpot_s, point.concurrency) == (None, None, None)

    def test_the_model_is_never_guessed(self, tmp_path: Path) -> None:
        path = put(tmp_path, self.report({}, {}))
        with pytest.raises(InvalidInput, match="model: is not in a file of kind guidellm; add"):
            read("guidellm", path, **H100)
        assert read("guidellm", path, **H100, model="x")[0].model == "x"

    def test_the_model_of_the_whole_report(self, tmp_path: Path) -> None:
        report = self.report({}, {}) | {"config": {"spec": {"backend": {"model": "whole"}}}}
        assert read("guidellm", put(tmp_path, report), **H100)[0].model == "whole"


class TestInferencePerf:
    def test_a_load_by_concurrency_without_streaming(self, tmp_path: Path) -> None:
        stage = {
            "load_summary": {"count": 60, "concurrency": 16},
            "successes": {
                "count": 60,
                "latency": {"request_latency": {"mean": 1.5}, "time_to_first_token": None},
                "throughput": {"requests_per_sec": 8.0},
                "prompt_len": {"mean": 200.0},
                "output_len": {"mean": 101.0},
            },
            "failures": {"count": 0},
        }
        put(tmp_path, stage, "stage_10_lifecycle_metrics.json")
        put(tmp_path, "[]", "per_request_lifecycle_metrics.json")
        (found,) = read("inference_perf", tmp_path, **H100, model="m")
        assert (found.points[0].ttft_s, found.points[0].latency_s) == (None, 1.5)
        assert found.points[0].source.endswith("(16 at once)")


class TestPlanner:
    ENTRY = {  # noqa: RUF012
        "model_id": "m",
        "hardware_type": "H100",
        "hardware_count": 2,
        "prompt_tokens": 512,
        "output_tokens": 256,
        "ttft_mean": 20.0,
        "itl_mean": 10.0,
        "itl_p99": 9.0,
        "requests_per_second": 3.0,
        "estimated": True,
    }

    @pytest.mark.parametrize("title", ["metadata", "_metadata"])
    def test_the_other_names_and_what_is_left_out(self, tmp_path: Path, title: str) -> None:
        content = {title: {"source": "a simulator"}, "benchmarks": [self.ENTRY]}
        (found,) = read("llmd_planner", put(tmp_path, content))
        assert (found.model, found.label) == ("m", "2xH100")
        assert found.points[0].latency_s == pytest.approx((20 + 10 * 255) / 1000)
        assert found.points[0].requests_per_s == 3.0
        assert found.notes == (
            "modelled, as the file says: a simulator",
            "itl_mean lies above itl_p99 in some entries",
            "only offered rates are given: they are taken as served",
            "entries are marked as estimated",
            "no e2e_mean in some entries: ttft + itl × (output tokens − 1) is taken",
        )


class TestInferencex:
    FLAT = {  # noqa: RUF012
        "hw": "h100",
        "tp": 8,
        "conc": 8,
        "model": "dsr1",
        "framework": "vllm",
        "precision": "fp8",
        "spec_method": "mtp",
        "isl": 1000,
        "osl": 1000,
        "tput_per_gpu": 200.0,
        "output_tput_per_gpu": 100.0,
        "mean_e2el": 10.0,
        "mean_ttft": 0.2,
    }

    def test_a_row_of_a_single_run(self, tmp_path: Path) -> None:
        (found,) = read("inferencex", put(tmp_path, [self.FLAT]))
        assert (found.label, found.engine) == ("8xH100", "vllm fp8 agg mtp")
        assert found.points[0].requests_per_s == pytest.approx(0.8)
        assert (found.points[0].ttft_s, found.points[0].tpot_s) == (0.2, None)

    def test_lengths_may_be_told(self, tmp_path: Path) -> None:
        path = put(tmp_path, [changed(self.FLAT, drop=("isl", "osl"))])
        with pytest.raises(InvalidInput, match="isl: is missing"):
            read("inferencex", path)
        (found,) = read("inferencex", path, input_tokens=1000, output_tokens=1000)
        assert found.points[0].requests_per_s == pytest.approx(0.8)


class TestInferno:
    LENGTHS = {"input_tokens": 128, "output_tokens": 1024}  # noqa: RUF012
    MODEL = {"name": "m", "acc": "2xL4", "accCount": 2, "maxBatchSize": 16, "atTokens": 512}  # noqa: RUF012
    PARTS = {  # noqa: RUF012
        "decodeParms": {"alpha": 20.0, "beta": 0.5},
        "prefillParms": {"gamma": 100.0, "delta": 0.01},
    }
    OTHER = {  # noqa: RUF012
        "Name": "m",
        "Acc": "2xL4",
        "acccount": "2",
        "maxbatchsize": 16,
        "AtTokens": 512,
        "perfParms": {
            "DecodeParms": {"Alpha": "20.0", "beta": "0.5"},
            "prefillParms": {"gamma": "100", "delta": "0.01"},
        },
    }

    def test_keys_in_another_case_and_numbers_as_text(self, tmp_path: Path) -> None:
        """As a resource of Kubernetes nests and writes them."""
        plain = put(tmp_path, {"models": [{**self.MODEL, **self.PARTS}]}, "model-data.json")
        other = put(tmp_path, {"system": {"modelData": {"models": [self.OTHER]}}}, "system.json")
        (one,), (two,) = (read("inferno", path, **self.LENGTHS) for path in (plain, other))
        assert two.label == one.label == "4xL4"
        assert [p.latency_s for p in two.points] == [p.latency_s for p in one.points]

    def test_text_that_is_no_number_is_refused(self, tmp_path: Path) -> None:
        path = put(tmp_path, {"models": [{**self.MODEL, "alpha": "fast", "beta": 1}]})
        with pytest.raises(InvalidInput, match=r"models\[0\].alpha: 'fast' is not a number"):
            read("inferno", path, **self.LENGTHS)


class TestAiperf:
    FILE = {  # noqa: RUF012
        "request_throughput": {"unit": "requests/sec", "avg": 5.0},
        "request_latency": {"unit": "ms", "avg": 2000.0, "p99": 9000.0},
        "time_to_first_token": {"unit": "ms", "avg": 200.0},
        "inter_token_latency": {"unit": "ms", "avg": 18.0},
        "input_sequence_length": {"unit": "tokens", "avg": 512.0},
        "output_sequence_length": {"unit": "tokens", "avg": 101.0},
        "request_count": {"unit": "requests", "avg": 100.0},
        "input_config": {"models": {"items": [{"name": "m"}]}},
    }

    def test_fields(self, tmp_path: Path) -> None:
        (found,) = read("aiperf", put(tmp_path, self.FILE), **H100, replicas=2)
        assert (found.model, found.label, found.basis) == ("m", "4xH100", "measured")
        (point,) = found.points
        assert (point.input_tokens, point.output_tokens) == (512, 101)
        assert (point.requests_per_s, point.latency_s) == (2.5, 2.0)
        assert (point.ttft_s, point.tpot_s) == (0.2, pytest.approx(0.018))

    def test_units_are_heeded(self, tmp_path: Path) -> None:
        seconds = {"request_latency": {"unit": "sec", "avg": 2.0}, "time_to_first_token": None}
        (point,) = read("aiperf", put(tmp_path, self.FILE | seconds), **H100)[0].points
        assert (point.latency_s, point.ttft_s) == (2.0, None)

    @pytest.mark.parametrize(
        ("change", "complaint"),
        [
            ({"request_latency": {"unit": "min", "avg": 2}}, "request_latency.unit: 'min' must be"),
            ({"request_throughput": {"unit": "requests/min", "avg": 9}}, "must be requests/sec"),
            ({"input_config": {}}, "model: is not in a file of kind aiperf; add --set model="),
            ({"error_request_count": {"avg": 50}}, "50 of 150 requests failed"),
            ({"effective_concurrency": {"avg": 0.01}}, "the latency is in ms, not in s"),
            ({"output_sequence_length": None}, "output_sequence_length: is missing"),
        ],
    )
    def test_what_cannot_be_is_refused(
        self, tmp_path: Path, change: dict[str, Any], complaint: str
    ) -> None:
        with pytest.raises(InvalidInput) as refused:
            read("aiperf", put(tmp_path, self.FILE | change), **H100)
        assert complaint in str(refused.value)

    def test_genai_perf_names_its_model_elsewhere(self, tmp_path: Path) -> None:
        content = self.FILE | {"input_config": {"model_names": ["other"]}}
        put(tmp_path, content, "profile_export_genai_perf.json")
        assert read("aiperf", tmp_path, **H100)[0].model == "other"

    def test_a_load_that_it_does_not_say_is_left_out(self, tmp_path: Path) -> None:
        phased = {"model": "m", "phases": [{"kind": "warmup"}, {"kind": "x", "concurrency": 4}]}
        for config, ending in (
            (phased, " (concurrency 4)"),
            (phased | {"phases": 1}, ""),
            (phased | {"phases": [{"rate": 10**400}]}, ""),
        ):
            path = put(tmp_path, self.FILE | {"input_config": config})
            (point,) = read("aiperf", path, **H100)[0].points
            assert point.source == f"{path.name}{ending}"

    def test_real_mock(self) -> None:
        folder = real_data("aiperf/mock_server_concurrency4")
        (found,) = read("aiperf", folder, **H100)
        assert (found.model, found.basis) == ("mock-model", "mock")
        (point,) = found.points
        assert point.requests_per_s == 10.275288830290073
        assert point.latency_s == pytest.approx(0.3732190874666666)
        assert point.ttft_s == pytest.approx(0.07474381586666665)
        assert (point.input_tokens, point.output_tokens) == (128, 105)
        assert point.concurrency == 3.838928892064553
        assert point.source == "profile_export_aiperf.json (concurrency 4)"


def test_aibrix_says_that_its_gpu_is_a_label(tmp_path: Path) -> None:
    content = {"gpu": "my-a100", "tputs": [[8.0]], "indexes": [[16], [128]], "e2e": [[0.2]]}
    (found,) = read("aibrix", put(tmp_path, content), model="m", gpus=1)
    assert found.basis == "measured"
    assert any("'my-a100' is the file's own label of the GPU" in note for note in found.notes)


def test_a_folder_without_files_stands_for_those_in_it(tmp_path: Path) -> None:
    inside = tmp_path / "run" / "load"
    inside.mkdir(parents=True)
    put(inside, TestVllm.RUN)
    assert len(read("vllm", tmp_path, **H100)[0].points) == 1
    (tmp_path / "run" / "other").mkdir()
    put(tmp_path / "run" / "other", TestVllm.RUN)
    with pytest.raises(InvalidInput, match="in several folders: run/load, run/other; name one"):
        read("vllm", tmp_path, **H100)
    with pytest.raises(InvalidInput, match=r"holds no \*.csv"):
        read("aiconfigurator", tmp_path)
