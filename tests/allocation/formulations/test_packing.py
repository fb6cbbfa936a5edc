"""Packing two classes on equal servers, against every way there is to do it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import examples

from torta_opt.allocation.formulations.packing import DROPPED, pack


def most(usable_ms: int, small_ms: int, large_ms: int, servers: int, wanted: np.ndarray) -> dict:
    """By large requests in all: the most small ones, over all patterns of all servers."""
    patterns = [(usable_ms - b * large_ms) // small_ms for b in range(usable_ms // large_ms + 1)]
    best: dict[int, int] = {}
    for choice in itertools.combinations_with_replacement(range(len(patterns)), servers):
        large, small = sum(choice), min(sum(patterns[b] for b in choice), int(wanted[0]))
        if large <= wanted[1]:
            best[large] = max(best.get(large, 0), small)
    return best


@settings(max_examples=examples(300))
@given(
    usable_ms=st.integers(1, 60),
    small_ms=st.integers(1, 20),
    more_ms=st.integers(0, 20),
    servers=st.integers(1, 4),
    wanted=st.tuples(st.integers(0, 60), st.integers(0, 30)),
)
def test_a_packing_fits_and_asks_for_no_more_than_is_wanted(
    usable_ms: int, small_ms: int, more_ms: int, servers: int, wanted: tuple[int, int]
) -> None:
    large_ms, wanted = small_ms + more_ms, np.array(wanted)
    packed = pack(usable_ms, small_ms, large_ms, servers, wanted)
    assert packed.shape == (servers, 2)
    assert (packed >= 0).all()
    assert (packed @ [small_ms, large_ms] <= usable_ms).all()
    assert (packed.sum(axis=0) <= wanted).all()
    best = most(usable_ms, small_ms, large_ms, servers, wanted)
    large = int(packed[:, 1].sum())
    assert max(best) - DROPPED <= large <= max(best)
    # one server in between costs at most what the concave envelope lies above its pattern
    patterns = [(usable_ms - b * large_ms) // small_ms for b in range(usable_ms // large_ms + 1)]
    assert packed.sum() >= max(best) + best[max(best)] - _below_hull(patterns)


def _below_hull(patterns: list[int]) -> int:
    """What a pattern falls short of lines between two others, rounded up."""
    short = 0.0
    for left, middle, right in itertools.combinations(range(len(patterns)), 3):
        share = (middle - left) / (right - left)
        line = (1 - share) * patterns[left] + share * patterns[right]
        short = max(short, line - patterns[middle])
    return int(np.ceil(short))


@pytest.mark.parametrize(
    ("servers", "work", "wanted"),
    [
        (47, (2136, 6991), (525, 139)),
        (47, (2136, 6991), (300, 220)),
        (12, (1370, 4542), (156, 71)),
        (11, (1048, 3066), (300, 80)),
        (11, (839, 2461), (621, 119)),
    ],
)
def test_it_beats_filling_one_server_after_the_other(
    servers: int, work: tuple[int, int], wanted: tuple[int, int]
) -> None:
    left, filled = np.array(wanted), 0
    for _ in range(servers):
        large = min(45_000 // work[1], int(left[1]))
        small = min((45_000 - large * work[1]) // work[0], int(left[0]))
        left -= [small, large]
        filled += small + large
    assert pack(45_000, *work, servers, np.array(wanted)).sum() > filled
