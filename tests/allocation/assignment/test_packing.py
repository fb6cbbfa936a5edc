"""Sharing out to servers alike, against trying everything."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.sizes import examples

from torta_opt.allocation.assignment.packing import packed

TASKS = st.tuples(
    st.lists(st.integers(1, 12), min_size=1, max_size=4),  # ms of a request
    st.integers(1, 30),  # ms of a server
    st.integers(1, 5),  # servers
    st.integers(0, 2**20),
)


@given(TASKS)
@settings(max_examples=examples(60))
def test_no_server_is_overfull_and_nothing_comes_from_nowhere(
    task: tuple[list[int], int, int, int],
) -> None:
    work, usable, servers, seed = task
    rng = np.random.default_rng(seed)
    wanted = rng.integers(0, 9, len(work))
    own = rng.integers(0, 4, (servers, len(work)))
    z = packed(np.array(work), usable, wanted, own)
    assert (z >= 0).all()
    assert (z @ np.array(work) <= usable).all()
    assert (z.sum(axis=0) <= wanted).all()
    # nothing is left out that has room
    missing = wanted > z.sum(axis=0)
    free = (usable - z @ np.array(work)).max()
    assert not missing.any() or np.array(work)[missing].min() > free


def most(work: list[int], usable: int, servers: int, wanted: list[int]) -> int:
    """Requests that the servers can take, by trying every load of every server."""
    loads = [
        load
        for load in product(*(range(n + 1) for n in wanted))
        if sum(u * n for u, n in zip(work, load, strict=True)) <= usable
    ]
    sums = {tuple(0 for _ in wanted)}
    for _ in range(servers):
        sums = {
            tuple(min(a + b, n) for a, b, n in zip(one, load, wanted, strict=True))
            for one in sums
            for load in loads
        }
    return max(map(sum, sums))


def test_it_takes_nearly_what_can_be_taken() -> None:
    """Three groups: of all requests that fit, at most a few in a hundred are left out."""
    rng = np.random.default_rng(1)
    taken = possible = 0
    for _ in range(60):
        work = rng.integers(2, 9, 3)
        wanted = rng.integers(1, 6, 3)
        z = packed(work, 20, wanted, np.zeros((3, 3), int))
        taken += int(z.sum())
        possible += most(work.tolist(), 20, 3, wanted.tolist())
    assert 0.97 * possible <= taken <= possible


def test_what_was_hot_stays_where_it_is() -> None:
    own = np.array([[0, 0, 3], [2, 1, 0]])
    z = packed(np.array([5, 3, 2]), 20, np.array([2, 1, 3]), own)
    assert (z >= own).all()
    assert z.sum(axis=0).tolist() == [2, 1, 3]


def test_the_rest_is_spread() -> None:
    """Equal time left, so that as much as possible is hot in the next slot."""
    z = packed(np.array([4, 2, 1]), 40, np.array([4, 8, 8]), np.zeros((4, 3), int))
    assert (z == [1, 2, 2]).all()
