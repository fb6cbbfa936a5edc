"""Requests kept aside: all of them, in order, from memory or from disk."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torta_opt.allocation.instance.imports import spool as spooling
from torta_opt.allocation.instance.imports.counts import Counts
from torta_opt.allocation.instance.imports.rows import Batch
from torta_opt.allocation.instance.imports.spool import Spool


def batch(ms: list[int], client: bool = False) -> Batch:
    times = np.array(ms, dtype=np.int64)
    return Batch(times, times + 1, times + 2, None, times.astype(np.uint64) if client else None)


@pytest.mark.parametrize("memory", [1 << 20, 1])
def test_gives_back_what_it_took(memory: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spooling, "MEMORY_BYTES", memory)
    monkeypatch.setattr(spooling, "CHUNK", 3)
    with Spool() as spool:
        for part in ([5, 1, 7], [], [7, 6], [20]):
            spool.append(batch(part, client=True))
        assert (spool.requests, spool.first_ms, spool.last_ms) == (6, 1, 20)
        assert spool.out_of_order == 2
        for _ in range(2):
            batches = list(spool.batches())
            assert np.concatenate([b.arrival_ms for b in batches]).tolist() == [5, 1, 7, 7, 6, 20]
            assert np.concatenate([b.output_tokens for b in batches]).tolist()[-1] == 22
            assert max(b.arrival_ms.size for b in batches) == 3
        inside = [b.arrival_ms.tolist() for b in spool.batches(5, 20)]
        assert list(itertools.chain(*inside)) == [5, 7, 7, 6]
        assert spool.has_clients
        assert not spool.has_models
        assert batches[0].client is not None
        assert batches[0].client.tolist() == [5, 1, 7]


def test_clients_count_only_if_every_request_has_one() -> None:
    with Spool() as spool:
        spool.append(batch([1], client=True))
        spool.append(batch([2]))
        assert not spool.has_clients
        assert next(iter(spool.batches())).client is None


@given(parts=st.lists(st.lists(st.integers(0, 30), max_size=20), min_size=1, max_size=5))
def test_counts_and_quantiles(parts: list[list[int]]) -> None:
    everything = sorted(itertools.chain(*parts))
    counts = Counts()
    for part in parts:
        counts.add(np.array(part, dtype=np.int64))
    assert np.repeat(counts.values, counts.counts).tolist() == everything
    for share in (0.01, 0.25, 0.5, 0.9, 0.999):
        if everything:
            position = int(np.ceil(share * len(everything) - 1e-9)) - 1
            assert counts.quantile(share) == everything[max(position, 0)]
