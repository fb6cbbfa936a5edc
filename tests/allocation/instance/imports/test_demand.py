"""Requests by slot, origin and class."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from torta_opt.allocation.instance.imports.demand import (
    Bins,
    Demand,
    bins_of,
    count_demand,
    region_of,
    scaled,
    spread,
)
from torta_opt.allocation.instance.imports.horizon import Part
from torta_opt.allocation.instance.imports.parameters import ImportParameters
from torta_opt.allocation.instance.imports.rows import Batch
from torta_opt.allocation.instance.imports.spool import Spool
from torta_opt.io import InvalidInput

SLOT_MS = 15_000
COUNT = 4000


@pytest.fixture
def batch() -> Batch:
    rng = np.random.default_rng(1)
    return Batch(
        arrival_ms=np.sort(rng.integers(0, 40 * SLOT_MS, COUNT)),
        input_tokens=rng.integers(1, 5000, COUNT),
        output_tokens=rng.integers(0, 300, COUNT),
        model=rng.integers(0, 2, COUNT),
        client=rng.integers(0, 50, COUNT).astype(np.uint64),
    )


@pytest.fixture
def spool(batch: Batch) -> Iterator[Spool]:
    with Spool() as made:
        made.append(batch)
        yield made


PART = Part(0, 40, SLOT_MS)


def demand(
    spool: Spool, part: Part = PART, share: np.ndarray | None = None, **parameters: Any
) -> Demand:
    chosen = ImportParameters.of(**parameters)
    return count_demand(spool, part, chosen, ["ChatGPT", "GPT-4"], share, seed=0)


def test_every_request_is_counted_once_in_its_slot(spool: Spool, batch: Batch) -> None:
    found = demand(spool)
    assert found.counts.shape == (40, 1, 8)
    expected = np.bincount(batch.arrival_ms // SLOT_MS, minlength=40)
    assert np.array_equal(found.counts.sum(axis=(1, 2)), expected)


def test_classes_keep_the_tokens_of_their_requests(spool: Spool, batch: Batch) -> None:
    found = demand(spool, input_edges=[1000, 2500], output_edges=[99])
    assert [kind.name for kind in found.classes][:3] == [
        "llama-3-8b/in0-1000/out0-99",
        "llama-3-8b/in0-1000/out100+",
        "llama-3-8b/in1001-2500/out0-99",
    ]
    for side, tokens in (("input", batch.input_tokens), ("output", batch.output_tokens)):
        total = sum(getattr(kind, f"{side}_tokens") * kind.requests for kind in found.classes)
        assert total == pytest.approx(tokens.sum())
    inside = (batch.model == 1) & (batch.input_tokens > 2500) & (batch.output_tokens <= 99)
    kind = next(k for k in found.classes if k.name == "llama-30b/in2501+/out0-99")
    assert kind.requests == inside.sum()
    assert kind.input_tokens == pytest.approx(batch.input_tokens[inside].mean())


def test_only_the_part_is_counted(spool: Spool, batch: Batch) -> None:
    part = Part(SLOT_MS * 3 + 700, 5, SLOT_MS)
    found = demand(spool, part)
    inside = (batch.arrival_ms >= part.start_ms) & (batch.arrival_ms < part.end_ms)
    assert found.counts.sum() == inside.sum()
    first = (batch.arrival_ms[inside] < part.start_ms + SLOT_MS).sum()
    assert found.counts[0].sum() == first


def test_a_part_without_requests_is_refused(spool: Spool) -> None:
    with pytest.raises(InvalidInput, match="this part of the trace: holds no request"):
        demand(spool, Part(10**9, 5, SLOT_MS))


def test_quantiles_cut_where_they_say(spool: Spool, batch: Batch) -> None:
    inputs, outputs = bins_of(
        spool, PART, ImportParameters(input_quantiles=(0.25, 0.75), output_quantiles=())
    )
    below = [(batch.input_tokens <= edge).mean() for edge in inputs.edges]
    assert below == pytest.approx([0.25, 0.75], abs=2e-3)
    assert outputs.edges == ()
    assert outputs.name(0) == "out0+"


def test_equal_tokens_make_one_class(tmp_path: object) -> None:
    ms = np.arange(100, dtype=np.int64)
    with Spool() as spool:
        spool.append(Batch(ms, ms * 0 + 7, ms * 0 + 3))
        found = demand(spool)
    assert [kind.name for kind in found.classes] == ["llama-3-8b/in0+/out0+"]


def test_bins_put_an_edge_into_the_range_below() -> None:
    bins = Bins("in", (10, 20))
    assert bins.of(np.array([0, 10, 11, 20, 21])).tolist() == [0, 0, 1, 1, 2]


def test_models_are_drawn_by_their_shares(batch: Batch) -> None:
    unnamed = Batch(batch.arrival_ms, batch.input_tokens, batch.output_tokens)
    with Spool() as spool:
        spool.append(unnamed)
        chosen = ImportParameters.of(model_shares={"llama-2-7b": 3, "llama-3-8b": 1})
        found = count_demand(spool, PART, chosen, [], None, seed=0)
    share = sum(k.requests for k in found.classes if k.model == "llama-2-7b") / COUNT
    assert share == pytest.approx(0.75, abs=0.03)
    assert found.counts.sum() == COUNT


def test_models_of_the_trace_that_are_not_mapped_are_drawn(spool: Spool, batch: Batch) -> None:
    found = demand(spool, model_map={"gpt-4": "llama-30b"}, model_shares={"llama-2-7b": 1})
    assert batch.model is not None
    by_model = {
        model: sum(kind.requests for kind in found.classes if kind.model == model)
        for model in ("llama-30b", "llama-2-7b")
    }
    assert by_model == {"llama-30b": batch.model.sum(), "llama-2-7b": (batch.model == 0).sum()}


def test_too_many_classes_are_refused(spool: Spool) -> None:
    with pytest.raises(InvalidInput, match="give 1000 classes, more than 500"):
        demand(spool, input_edges=list(range(1, 50)), output_edges=list(range(1, 10)))


def test_each_client_asks_from_one_region(spool: Spool, batch: Batch) -> None:
    share = np.array([0.5, 0.3, 0.2])
    found = demand(spool, share=share)
    assert batch.client is not None
    region = region_of(batch.client, share, seed=0)
    assert np.array_equal(found.counts.sum(axis=(0, 2)), np.bincount(region, minlength=3))
    by_client = {c: set(region[batch.client == c].tolist()) for c in range(50)}
    assert all(len(regions) == 1 for regions in by_client.values())


def test_clients_spread_by_the_shares() -> None:
    share = np.array([0.6, 0.0, 0.3, 0.1])
    region = region_of(np.arange(100_000, dtype=np.uint64), share, seed=5)
    assert np.bincount(region, minlength=4) / 1e5 == pytest.approx(share, abs=0.01)
    other = region_of(np.arange(100_000, dtype=np.uint64), share, seed=6)
    assert (region != other).mean() > 0.3


def test_origins_are_drawn_without_losing_a_request() -> None:
    counts = np.random.default_rng(0).poisson(40, (30, 1, 3))
    share = np.array([0.7, 0.2, 0.1])
    found = spread(counts, share, seed=1)
    assert found.shape == (30, 3, 3)
    assert np.array_equal(found.sum(axis=1), counts[:, 0, :])
    assert found.sum(axis=(0, 2)) / counts.sum() == pytest.approx(share, abs=0.02)


def test_scaling_copies_and_thins() -> None:
    counts = np.random.default_rng(0).poisson(40, (300, 1, 3))
    assert np.array_equal(scaled(counts, 3.0, 0), 3 * counts)
    assert scaled(counts, 1, 0) is counts
    thinned = scaled(counts, 0.25, 0)
    assert (thinned <= counts).all()
    assert thinned.sum() == pytest.approx(0.25 * counts.sum(), rel=0.03)
    more = scaled(counts, 2.5, 0)
    assert ((more >= 2 * counts) & (more <= 3 * counts)).all()
    assert np.array_equal(more, scaled(counts, 2.5, 0))
