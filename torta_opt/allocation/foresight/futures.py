"""Futures of an instance's system, and what was to be expected along each of them.

Everything here conditions on the *path* up to a slot: the arrivals and what drove them, which is at
least what a policy knows. What has mean zero given the path has mean zero for every policy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from torta_opt.allocation.foresight.penalty import work_slots
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.law.base import DemandLaw

EVALUATION, TRAINING, BRANCHES = 0, 1, 2  # futures that prove, that fit penalties, of trees


def seed_of(seed: int, number: int, purpose: int = EVALUATION) -> int:
    """The seed of a future: no two of the same or of different purpose share one."""
    state = np.random.SeedSequence([seed, purpose, number]).generate_state(2, np.uint32)
    return int(state[0]) << 20 | int(state[1]) >> 12


def future_of(law: DemandLaw, instance: Instance, seed: int, number: int, purpose: int) -> Instance:
    """Future ``number`` of the system of ``instance``."""
    return law.sample(instance, seed_of(seed, number, purpose))


def expected_along(law: DemandLaw, future: Instance, horizons: Sequence[int]) -> np.ndarray:
    """(T, H, C) E[D[t+h, c] | the path up to slot t], all regions together; 0 past the horizon."""
    path, most = law.path(future), max(horizons)
    found = np.zeros((future.slots, len(horizons), len(future.system.classes)))
    for t in range(future.slots - 1):
        mean = law.mean_from(law.known(path, t + 1), most).sum(axis=1)
        for n, ahead in enumerate(horizons):
            if t + ahead < future.slots:
                found[t, n] = mean[ahead - 1]
    return found


def surprise_of(law: DemandLaw, future: Instance) -> float:
    """Work of a future beyond what its law expects before slot 0, in server-slots; of mean 0.

    Σ_{t,c} work_c·(D[t,c] − E[D[t,c]]), all regions together, work_c as in ``penalty.py``.
    """
    expected = law.mean_from(law.begin(), future.slots)
    beyond = future.arrivals.sum(axis=(0, 1)) - expected.sum(axis=(0, 1))
    return float((beyond * work_slots(future.system)).sum())
