"""Which part of a trace is taken."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from torta_opt.allocation.instance.imports.horizon import DEFAULT_SLOTS, choose_part
from torta_opt.allocation.instance.imports.rows import Batch
from torta_opt.allocation.instance.imports.spool import Spool
from torta_opt.io import InvalidInput


@pytest.fixture
def spool() -> Iterator[Spool]:
    with Spool() as made:
        yield made


def fill(spool: Spool, seconds: list[float]) -> None:
    ms = np.round(np.array(seconds) * 1000).astype(np.int64)
    spool.append(Batch(ms, ms, ms))


def test_a_short_trace_is_taken_whole(spool: Spool) -> None:
    fill(spool, [100, 160, 129])
    part = choose_part(spool, 15_000, None, None)
    assert (part.start_ms, part.slots, part.reason) == (100_000, 5, "")
    assert part.end_ms > 160_000


def test_a_request_at_the_edge_of_a_slot_opens_the_next(spool: Spool) -> None:
    fill(spool, [0, 14.999])
    assert choose_part(spool, 15_000, None, None).slots == 1
    fill(spool, [15.0])
    assert choose_part(spool, 15_000, None, None).slots == 2


def test_of_a_long_trace_the_busiest_stretch_is_taken(spool: Spool) -> None:
    quiet = np.arange(0, 100_000, 50.0)
    busy = np.arange(40_000, 40_600, 1.0)
    fill(spool, [*quiet, *busy])
    part = choose_part(spool, 15_000, None, None)
    assert part.slots == DEFAULT_SLOTS
    assert part.start_ms <= 40_000_000
    assert part.end_ms >= 40_600_000
    assert "busiest 480 of the trace's 6664 slots" in part.reason


def test_busiest_against_counting_every_stretch(spool: Spool) -> None:
    rng = np.random.default_rng(3)
    seconds = rng.choice(400, 60) * 7.0
    fill(spool, seconds.tolist())
    slots = (np.round(seconds * 1000).astype(int) - spool.first_ms) // 10_000
    counts = np.bincount(slots)
    best = max(counts[i : i + 20].sum() for i in range(len(counts) - 19))
    part = choose_part(spool, 10_000, None, 20)
    first = (part.start_ms - spool.first_ms) // 10_000
    assert counts[first : first + 20].sum() == best


def test_one_stray_timestamp_does_not_hide_the_rest(spool: Spool) -> None:
    fill(spool, [0.0, *np.arange(1e9, 1e9 + 3600, 1.0)])
    part = choose_part(spool, 15_000, None, None)
    assert sum(b.arrival_ms.size for b in spool.batches(part.start_ms, part.end_ms)) >= 3585


@pytest.mark.parametrize(
    ("start_s", "slots", "expected"),
    [
        (0, None, (100_000, 7)),
        (30.5, None, (130_500, 5)),
        (30, 2, (130_000, 2)),
        (30, 99, (130_000, 5)),
        (None, 99, (100_000, 7)),
    ],
)
def test_the_part_asked_for(
    spool: Spool, start_s: float | None, slots: int | None, expected: tuple[int, int]
) -> None:
    fill(spool, [100, 200])
    part = choose_part(spool, 15_000, start_s, slots)
    assert (part.start_ms, part.slots) == expected


def test_a_part_after_the_end_is_refused(spool: Spool) -> None:
    fill(spool, [100, 200])
    with pytest.raises(InvalidInput, match=r"start_s: must lie within the trace, which is 100.001"):
        choose_part(spool, 15_000, 101, None)
