"""Counts in batches are those of all values at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from torta_opt.allocation.instance.imports.counts import Counts

BATCHES = st.lists(st.lists(st.integers(-5, 20), max_size=10), min_size=1, max_size=5)


@given(batches=BATCHES, share=st.floats(0.01, 1))
def test_counts_and_quantiles(batches: list[list[int]], share: float) -> None:
    counts = Counts()
    for batch in batches:
        counts.add(np.array(batch, dtype=np.int64))
    everything = sorted(value for batch in batches for value in batch)
    assert np.repeat(counts.values, counts.counts).tolist() == everything
    assert counts.total == len(everything)
    if everything:
        cut = counts.quantile(share)
        covered = sum(value <= cut for value in everything) / len(everything)
        below = sum(value < cut for value in everything) / len(everything)
        assert covered >= share - 1e-9
        assert below < share
