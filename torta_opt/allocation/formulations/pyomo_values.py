"""From the Pyomo text, solved, back to arrays and to a schedule.

model = build_allocation_model(instance)
model.my_rule = pyo.Constraint(expr=...)
bound = bound_of_model(model, whole=True)
schedule = recover_from_model(instance, model)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from torta_opt.allocation.formulations.pools import Pools
from torta_opt.allocation.formulations.program import AXES, REQUESTS, SERVERS
from torta_opt.allocation.formulations.recover import recover
from torta_opt.allocation.instance.data import Instance
from torta_opt.allocation.schedule.data import Schedule
from torta_opt.io.errors import InvalidInput

if TYPE_CHECKING:
    import pyomo.environ as pyo


def recover_from_model(
    instance: Instance, model: pyo.ConcreteModel, *, method: str = "optimal"
) -> Schedule:
    """A legal schedule close to the values of the variables of ``build_allocation_model``.

    Server counts must be whole: solve with ``bound_of_model(model, whole=True)``. What the user
    added to the model is not looked at: rounding to whole requests may break it by a little.
    """
    pools = pools_of_model(instance, model)
    return recover(instance, values_of_model(instance, model), pools=pools, method=method)


def pools_of_model(instance: Instance, model: pyo.ConcreteModel) -> Pools:
    """Servers as the model counts them: by pool, or each on its own."""
    found = {p for _, p in model.off}
    for named in (False, True):
        pools = Pools.of(instance, named=named)
        if found == {pools.names[p] for p in np.flatnonzero(pools.up.any(axis=0))}:
            return pools
    raise InvalidInput(f"is not the program of instance {instance.name!r}", f"model {model.name}")


def values_of_model(instance: Instance, model: pyo.ConcreteModel) -> dict[str, np.ndarray]:
    """Values of requests and servers by family, dense over their sets, as ``lift`` gives them."""
    system, pools = instance.system, pools_of_model(instance, model)
    names = {"r": system.regions, "p": pools.names, "m": system.models, "c": system.classes}
    place: dict[str, dict[Any, int]] = {
        axis: {name: n for n, name in enumerate(of)} for axis, of in names.items()
    }
    place["t"] = {t: t for t in range(instance.slots)}
    values = {}
    for family in (*REQUESTS, *SERVERS):
        axes = AXES[family]
        dense = np.zeros([len(place[axis]) for axis in axes])
        for key, column in getattr(model, family).items():
            cell = tuple(place[axis][part] for axis, part in zip(axes, key, strict=True))
            dense[cell] = _value(column)
        values[family] = dense
    return values


def _value(column: pyo.VarData) -> float:
    if column.value is None:
        raise InvalidInput("has no value: solve the model first", f"variable {column.name}")
    return float(column.value)
