"""The dearest way to serve a request on a running server; an expired one should cost more.

Above it, no schedule gains by letting a request expire in a region where a server is ready with its
model and has time left. It says nothing about requests for which a server would have to be started,
switched or kept on: what that costs comes on top, and expiry may be cheaper.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.instance.data import System


def highest_serving_cost_usd(system: System, price_usd_per_kwh: np.ndarray) -> np.ndarray:
    """(C,) $ of serving one request of each class in the dearest allowed way, on a running server.

    With ``price_usd_per_kwh`` (R,) the highest price of each region, the maximum of

        v·L[i,j] + g[i,j,c] + v·(ℓ[c]·Δ + σ[k,c]) + (peak_k − idle_k)·u[k,c]·price[j]

    over allowed pairs (i, j) and types k that stand in j and can serve c. 0 for a class that no
    region can serve.
    """
    weights = system.weights
    latency = np.where(system.allowed, system.latency_s, -np.inf)
    time = weights.time_usd_per_s
    transfer = weights.transfer_factor * system.transfer_usd
    route = (time * latency)[:, :, None] + transfer  # (R, R, C)
    wait = time * system.deadline_slots * system.slot_s
    serve = np.full((len(system.regions), len(system.classes)), -np.inf)
    price = weights.energy_factor * np.maximum(price_usd_per_kwh, 0.0)
    for j, k in set(zip(system.server_region.tolist(), system.server_type.tolist(), strict=True)):
        kwh = (system.peak_kw[k] - system.idle_kw[k]) * system.server_ms[k] / 3.6e6
        usd = time * np.nan_to_num(system.service_s[k]) + price[j] * kwh
        serve[j] = np.where(system.usable_by[k], np.maximum(serve[j], usd), serve[j])
    dearest = (route.max(axis=0) + wait + serve).max(axis=0)
    return np.where(np.isfinite(dearest), dearest, 0.0)
