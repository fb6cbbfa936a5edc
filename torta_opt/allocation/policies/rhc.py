"""Receding horizon control: solve a window, take its first slot, solve again in the next.

Lin, Liu, Wierman and Andrew, "Online algorithms for geographical load balancing" (IGCC 2012), after
Kwon and Han's receding horizon control. The window is a linear program (``window``); its first slot
becomes numbers of servers, a fraction above ``threshold`` a whole one, and shares of requests; the
servers of a region then take requests as in ``greedy_forecast``. With servers of several types RHC
may be arbitrarily bad however long the window is, as the paper shows; ``afhc`` is its remedy.
"""

from __future__ import annotations

import numpy as np

from torta_opt.allocation.policies.base import Observation
from torta_opt.allocation.policies.window import WindowPolicy


class Rhc(WindowPolicy):
    """See the module; parameters are those of ``WindowPolicy``."""

    name = "rhc"

    def plan_now(self, observation: Observation) -> tuple[np.ndarray, np.ndarray]:
        plan = self.solve(observation)
        return plan.levels[0], plan.flow[0]
