"""Lazy capacity provisioning: change the number of servers only when standing still cannot be best.

Lin, Wierman, Andrew and Thereska, "Dynamic right-sizing for power-proportional data centers"
(INFOCOM 2011; IEEE/ACM Trans. Networking 21(5), 2013), in the discrete form of Albers and
Quedenfeld ("Optimal algorithms for right-sizing data centers", SPAA 2018). For every d = region ×
type × model by itself, with the costs of ``levels``: let

    W^L_t(x) = f_t(x) + min_{x'} W^L_{t−1}(x') + β·(x − x')⁺      servers cost β to switch on
    W^U_t(x) = f_t(x) + min_{x'} W^U_{t−1}(x') + β·(x' − x)⁺      servers cost β to switch off

be the least costs of the slots up to t that end with x servers, x^L_t the least minimiser of W^L_t
and x^U_t the greatest of W^U_t. Every optimal schedule of the whole horizon lies between the two,
and LCP moves just as far as it must:

    x_t = min(max(x_{t−1}, x^L_t), x^U_t)

Alone, one d is 3-competitive. Data centres of several types are coupled through their load, and for
these Albers and Quedenfeld ("Algorithms for right-sizing heterogeneous data centers", SPAA 2021)
track optimal schedules of all slots so far, a program over all types at once. This is not done
here: the demand of ``levels`` couples the types, each is then provisioned lazily, and no
competitive ratio is claimed for the whole.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.policies.server_counts import Demand, ServerCountPolicy

TIE = 1e-9  # $ within which two numbers of servers are equally good


class Lcp(ServerCountPolicy):
    """See the module; parameters are those of ``ServerCountPolicy``."""

    name = "lcp"

    def reset(self, system: Any, seed: int) -> None:
        super().reset(system, seed)
        self._envelopes: Envelopes | None = None

    def levels(self, demand: Demand, now: np.ndarray) -> np.ndarray:
        most = np.broadcast_to(self.kinds.size[:, None], now.shape)
        if self._envelopes is None:
            self._envelopes = Envelopes(now.ravel(), most.ravel())
        servers = np.arange(most.max() + 1)
        unserved = np.maximum(demand.wanted[:, :, None] - servers, 0)
        usd = demand.on_usd[:, :, None] * servers + demand.unserved_usd[:, :, None] * unserved
        low, high = self._envelopes.update(usd.reshape(-1, len(servers)), demand.start_usd.ravel())
        return np.clip(now, low.reshape(now.shape), high.reshape(now.shape))


class Envelopes:
    """x^L and x^U of many d at once: W^L and W^U by number of servers, (D, N + 1)."""

    def __init__(self, before: np.ndarray, most: np.ndarray):
        servers = np.arange(most.max() + 1)
        self._possible = servers <= most[:, None]
        at_first = np.where(servers == np.minimum(before, most)[:, None], 0.0, np.inf)
        self._up, self._down = at_first, at_first

    def update(self, usd: np.ndarray, switch_usd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(D,) x^L and x^U after a slot with costs ``usd`` (D, N + 1) and β = ``switch_usd``."""
        usd = np.where(self._possible, usd, np.inf)
        climb = switch_usd[:, None] * np.arange(usd.shape[1])
        self._up = _from_zero(usd + _least_before(self._up, climb))
        self._down = _from_zero(usd + _least_before(self._down[:, ::-1], climb)[:, ::-1])
        low = np.argmax(self._up <= TIE, axis=1)
        high = usd.shape[1] - 1 - np.argmax(self._down[:, ::-1] <= TIE, axis=1)
        return low, high


def _least_before(work: np.ndarray, climb: np.ndarray) -> np.ndarray:
    """min over x' of work(x') + (climb(x) − climb(x'))⁺, row by row."""
    from_below = climb + np.minimum.accumulate(work - climb, axis=1)
    from_above = np.minimum.accumulate(work[:, ::-1], axis=1)[:, ::-1]
    return np.minimum(from_below, from_above)


def _from_zero(work: np.ndarray) -> np.ndarray:
    """Costs above the least of each row: only differences matter."""
    return work - work.min(axis=1, keepdims=True)
