"""What TORTA's network sees of a slot, and what its answer means: one text for policy and training.

State (arXiv 2507.10259, §V-B): s_t = (U_t, Q_t, L_t, H_t, F_t, A_{t−1}). All but two of our
changes are about units:

    U    (R)     share of the last slot's usable server time that was worked
    Q    (R)     requests that wait, by region               } in units of ``request_scale``, what
    H    (K, R)  arrivals by origin in this slot and before  } all servers of a region could process
    F    (R)     forecast of the next slot's arrivals        } in a slot, averaged over regions
    A    (R, R)  routing shares of the last slot
    P    (R, R)  the transport target of this slot: reward (3) is measured from it, the paper leaves
                 it to the network to guess
    price, capacity   (R) $/kWh in units of 0.1, and the share of servers that are up
    L            is left out: a network fits one topology, where latency is a constant

Action: any matrix with entries ≥ 0; its rows, over allowed pairs, are scaled to sum to 1.

All functions take leading axes for batches.
"""

from __future__ import annotations

import numpy as np

from torta_opt.instance.data import System
from torta_opt.policies.micro import Tables

HISTORY = 5  # K, slots of history
MOST = 10.0  # features are cut off here
PRICE_UNIT = 0.1


def feature_count(regions: int) -> int:
    """Length of the state vector."""
    return regions * (HISTORY + 5) + 2 * regions**2


def request_scale(system: System) -> float:
    """Requests that the servers of an average region could process in a slot, classes alike."""
    able = Tables(system).can_serve
    work_ms = np.where(able, system.server_ms[system.server_type], 1)
    rate = np.where(able, system.slot_ms / work_ms, 0.0).sum() / able.shape[1]
    return max(float(rate) / len(system.regions), 1.0)


def features(
    utilisation: np.ndarray,
    queue: np.ndarray,
    history: np.ndarray,
    forecast: np.ndarray,
    price: np.ndarray,
    up_share: np.ndarray,
    last: np.ndarray,
    target: np.ndarray,
    scale: np.ndarray | float,
) -> np.ndarray:
    """(…, F) state vectors; arguments as in the module, counts in requests, ``scale`` (…)."""
    lead = utilisation.shape[:-1]
    unit = np.asarray(scale, float)[..., None]
    parts = [
        utilisation,
        queue / unit,
        (history / unit[..., None]).reshape(*lead, -1),
        forecast / unit,
        price / PRICE_UNIT,
        up_share,
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
