"""Default weights: what a second, a re-routed request and an expired request are worth.

v   1e-4 $ a second. What latency-optimised tiers of public APIs charge per second they save is
    2.5e-4 for Claude 3.5 Haiku on Bedrock: 1 / 5 instead of 0.8 / 4 $ per million tokens in / out,
    for 101 instead of 65 tokens a second. The same premium, a quarter, on the price of a small open
    model, 0.2 $ per million tokens, is 3e-5. v is the power of ten between them. (A person's time,
    at about 18 $ an hour, would be 5e-3.)
κ   A request sent elsewhere than its like finds no cache there: it takes σ − σʰ longer, and its
    share of that in server time is paid for; the mean over the fleet and the classes.
π   ``expiry_margin`` times the dearest way to serve the class on a running server: no request
    expires where a server is ready with its model and has time left (a server to start is dearer).
"""

from __future__ import annotations

import dataclasses

import numpy as np

from torta_opt.allocation.instance.data import System, Weights
from torta_opt.allocation.instance.expiry_price import highest_serving_cost_usd
from torta_opt.allocation.instance.generate.parameters import PaperParameters


def reroute_usd(system: System, mix: np.ndarray, time_usd_per_s: float) -> float:
    """κ: $ of computing a prompt anew, mean over servers and over ``mix`` (C,)."""
    servers = np.bincount(system.server_type, minlength=len(system.types))
    share = np.where(system.compatible, servers[:, None] * mix, 0.0)
    prompt_s = np.nan_to_num(system.service_s - system.hot_service_s)
    requests_at_once = np.nan_to_num(system.service_s) * 1000 / np.maximum(system.server_ms, 1)
    rent_per_s = system.rent_usd_per_hour.mean(axis=0)[:, None] / 3600
    usd = prompt_s * (time_usd_per_s + rent_per_s / np.maximum(requests_at_once, 1))
    return significant(float((share * usd).sum() / share.sum()), 2)


def with_default_weights(
    system: System, mix: np.ndarray, price: np.ndarray, parameters: PaperParameters
) -> System:
    """``system`` with its weights set; ``price`` (R,) is the highest price of each region."""
    time = parameters.time_usd_per_s
    weights = Weights(time, reroute_usd(system, mix, time), np.zeros(len(system.classes)))
    priced = dataclasses.replace(system, weights=weights)
    dearest = highest_serving_cost_usd(priced, price) * parameters.expiry_margin
    expiry = np.array([significant(usd, 3) for usd in dearest])
    return dataclasses.replace(system, weights=dataclasses.replace(weights, expiry_usd=expiry))


def significant(value: float, digits: int) -> float:
    """``value`` to that many significant digits."""
    return float(f"{value:.{digits - 1}e}")
