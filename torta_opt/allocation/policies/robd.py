"""Regularized online balanced descent on the number of servers.

Goel, Lin, Sun and Wierman, "Beyond online balanced descent: an optimal algorithm for smoothed
online optimization" (NeurIPS 2019): with f_t the hitting cost of a slot and v_t its minimiser,

    x_t = argmin_x f_t(x) + λ1·c(x, x_{t−1}) + λ2·c(x, v_t)        c(x, y) = ½‖x − y‖²

Here x holds numbers of servers by d = region × type × model, f_t is the hitting cost of ``levels``,
and c weighs each d by its β, so that one server more or less costs ½β:

    min over x_d ≥ 0 of on·x + unserved·(n − x)⁺ + ½λ1β·(x − x_{t−1})² + ½λ2β·(x − v)²

has a closed form: beyond n the slope of the first two terms is on, before it on − unserved, so x_d
is the stationary point of the one or of the other side, or n itself. x is real; the nearest
whole number of servers is asked for. The paper's ratio holds for strongly convex f_t and squared
switching costs; f_t is piecewise linear here and starts cost what they cost, so none is claimed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from torta_opt.allocation.policies.server_counts import Demand, ServerCountPolicy
from torta_opt.allocation.policies.settings import check_number


class Robd(ServerCountPolicy):
    """See the module. Its own parameters, beside those of ``ServerCountPolicy``:

    switching   λ1, weight of staying where one is; 0: x_t = v_t
    anchor      λ2, weight of the minimiser of this slot's cost
    """

    name = "robd"

    def __init__(self, switching: float = 1.0, anchor: float = 0.01, **settings: Any):
        super().__init__(**settings)
        check_number("switching", switching, 0, 1e6)
        check_number("anchor", anchor, 0, 1e6)
        self.switching, self.anchor = switching, anchor

    def reset(self, system: Any, seed: int) -> None:
        super().reset(system, seed)
        self._servers: np.ndarray | None = None

    def levels(self, demand: Demand, now: np.ndarray) -> np.ndarray:
        most = np.broadcast_to(self.kinds.size[:, None], now.shape)
        before = now.astype(float) if self._servers is None else self._servers
        self._servers = balanced(demand, before, most, self.switching, self.anchor)
        return np.floor(self._servers + 0.5).astype(np.int64)


def minimiser(demand: Demand, most: np.ndarray) -> np.ndarray:
    """v, the number of servers that costs least in this slot alone."""
    worth_it = demand.unserved_usd >= demand.on_usd
    return np.where(demand.on_usd < 0, most, np.where(worth_it, demand.wanted, 0)).astype(float)


def balanced(
    demand: Demand, before: np.ndarray, most: np.ndarray, switching: float, anchor: float
) -> np.ndarray:
    """x_t where x_{t−1} was ``before``; all (P, M)."""
    goal = minimiser(demand, most)
    if switching == 0:
        return goal
    stay, pull = switching * demand.start_usd, anchor * demand.start_usd
    weight = np.where(stay + pull > 0, stay + pull, 1.0)
    centre = stay * before + pull * goal
    beyond = (centre - demand.on_usd) / weight
    short = (centre - demand.on_usd + demand.unserved_usd) / weight
    servers = np.maximum(beyond, np.minimum(short, demand.wanted))
    return np.where(stay + pull > 0, np.clip(servers, 0, most), goal)
