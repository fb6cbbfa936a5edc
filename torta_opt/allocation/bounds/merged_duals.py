"""Duals of the allocation program from those of the merged program (``formulations/merged.py``).

Merged rows are sums of rows over regions and pools, so a merged dual is one for each of them. In
the merged program routing costs nothing; here every origin pays its cheapest route on top. The
duals of server flows, in which pools of a group differ most, are cheapest paths
(``shortest_path_duals.py``). What comes out is good where prices hardly differ between regions.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.bounds.merged import MergedBound
from torta_opt.allocation.bounds.shortest_path_duals import with_shortest_path_duals
from torta_opt.allocation.formulations.program import AXES, AllocationProgram


def unmerged(program: AllocationProgram, merged: MergedBound) -> np.ndarray:
    """(rows,) duals of an instance's program from the bound of its merged program."""
    dual = np.zeros(len(program.row_lower))
    for name, family in program.rows.items():
        source = "gather" if name == "route" else name
        if source in merged.program.program.rows:
            found = _dense(merged, source)
            cell = [
                merged.program.group[place] if axis == "p" else place * (axis != "r")
                for axis, place in zip(AXES[name], family.index.T, strict=True)
            ]
            if all(place.max(initial=-1) < n for place, n in zip(cell, found.shape, strict=True)):
                dual[family.numbers] = found[tuple(cell)]
    route = program.rows["route"]
    _, i, c = route.index.T
    dual[route.numbers] += _cheapest_route(program)[i, c]
    return with_shortest_path_duals(program, dual)


def _dense(merged: MergedBound, name: str) -> np.ndarray:
    """Duals of a merged row family over its sets; 0 where there is no row."""
    family = merged.program.program.rows[name]
    dense = np.zeros(family.number.shape)
    assert merged.dual is not None  # only branch and bound proves without duals
    dense[tuple(family.index.T)] = merged.dual[family.numbers]
    return dense


def _cheapest_route(program: AllocationProgram) -> np.ndarray:
    """(R, C) dollars of the cheapest way from each origin."""
    system = program.instance.system
    weights = system.weights
    network = np.where(system.allowed, weights.time_usd_per_s * system.latency_s, np.inf)
    usd: np.ndarray = network[:, :, None] + weights.transfer_factor * system.transfer_usd
    cheapest: np.ndarray = usd.min(axis=1)
    return cheapest
