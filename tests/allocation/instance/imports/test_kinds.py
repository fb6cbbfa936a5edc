"""Every trace against every reader: the right kind is read, every other one refused in a line."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from support.real_data import real_data
from support.traces import (
    azure_rows,
    mooncake_entry,
    qwen_entry,
    write,
    write_azure,
    write_burstgpt,
    write_mooncake,
    write_samples,
    write_servegen_tables,
)

from torta_opt.allocation.instance.imports import TRACE_KINDS, import_trace
from torta_opt.allocation.instance.imports.kinds import check_span
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.readers import Trace, open_trace
from torta_opt.io import InvalidInput


def read(kind: str, path: Path, **parameters: object) -> Trace:
    with open_trace(kind, path, ImportParameters.of(slots=4, **parameters), seed=0) as trace:
        return trace


def complaint(kind: str, path: Path, **parameters: object) -> str:
    with pytest.raises(InvalidInput) as caught:
        read(kind, path, **parameters)
    told = str(caught.value)
    assert "\n" not in told
    assert told.startswith(str(path))
    return told.removeprefix(str(path))


# What a refusal must say of a trace, besides its file.
HINTS = {
    "azure": "this looks like an Azure trace, .*use import azure",
    "burstgpt": "this looks like a BurstGPT trace, .*use import burstgpt",
    "mooncake": "this looks like a Mooncake trace, .*use import mooncake",
    "servegen": "a ServeGen workload.*use import servegen",
    "servegen renamed": "this looks like a ServeGen workload|is not a file of a ServeGen workload",
    "qwen": "has the field.* chat_id.*this looks like a Qwen-Bailian trace.*use import qwen",
    "blis": "arrival_time_us.*this looks like a BLIS TraceV2, .*use import blis",
    "gentd26": "this looks like a GenTD26 table, .*no importer reads it",
    "aiperf": "metadata, metrics.*this looks like an AIPerf export, .*no importer reads it",
    "a text": "lacks the column|must be a JSON object|is not a file of a ServeGen workload",
}


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str | None]]:
    return write_samples(tmp_path_factory.mktemp("samples"))


NAMES = (
    "azure",
    "azure packed",
    "azure images",
    "burstgpt",
    "mooncake",
    "servegen tables",
    "servegen table",
    "servegen chunks",
    "servegen chunk",
    "servegen renamed",
    "servegen images",
    "qwen",
    "blis",
    "gentd26",
    "aiperf",
    "a text",
)


def test_every_sample_is_tried(samples: dict[str, tuple[Path, str | None]]) -> None:
    assert tuple(samples) == NAMES


@pytest.mark.parametrize("kind", TRACE_KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_samples(name: str, kind: str, samples: dict[str, tuple[Path, str | None]]) -> None:
    path, right = samples[name]
    if kind == right:
        assert read(kind, path).requests > 0
        return
    hint = HINTS[name if right is None else right]
    with pytest.raises(InvalidInput, match=hint):
        read(kind, path)


REAL: dict[str, str | None] = {
    "azure_llm_2023/AzureLLMInferenceTrace_code.csv": "azure",
    "azure_rows_2024_2025/AzureLLM2024_code_1week.first5.csv": "azure",
    "azure_rows_2024_2025/AzureLLM2024_conv_1week.first5.csv": "azure",
    "azure_rows_2024_2025/AzureLMM2025_multimodal.first5.csv": "azure",
    "mooncake_fast25/conversation_trace.jsonl": "mooncake",
    "servegen": "servegen",
    "servegen/m-large_total_rate_600s.csv": "servegen",
    "servegen_mm_image": "servegen",
    "servegen_mm_image/chunk-0-trace.csv": "servegen",
    "qwen_bailian/thinking_first_row.jsonl": "qwen",
    "blis/tracev2_toy_real.csv": "blis",
    "gentd26_load_times/lora_request_trace.first5000.csv": None,
    "gentd26_load_times/qps.first6000.csv": None,
    "aiperf/mock_server_concurrency4/profile_export.jsonl": None,
    "aibrix_profiles/simulator-llama2-7b-a100.first400.jsonl": None,
}


LONG = {("servegen", "servegen"), ("servegen/m-large_total_rate_600s.csv", "servegen")}
# test_build reads the first of them whole in the fast tests.
PAIRS = [
    pytest.param(name, kind, marks=[pytest.mark.slow] if (name, kind) in LONG else [])
    for name in REAL
    for kind in TRACE_KINDS
]


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_real_traces(name: str, kind: str) -> None:
    path, right = real_data(name), REAL[name]
    if kind == right:
        assert read(kind, path).requests > 0
        return
    with pytest.raises(InvalidInput) as caught:
        read(kind, path)
    told = str(caught.value)
    assert told.startswith(str(path if path.is_dir() else path.parent))
    assert "\n" not in told
    if right is not None:
        assert f"use import {right}" in told


class TestUnits:
    """The same times in another unit: seconds read as milliseconds, and the other way round."""

    def test_qwen_is_read_in_seconds_where_the_user_says_so(self, tmp_path: Path) -> None:
        path = write_mooncake(tmp_path / "q.jsonl", [qwen_entry(0.25 * i) for i in range(81)])
        trace = read("mooncake", path, unit="s")
        assert trace.spool.last_ms - trace.first_ms == 20_000
        assert trace.tally.unused == ["chat_id", "parent_chat_id", "type", "turn"]

    def test_a_trace_without_the_field_that_tells_is_found_by_its_fractions(
        self, tmp_path: Path
    ) -> None:
        entries = [mooncake_entry(0.5 * i + 0.25) for i in (1, 2, 3)]
        path = write_mooncake(tmp_path / "t.jsonl", entries)
        told = complaint("mooncake", path)
        assert told == (
            ": timestamp: most of its times are fractions if the times are milliseconds, as in a "
            "Mooncake trace: they may be seconds; say which with --set unit=s or unit=ms"
        )
        assert read("mooncake", path, unit="ms").requests == 3

    @pytest.mark.parametrize(("step", "told"), [(10, "200 requests within 1.99 s"), (0, "0.001 s")])
    def test_a_trace_of_some_moments(self, step: int, told: str, tmp_path: Path) -> None:
        path = write_mooncake(tmp_path / "t.jsonl", [mooncake_entry(step * i) for i in range(200)])
        assert told in complaint("mooncake", path)
        assert "they may be seconds; say which with --set unit=s or" in complaint("mooncake", path)
        assert read("mooncake", path, unit="ms").requests == 200

    def test_a_trace_of_too_many_requests_a_second(self) -> None:
        check_span("mooncake", 59_000, 60_000)
        with pytest.raises(
            InvalidInput, match=r"61000 requests within 60 s .* they may be seconds"
        ):
            check_span("mooncake", 61_000, 60_000)

    def test_a_trace_of_too_few(self, tmp_path: Path) -> None:
        entries = [mooncake_entry(300_000 * i) for i in range(200)]  # 300 µs
        path = write_mooncake(tmp_path / "t.jsonl", entries)
        assert "may be microseconds; say which with --set unit=us" in complaint("mooncake", path)
        trace = read("mooncake", path, unit="us")
        assert trace.spool.last_ms == 199 * 300

    def test_milliseconds_in_a_burstgpt_trace(self, tmp_path: Path) -> None:
        rows = [f"{1500 * i},ChatGPT,472,18,490,Conversation log" for i in range(200)]
        path = write_burstgpt(tmp_path / "t.csv", rows)
        told = complaint("burstgpt", path)
        assert "200 requests within 298500 s" in told
        assert "may be milliseconds; say which with --set unit=ms or unit=s" in told
        assert read("burstgpt", path, unit="ms").spool.last_ms == 199 * 1500

    def test_few_requests_are_taken_at_their_word(self, tmp_path: Path) -> None:
        entries = [mooncake_entry(3 * i) for i in range(50)]
        assert read("mooncake", write_mooncake(tmp_path / "t.jsonl", entries)).requests == 50

    def test_windows_of_rates_in_milliseconds(self, tmp_path: Path) -> None:
        folder = write_servegen_tables(tmp_path / "folder")
        (folder / "m-test_client_windows_nonzero.csv.gz").unlink()
        rows = ["t_s,total_rate_req_per_s", *(f"{600_000 * w},1.0" for w in range(3))]
        write(folder / "m-test_total_rate_600s.csv", "\n".join(rows) + "\n")
        assert ": t_s: gives windows of 600000 s" in complaint("servegen", folder)

    @pytest.mark.parametrize("kind", ["azure", "servegen"])
    def test_a_unit_where_the_trace_says_it(self, kind: str, tmp_path: Path) -> None:
        with pytest.raises(InvalidInput, match="unit: is for burstgpt, mooncake, qwen, blis only"):
            read(kind, tmp_path / "t", unit="s")

    def test_an_unknown_unit(self) -> None:
        with pytest.raises(InvalidInput, match="unit: must be one of s, ms, us"):
            ImportParameters.of(unit="hours")
        with pytest.raises(InvalidInput, match="unit: must be one of s, ms, us"):
            ImportParameters.of(unit=["s"])


class TestUnusedColumns:
    def lines(self, kind: str, path: Path) -> list[str]:
        _, report = import_trace(kind, path, slots=4)
        assert report.to_document()["unused_columns"] == report.unused_columns
        return report.lines()

    def unused(self, lines: Iterable[str]) -> list[str]:
        return [line for line in lines if line.startswith("columns not used")]

    def test_images_of_azure(self, tmp_path: Path) -> None:
        path, _ = write_samples(tmp_path)["azure images"]
        lines = self.lines("azure", path)
        assert self.unused(lines) == []
        assert any("images add nothing to the work of a request" in line for line in lines)

    def test_others(self, tmp_path: Path) -> None:
        path, _ = write_samples(tmp_path)["burstgpt"]
        told = self.unused(self.lines("burstgpt", path))
        assert told == ["columns not used: Total tokens, Log Type"]

    def test_none(self, tmp_path: Path) -> None:
        path = write_azure(tmp_path / "t.csv", azure_rows(80))
        assert self.unused(self.lines("azure", path)) == []
