"""The paper's objective (1) in terms of this package's weights."""

from __future__ import annotations

import dataclasses

import numpy as np

from torta_opt.allocation.instance.data import System, Weights
from torta_opt.allocation.instance.expiry_price import highest_serving_cost_usd

# The paper reports neither. With these, moving all requests of an origin of about 200 a slot to
# another region costs what the default weights charge for it, and a dollar of electricity weighs
# what it weighs against time under the default weights.
ALPHA = 100.0
BETA = 10_000.0

EXPIRY_MARGIN = 1.25
HIGHEST_USD_PER_KWH = 1.0


def paper_weights(system: System, alpha: float = ALPHA, beta: float = BETA) -> Weights:
    """Objective (1) of arXiv 2507.10259 as weights; the unit of the cost is the request-second.

        Σ_t ( Σ_i T_completion + α·‖A_t − A_{t−1}‖_F² + β·C_power )

    Completion time (network, wait, service) counts 1 a second, the Frobenius term α (requests
    routed in place of the paper's X_t, which has no meaning when the tasks of two slots differ),
    and electricity β a dollar. Rent, transfer, starts, switches and re-routed requests count for
    nothing. The paper has no expiry; here an expired request costs more than the dearest way to
    serve it on a running server at electricity prices up to 1 $/kWh.
    """
    weights = Weights(
        time_usd_per_s=1.0,
        reroute_usd=0.0,
        expiry_usd=np.zeros(len(system.classes)),
        frobenius_usd=alpha,
        energy_factor=beta,
        rent_factor=0.0,
        transfer_factor=0.0,
        loading_factor=0.0,
    )
    price = np.full(len(system.regions), HIGHEST_USD_PER_KWH)
    dearest = highest_serving_cost_usd(dataclasses.replace(system, weights=weights), price)
    return dataclasses.replace(weights, expiry_usd=np.ceil(dearest * EXPIRY_MARGIN))
