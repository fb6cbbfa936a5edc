"""A policy that plans by samples of demand, told the demand that will come; else as it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.instance import Instance
from torta_opt.allocation.policies.forecasters import Perfect
from torta_opt.allocation.policies.open_loop import SAMPLES, SETTLED, OpenLoop
from torta_opt.allocation.policies.registry import create
from torta_opt.io import InvalidInput


class ToldDemand:
    """In place of ``DemandSamples``: the samples of an epoch are slots of it as they will come.

    arrivals   (T, R, C) requests
    """

    has_level = True  # what is told has no level to be learnt first,
    seen = SETTLED  # and plans made from it are no bet on few slots

    def __init__(self, arrivals: np.ndarray):
        demand = arrivals.sum(axis=1).astype(float)
        self._demand = np.concatenate([demand, np.zeros_like(demand[:1])])
        self._seen = 0

    def learn(self, arrivals: np.ndarray) -> None:
        self._seen += 1

    def is_refuted(self) -> bool:
        return False

    def draw(self, slots: np.ndarray) -> np.ndarray:
        """(E, S, C) as ``DemandSamples.draw``; nothing comes after the horizon."""
        where = (np.arange(SAMPLES) + 0.5) / SAMPLES
        begin = self._seen + slots.cumsum() - slots
        slot = np.floor(begin[:, None] + where * slots[:, None]).astype(int)
        drawn: np.ndarray = self._demand[np.minimum(slot, len(self._demand) - 1)]
        return drawn


def knowing(name: str, future: Instance) -> OpenLoop:
    """The policy ``name``, its plans and its dispatch told the demand of ``future``.

    Raises InvalidInput if it does not plan by samples of demand.
    """
    policy = create(name)
    if not isinstance(policy, OpenLoop):
        raise InvalidInput(f"{name!r:.40} does not plan by samples of demand", field="policy")
    reset = policy.reset

    def told_reset(system: Any, seed: int) -> None:
        reset(system, seed)
        policy.samples = ToldDemand(future.arrivals)
        policy._forecaster = Perfect(future.arrivals)

    policy.reset = told_reset
    return policy
