"""Azure traces: the published files are read whole."""

from __future__ import annotations

import numpy as np
from support.real_data import real_data

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
