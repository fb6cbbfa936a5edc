"""Whether a learned plan is cheaper than the plain one for more than chance.

Both plans are priced over the same S futures, which neither has seen. With d_s the dollars of the
learned plan less those of the plain one in future s, it is used if

    mean(d) + margin·std(d)/√S + LEAST·|cost of the plain plan| < 0.

The futures of a plan are stratified, so std/√S overstates the error of the mean: the rule errs on
the side of the plain plan. The last term asks for more than plans differ by when they are as good:
such plans are swapped for nothing but starts and stops.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.formulations.fleet_program import FleetPlan

MARGIN = 3.0
LEAST = 1e-3


def is_clearly_cheaper(
    learned: FleetPlan | None, plain: FleetPlan | None, margin: float = MARGIN
) -> bool:
    """False too where either could not be priced."""
    if learned is None or plain is None:
        return False
    difference = learned.by_sample - plain.by_sample
    error = margin * difference.std(ddof=1) / np.sqrt(len(difference))
    return bool(difference.mean() + error + LEAST * abs(plain.usd) < 0)
