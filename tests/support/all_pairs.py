"""The transport program of a slot over all pairs of regions: what pricing pairs in must reach."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sparse

from torta_opt.allocation.search.slot_routing import Router
from torta_opt.solvers import Problem


def over_all_pairs(
    router: Router, arrivals: np.ndarray, inflow: np.ndarray, before: np.ndarray
) -> Problem:
    """With every pair, and a moved[i,j] of each."""
    share, known = router.rerouting(arrivals.sum(axis=1), before)
    none = sparse.csr_array((len(known), router.rows.shape[1] - share.shape[1]))
    blocks = [
        [router.rows, None],
        [sparse.hstack([share, none]), -sparse.eye_array(len(known))],
    ]
    need = np.concatenate([arrivals.ravel(), inflow.ravel()]).astype(float)
    columns = len(router.cost)
    return Problem(
        sparse.csr_array(sparse.block_array(blocks)),
        np.append(need, np.full(len(known), -np.inf)),
        np.append(need, known),
        np.zeros(columns),
        np.full(columns, np.inf),
        router.cost,
    )
