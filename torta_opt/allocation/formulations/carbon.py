"""A user's constraint, ready made: no more than so much CO₂ over the horizon.

    Σ_{t,j} intensity[t,j]·energy_kwh[t,j] ≤ kg                                (carbon)

with energy_kwh[t,j] what all servers of region j draw in slot t, as the cost of energy counts it.
The rows hold for every schedule that passes the check: both add up the same energy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from torta_opt.allocation.formulations.user_constraint import UserConstraint
from torta_opt.allocation.instance.carbon import intensity_of
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.allocation.schedule.evaluate import energy_by_pool
from torta_opt.allocation.schedule.timeline import trace_servers
from torta_opt.io.errors import InvalidInput

if TYPE_CHECKING:
    import pyomo.environ as pyo

    Intensity = Mapping[str, float] | np.ndarray


def carbon_cap(kg: float, intensity: Intensity | None = None) -> UserConstraint:
    """At most ``kg`` of CO₂.

    intensity   kg per kWh: by region name, or an array (R,) or (T, R); left out, what the instance
                has (in g)
    """

    def add(model: pyo.ConcreteModel, instance: Instance) -> None:
        import pyomo.environ as pyo

        table = intensity_table(instance, intensity)
        place = {name: n for n, name in enumerate(instance.system.regions)}
        # None, not <=: nothing is emitted where servers draw nothing, and 0 <= kg is no row
        emitted = sum(table[t, place[j]] * kwh for (t, j), kwh in model.energy_kwh.items())
        model.carbon = pyo.Constraint(expr=(None, emitted, kg))

    def excess(instance: Instance, schedule: Schedule) -> float:
        return carbon_kg(instance, schedule, intensity) - kg

    return UserConstraint("carbon", add, excess)


def carbon_kg(instance: Instance, schedule: Schedule, intensity: Intensity | None = None) -> float:
    """CO₂ of a schedule in kg."""
    servers = trace_servers(instance, schedule)
    energy_kwh = energy_by_pool(instance, schedule.processing, servers)
    return float((intensity_table(instance, intensity) * energy_kwh).sum())


def intensity_table(instance: Instance, intensity: Intensity | None) -> np.ndarray:
    """(T, R) kg per kWh. Raises InvalidInput if a region has none."""
    regions = instance.system.regions
    if intensity is None:
        return intensity_of(instance) / 1000
    if isinstance(intensity, Mapping):
        if missing := [name for name in regions if name not in intensity]:
            raise InvalidInput(f"has no value for region {missing[0]!r}", "intensity")
        intensity = np.array([intensity[name] for name in regions], float)
    table = np.asarray(intensity, float)
    shape = instance.slots, len(regions)
    if table.shape not in (shape, shape[1:]) or not np.isfinite(table).all():
        raise InvalidInput(f"must hold finite numbers of shape {shape} or {shape[1:]}", "intensity")
    return np.broadcast_to(table, shape)
