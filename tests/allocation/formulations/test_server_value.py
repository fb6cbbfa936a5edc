"""The value of servers as rows: what the program says is what the function says."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import scipy.sparse as sparse

from torta_opt.allocation.formulations.server_value import Cuts, Layer, Network
from torta_opt.solvers import Problem, solve_lp

KINDS, FEATURES = 3, 2


def random_cuts(rng: np.random.Generator) -> Cuts:
    return Cuts(rng.normal(size=(6, KINDS)), rng.normal(size=(6, FEATURES)), rng.normal(size=6))


def random_network(rng: np.random.Generator) -> Network:
    widths = [0, 5, 4, 1]
    return Network(
        tuple(
            Layer(
                np.abs(rng.normal(size=(new, old))),
                rng.normal(size=(new, KINDS)),
                rng.normal(size=(new, FEATURES)),
                rng.normal(size=new),
            )
            for old, new in pairwise(widths)
        )
    )


def least(value, servers, features) -> float:
    """min over the columns of the epigraph with the servers fixed."""
    rows = value.epigraph(features)
    none = np.full(len(rows.lower), np.inf)
    problem = Problem(
        sparse.csr_array(rows.on_columns),
        rows.lower + rows.on_servers @ servers,
        none,
        rows.column_lower,
        np.full(len(rows.column_cost), np.inf),
        rows.column_cost,
    )
    return solve_lp(problem).objective + rows.servers_cost @ servers + rows.constant


@pytest.mark.parametrize("make", [random_cuts, random_network])
@pytest.mark.parametrize("seed", range(5))
def test_the_epigraph_has_the_value_of_the_function(make, seed):
    rng = np.random.default_rng(seed)
    value, servers, features = make(rng), 3 * rng.random(KINDS), rng.normal(size=FEATURES)
    assert least(value, servers, features) == pytest.approx(value(servers, features), abs=1e-6)


@pytest.mark.parametrize("make", [random_cuts, random_network])
def test_is_convex_in_the_servers(make):
    rng = np.random.default_rng(9)
    value, features = make(rng), rng.normal(size=FEATURES)
    for _ in range(50):
        a, b, share = rng.normal(size=KINDS), rng.normal(size=KINDS), rng.random()
        between = value(share * a + (1 - share) * b, features)
        most = share * value(a, features) + (1 - share) * value(b, features)
        assert between <= most + 1e-9
