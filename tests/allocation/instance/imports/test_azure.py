"""Azure traces: the published files are read whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from support.real_data import real_data
from support.traces import write_azure

from torta_opt.allocation.instance.imports import import_trace
from torta_opt.allocation.instance.imports.azure import read_azure
from torta_opt.allocation.instance.imports.rows import Tally


def test_the_published_code_trace() -> None:
    """8 819 requests in 3 436 s, 2 048 tokens in and 28 out on average."""
    tally = Tally()
    path = real_data("azure_llm_2023/AzureLLMInferenceTrace_code.csv")
    batches = list(read_azure(path, tally))
    ms = np.concatenate([batch.arrival_ms for batch in batches])
    assert (tally.rows, tally.bad, ms.size) == (8819, 0, 8819)
    assert str(np.datetime64(int(ms[0]), "ms")) == "2023-11-16T18:17:03.979"
    assert round((ms.max() - ms.min()) / 1000) == 3436
    assert round(np.concatenate([batch.input_tokens for batch in batches]).mean()) == 2048
    assert round(np.concatenate([batch.output_tokens for batch in batches]).mean()) == 28


def test_requests_with_images_may_go_to_another_model(tmp_path: Path) -> None:
    rows = [f"2024-10-15T12:00:{n:02}.269Z,{n % 3},770,491" for n in range(30)]
    titles = "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens"
    path = write_azure(tmp_path / "t.csv", rows, titles)
    stand_ins = {"images": "llama-2-7b", "text": "llama-3-8b"}
    instance, _ = import_trace("azure", path, model_map=stand_ins, demand_factor=1.0)
    asked = dict(
        zip(instance.system.classes, instance.arrivals.sum(axis=(0, 1)).tolist(), strict=True)
    )
    assert sum(n for name, n in asked.items() if name.startswith("llama-2-7b")) == 20
    assert sum(n for name, n in asked.items() if name.startswith("llama-3-8b")) == 10


def test_the_published_multimodal_rows() -> None:
    tally = Tally()
    path = real_data("azure_rows_2024_2025/AzureLMM2025_multimodal.first5.csv")
    (batch,) = [each for each in read_azure(path, tally) if each.arrival_ms.size]
    names = list(tally.models)
    assert batch.model is not None
    assert [names[m] for m in batch.model] == ["text", "images", "images", "text", "images"]
