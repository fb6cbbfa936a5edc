"""What TORTA's network sees of a slot, and what its answer means: one text for policy and training.

State (arXiv 2507.10259, §V-B): s_t = (U_t, Q_t, L_t, H_t, F_t, A_{t−1}). Ours are the
units, P, price and fleet:

    U    (R)     share of the last slot's usable server time that was worked
    Q    (R)     requests that wait, by region               } in units of ``request_scale``, what
    H    (K, R)  arrivals by origin in this slot and before  } all servers of a region could process
    F    (R)     forecast of the next slot's arrivals        } in a slot, averaged over regions
    A    (R, R)  routing shares of the last slot
    P    (R, R)  the transport target of this slot: reward (3) is measured from it, the paper leaves
                 it to the network to guess
    price   (R) $/kWh in units of 0.1
    fleet   (R, C + M) what the servers of a region that are up could process of each class in a
            slot, and how many hold each model; both in units of an average region's. The paper's
            U ∈ R^{R×Smax} knows every server; this is what servers of several types come down to
    L       is left out: a network fits one topology, where latency is a constant

Action: any matrix with entries ≥ 0; its rows, over allowed pairs, are scaled to sum to 1.

All functions take leading axes for batches.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.data import System
from torta_opt.allocation.policies.dispatch import Tables

HISTORY = 5  # K, slots of history
MOST = 10.0  # features are cut off here
PRICE_UNIT = 0.1


def feature_count(regions: int, classes: int, models: int) -> int:
    """Length of the state vector."""
    return regions * (HISTORY + 4 + classes + models) + 2 * regions**2


def request_scale(system: System) -> float:
    """Requests that the servers of an average region could process in a slot, classes alike."""
    able = Tables(system).can_serve
    work_ms = np.where(able, system.server_ms[system.server_type], 1)
    rate = np.where(able, system.slot_ms / work_ms, 0.0).sum() / able.shape[1]
    return max(float(rate) / len(system.regions), 1.0)


class FleetView:
    """The fleet by region, for ``count`` instances whose regions stand one after another."""

    def __init__(self, tables: Tables, count: int = 1):
        system, able = tables.system, tables.can_serve
        self._shape = count, tables.sizes[0] // count, -1
        self._region, self._models = system.server_region, len(system.models)
        self._rate = np.where(able, system.slot_ms / np.where(able, tables.work_ms, 1), 0.0)
        self._up: np.ndarray | None = None
        room = self._by_region(self._rate)
        self._room_unit = np.maximum(room.mean(axis=1, keepdims=True), 1e-9)
        servers = self._by_region(np.ones((len(self._region), 1)))
        self._server_unit = np.maximum(servers.mean(axis=1, keepdims=True), 1e-9)

    def see(self, up: np.ndarray, model: np.ndarray) -> np.ndarray:
        """(count, R, C + M) for servers ``up`` (S,) that hold ``model`` (S,), −1 none."""
        if self._up is None or not np.array_equal(up, self._up):
            self._up = up.copy()
            self._room = self._by_region(self._rate * up[:, None]) / self._room_unit
        held = (model[:, None] == np.arange(self._models)) & up[:, None]
        return np.concatenate([self._room, self._by_region(held) / self._server_unit], axis=2)

    def _by_region(self, values: np.ndarray) -> np.ndarray:
        """(count, R, K) sums of ``values`` (S, K)."""
        columns = values.shape[1]
        size = self._shape[0] * self._shape[1]
        cell = self._region[:, None] * columns + np.arange(columns)
        return np.bincount(cell.ravel(), values.ravel(), size * columns).reshape(self._shape)


def features(
    utilisation: np.ndarray,
    queue: np.ndarray,
    history: np.ndarray,
    forecast: np.ndarray,
    price: np.ndarray,
    fleet: np.ndarray,
    last: np.ndarray,
    target: np.ndarray,
    scale: np.ndarray | float,
) -> np.ndarray:
    """(…, F) state vectors; arguments as in the module, counts in requests, ``scale`` (…).

    All but the last 2·R² are numbers of one region, region by region, then the next kind.
    """
    lead = utilisation.shape[:-1]
    unit = np.asarray(scale, float)[..., None]
    parts = [
        utilisation,
        queue / unit,
        (history / unit[..., None]).reshape(*lead, -1),
        forecast / unit,
        price / PRICE_UNIT,
        np.swapaxes(fleet, -1, -2).reshape(*lead, -1),
        last.reshape(*lead, -1),
        target.reshape(*lead, -1),
    ]
    return np.clip(np.concatenate(parts, axis=-1), -MOST, MOST).astype(np.float32)


def row_shares(action: np.ndarray, allowed: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(…, R, R) rows over ``allowed`` pairs that sum to 1; a row of zeros becomes the target's."""
    kept = np.where(allowed, np.maximum(np.asarray(action, float), 0.0), 0.0)
    total = kept.sum(axis=-1, keepdims=True)
    return np.where(total > 1e-12, kept / np.where(total > 1e-12, total, 1.0), target)


def last_shares(routing: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(…, R, R) shares that last slot's requests took; the target where an origin had none."""
    total = routing.sum(axis=-1, keepdims=True)
    return np.where(total > 0, routing / np.maximum(total, 1), target)
